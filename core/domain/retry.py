"""What follows from the end of an attempt: the decision is data, time and randomness are arguments.

===============  ==========================  =====================================================
outcome          costs                       then
===============  ==========================  =====================================================
done             nothing                     done
failed           one failure                 again after a backoff, until ``max_attempts``; permanent: failed
timed out        one failure                 the same
crashed          one of the crash streak     again after a backoff, until ``poison_limit``; then quarantine
interrupted      nothing                     queued again, at once
busy             nothing                     again after a while
host fault       nothing                     again after a while
needs a person   nothing                     parked
corrupt          nothing                     quarantined
rejected         nothing                     failed
===============  ==========================  =====================================================

Anything committed in an attempt ends the crash streak before this attempt's own crash is counted.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from core.domain.lifecycle import JobEvent
from core.domain.model import Counters
from core.domain.outcome import (
    Busy,
    Corrupt,
    Crashed,
    Done,
    Failed,
    HostFault,
    Interrupted,
    Outcome,
    Rejected,
    TimedOut,
    Waiting,
)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how soon.

    Attributes:
        max_attempts: failing attempts a job may have.
        poison_limit: consecutive crashes with nothing committed between that quarantine it.
        base_delay: seconds before the first retry; doubles with each.
        max_delay: the longest delay, in seconds.
        busy_delay: seconds before a profile that somebody else holds is tried again.
    """

    max_attempts: int = 3
    poison_limit: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    busy_delay: float = 5.0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the job.

    Attributes:
        event: what happens to it.
        counters: its new counters.
        retry_at: epoch seconds, with ``JobEvent.RETRY``.
        reason: for people, redacted by whoever reported it.
    """

    event: JobEvent
    counters: Counters
    retry_at: float | None = None
    reason: str = ""


def decide(  # noqa: C901, PLR0911 - one case an outcome
    policy: RetryPolicy,
    counters: Counters,
    outcome: Outcome,
    *,
    committed: bool,
    now: float,
    jitter: float,
    max_attempts: int | None = None,
) -> Decision:
    """Decide what follows.

    Args:
        policy: the limits.
        counters: the job's counters before this end.
        outcome: how the attempt ended.
        committed: whether this attempt committed a step.
        now: epoch seconds.
        jitter: 0 to 1, random; stretches a delay by up to a quarter.
        max_attempts: the job's own limit, if it has one.
    """
    limit = policy.max_attempts if max_attempts is None else max_attempts
    streak = 0 if committed else counters.crash_streak
    calm = msgspec.structs.replace(counters, crash_streak=0, busy=0)
    match outcome:
        case Done():
            return Decision(event=JobEvent.COMPLETED, counters=calm)
        case Interrupted(reason=reason):
            kept = msgspec.structs.replace(counters, crash_streak=streak)
            return Decision(event=JobEvent.INTERRUPTED, counters=kept, reason=reason)
        case Waiting(why=why):
            return Decision(event=JobEvent.PARKED, counters=calm, reason=why)
        case Corrupt(reason=reason):
            return Decision(event=JobEvent.QUARANTINED, counters=calm, reason=reason)
        case Rejected(reason=reason):
            return Decision(event=JobEvent.GIVEN_UP, counters=calm, reason=reason)
        case Crashed(step=step, reason=reason):
            after = msgspec.structs.replace(counters, crash_streak=streak + 1, busy=0)
            where = f"{reason} in {step}" if step else reason
            if after.crash_streak >= policy.poison_limit:
                why = f"poison: {after.crash_streak} crashes with nothing committed between; last: {where}"
                return Decision(event=JobEvent.QUARANTINED, counters=after, reason=why)
            return _again(policy, after, after.crash_streak, now=now, jitter=jitter, reason=where)
        case Busy(holder=holder):
            after = msgspec.structs.replace(counters, crash_streak=streak, busy=counters.busy + 1)
            at = now + policy.busy_delay * (1 + jitter / 4)
            return Decision(event=JobEvent.RETRY, counters=after, retry_at=at, reason=f"profile held by {holder}")
        case HostFault(reason=reason):
            after = msgspec.structs.replace(counters, crash_streak=streak)
            at = now + policy.busy_delay * (1 + jitter / 4)
            return Decision(event=JobEvent.RETRY, counters=after, retry_at=at, reason=reason)
        case Failed(step=step, reason=reason) | TimedOut(step=step, reason=reason):
            after = msgspec.structs.replace(calm, failures=counters.failures + 1)
            permanent = isinstance(outcome, Failed) and outcome.permanent
            if permanent or after.failures >= limit:
                return Decision(event=JobEvent.GIVEN_UP, counters=after, reason=reason)
            return _again(policy, after, after.failures, now=now, jitter=jitter, reason=reason)
        case _ as unreachable:
            assert_never(unreachable)


def _again(policy: RetryPolicy, after: Counters, nth: int, *, now: float, jitter: float, reason: str) -> Decision:
    # a raised poison limit lets the count grow beyond what a float can double
    delay = min(policy.max_delay, policy.base_delay * 2.0 ** min(nth - 1, 64))
    return Decision(event=JobEvent.RETRY, counters=after, retry_at=now + delay * (1 + jitter / 4), reason=reason)
