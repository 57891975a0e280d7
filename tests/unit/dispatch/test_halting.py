"""Runs that end early because of how their jobs end, and attempts that take longer than is usual."""

from __future__ import annotations

import re
from collections import Counter
from itertools import count

import msgspec
import pytest

from core.dispatch.attempt import AttemptLimits
from core.domain import events
from core.domain.halt import read_halt
from core.domain.messages import Finished, StepStarted
from core.domain.outcome import Corrupt, ExitCode, Failed, Interrupted, Waiting
from core.process.scripted import AwaitStop, Exit, Hang
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

FAILS = worker(say(Finished(outcome=Failed(step="a", reason="no"))), Exit(code=1))
LIVELY = StepStarted(step="a", try_=1, limit=500)
STOPS = worker(AwaitStop(), say(Finished(outcome=Interrupted(reason="told"))), Exit(code=6))


def halting(rule: str, **changes):
    return msgspec.structs.replace(SETTINGS, halt=read_halt(rule), **changes)


async def test_three_failures_end_the_run_softly_and_the_rest_stays_queued() -> None:
    """Retried attempts do not count, only jobs that failed for good; the next run counts anew and may halt again."""
    bench = Bench(lambda _c, _n: FAILS, halting("soon,fail=3", max_concurrent=1))
    bench.add(*"abcdefgh")
    assert await bench.run() is ExitCode.FAILED
    assert Counter(state if state == "failed" else "left" for state in bench.states().values()) == {
        "failed": 3,
        "left": 5,
    }
    [halted] = bench.seen(events.RunHalted)
    assert (halted.reason, halted.at_once) == ("3 of 3 failed", False)
    again = Bench(lambda _c, _n: worker(*DONE), bench.settings, queue=bench.queue)
    again.numbers = count(100)
    assert await again.run() is ExitCode.FAILED
    assert Counter(again.states().values()) == {"failed": 3, "done": 5}
    assert again.seen(events.RunHalted) == []


async def test_what_runs_may_finish_or_is_stopped_as_the_rule_says() -> None:
    """``soon`` waits for the other job, ``now`` ends it at no cost."""
    for rule, other, state in (("soon,fail=1", worker(*DONE), "done"), ("now,fail=1", STOPS, "queued")):
        bench = Bench(lambda c, _n, other=other: FAILS if c.profile_id == "a" else other, halting(rule))
        bench.add("a", "b", "c", max_attempts=1)
        assert await bench.run() is ExitCode.FAILED
        assert bench.states()["a"] == "failed"
        assert bench.states()["b"] == state
        assert {job.counters.failures for job in bench.queue.jobs() if job.spec.id != "a"} == {0}


@pytest.mark.parametrize(
    ("rule", "outcome", "code", "states"),
    [
        ("soon,fail=1", Waiting(step="a", why="code"), ExitCode.NEEDS_PERSON, {"parked": 5}),
        ("now,fail=10%", Failed(step="a", reason="no"), ExitCode.FAILED, {"failed": 3, "queued": 2}),
        ("soon,fail=2", Corrupt(reason="torn"), ExitCode.QUARANTINED, {"quarantined": 2, "queued": 3}),
        ("soon,success=2", None, ExitCode.DONE, {"done": 2, "queued": 3}),
        ("soon,done=4", None, ExitCode.DONE, {"done": 4, "queued": 1}),
    ],
)
async def test_what_counts(rule, outcome, code, states) -> None:
    """Parked jobs do not; a share waits for three; a halt after enough successes is no interruption."""
    ends = DONE if outcome is None else (say(Finished(outcome=outcome)), Exit(code=1))
    bench = Bench(lambda _c, _n: worker(*ends), halting(rule, max_concurrent=1))
    bench.add(*"abcde", max_attempts=1)
    assert await bench.run() is code
    assert Counter(bench.states().values()) == states


async def test_what_a_halt_stops_does_not_blame_the_operator() -> None:
    """Its reason is that of the halt."""
    bench = Bench(
        lambda c, _n: worker(AwaitStop(), Exit(code=6)) if c.profile_id == "b" else FAILS, halting("now,fail=1")
    )
    bench.add("a", "b", max_attempts=1)
    assert await bench.run() is ExitCode.FAILED
    [reason] = [event.reason for event in bench.seen(events.JobChanged) if (event.job, event.state) == ("b", "queued")]
    assert reason == "stopped as the run was halted: 1 of 1 failed"


async def test_whoever_stopped_the_run_already_is_not_talked_over() -> None:
    """A job that fails while the operator's stop is obeyed is no reason to halt: the run was interrupted."""
    bench = Bench(lambda _c, _n: worker(AwaitStop(), *FAILS.actions[5:]), halting("now,fail=1"))
    bench.add(*"abc", max_attempts=1)

    def stop(event) -> None:
        if isinstance(event, events.AttemptLaunched):
            bench.stop.at_once()

    bench.sink.emit, emit = lambda event: (emit(event), stop(event)), bench.sink.emit
    assert await bench.run() is ExitCode.INTERRUPTED
    assert bench.seen(events.RunHalted) == []


NUMBER = r"[0-9.]+"
"""Seconds that depend on how fast the host is."""


def slow(settings=SETTINGS, **limits):
    return msgspec.structs.replace(
        settings, max_concurrent=1, limits=AttemptLimits(**{"start": 5, "progress": 0.5, "hard": 20, **limits})
    )


async def test_an_attempt_that_takes_longer_than_usual_is_stopped() -> None:
    """Three attempts of its flow tell what is usual; the reason says so, and how long that is."""
    settings = slow(percent=300)
    hangs = worker(say(LIVELY), Hang())
    bench = Bench(lambda c, nth: hangs if c.profile_id == "d" and nth == 1 else worker(*DONE), settings)
    bench.add(*"abcd")
    assert await bench.run() is ExitCode.DONE
    [late] = [event for event in bench.seen(events.AttemptEnded) if event.outcome == "timed_out"]
    assert late.job == "d"
    assert re.fullmatch(
        rf"hard limit of {NUMBER} s reached in a: longer than 300 % of the usual {NUMBER} s", late.reason
    )


async def test_what_is_usual_is_known_from_earlier_runs_and_by_flow() -> None:
    """Another flow's durations say nothing, and a job's own limit comes first."""
    first = Bench(settings=slow(percent=100))
    first.add(*"abc")
    assert await first.run() is ExitCode.DONE
    hangs = worker(say(LIVELY), Hang())
    bench = Bench(lambda _c, nth: hangs if nth == 1 else worker(*DONE), slow(percent=100, hard=1.5), queue=first.queue)
    bench.numbers = count(100)
    specs = [job.spec for job in first.queue.jobs()]
    new = [("known", {}), ("other", {"flow": "/other.py"}), ("own", {"timeout": 1.0})]
    more = [msgspec.structs.replace(specs[0], id=name, profile_id=name, **fields) for name, fields in new]
    bench.queue.reconcile("feed", [*specs, *more], now=bench.clock.now())
    assert await bench.run() is ExitCode.DONE
    reasons = {event.job: event.reason for event in bench.seen(events.AttemptEnded) if event.outcome == "timed_out"}
    usual = rf"hard limit of {NUMBER} s reached in a: longer than 100 % of the usual {NUMBER} s"
    assert re.fullmatch(usual, reasons.pop("known"))
    assert reasons == {
        "other": "hard limit of 1.5 s reached in a",
        "own": "hard limit of 1 s reached in a",
    }
