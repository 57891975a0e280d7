"""The tutorial, typed as it stands: its commands in their order, in real browsers, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "tutorial.md"
PORT = "8800"
WITHIN = 90.0
LOG = "  | "

pytestmark = pytest.mark.browser


class Typed(NamedTuple):
    """A command, and the lines that should follow it; ``…`` stands for anything, on a line of its own for any lines."""

    command: str
    lines: list[str]


def typed(page: str) -> list[Typed]:
    """Return what the page's console blocks say."""
    found: list[Typed] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Typed(line[2:], []))
            else:
                found[-1].lines.append(line)
    return found


def differs(expected: list[str], said: str) -> str:
    """Return the first expected line that is not where it should be; empty if all are.

    Lines of the log (``  | …``) come when they come: they are compared among themselves, and more of them may be there.
    """
    logged = [both for line in expected if line.startswith(LOG) for both in ("…", line)]
    others = [line for line in expected if not line.startswith(LOG)]
    lines = said.splitlines()
    wrong = compared([*logged, "…"], [line for line in lines if line.startswith(LOG)])
    return wrong or compared(others, [line for line in lines if not line.startswith(LOG)])


def compared(expected: list[str], lines: list[str]) -> str:
    """Return the first expected line that is not where it should be, all in one order."""
    position, anywhere = 0, False
    for line in expected:
        if line == "…":
            anywhere = True
            continue
        pattern = ".*".join(map(re.escape, line.split("…")))
        rest = range(position, len(lines) if anywhere else min(position + 1, len(lines)))
        at = next((number for number in rest if re.fullmatch(pattern, lines[number].rstrip())), None)
        if at is None:
            return line
        position, anywhere = at + 1, False
    return "" if anywhere or position == len(lines) else f"nothing more, but there is {lines[position]!r}"


@pytest.fixture
def folder(tmp_path):
    """A directory that looks like a checkout, whose flows are copies that know this test's port."""
    for name in ("run.py", "orchestrator.py"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    (tmp_path / "examples").mkdir()
    for name in ("demo", "__init__.py"):
        (tmp_path / "examples" / name).symlink_to(CHECKOUT / "examples" / name)
    shutil.copytree(CHECKOUT / "examples" / "tutorial", tmp_path / "examples" / "tutorial")
    return tmp_path


@pytest.fixture
def port(folder):
    """A port that is free, in the place of the tutorial's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = str(server.getsockname()[1])
    flows = list((folder / "examples" / "tutorial").glob("*.py"))
    assert len(flows) == 3
    for flow in flows:
        text = flow.read_text("utf-8")
        assert PORT in text
        flow.write_text(text.replace(PORT, number), "utf-8")
    return number


@pytest.fixture
def shell(folder):
    """Type a command; one that ends in `&` runs until the test ends."""
    beside: list[subprocess.Popen] = []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"OSTLER_STATE_DIR": str(folder / "state"), "OSTLER_LOG_DIR": str(folder / "logs")}
    env = {**os.environ, "PATH": path, **places}

    def type_in(command: str) -> str:
        if not command.endswith(" &"):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, text=True, timeout=WITHIN, check=False,
            )  # fmt: skip
            return done.stdout
        out = folder / f"beside.{len(beside)}"
        with out.open("wb") as file:
            line = f"exec {command.removesuffix(' &')} --parent-pid {os.getpid()}"
            beside.append(subprocess.Popen(["bash", "-c", line], cwd=folder, env=env, stdout=file, stderr=file))
        end = time.monotonic() + WITHIN
        while b"\n" not in out.read_bytes():
            assert time.monotonic() < end and beside[-1].poll() is None, out.read_text()
            time.sleep(0.05)
        return out.read_text("utf-8")

    yield type_in
    for process in beside:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.mark.timeout(300)
def test_the_tutorial_does_what_it_says(folder, port, shell):
    """Each command prints what stands below it, and the site's flows really did their work."""
    commands = typed(PAGE.read_text("utf-8").replace(PORT, port))
    assert sum("run.py" in one.command for one in commands) >= 6
    for one in commands:
        said = shell(one.command)
        wrong = differs(one.lines, said)
        assert not wrong, f"$ {one.command}\nexpected: {wrong}\nsaid:\n{said}"
    logs = "".join(path.read_text("utf-8") for path in (folder / "logs").iterdir())
    assert "in plain sight" not in logs and "JBSWY3DP" not in logs
    assert list((folder / "state" / "workspaces").iterdir()) == []


@pytest.mark.parametrize(
    ("expected", "said", "wrong"),
    [
        (["a", "b"], "a\nb\n", ""),
        (["a … c"], "a b c\n", ""),
        (["…", "b"], "a\nx\nb\n", ""),
        (["a", "…"], "a\nb\nc\n", ""),
        (["a", "  | x…", "b"], "  | w\na\nb\n  | xy\n", ""),
        (["a", "  | x", "b"], "a\nb\n  | y\n", "  | x"),
        (["a"], "a\nb\n", "nothing more, but there is 'b'"),
        (["b"], "a\nb\n", "b"),
        (["…", "c"], "a\nb\n", "c"),
        ([], "a\n", "nothing more, but there is 'a'"),
    ],
)
def test_the_comparison_can_fail(expected, said, wrong):
    """What is not shortened must be there, in order, and nothing else."""
    assert differs(expected, said) == wrong
