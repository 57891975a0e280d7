"""What follows from the end of an attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.lifecycle import JOB, JobEvent
from core.domain.model import Counters, JobState
from core.domain.outcome import (
    Busy,
    Corrupt,
    Crashed,
    Done,
    Failed,
    HostFault,
    Interrupted,
    Rejected,
    TimedOut,
    Waiting,
)
from core.domain.retry import Decision, RetryPolicy, decide

POLICY = RetryPolicy(max_attempts=3, poison_limit=3, base_delay=2.0, max_delay=5.0, busy_delay=10.0)
BEFORE = Counters(attempts=4, failures=1, crash_streak=2, busy=3)
CALM = Counters(attempts=4, failures=1)


def of(event: JobEvent, counters: Counters, reason: str = "why", retry_at: float | None = None) -> Decision:
    return Decision(event=event, counters=counters, reason=reason, retry_at=retry_at)


@pytest.mark.parametrize(
    ("outcome", "committed", "expected"),
    [
        (Done(), False, of(JobEvent.COMPLETED, CALM, "")),
        (Interrupted(reason="why"), False, of(JobEvent.INTERRUPTED, BEFORE)),
        (Interrupted(reason="why"), True, of(JobEvent.INTERRUPTED, Counters(attempts=4, failures=1, busy=3))),
        (Waiting(step="s", why="why"), False, of(JobEvent.PARKED, CALM)),
        (Corrupt(reason="why"), False, of(JobEvent.QUARANTINED, CALM)),
        (Rejected(reason="why"), False, of(JobEvent.GIVEN_UP, CALM)),
        (
            Busy(holder="pid 7"),
            False,
            of(
                JobEvent.RETRY,
                Counters(attempts=4, failures=1, crash_streak=2, busy=4),
                "profile held by pid 7",
                111.25,
            ),
        ),
        (HostFault(reason="why"), False, of(JobEvent.RETRY, BEFORE, retry_at=111.25)),
        (
            Failed(step="s", reason="why"),
            False,
            of(JobEvent.RETRY, Counters(attempts=4, failures=2), retry_at=104.5),
        ),
        (
            TimedOut(step="s", reason="why"),
            True,
            of(JobEvent.RETRY, Counters(attempts=4, failures=2), retry_at=104.5),
        ),
        (
            Failed(step="s", reason="why", permanent=True),
            False,
            of(JobEvent.GIVEN_UP, Counters(attempts=4, failures=2)),
        ),
        (
            Crashed(step="order", reason="why"),
            False,
            of(
                JobEvent.QUARANTINED,
                Counters(attempts=4, failures=1, crash_streak=3),
                "poison: 3 crashes with nothing committed between; last: why in order",
            ),
        ),
        (
            Crashed(step="", reason="why"),
            True,
            of(JobEvent.RETRY, Counters(attempts=4, failures=1, crash_streak=1), retry_at=102.25),
        ),
    ],
)
def test_decide(outcome, committed, expected):
    """The table of the module's docstring; a committed step ends the crash streak before this crash is counted."""
    assert decide(POLICY, BEFORE, outcome, committed=committed, now=100.0, jitter=0.5) == expected


@pytest.mark.parametrize(
    ("failures", "own", "expected"),
    [(0, None, JobEvent.RETRY), (2, None, JobEvent.GIVEN_UP), (2, 4, JobEvent.RETRY), (0, 1, JobEvent.GIVEN_UP)],
)
def test_the_jobs_own_limit_goes_before_the_policys(failures, own, expected):
    """``max_attempts`` of a job may be more or less."""
    decision = decide(
        POLICY,
        Counters(failures=failures),
        TimedOut(step="s", reason="slow"),
        committed=False,
        now=0.0,
        jitter=0.0,
        max_attempts=own,
    )
    assert decision.event is expected


def test_a_backoff_doubles_up_to_its_limit():
    """2, 4, then 5 seconds."""
    policy = RetryPolicy(max_attempts=9, base_delay=2.0, max_delay=5.0)
    delays = [
        decide(
            policy, Counters(failures=failures), Failed(step="s", reason=""), committed=False, now=0.0, jitter=0.0
        ).retry_at
        for failures in range(4)
    ]
    assert delays == [2.0, 4.0, 5.0, 5.0]


def test_a_backoff_after_thousands_of_crashes_is_a_number():
    """With the poison limit raised for a storm, the streak may grow large."""
    policy = RetryPolicy(poison_limit=10**9)
    decision = decide(
        policy, Counters(crash_streak=5000), Crashed(step="", reason=""), committed=False, now=0.0, jitter=1.0
    )
    assert decision.retry_at == policy.max_delay * 1.25


OUTCOMES = st.sampled_from(
    [
        Done(),
        Failed(step="s", reason="r"),
        Failed(step="s", reason="r", permanent=True),
        Crashed(step="s", reason="r"),
        TimedOut(step="s", reason="r"),
        Interrupted(reason="r"),
        Busy(holder="h"),
        HostFault(reason="r"),
        Waiting(step="s", why="w"),
        Corrupt(reason="r"),
        Rejected(reason="r"),
    ]
)


@given(st.lists(st.tuples(OUTCOMES, st.booleans(), st.floats(0, 1)), max_size=40))
def test_every_decision_is_legal_and_ends_are_bounded(history):
    """Whatever happens, the event is legal for a running job, delays lie ahead, and costs stay within the limits."""
    counters = Counters()
    for outcome, committed, jitter in history:
        decision = decide(POLICY, counters, outcome, committed=committed, now=50.0, jitter=jitter)
        assert decision.event in JOB[JobState.RUNNING]
        assert (decision.retry_at is not None) == (decision.event is JobEvent.RETRY)
        assert decision.retry_at is None or 50.0 < decision.retry_at <= 50.0 + POLICY.busy_delay * 1.25
        if isinstance(outcome, (Interrupted, Busy, HostFault)):
            assert decision.counters.failures == counters.failures
            assert decision.counters.crash_streak <= counters.crash_streak
        if decision.event is not JobEvent.RETRY and decision.event is not JobEvent.INTERRUPTED:
            break
        counters = decision.counters
        assert counters.failures < POLICY.max_attempts
        assert counters.crash_streak < POLICY.poison_limit
