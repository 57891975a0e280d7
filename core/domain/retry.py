"""What follows from the end of an attempt: the decision is data, time and randomness are arguments.

The table is that of ``core.domain.policy``, with what the user has changed. Its laws:

- What costs nothing (a stop, the death of the host, a busy profile, a host fault) moves no count of failures and no crash
  streak. It is tried again as often as it takes, or waits for a person.
- A failing attempt is one of ``max_attempts``; a code may have fewer of them, or, where the user says so, a number of its own.
- A crash is one of a streak of ``poison_limit`` with nothing committed between. Anything committed in an attempt ends the
  streak before this attempt's own crash is counted; any other failure ends it, too.
- A delay grows with each attempt that ended by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

import msgspec

from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobState
from core.domain.outcome import Busy, Crashed, Done, Ended, Outcome, Waiting
from core.domain.policy import POLICIES, Cost, PolicyChange

_EVENTS = {
    JobState.FAILED: JobEvent.GIVEN_UP,
    JobState.QUARANTINED: JobEvent.QUARANTINED,
    JobState.PARKED: JobEvent.PARKED,
    JobState.WAITING: JobEvent.RETRY,
    JobState.QUEUED: JobEvent.INTERRUPTED,
    JobState.CANCELLED: JobEvent.CANCELLED,
}


class Rule(NamedTuple):
    """The policy of one code, with the user's numbers.

    Attributes:
        cost: what an attempt is counted as.
        end: where the job goes at the end; see ``core.domain.policy.Policy``.
        attempts: of this code; None: as many as the job may have, or ``poison_limit``.
        apart: whether they are counted apart from the job's other failing attempts.
        delay: seconds before the first retry.
        factor: by which it grows.
        max_delay: seconds.
        jitter: share of itself by which a delay is stretched at the most.
        reclone: whether the next attempt starts from what was saved last.
    """

    cost: Cost
    end: JobState
    attempts: int | None
    apart: bool
    delay: float
    factor: float
    max_delay: float
    jitter: float
    reclone: bool

    def wait(self, nth: int, jitter: float) -> float:
        """Return the seconds before the next attempt, after the ``nth`` of this code; ``jitter`` is 0 to 1."""
        # a raised limit lets the count grow beyond what a float can hold
        grown = self.delay * self.factor ** min(nth - 1, 64)
        return min(self.max_delay, grown) * (1 + jitter * self.jitter)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how soon.

    Attributes:
        max_attempts: failing attempts a job may have.
        poison_limit: consecutive crashes with nothing committed between that quarantine it.
        base_delay: seconds before the first retry; doubles with each.
        max_delay: the longest delay, in seconds.
        busy_delay: seconds before what cost nothing, as a profile that somebody else holds, is tried again.
        changes: what the user has set for single codes.
    """

    max_attempts: int = 3
    poison_limit: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    busy_delay: float = 5.0
    changes: Mapping[Code, PolicyChange] = {}

    def rule(self, code: Code) -> Rule:
        """Return what holds for a code."""
        policy = POLICIES[code]
        set_ = msgspec.structs.asdict(self.changes.get(code, PolicyChange()))
        change = {name: value for name, value in set_.items() if value is not None}
        usual = self.busy_delay if policy.cost is Cost.NOTHING else self.base_delay
        delay = change.get("delay", usual * policy.patience)
        most = self.max_delay if policy.max_delay is None else policy.max_delay
        return Rule(
            cost=policy.cost,
            end=policy.end,
            attempts=change.get("attempts", policy.attempts),
            apart="attempts" in change,
            delay=delay,
            factor=change.get("factor", policy.factor),
            # who asks for a long first delay means it
            max_delay=change.get("max_delay", max(most, delay)),
            jitter=change.get("jitter", policy.jitter),
            reclone=change.get("reclone", policy.reclone),
        )


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the job.

    Attributes:
        event: what happens to it.
        counters: its new counters.
        retry_at: epoch seconds, with ``JobEvent.RETRY``.
        reason: for people, redacted by whoever reported it.
        code: what went wrong; None if nothing.
        reclone: whether the attempt's own copy of the browser data is not to be used again.
    """

    event: JobEvent
    counters: Counters
    retry_at: float | None = None
    reason: str = ""
    code: Code | None = None
    reclone: bool = False


def decide(
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
        jitter: 0 to 1, random; stretches a delay by up to the code's share of itself.
        max_attempts: the job's own limit, if it has one.
    """
    if isinstance(outcome, Done):
        return Decision(event=JobEvent.COMPLETED, counters=msgspec.structs.replace(counters, crash_streak=0, busy=0))
    code = outcome.code
    rule = policy.rule(code)
    after = _counted(counters, code, rule, committed=committed)
    match rule.cost:
        case Cost.NOTHING:
            over = True
        case Cost.CRASH:
            over = after.crash_streak >= (rule.attempts or policy.poison_limit)
        case Cost.ATTEMPT:
            over = _is_used_up(rule, after, code, limit=policy.max_attempts, own=max_attempts)
        case _ as unreachable:
            assert_never(unreachable)
    event = _EVENTS[rule.end] if over else JobEvent.RETRY
    nth = after.crash_streak if rule.cost is Cost.CRASH else after.codes.get(code, 1)
    reason = _reason(outcome)
    if rule.cost is Cost.CRASH and over:
        reason = f"poison: {after.crash_streak} crashes with nothing committed between; last: {reason}"
    return Decision(
        event=event,
        counters=after,
        retry_at=now + rule.wait(nth, jitter) if event is JobEvent.RETRY else None,
        reason=reason,
        code=code,
        reclone=rule.reclone,
    )


def _counted(counters: Counters, code: Code, rule: Rule, *, committed: bool) -> Counters:
    """Return the counters with this end in them."""
    streak = 0 if committed else counters.crash_streak
    codes = counters.codes if rule.end is JobState.QUEUED else {**counters.codes, code: counters.codes.get(code, 0) + 1}
    if rule.cost is Cost.NOTHING and rule.end is not JobState.PARKED:
        busy = counters.busy + (code is Code.PROFILE_BUSY)
        return msgspec.structs.replace(counters, crash_streak=streak, busy=busy, codes=codes)
    return msgspec.structs.replace(
        counters,
        failures=counters.failures + (rule.cost is Cost.ATTEMPT and not rule.apart),
        crash_streak=streak + 1 if rule.cost is Cost.CRASH else 0,
        busy=0,
        codes=codes,
    )


def _is_used_up(rule: Rule, after: Counters, code: Code, *, limit: int, own: int | None) -> bool:
    """Whether a failing attempt was the last one that the job may have.

    The cases: it was the last of its code's number; a number that the user gave a code is all that counts for that code, unless
    the job has a limit of its own, which holds for all its failing attempts together; else it is one of the job's.
    """
    if rule.attempts is not None and after.codes[code] >= rule.attempts:
        return True
    if own is not None:
        return max(after.failures, _failing(after)) >= own
    return not rule.apart and after.failures >= limit


def _failing(counters: Counters) -> int:
    return sum(number for code, number in counters.codes.items() if POLICIES[code].cost is Cost.ATTEMPT)


def _reason(outcome: Ended) -> str:
    match outcome:
        case Busy(holder=holder):
            return f"profile held by {holder}"
        case Waiting(why=why):
            return why
        case Crashed(step=step, reason=reason):
            return f"{reason} in {step}" if step else reason
        case _:
            return outcome.reason
