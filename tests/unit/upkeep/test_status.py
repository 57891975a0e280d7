"""How it stands, where the event log was rotated, cut or replaced since."""

from __future__ import annotations

import pytest

from core.domain import events as ev
from core.domain.model import JobSpec
from core.events.jsonl import JsonlSink
from core.queue.sqlite import SqliteQueue
from core.settings import Settings
from core.upkeep.status import read_status


@pytest.fixture
def settings(state_dir, log_dir) -> Settings:
    return Settings(state_dir=state_dir, log_dir=log_dir)


@pytest.fixture
def started(settings):
    """A run with one attempt under way."""
    queue = SqliteQueue(settings.state_dir / "queue.db")
    queue.begin_run(5.0)
    queue.reconcile("q", [JobSpec(id="a", profile_id="a", flow="/f.py")], now=5.0)
    queue.claim(6.0, "nonce")
    queue.record_go("nonce", fence=1, user_data_dir=None, now=6.0)
    queue.record_launch("nonce", now=6.0)
    queue.close()
    return [
        ev.RunStarted(at=5.0, run=1, queued=1, max_concurrent=1),
        ev.PhaseStarted(at=7.0, profile_id="a", job="a", attempt=1, phase="steps"),
        ev.StepStarted(at=8.0, profile_id="a", job="a", attempt=1, step="wait long", try_=1),
    ]


def emit(settings: Settings, clock, events, *, keep: int) -> None:
    """Write events, each to a file of its own."""
    sink = JsonlSink(settings.log_dir / "events.jsonl", clock, max_bytes=1, keep=keep)
    for event in events:
        sink.emit(event)
    sink.close()


def test_what_was_said_before_a_rotation_still_counts(settings, started, clock):
    """Run, phase and step are found in older parts."""
    others = [ev.StopAsked(at=9.0 + number, how="drain") for number in range(3)]
    emit(settings, clock, [*started, *others], keep=9)
    status = read_status(settings, clock)
    assert [(running.phase, running.step) for running in status.running] == [("steps", "wait long")]
    assert status.last_run is not None and (status.last_run.number, status.last_run.ended_at) == (1, None)
    assert status.problems == ()


def test_a_run_that_outlasts_the_events_of_its_start_is_known(settings, started, clock):
    """The queue knows it; an end that the log shows is that of the run before."""
    before = ev.RunEnded(at=4.0, run=0, exit_code=0, seconds=1.0, counts={})
    emit(settings, clock, [*started, before], keep=0)
    status = read_status(settings, clock)
    assert status.last_run is not None
    assert (status.last_run.number, status.last_run.started_at, status.last_run.ended_at) == (1, 5.0, None)
    assert [running.step for running in status.running] == [""]


def test_an_event_log_that_cannot_be_read_is_a_problem_of_its_own(settings, started, clock):
    """What the queue says is said all the same."""
    (settings.log_dir / "events.jsonl").mkdir()
    status = read_status(settings, clock)
    assert status.jobs == {"running": 1}
    (problem,) = status.problems
    assert problem.endswith("events.jsonl cannot be read: Is a directory")
