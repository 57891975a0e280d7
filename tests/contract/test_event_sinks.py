"""Every sink obeys the same laws: order is kept, ``emit`` never raises."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from core.clock import ManualClock
from core.console.plain import PlainConsole
from core.console.progress import ProgressConsole
from core.domain import events as ev
from core.events.fan_out import FanOut
from core.events.jsonl import JsonlSink
from core.events.recording import RecordingEvents
from core.events.spool import EventSpool
from core.events.tail import read_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Case:
    """A sink, and how to read back the names of the rejected feeds that went through it."""

    def __init__(self, sink, seen: Callable[[], Iterable[str]], close: Callable[[], None] = lambda: None) -> None:
        self.sink = sink
        self.seen = seen
        self.close = close


class Broken:
    """A sink that breaks the law."""

    def emit(self, event) -> None:
        raise RuntimeError("broken")


def jsonl(tmp_path) -> Case:
    sink = JsonlSink(tmp_path / "events.jsonl", ManualClock())
    return Case(
        sink,
        lambda: [
            event.source for event in read_events(tmp_path / "events.jsonl") if isinstance(event, ev.FeedRejected)
        ],
        sink.close,
    )


def recording(tmp_path) -> Case:
    sink = RecordingEvents()
    return Case(sink, lambda: [event.source for event in sink.of(ev.FeedRejected)])


def spool(tmp_path) -> Case:
    sink = EventSpool(tmp_path)
    return Case(sink, lambda: [event.source for event in sink.take() if isinstance(event, ev.FeedRejected)])


def fan_out(tmp_path) -> Case:
    behind = RecordingEvents()
    return Case(FanOut([Broken(), behind]), lambda: [event.source for event in behind.of(ev.FeedRejected)])


def plain(tmp_path) -> Case:
    stream = io.StringIO()
    sink = PlainConsole(stream)
    return Case(sink, lambda: re.findall(r"(feed\d+)", stream.getvalue()), sink.close)


def progress(tmp_path) -> Case:
    stream = io.StringIO()
    sink = ProgressConsole(stream, ManualClock())
    return Case(sink, lambda: re.findall(r"(feed\d+)", stream.getvalue()), sink.close)


@pytest.fixture(params=[jsonl, recording, spool, fan_out, plain, progress], ids=lambda make: make.__name__)
def case(request, tmp_path) -> Case:
    """Each sink in turn."""
    return request.param(tmp_path)


def test_order_is_kept(case):
    """What was emitted first is read first, and nothing is missing."""
    names = [f"feed{number}" for number in range(200)]
    for name in names:
        case.sink.emit(ev.FeedRejected(at=1.0, source=name, problem="wrong"))
    case.close()
    assert list(case.seen()) == names


OF = {"at": 1.0, "profile_id": "p", "job": "p", "attempt": 1}
ODD = [
    ev.AttemptEnded(outcome="done", reason="", step="", seconds=1.0, **OF),
    ev.StepCommitted(step="never started", seconds=-1.0, **OF),
    ev.StepFailed(step="\udcff[/]\x1b[2J", try_=0, reason="\udcff", will_retry=True, **OF),
    ev.WorkerNoted(name="n", data={"deep": {"er": [None, 1.5]}, "odd": "\udcff"}, **OF),
    ev.JobChanged(at=0.0, profile_id="p", job="p", state="waiting", retry_at=None),
    ev.JobChanged(at=0.0, profile_id="p", job="p", state="done"),
    ev.JobChanged(at=0.0, profile_id="p", job="p", state="queued"),
    ev.StopAsked(at=0.0, how=""),
    ev.RunEnded(at=0.0, run=0, exit_code=0, counts={}, seconds=0.0),
    ev.RunStarted(at=0.0, run=0, queued=1, max_concurrent=0),
    ev.AttemptStarted(pid=-1, fence=0, **OF),
    ev.RunEnded(at=0.0, run=0, exit_code=0, counts={"done": 1}, seconds=-5.0),
]


def test_no_event_makes_a_sink_raise(case):
    """Events out of order, with odd text and odd numbers, are taken like all others; what follows is taken, too."""
    for event in ODD:
        case.sink.emit(event)
    case.sink.emit(ev.FeedRejected(at=2.0, source="feed1", problem="wrong"))
    case.close()
    assert list(case.seen()) == ["feed1"]
