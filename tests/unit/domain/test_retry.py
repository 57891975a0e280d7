"""What follows from the end of an attempt."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.failure import Code
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
    ended,
)
from core.domain.policy import PolicyChange
from core.domain.retry import Decision, RetryPolicy, decide

POLICY = RetryPolicy(max_attempts=3, poison_limit=3, base_delay=2.0, max_delay=5.0, busy_delay=10.0)
BEFORE = Counters(attempts=4, failures=1, crash_streak=2, busy=3, codes={Code.UNKNOWN: 1, Code.PROFILE_BUSY: 3})


def after(*ended: Code, **counts: int) -> Counters:
    """The counters of ``BEFORE`` with one more of these codes."""
    codes = dict(BEFORE.codes)
    for code in ended:
        codes[code] = codes.get(code, 0) + 1
    return msgspec.structs.replace(BEFORE, codes=codes, **counts)


def of(
    event: JobEvent, code: Code | None, counters: Counters, reason: str = "why", retry_at: float | None = None
) -> Decision:
    return Decision(event=event, counters=counters, reason=reason, retry_at=retry_at, code=code)


@pytest.mark.parametrize(
    ("outcome", "committed", "expected"),
    [
        (Done(), False, of(JobEvent.COMPLETED, None, after(crash_streak=0, busy=0), "")),
        (Interrupted(reason="why"), False, of(JobEvent.INTERRUPTED, Code.INTERRUPTED, BEFORE)),
        (Interrupted(reason="why"), True, of(JobEvent.INTERRUPTED, Code.INTERRUPTED, after(crash_streak=0))),
        (
            Waiting(step="s", why="why"),
            False,
            of(JobEvent.PARKED, Code.NEEDS_PERSON, after(Code.NEEDS_PERSON, crash_streak=0, busy=0)),
        ),
        (
            Corrupt(reason="why"),
            False,
            of(
                JobEvent.QUARANTINED,
                Code.PROFILE_CORRUPT,
                after(Code.PROFILE_CORRUPT, failures=2, crash_streak=0, busy=0),
            ),
        ),
        (
            Rejected(reason="why"),
            False,
            of(JobEvent.GIVEN_UP, Code.FLOW_INVALID, after(Code.FLOW_INVALID, failures=2, crash_streak=0, busy=0)),
        ),
        (
            Busy(holder="pid 7"),
            False,
            of(JobEvent.RETRY, Code.PROFILE_BUSY, after(Code.PROFILE_BUSY, busy=4), "profile held by pid 7", 111.25),
        ),
        (
            HostFault(reason="why"),
            False,
            of(JobEvent.RETRY, Code.HOST_FAULT, after(Code.HOST_FAULT), retry_at=111.25),
        ),
        (
            Failed(step="s", reason="why", code=Code.SELECTOR_GONE),
            False,
            of(
                JobEvent.RETRY,
                Code.SELECTOR_GONE,
                after(Code.SELECTOR_GONE, failures=2, crash_streak=0, busy=0),
                retry_at=102.25,
            ),
        ),
        (
            Failed(step="s", reason="why"),
            False,
            of(JobEvent.RETRY, Code.UNKNOWN, after(Code.UNKNOWN, failures=2, crash_streak=0, busy=0), retry_at=104.5),
        ),
        (
            TimedOut(step="s", reason="why"),
            True,
            of(
                JobEvent.RETRY,
                Code.ATTEMPT_TIMEOUT,
                after(Code.ATTEMPT_TIMEOUT, failures=2, crash_streak=0, busy=0),
                retry_at=102.25,
            ),
        ),
        (
            Failed(step="s", reason="why", code=Code.REQUIREMENT_UNMET),
            False,
            of(
                JobEvent.GIVEN_UP,
                Code.REQUIREMENT_UNMET,
                after(Code.REQUIREMENT_UNMET, failures=2, crash_streak=0, busy=0),
            ),
        ),
        (
            Crashed(step="order", reason="why"),
            False,
            of(
                JobEvent.QUARANTINED,
                Code.WORKER_KILLED,
                after(Code.WORKER_KILLED, crash_streak=3, busy=0),
                "poison: 3 crashes with nothing committed between; last: why in order",
            ),
        ),
        (
            Crashed(step="", reason="why", code=Code.OUT_OF_MEMORY),
            True,
            of(
                JobEvent.RETRY,
                Code.OUT_OF_MEMORY,
                after(Code.OUT_OF_MEMORY, crash_streak=1, busy=0),
                retry_at=100 + 20 * 1.125,
            ),
        ),
    ],
)
def test_decide(outcome, committed, expected):
    """What each outcome costs, and where it leads; a committed step ends the crash streak before this crash is counted."""
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


def run(policy: RetryPolicy, *codes: Code, own: int | None = None, jitter: float = 0.0) -> list[Decision]:
    """Decide after one attempt after the other, until one is the last."""
    decisions: list[Decision] = []
    counters = Counters()
    for code in codes:
        decision = decide(
            policy, counters, ended(code, "r", "s"), committed=False, now=0.0, jitter=jitter, max_attempts=own
        )
        decisions.append(decision)
        counters = decision.counters
        if decision.event not in (JobEvent.RETRY, JobEvent.INTERRUPTED):
            break
    return decisions


def delays(decisions: list[Decision]) -> list[float | None]:
    return [decision.retry_at for decision in decisions]


def test_a_backoff_doubles_up_to_its_limit():
    """2, 4, then 5 seconds."""
    policy = RetryPolicy(max_attempts=9, base_delay=2.0, max_delay=5.0)
    assert delays(run(policy, *[Code.UNKNOWN] * 4)) == [2.0, 4.0, 5.0, 5.0]


def test_each_code_has_a_backoff_of_its_own():
    """A site that asks for patience gets it, from the first time on; another failure between does not count for it."""
    policy = RetryPolicy(max_attempts=9, base_delay=2.0)
    codes = [Code.RATE_LIMITED, Code.SELECTOR_GONE, Code.RATE_LIMITED, Code.SELECTOR_GONE]
    assert delays(run(policy, *codes)) == [60.0, 2.0, 120.0, 4.0]
    assert delays(run(policy, *codes, jitter=1.0)) == [90.0, 2.5, 180.0, 5.0]


def test_what_costs_nothing_is_never_given_up():
    """A thousand host deaths, stops, busy profiles and host faults: no failure, no streak, the same delay."""
    free = [Code.INTERRUPTED, Code.PROFILE_BUSY, Code.DISK_FULL, Code.OFFLINE, Code.BROWSER_NOT_FOUND]
    decisions = run(RetryPolicy(max_attempts=1, poison_limit=1, busy_delay=4.0), *free * 200)
    assert len(decisions) == 1000
    last = decisions[-1].counters
    assert (last.failures, last.crash_streak) == (0, 0)
    assert {code: {at for at, one in zip(delays(decisions), decisions, strict=True) if one.code is code} for code in free} == {
        Code.INTERRUPTED: {None}, Code.PROFILE_BUSY: {4.0}, Code.DISK_FULL: {4.0}, Code.OFFLINE: {12.0},
        Code.BROWSER_NOT_FOUND: {4.0},
    }  # fmt: skip


def test_a_code_may_have_fewer_of_the_jobs_attempts():
    """A lost login is tried twice, then a person is asked; the first try counts for the job as well."""
    policy = RetryPolicy(max_attempts=5)
    [first, second] = run(policy, Code.LOGIN_LOST, Code.LOGIN_LOST)
    assert (first.event, first.reclone, first.counters.failures) == (JobEvent.RETRY, True, 1)
    assert (second.event, second.counters.failures) == (JobEvent.PARKED, 2)
    assert run(RetryPolicy(max_attempts=1), Code.LOGIN_LOST)[0].event is JobEvent.PARKED


def test_a_number_that_the_user_gives_a_code_is_counted_apart():
    """Five for one kind, three for all others, in any order; an earlier crash streak ends with either."""
    policy = RetryPolicy(changes={Code.RATE_LIMITED: PolicyChange(attempts=5)})
    mixed = [*[Code.RATE_LIMITED, Code.SITE_DOWN] * 2, *[Code.RATE_LIMITED] * 3]
    decisions = run(policy, *mixed, Code.SITE_DOWN)
    assert [decision.event for decision in decisions] == [*[JobEvent.RETRY] * 6, JobEvent.GIVEN_UP]
    assert decisions[-1].counters.failures == 2
    third = run(policy, *mixed[:-1], Code.SITE_DOWN)
    assert third[-1].event is JobEvent.GIVEN_UP
    assert third[-1].counters.failures == 3


def test_a_jobs_own_limit_holds_for_all_its_failures_together():
    """Whatever the codes are allowed."""
    policy = RetryPolicy(changes={Code.RATE_LIMITED: PolicyChange(attempts=50)})
    decisions = run(policy, Code.RATE_LIMITED, Code.SITE_DOWN, Code.RATE_LIMITED, Code.SITE_DOWN, own=4)
    assert [decision.event for decision in decisions] == [*[JobEvent.RETRY] * 3, JobEvent.GIVEN_UP]


def test_crashes_of_both_kinds_are_one_streak():
    """Killed and starved alternate: the third is poison; a number of its own replaces the limit for that kind."""
    both = [Code.WORKER_KILLED, Code.OUT_OF_MEMORY, Code.WORKER_KILLED]
    assert [decision.event for decision in run(RetryPolicy(), *both)] == [*[JobEvent.RETRY] * 2, JobEvent.QUARANTINED]
    patient = RetryPolicy(changes={Code.OUT_OF_MEMORY: PolicyChange(attempts=4)})
    decisions = run(patient, *[Code.OUT_OF_MEMORY] * 9)
    assert [decision.event for decision in decisions] == [*[JobEvent.RETRY] * 3, JobEvent.QUARANTINED]
    assert "poison: 4 crashes" in decisions[-1].reason


def test_every_number_of_a_code_can_be_changed():
    """Delay, factor, longest delay, jitter and the new copy; what is not said stays."""
    change = PolicyChange(delay=7.0, factor=3.0, max_delay=40.0, jitter=1.0, reclone=True)
    policy = RetryPolicy(max_attempts=9, changes={Code.SITE_DOWN: change})
    decisions = run(policy, *[Code.SITE_DOWN] * 3, jitter=0.5)
    assert delays(decisions) == [10.5, 31.5, 60.0]
    assert all(decision.reclone for decision in decisions)
    assert policy.rule(Code.SITE_SLOW) == RetryPolicy().rule(Code.SITE_SLOW)
    assert RetryPolicy(changes={Code.UNKNOWN: PolicyChange(delay=500.0)}).rule(Code.UNKNOWN).max_delay == 500.0


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
        Failed(step="s", reason="r", code=Code.REQUIREMENT_UNMET),
        Failed(step="s", reason="r", code=Code.RATE_LIMITED),
        Failed(step="s", reason="r", code=Code.OUT_OF_MEMORY),
        Crashed(step="s", reason="r", code=Code.OUT_OF_MEMORY),
        HostFault(reason="r", code=Code.OFFLINE),
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
        assert decision.retry_at is None or 50.0 < decision.retry_at <= 50.0 + 900 * 1.5
        if isinstance(outcome, (Interrupted, Busy, HostFault)):
            assert decision.counters.failures == counters.failures
            assert decision.counters.crash_streak <= counters.crash_streak
        if decision.event is not JobEvent.RETRY and decision.event is not JobEvent.INTERRUPTED:
            break
        counters = decision.counters
        assert counters.failures < POLICY.max_attempts
        assert counters.crash_streak < POLICY.poison_limit
