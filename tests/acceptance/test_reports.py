"""What a run leaves for people and programs: reports at its end, a job log while it goes on, and its picture on a terminal."""

from __future__ import annotations

import codecs
import contextlib
import csv
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len

from core.cli import main as cli
from tests.fleet import BRISK, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def fleet(tmp_path) -> Fleet:
    return Fleet(directory=tmp_path)


def test_one_run_writes_every_kind_and_the_log_goes_on_in_the_next(fleet, capfdbinary):
    """All agree with the queue; the command says the same afterwards; a second run adds to the log and replaces the reports."""
    queue = fleet.write_queue(["anna", "bert", "carl"], fail=["bert"], ask=["carl"])
    folder = fleet.directory
    asked = ["--report", "r.html", "--report", "r.json", "--report", "junit:r.txt", "--report", "r.csv"]
    flags = [*asked, "--job-log", "jobs.tsv", "--max-attempts", "2", *BRISK]
    run = fleet.run(*flags, queue)
    assert run.returncode == 1, run.stderr
    states = {job["job"]: job["outcome"] for job in json.loads((folder / "r.json").read_text("utf-8"))["jobs"]}
    assert states == {"anna": "done", "bert": "failed", "carl": "parked"}
    with (folder / "r.csv").open(newline="") as file:
        assert {row["job"]: row["outcome"] for row in csv.DictReader(file)} == states
    suite = ET.fromstring((folder / "r.txt").read_text("utf-8"))[0]
    assert [case.attrib["name"] for case in suite.iter("testcase")] == ["anna", "bert", "carl"]
    assert [failure.attrib["type"] for failure in suite.iter("failure")] == ["unknown"]
    assert len(list(suite.iter("skipped"))) == 1
    page = (folder / "r.html").read_text("utf-8")
    assert "1 done, 1 failed, 1 needs a person" in page and "ended after" in page
    log = [line.split("\t") for line in (folder / "jobs.tsv").read_text("utf-8").splitlines()]
    assert sorted((line[1], line[4], line[7]) for line in log[1:]) == [
        ("anna", "1", "done"),
        ("bert", "1", "failed"),
        ("bert", "2", "failed"),
        ("carl", "1", "needs_person"),
    ]
    assert all(line[3].endswith("quick.py") for line in log[1:])
    places = ["--state-dir", str(fleet.state), "--log-dir", str(fleet.logs)]
    for kind, name in (("csv", "r.csv"), ("junit", "r.txt")):
        assert cli.main(["report", "--format", kind, *places]) == 0
        assert capfdbinary.readouterr().out == (folder / name).read_bytes()
    assert fleet.run(*flags, queue).returncode in (1, 4)
    again = [line.split("\t") for line in (folder / "jobs.tsv").read_text("utf-8").splitlines()]
    assert again[: len(log)] == log
    assert [line[:2] for line in again[len(log) :]] == [[str(len(log)), "carl"]]


def test_what_cannot_be_written_stops_everything_before_anything_is_launched(fleet):
    """Each place is named."""
    queue = fleet.write_queue(["anna"])
    run = fleet.run("--report", "nowhere/r.html", "--report", "r.odd", "--job-log", str(queue), queue)
    assert run.returncode == 2
    assert "nowhere/r.html: No such file or directory" in run.stderr
    assert '"r.odd"' in run.stderr
    run = fleet.run("--job-log", str(queue), queue)
    assert run.returncode == 2
    assert "a file with something else in it" in run.stderr
    assert not fleet.state.exists()


class Terminal:
    """A pseudo-terminal with somebody who reads along.

    Attributes:
        text: what was written to it so far.
    """

    def __init__(self) -> None:
        self.text = ""
        self.ours, self.theirs = pty.openpty()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 1 << 16):
                self.text += decoder.decode(data)


def until(happened: Callable[[], bool], terminal: Terminal) -> None:
    """Wait for something that is seen on a terminal."""
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, terminal.text[-2000:]
        time.sleep(0.01)


@contextlib.contextmanager
def on_a_terminal(fleet: Fleet, *args: object) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """Run a fleet on a terminal of 200 by 60."""
    terminal = Terminal()
    terminal.resize(200, 60)
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        fleet.command(*args), stdin=terminal.theirs, stdout=terminal.theirs, stderr=terminal.theirs,
        cwd=fleet.directory, env={**env, "TERM": "xterm-256color", "NO_COLOR": "1"}, start_new_session=True,
    )  # fmt: skip
    try:
        yield terminal, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(terminal.theirs)


def test_a_terminal_that_is_made_smaller_is_drawn_anew(fleet):
    """The picture fits its new size, has no colours with NO_COLOR, and leaves the reports and the cursor behind."""
    queue = fleet.write_queue(["anna"], seconds=600.0)
    with on_a_terminal(fleet, "--report", "r.json", *BRISK, queue) as (terminal, process):
        until(lambda: "second" in terminal.text, terminal)
        wide = max(cell_len(line) for line in ESCAPES.sub("", terminal.text).splitlines())
        before = len(terminal.text)
        terminal.resize(60, 12)
        process.send_signal(signal.SIGWINCH)
        until(lambda: terminal.text.count("second", before) > 2, terminal)
        after = terminal.text[before:]
        assert "\x1b[H\x1b[2J" in after, "what was drawn wide has been folded by the terminal"
        narrow = ESCAPES.sub("", after[after.index("\x1b[H\x1b[2J") :])
        assert max(cell_len(line) for line in narrow.splitlines()) <= 60 < wide
        process.send_signal(signal.SIGINT)
        until(lambda: "finishing (^C: stop now)" in terminal.text, terminal)
        process.send_signal(signal.SIGINT)
        until(lambda: "stopped: 1 queued in " in terminal.text, terminal)
        assert process.wait(60) == 6
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.text)
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert json.loads((fleet.directory / "r.json").read_text("utf-8"))["counts"] == {"queued": 1}
