"""What follows from each failure, as one table: what it costs, how often and how soon it is tried again, and where it ends.

A user changes single numbers of it in ``ostler.toml``, ``[failures.<code>]``. ``core.domain.retry`` decides by it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.domain.failure import FAILURES, Blame, Code, ErrorType, Severity
from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cost(enum.StrEnum):
    """What an attempt that ended so is counted as."""

    NOTHING = "nothing"
    ATTEMPT = "an attempt"
    CRASH = "a crash"


class Policy(NamedTuple):
    """What follows from one code.

    Attributes:
        cost: nothing, one of the failing attempts that the job may have, or one of the crashes in a row.
        end: where the job goes when it has used up what it may cost, and at once where it costs nothing: ``waiting`` is another
            try after the delay, as often as it takes, ``queued`` one at once.
        attempts: at most so many failing attempts of this code; None: as many as the job may have.
        patience: the first delay, in multiples of the usual one (``retry_delay``, or ``busy_delay`` where it costs nothing).
        factor: by which the delay grows with each attempt of this code.
        max_delay: the longest delay, in seconds; None: the usual one.
        jitter: by what share of itself a delay is stretched at random, at the most.
        reclone: whether the next attempt starts from what was saved last, instead of from this attempt's own copy.
    """

    cost: Cost = Cost.ATTEMPT
    end: JobState = JobState.FAILED
    attempts: int | None = None
    patience: float = 1.0
    factor: float = 2.0
    max_delay: float | None = None
    jitter: float = 0.25
    reclone: bool = False


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[failures.<code>]`` of ``ostler.toml``; None where nothing is said.

    Attributes:
        attempts: so many failing attempts of this code, counted apart from the others.
        delay: seconds before the next attempt.
        factor: by which the delay grows with each attempt of this code.
        max_delay: the longest delay, in seconds.
        jitter: by what share of itself a delay is stretched at random, at the most.
        reclone: whether the next attempt starts from what was saved last.
    """

    attempts: int | None = None
    delay: float | None = None
    factor: float | None = None
    max_delay: float | None = None
    jitter: float | None = None
    reclone: bool | None = None


class ClassifiedError(msgspec.Struct, frozen=True, kw_only=True):
    """A failure, classified.

    Attributes:
        code: exactly what it is.
        type: what sort of failure it is.
        severity: how grave it is.
        blame: where it is to be mended.
        retryable: whether it is tried again by itself.
        user_message: one sentence for people.
        technical_message: the reason as it was reported, redacted.
        suggested_action: what to do about it.
    """

    code: Code
    type: ErrorType
    severity: Severity
    blame: Blame
    retryable: bool
    user_message: str
    technical_message: str
    suggested_action: str


_C, _N = Code, Cost.NOTHING
_USUAL = Policy()
_ONCE = Policy(attempts=1)
_SITE = Policy(patience=5.0, max_delay=300.0)
_CRASH = Policy(cost=Cost.CRASH, end=JobState.QUARANTINED)
_HOST = Policy(cost=_N, end=JobState.WAITING, factor=1.0)
_PERSON = Policy(cost=_N, end=JobState.PARKED)

POLICIES: Mapping[Code, Policy] = {
    _C.SITE_DOWN: _SITE,
    _C.SITE_SLOW: _SITE,
    _C.SITE_ERROR: _SITE._replace(patience=10.0),
    _C.RATE_LIMITED: Policy(patience=30.0, max_delay=900.0, jitter=0.5),
    _C.NAME_NOT_FOUND: _SITE,
    _C.CONNECTION_REFUSED: _SITE,
    _C.TLS_ERROR: _SITE._replace(attempts=2),
    _C.OFFLINE: _HOST._replace(patience=3.0),
    _C.PROXY_REFUSED: _SITE,
    _C.PROXY_AUTH: _SITE._replace(attempts=2),
    _C.SELECTOR_GONE: _USUAL,
    _C.ELEMENT_NOT_READY: _USUAL,
    _C.POSTCONDITION_FALSE: _USUAL,
    _C.STEP_TIMEOUT: _USUAL,
    _C.STEP_FAILED: _USUAL,
    _C.PAGE_CRASHED: _USUAL,
    _C.PAGE_CLOSED: _USUAL,
    _C.FLOW_ERROR: _USUAL,
    _C.FLOW_INVALID: _ONCE,
    _C.BAD_PARAMS: _ONCE,
    _C.REQUIREMENT_UNMET: _ONCE,
    # the copy may be the reason: once more from what was saved last, then a person logs in
    _C.LOGIN_LOST: Policy(attempts=2, end=JobState.PARKED, reclone=True),
    _C.CAPTCHA_ASKED: _PERSON,
    _C.NEEDS_CODE: _PERSON,
    _C.NEEDS_PERSON: _PERSON,
    _C.PROFILE_BUSY: _HOST,
    _C.PROFILE_CORRUPT: Policy(attempts=1, end=JobState.QUARANTINED),
    _C.TEMPLATE_LIVE: _HOST,
    _C.TEMPLATE_MISSING: _ONCE,
    _C.BROWSER_MISMATCH: _ONCE,
    _C.NEWER_VERSION: _ONCE,
    # no new copy: what the crashed one holds of committed steps may be in no export
    _C.BROWSER_CRASHED: _USUAL,
    _C.BROWSER_NOT_FOUND: _HOST,
    _C.BROWSER_NOT_STARTED: _HOST,
    _C.DRIVER_LOST: _USUAL,
    _C.WORKER_KILLED: _CRASH,
    _C.ATTEMPT_TIMEOUT: _USUAL,
    _C.OUT_OF_MEMORY: _CRASH._replace(patience=10.0, max_delay=300.0),
    _C.DISK_FULL: _HOST,
    _C.NO_INODES: _HOST,
    _C.TOO_MANY_FILES: _HOST,
    _C.HOST_FAULT: _HOST,
    _C.INTERRUPTED: Policy(cost=_N, end=JobState.QUEUED),
    _C.CANCELLED: Policy(cost=_N, end=JobState.CANCELLED),
    _C.UNKNOWN: _USUAL,
}


def changeable(code: Code) -> tuple[str, ...]:
    """Return which fields of ``PolicyChange`` a user may set: what costs nothing is never given up, what is not tried again by
    itself has no delay.
    """
    policy = POLICIES[code]
    if policy.cost is Cost.NOTHING and policy.end is not JobState.WAITING:
        return ()
    names = PolicyChange.__struct_fields__
    return names if policy.cost is not Cost.NOTHING else tuple(name for name in names if name != "attempts")


def is_retryable(code: Code) -> bool:
    """Whether a failure of this code is tried again by itself, as the table has it."""
    policy = POLICIES[code]
    if policy.cost is Cost.NOTHING:
        return policy.end in (JobState.WAITING, JobState.QUEUED)
    return policy.attempts != 1


def classified(code: Code, reason: str, *, step: str = "", profile_id: str = "ID") -> ClassifiedError:
    """Return a failure with all that is known of its code.

    Args:
        code: which one.
        reason: as it was reported, redacted.
        step: where, a stage of the pipeline or a step; may be empty.
        profile_id: whose.
    """
    failure = FAILURES[code]
    where = f" ({step})" if step else ""
    return ClassifiedError(
        code=code,
        type=failure.type,
        severity=failure.severity,
        blame=failure.blame,
        retryable=is_retryable(code),
        user_message=failure.says.replace("{where}", where),
        technical_message=reason,
        suggested_action=failure.do.replace("{profile}", profile_id),
    )
