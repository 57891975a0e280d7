"""Events on disk when the disk does not play along."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from structlog.testing import capture_logs

from core.domain.events import StopAsked, WorkerNoted, encode
from core.events import jsonl
from core.events.jsonl import JsonlSink
from core.events.tail import read_events
from core.rotation import rotated


def asked(number: int) -> StopAsked:
    return StopAsked(at=float(number), how="drain")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "events.jsonl"


def test_the_file_is_for_its_owner_only(path, clock):
    """Events name profiles: 0600 in a 0700 directory."""
    sink = JsonlSink(path, clock)
    sink.emit(asked(1))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    sink.close()


def test_a_line_torn_by_a_kill_spoils_no_other(path, clock):
    """The next run's first event starts on a line of its own."""
    path.parent.mkdir()
    path.write_bytes(encode(asked(1)) + b'{"type":"st')
    sink = JsonlSink(path, clock)
    sink.emit(asked(2))
    sink.close()
    assert list(read_events(path)) == [asked(1), asked(2)]


def test_rotation_between_runs_keeps_as_many_as_asked(path, clock):
    """A file over its size becomes .1, .1 becomes .2, and the oldest goes."""
    for number in range(4):
        sink = JsonlSink(path, clock, max_bytes=10, keep=2)
        sink.emit(asked(number))
        sink.close()
    assert list(read_events(path)) == [asked(3)]
    assert list(read_events(rotated(path, 1))) == [asked(2)]
    assert list(read_events(rotated(path, 2))) == [asked(1)]
    assert not rotated(path, 3).exists()


def test_a_small_file_is_not_rotated(path, clock):
    """Events of several runs share a file."""
    for number in range(2):
        sink = JsonlSink(path, clock)
        sink.emit(asked(number))
        sink.close()
    assert list(read_events(path)) == [asked(0), asked(1)]


def test_nothing_rotated_is_kept_when_none_is_wanted(path, clock):
    """With keep=0 a file over its size starts anew."""
    path.parent.mkdir()
    path.write_bytes(encode(asked(1)))
    sink = JsonlSink(path, clock, max_bytes=1, keep=0)
    sink.emit(asked(2))
    sink.close()
    assert list(read_events(path)) == [asked(2)]
    assert not rotated(path, 1).exists()


def test_a_file_removed_during_a_run_is_made_again(path, clock):
    """Events do not vanish into a file without a name."""
    sink = JsonlSink(path, clock)
    sink.emit(asked(1))
    path.unlink()
    sink.emit(asked(2))
    sink.close()
    assert list(read_events(path)) == [asked(2)]


def test_an_error_is_said_once_and_nothing_is_lost_when_it_passes(path, clock):
    """While the path cannot be opened events wait; afterwards all of them stand there in order."""
    path.mkdir(parents=True)  # a directory where the file should be: open fails, as root too
    with capture_logs() as logs:
        sink = JsonlSink(path, clock)
        for number in range(5):
            sink.emit(asked(number))
            clock.advance(2.0)
        path.rmdir()
        clock.advance(2.0)
        sink.emit(asked(5))
        sink.close()
    assert [entry["event"] for entry in logs] == ["events_not_written", "events_written_again"]
    assert list(read_events(path)) == [asked(number) for number in range(6)]
    assert sink.lost == 0


def test_between_two_tries_the_file_is_left_alone(path, clock):
    """A broken disk is not asked for every event."""
    path.mkdir(parents=True)
    sink = JsonlSink(path, clock)
    sink.emit(asked(1))
    path.rmdir()
    sink.emit(asked(2))
    assert not path.exists()
    sink.close()
    assert list(read_events(path)) == [asked(1), asked(2)]


def test_what_is_kept_in_memory_has_a_limit(path, clock, monkeypatch):
    """Beyond it the oldest go, are counted, and the count is said at the end."""
    monkeypatch.setattr(jsonl, "KEPT_IN_MEMORY", 3)
    path.mkdir(parents=True)
    with capture_logs() as logs:
        sink = JsonlSink(path, clock)
        for number in range(10):
            sink.emit(asked(number))
        sink.close()
    assert sink.lost == 10
    assert {"event": "events_lost", "lost": 10}.items() <= logs[-1].items()


def test_a_disk_that_takes_a_part_of_a_line(path, clock):
    """After a short write the line is written again, whole, and the torn one is skipped."""
    sink = JsonlSink(path, clock)
    sink.emit(asked(1))
    size = path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 7, before[1]))
        sink.emit(asked(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == size + 7
    clock.advance(2.0)
    sink.emit(asked(3))
    sink.close()
    assert list(read_events(path)) == [asked(1), asked(2), asked(3)]
    assert sink.lost == 0


def test_an_event_that_is_no_json_is_counted(path, clock):
    """A lone surrogate cannot be written; the next event can."""
    with capture_logs() as logs:
        sink = JsonlSink(path, clock)
        sink.emit(WorkerNoted(at=1.0, profile_id="p", job="p", attempt=1, name="odd", data={"x": "\udcff"}))
        sink.emit(asked(2))
    sink.close()
    assert sink.lost == 1
    assert logs[0]["event"] == "event_not_written"
    assert list(read_events(path)) == [asked(2)]


def test_the_descriptor_is_not_inherited(path, clock):
    """No worker can write into the event log."""
    sink = JsonlSink(path, clock)
    sink.emit(asked(1))
    assert not os.get_inheritable(sink._descriptor)
    sink.close()
