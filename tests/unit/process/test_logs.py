"""What is logged, where, and what is never."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import warnings
from pathlib import Path

import pytest
import structlog

from core.errors import DurableWriteFailed
from core.line_tail import LineTail
from core.logs import configure_orchestrator, configure_worker
from core.redaction import Redactor
from core.rotation import MOST_KEPT, rotated

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def restored():
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


class Odd:
    def __repr__(self) -> str:
        return f"<Odd {SECRET}>"


def raise_with(password: str) -> None:
    raise ValueError(f"typed {password}")


def log_everything() -> None:
    """Let the secret out by all doors."""
    log = structlog.get_logger()
    structlog.contextvars.bind_contextvars(profile_id="p1", attempt=2)
    log.info("plain", value=f"a {SECRET} b", number=123456, fine=12, path=Path("/x") / SECRET, raw=SECRET.encode())
    log.info("nested", data={SECRET: [{"deep": (SECRET, Odd())}]}, surrogate="\ud800")
    try:
        raise_with(SECRET)
    except ValueError:
        log.exception("failed")
    logging.getLogger("a.library").error("it saw %s", SECRET)
    logging.getLogger("a.library").info("chatter")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"mind {SECRET}", stacklevel=1)
    log.debug("below")


def test_the_orchestrators_log(tmp_path):
    """JSON lines, 0600, everything bound is there, nothing secret, libraries and warnings too."""
    file = configure_orchestrator(tmp_path, Redactor([SECRET, "123456"]))
    log_everything()
    path = tmp_path / "orchestrator.log"
    text = path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == ["plain", "nested", "failed", "library_message", "library_message"]
    assert all(line["profile_id"] == "p1" and line["attempt"] == 2 and line["at"].endswith("Z") for line in lines)
    assert SECRET not in text
    assert "123456" not in text
    assert lines[0] | {"at": ""} == {
        "event": "plain",
        "level": "info",
        "at": "",
        "profile_id": "p1",
        "attempt": 2,
        "value": "a [redacted] b",
        "number": "[redacted]",
        "fine": 12,
        "path": "/x/[redacted]",
        "raw": "[redacted]",
    }
    assert "ValueError: typed [redacted]" in lines[2]["exception"]
    assert lines[3]["logger"] == "a.library"
    assert lines[4]["logger"] == "py.warnings"
    file.close()
    structlog.get_logger().info("late")
    assert path.read_text("utf-8") == text


def test_a_run_that_lasts_rotates_its_log(tmp_path):
    """Before the next line, from any thread; whoever follows it reads every line once."""
    path = tmp_path / "orchestrator.log"
    file = configure_orchestrator(tmp_path, Redactor(), max_bytes=2000, keep=MOST_KEPT)
    tail = LineTail(path)
    threads = [threading.Thread(target=log_numbers, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    lines = []
    while found := tail.read_new():
        lines += [json.loads(line) for line in found]
    tail.close()
    assert sorted(line["number"] for line in lines) == list(range(300))
    assert path.stat().st_size < 2200 and rotated(path, 5).stat().st_size < 2200


def log_numbers(first: int) -> None:
    for number in range(first, first + 100):
        structlog.get_logger().info("counted", number=number)


def test_a_log_that_cannot_be_rotated_is_written_on(tmp_path):
    """No line is lost, and the log itself says why it grows; a log that was removed is made again."""
    path = tmp_path / "orchestrator.log"
    file = configure_orchestrator(tmp_path, Redactor(), max_bytes=400, keep=1)
    (tmp_path / "orchestrator.log.1" / "in the way").mkdir(parents=True)
    log_numbers(0)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["number"] for line in lines if line["event"] == "counted"] == list(range(100))
    notes = [line for line in lines if line["event"] == "log_not_rotated"]
    assert 0 < len(notes) < 50 and notes[0]["path"] == str(path)
    path.unlink()
    structlog.get_logger().info("again")
    file.close()
    assert json.loads(path.read_text("utf-8"))["event"] == "again"


def test_a_workers_log_is_for_people():
    """Lines with the event's name and its keys; a traceback without local variables."""
    stream = io.StringIO()
    configure_worker(Redactor([SECRET]), stream=stream)
    log_everything()
    text = stream.getvalue()
    assert SECRET not in text
    first = text.splitlines()[0]
    assert "[info] plain" in first
    assert "value='a [redacted] b'" in first
    assert "\x1b" not in text
    assert "ValueError: typed [redacted]" in text


def test_a_full_disk_is_not_the_loggers_fault(tmp_path):
    """Lines are lost, not the program; the next that fits says how many."""
    (tmp_path / "orchestrator.log").symlink_to("/dev/full")
    with pytest.raises(DurableWriteFailed, match=r"orchestrator\.log"):
        configure_orchestrator(tmp_path, Redactor())
    (tmp_path / "orchestrator.log").unlink()
    file = configure_orchestrator(tmp_path, Redactor())
    real, file._fd = file._fd, os.open("/dev/full", 1)
    structlog.get_logger().info("one")
    structlog.get_logger().info("two")
    os.close(file._fd)
    file._fd = real
    structlog.get_logger().info("three")
    file.close()
    lines = [json.loads(line) for line in (tmp_path / "orchestrator.log").read_text().splitlines()]
    assert [(line["event"], line.get("lines")) for line in lines] == [("log_lines_lost", 2), ("three", None)]
