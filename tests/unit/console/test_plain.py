"""A run on a pipe: what it says of batches, holds, people and large queues."""

from __future__ import annotations

import io

from core.console.plain import LARGE, MOST, PlainConsole
from core.domain import events as ev
from core.domain.snapshot import Snapshot
from tests.unit.console.test_console import of


def lines_of(events: list, earlier: Snapshot | None = None) -> list[str]:
    """Return what a pipe gets, without the times."""
    stream = io.StringIO()
    with PlainConsole(stream, earlier) as console:
        for event in events:
            console.emit(event)
    return [line[9:] for line in stream.getvalue().splitlines()]


def test_batches_holds_limits_and_people_have_a_line_each():
    """With what to type where a person is needed, and how long the run may take where that is known."""
    parked = ev.AttemptParked(at=6.0, step="log in", why="type the code", code="", asks=("code",), **of("a b"))
    events = [
        ev.RunStarted(at=1.0, run=1, queued=10, max_concurrent=2),
        ev.BatchStarted(at=1.0, batch=1, jobs=tuple("abcd"), profiles=tuple("abcd")),
        ev.StartsHeld(at=2.0, reason="memory: 3 MB\x1b[31m"),
        ev.StartsHeld(at=2.0, reason="paused"),
        ev.StartsResumed(at=5.0, reason="paused", seconds=3.0),
        ev.StartsResumed(at=5.0, reason="memory: 3 MB\x1b[31m", seconds=3.0),
        ev.LimitChanged(at=5.0, max_concurrent=3, reason="asked for"),
        ev.AttemptStarted(at=5.5, pid=1, fence=1, **of("a b")),
        parked,
        ev.AttemptParked(at=6.0, step="log in", why="look", code="", **of("b")),
        ev.AttemptResumed(at=7.0, step="log in", **of("a b")),
    ]
    assert lines_of(events, Snapshot(job_seconds=(60.0, 60.0, 60.0, 90.0))) == [
        "run 1: 10 jobs to do, 2 at a time; about 5 min (5-6)",
        "batch 1 of ~3: 4 jobs",
        "nothing is started: memory: 3 MB [31m",
        "nothing is started: paused",
        "no longer held after 3 s: paused; still held: memory: 3 MB [31m",
        "no longer held after 3 s: memory: 3 MB [31m",
        "3 at a time from now on: asked for",
        "a b started, attempt 1",
        "a b needs a person: type the code (asks for code); then: ostler ctl resume 'a b'",
        "b needs a person: look; then: ostler ctl resume b",
        "a b goes on with log in",
    ]


def test_a_job_with_a_name_of_its_own_is_named():
    """Beside its profile: another job of that profile may be told of in the line before."""
    who = {"profile_id": "anna", "job": "report", "attempt": 1}
    assert lines_of([ev.RunStarted(at=1.0, run=1, queued=2, max_concurrent=2),
                     ev.AttemptStarted(at=1.0, pid=1, fence=1, **of("anna")),
                     ev.AttemptStarted(at=1.0, pid=1, fence=1, **who)])[1:] == [
        "anna started, attempt 1", "anna (report) started, attempt 1",
    ]  # fmt: skip


def test_what_is_wrong_with_a_queue_stands_apart():
    """Several problems are on lines of their own in the message, and on one line here."""
    assert lines_of([ev.FeedRejected(at=1.0, source="q.json", problem="q.json:1:2: one\nq.json:3:4: two")]) == [
        "q.json cannot be used; the last good version stays: q.json:1:2: one; q.json:3:4: two"
    ]


def test_now_and_then_it_says_how_far_it_is():
    """At most once a minute, and not after the end."""
    events: list = [ev.RunStarted(at=0.0, run=1, queued=3, max_concurrent=2)]
    events += [
        ev.BatchStarted(at=0.0, batch=1, jobs=("a", "b"), profiles=("a", "b")),
        ev.AttemptStarted(at=59.0, pid=1, fence=1, **of("a")),
        ev.AttemptLaunched(at=61.0, **of("a")),
        ev.PhaseStarted(at=62.0, phase="steps", **of("a")),
        ev.RunEnded(at=200.0, run=1, exit_code=0, counts={"done": 3}, seconds=200.0),
    ]
    said = [line for line in lines_of(events) if "/3" in line]
    assert said == ["0/3, 1 running, batch 1 of ~2; no estimate yet"]


def test_ten_thousand_jobs_are_not_ten_thousand_lines():
    """Starts and steps are not told, trouble is, up to a limit of each kind; the sum is in the report."""
    events: list = [ev.RunStarted(at=0.0, run=1, queued=10_000, max_concurrent=50)]
    for number in range(10_000):
        name, at = f"j{number}", number / 10
        events += [
            ev.AttemptStarted(at=at, pid=1, fence=1, **of(name)),
            ev.StepCommitted(at=at, step="s", seconds=1.0, **of(name)),
            ev.StepFailed(at=at, step="t", try_=1, reason="r", will_retry=True, **of(name)),
        ]
        state = "failed" if number % 4 == 0 else "done"
        events.append(ev.JobChanged(at=at, profile_id=name, job=name, state=state, reason="r", attempts=1))
    events.append(ev.RunEnded(at=1000.0, run=1, exit_code=1, counts={"done": 7500, "failed": 2500}, seconds=1000.0))
    lines = lines_of(events)
    failed = [line for line in lines if line.startswith("j") and "failed: r" in line]
    assert len(failed) == MOST
    assert failed[-1].endswith("more of this kind are in logs/events.jsonl only")
    assert len(lines) < 2 * MOST + 50
    assert not any("started" in line or "done in" in line for line in lines[1:])


def test_a_small_run_is_told_in_full():
    """As many jobs as there may be at most, each with its start and its end."""
    events: list = [ev.RunStarted(at=0.0, run=1, queued=LARGE, max_concurrent=50)]
    for number in range(LARGE):
        events += [
            ev.AttemptStarted(at=1.0, pid=1, fence=1, **of(f"j{number}")),
            ev.JobChanged(at=2.0, profile_id=f"j{number}", job=f"j{number}", state="done", attempts=1),
        ]
    assert len(lines_of(events)) == 1 + 2 * LARGE
