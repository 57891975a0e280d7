"""Events on disk when the disk does not play along."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.domain.events import StopAsked, WorkerNoted, encode
from core.events import jsonl
from core.events.jsonl import JsonlSink
from core.events.tail import EventTail, read_events
from core.rotation import rotated

ROOT = Path(__file__).resolve().parents[3]


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


def everything(tail):
    found = []
    while events := tail.read_new():
        found += events
    return found


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


def test_a_run_that_lasts_rotates_as_it_goes(path, clock):
    """No file grows beyond its size by more than an event, none is lost, and who follows reads each once."""
    size = len(encode(asked(10)))
    sink = JsonlSink(path, clock, max_bytes=3 * size, keep=20)
    tail = EventTail(path)
    seen = []
    for number in range(10, 60):
        sink.emit(asked(number))
        if number % 17 == 0:
            seen += everything(tail)
    sink.close()
    assert [*seen, *everything(tail)] == [asked(number) for number in range(10, 60)]
    assert tail.skipped == 0
    tail.close()
    assert [rotated(path, number).stat().st_size for number in range(1, 17)] == [3 * size] * 16
    assert path.stat().st_size == 2 * size


def test_a_file_that_cannot_be_rotated_is_written_on(path, clock):
    """That is said, once for as many bytes as a file should have; afterwards it is put aside."""
    rotated(path, 1).mkdir(parents=True)
    (rotated(path, 1) / "in the way").touch()
    size = len(encode(asked(10)))
    with capture_logs() as logs:
        sink = JsonlSink(path, clock, max_bytes=4 * size, keep=1)
        for number in range(10, 20):
            sink.emit(asked(number))
        assert [entry["event"] for entry in logs] == ["events_not_rotated"] * 2
        (rotated(path, 1) / "in the way").unlink()
        rotated(path, 1).rmdir()
        for number in range(20, 24):
            sink.emit(asked(number))
        sink.close()
    assert len(logs) == 2
    assert list(read_events(rotated(path, 1))) == [asked(number) for number in range(10, 22)]
    assert list(read_events(path)) == [asked(22), asked(23)]


def test_somebody_elses_rotation_is_followed(path, clock):
    """Where another program moved the file away, events go on under its name once it is large."""
    sink = JsonlSink(path, clock, max_bytes=10)
    sink.emit(asked(1))
    path.rename(path.with_name("elsewhere"))
    sink.emit(asked(2))
    sink.close()
    assert list(read_events(path)) == [asked(2)]
    assert list(read_events(path.with_name("elsewhere"))) == [asked(1)]


def test_a_kill_in_the_middle_of_a_rotation_leaves_every_event_once(tmp_path):
    """Ten writers killed one after the other, wherever they were: what they said was taken stands there, in order."""
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    taken = -1
    for round_ in range(10):
        command = [sys.executable, "-m", "tests.children.event_writer", str(path), str(taken + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 7 * round_):
                taken = int(writer.stdout.readline())
            writer.kill()
            for line in writer.stdout:
                taken = int(line)
    found = everything(tail)
    # the last event of a writer may be there although its number was not said: the next one emits it again
    again = [number for number, event in enumerate(found[1:]) if event == found[number]]
    assert len(again) <= 10
    assert list(dict.fromkeys(event.at for event in found)) == [
        float(number) for number in range(int(found[-1].at) + 1)
    ]
    assert int(found[-1].at) in (taken, taken + 1)
    assert tail.skipped == 0
    tail.close()


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


def test_an_event_with_a_field_of_a_wrong_type_never_reaches_the_file(path, clock):
    """It is counted and named by its field, once for its kind and without what stands there; the next event is written."""
    with capture_logs() as logs:
        sink = JsonlSink(path, clock)
        for _ in range(3):
            sink.emit(WorkerNoted(at=1.0, profile_id="p", job="p", attempt=b"private", name="odd", data={}))
        sink.emit(asked(2))
    sink.close()
    assert list(read_events(path)) == [asked(2)]
    assert sink.lost == 3
    assert [(log["event"], log["type"], log["reason"]) for log in logs] == [
        ("event_not_written", "WorkerNoted", "Expected `int`, got `str` - at `$.attempt`")
    ]
