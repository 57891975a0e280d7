"""Reading events back while somebody writes, rotates, tears and removes the file."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from core.clock import ManualClock
from core.domain.events import FeedRejected, StopAsked, encode
from core.events.jsonl import JsonlSink
from core.events.recording import RecordingEvents
from core.events.tail import EventTail, read_events


def asked(number: int) -> StopAsked:
    return StopAsked(at=float(number), how="drain")


def test_a_file_that_is_not_there_yet_is_empty_and_then_followed(tmp_path):
    """A tail may start before the first event."""
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.read_new() == []
    assert list(read_events(path)) == []
    path.write_bytes(encode(asked(1)))
    assert tail.read_new() == [asked(1)]
    tail.close()


def test_a_torn_last_line_is_read_once_it_is_whole(tmp_path):
    """Half a line is no event yet, and no error."""
    path = tmp_path / "events.jsonl"
    line = encode(asked(2))
    path.write_bytes(encode(asked(1)) + line[:9])
    tail = EventTail(path)
    assert tail.read_new() == [asked(1)]
    assert list(read_events(path)) == [asked(1)]
    with path.open("ab") as stream:
        stream.write(line[9:])
    assert tail.read_new() == [asked(2)]
    assert tail.skipped == 0
    tail.close()


def test_lines_that_are_no_events_are_skipped_and_counted(tmp_path):
    """Torn lines in the middle, bytes that are no UTF-8, and kinds of a newer version do not stop a reader."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"type":"st\n\xff\xfe\n{"type":"from_the_future","at":1}\n\n' + encode(asked(3)))
    tail = EventTail(path)
    assert tail.read_new() == [asked(3)]
    assert tail.skipped == 3
    assert list(read_events(path)) == [asked(3)]
    tail.close()


def test_rotation_is_followed_without_losing_what_was_unread(tmp_path):
    """What was written before the rotation comes first, then the new file."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(asked(1)))
    tail = EventTail(path)
    assert tail.read_new() == [asked(1)]
    with path.open("ab") as stream:
        stream.write(encode(asked(2)) + b'{"torn')
    path.rename(tmp_path / "events.jsonl.1")
    path.write_bytes(encode(asked(3)))
    assert tail.read_new() == [asked(2)]
    assert tail.read_new() == [asked(3)]
    assert tail.skipped == 1
    tail.close()


def test_a_file_cut_short_is_read_from_its_start(tmp_path):
    """Truncation in place is noticed by size."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(FeedRejected(at=1.0, source="queue.json", problem="x" * 100)))
    tail = EventTail(path)
    assert len(tail.read_new()) == 1
    path.write_bytes(encode(asked(2)))
    assert tail.read_new() == [asked(2)]
    tail.close()


def test_a_removed_file_is_waited_for(tmp_path):
    """Between removal and the next event there is nothing, and no error."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(asked(1)))
    tail = EventTail(path, from_end=True)
    assert tail.read_new() == []
    path.unlink()
    assert tail.read_new() == []
    path.write_bytes(encode(asked(2)))
    assert tail.read_new() == [asked(2)]
    tail.close()


async def test_follow_yields_events_as_they_come(tmp_path):
    """A follower sees an event that is written after it began to wait."""
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path, ManualClock())
    tail = EventTail(path)
    seen = []

    async def read() -> None:
        async for event in tail.follow(interval=0.01):
            seen.append(event)
            if len(seen) == 1:
                sink.emit(asked(2))
            else:
                return

    sink.emit(asked(1))
    with anyio.fail_after(10):
        await read()
    assert seen == [asked(1), asked(2)]
    tail.close()
    sink.close()


async def test_waiting_for_an_event_that_does_not_come_says_what_came(recorded):
    """The fake's message names what there was instead."""
    recorded.emit(asked(1))
    with pytest.raises(TimeoutError, match=r"no FeedRejected .* there was StopAsked"):
        await recorded.wait_for(FeedRejected, deadline=0.01)


async def test_waiting_ends_with_the_event_that_was_waited_for(recorded):
    """Past events count, fields must match, and a later event wakes the one who waits."""

    async def emit_later() -> None:
        await anyio.lowlevel.checkpoint()
        recorded.emit(StopAsked(at=2.0, how="now"))

    recorded.emit(asked(1))
    assert await recorded.wait_for(StopAsked) == asked(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(emit_later)
        assert (await recorded.wait_for(StopAsked, how="now")).at == 2.0
    assert (await recorded.wait_for(StopAsked, nth=2)).how == "now"


def test_the_recording_fake_refuses_what_would_never_reach_a_file():
    """So that a test of whoever emits it fails."""
    with pytest.raises(msgspec.ValidationError, match="how"):
        RecordingEvents().emit(StopAsked(at=1.0, how=7))
