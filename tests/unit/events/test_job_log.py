"""The job log: a line for each attempt that has ended, in a file that outlives runs, kills and full disks."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from core.domain import events as ev
from core.errors import BadInput
from core.events.job_log import COLUMNS, JobLog, check_job_log

if TYPE_CHECKING:
    from pathlib import Path


def ended(job: str = "anna", **more) -> ev.AttemptEnded:
    given = {"outcome": "done", "reason": "", "step": "", "seconds": 2.5, **more}
    return ev.AttemptEnded(at=1000.0, profile_id=job, job=job, attempt=1, **given)


def log(path: Path, *events: ev.Event) -> None:
    with contextlib.closing(JobLog(path, lambda job: f"/flows/{job}.py")) as job_log:
        for event in events:
            job_log.emit(event)


def lines(path: Path) -> list[list[str]]:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return [line.split("\t") for line in text.removesuffix("\n").split("\n")]


def test_each_attempt_that_ends_has_its_line(tmp_path):
    """Others have none; the header stands once, and numbers go on in the next run."""
    path = tmp_path / "jobs.tsv"
    log(path, ev.StopAsked(at=1.0, how="drain"), ended(), ended("bert", outcome="failed", code="site_down", step="pay"))
    log(path, ended("carl"))
    assert lines(path) == [
        list(COLUMNS),
        ["1", "anna", "anna", "/flows/anna.py", "1", "997.500", "2.500", "done", "", "", ""],
        ["2", "bert", "bert", "/flows/bert.py", "1", "997.500", "2.500", "failed", "site_down", "pay", ""],
        ["3", "carl", "carl", "/flows/carl.py", "1", "997.500", "2.500", "done", "", "", ""],
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_start_is_the_attempts_own(tmp_path):
    """Seconds leave out what it waited for others, so it cannot be reckoned from them; but for one that was not seen to start."""
    path = tmp_path / "jobs.tsv"
    started = ev.AttemptStarted(at=900.0, profile_id="anna", job="anna", attempt=1, pid=1, fence=1)
    log(path, started, ended(), ended("bert"))
    assert [(line[1], line[5], line[6]) for line in lines(path)[1:]] == [
        ("anna", "900.000", "2.500"),
        ("bert", "997.500", "2.500"),
    ]


def test_no_value_breaks_its_line(tmp_path):
    """Tabs, line breaks, backslashes and escape codes are spelled out; lone surrogates, too."""
    path = tmp_path / "jobs.tsv"
    log(path, ended(reason="a\tb\nc\r\\d \x1b[31m \u202e \udcff"))
    assert lines(path)[1][-1] == "a\\tb\\nc\\r\\\\d \\x1b[31m \\u202e \\udcff"


@pytest.mark.parametrize("torn", [b"3\tcarl\tca", b"3", b"\xff\xfe"])
def test_a_torn_last_line_is_taken_off(tmp_path, torn):
    """What a kill left in the middle of a write is no line; the next one begins where it began."""
    path = tmp_path / "jobs.tsv"
    log(path, ended(), ended())
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    log(path, ended("bert"))
    assert path.read_bytes().startswith(whole + b"3\tbert\t")


@pytest.mark.parametrize("length", [0, 5])
def test_a_file_that_was_never_finished_begins_anew(tmp_path, length):
    """A kill right after it was made leaves nothing, or a piece of the header."""
    path = tmp_path / "jobs.tsv"
    path.write_bytes("\t".join(COLUMNS).encode()[:length])
    check_job_log(path)
    log(path, ended())
    assert [line[0] for line in lines(path)] == ["Seq", "1"]


def test_only_a_job_log_or_a_new_file_is_taken(tmp_path):
    """Anything else is refused, unchanged; looking at a new place leaves nothing there."""
    check_job_log(tmp_path / "new.tsv")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "notes.txt"
    other.write_text("my notes, without a line break")
    os.mkfifo(tmp_path / "pipe")
    for path, found in [
        (other, "a file with something else in it"),
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "nowhere" / "a.tsv", "No such file or directory"),
    ]:
        with pytest.raises(BadInput, match=found):
            check_job_log(path)
    assert other.read_text() == "my notes, without a line break"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk_costs_no_line_once_there_is_room_again(tmp_path, monkeypatch):
    """What could not be written, or only in part, comes with the next one; nobody is stopped."""
    path = tmp_path / "jobs.tsv"
    job_log = JobLog(path, lambda _: "")
    full = os.open("/dev/full", os.O_WRONLY)
    usual = job_log._descriptor
    job_log._descriptor = full
    job_log.emit(ended("anna"))
    job_log._descriptor = usual
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    job_log.emit(ended("bert"))
    monkeypatch.undo()
    job_log.emit(ended("carl"))
    job_log.close()
    os.close(full)
    assert [line[:2] for line in lines(path)] == [["Seq", "Job"], ["1", "anna"], ["2", "bert"], ["3", "carl"]]


def test_a_place_that_cannot_be_opened_is_an_error_at_once(tmp_path):
    """Whoever asked for it is told before anything is launched."""
    with pytest.raises(OSError, match="Is a directory"):
        JobLog(tmp_path, lambda _: "")


def test_two_runs_do_not_write_the_same(tmp_path):
    """Each would count for itself, and take off what the other wrote; the second is told before anything is launched."""
    path = tmp_path / "jobs.tsv"
    with contextlib.closing(JobLog(path, lambda _: "")) as first:
        first.emit(ended("anna"))
        with pytest.raises(BadInput, match="another run writes it"):
            check_job_log(path)
        with pytest.raises(BlockingIOError, match="another run writes it"):
            JobLog(path, lambda _: "")
        first.emit(ended("bert"))
    check_job_log(path)
    assert [line[:2] for line in lines(path)] == [["Seq", "Job"], ["1", "anna"], ["2", "bert"]]
