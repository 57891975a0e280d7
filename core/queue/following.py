"""What becomes of a known job when a feed is read again: one table for every queue."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import JobState, revision
from core.domain.schedule import RECURRING

if TYPE_CHECKING:
    from core.domain.model import JobSpec

_WHEN = ("priority", "not_before", "after", "every")
GONE = "gone from the feed"
PENDING = (JobState.QUEUED, JobState.WAITING)
CLAIMED = (JobState.PREPARED, JobState.RUNNING)
CANCELLABLE = (*PENDING, JobState.PARKED)
RELEASED = (JobState.DONE, JobState.FAILED, JobState.QUARANTINED)
"""Gone from the feed, these are nobody's any more: a failure of last week is not this feed's."""


class Action(enum.Enum):
    """What is done to the job."""

    KEEP = "keep"
    UPDATE = "update"
    """Take the new specification; state and counters stay."""
    REQUEUE = "requeue"
    """Take the new specification and queue it; generation and counters stay."""
    RENEW = "renew"
    """Take the new specification and queue it as a new generation, with fresh counters."""


class Fate(NamedTuple):
    """What is done to a job, its next state, and the field of ``Reconciled`` that counts it."""

    action: Action
    state: JobState
    counted: str


def fate(state: JobState, *, same: bool, again: bool, retry: bool, recurs: bool = False) -> Fate:
    """Say what becomes of a job that the feed names.

    The cases: claimed, left alone; pending, updated if it is another; parked or cancelled, queued again; done, failed or
    quarantined, skipped unless asked for again (``again``, or ``retry`` where its code is among those that are); but what is or
    was to run again and again (``recurs``) takes what is new for its next time.
    """
    if state in CLAIMED:
        return Fate(Action.KEEP, state, "unchanged")
    if state in PENDING:
        return Fate(Action.KEEP, state, "unchanged") if same else Fate(Action.UPDATE, state, "updated")
    if state is JobState.PARKED:
        return Fate(Action.REQUEUE, advance(JOB, state, JobEvent.AGAIN), "resumed")
    if again or (retry and state in {JobState.FAILED, JobState.QUARANTINED}):
        return Fate(Action.RENEW, advance(JOB, state, JobEvent.AGAIN), "added")
    if state is JobState.CANCELLED:
        return Fate(Action.REQUEUE, advance(JOB, state, JobEvent.AGAIN), "added")
    counted = "done" if state is JobState.DONE else "failed"
    is_new = recurs and not same and state in RECURRING
    return Fate(Action.UPDATE, state, "updated") if is_new else Fate(Action.KEEP, state, counted)


def renewed(*, again: bool, retry_failed: bool) -> tuple[JobState, ...]:
    """Return the states whose jobs start anew where there is no feed to name them."""
    if again:
        return RELEASED
    return (JobState.FAILED, JobState.QUARANTINED) if retry_failed else ()


def is_same(old: JobSpec, new: JobSpec) -> bool:
    """Whether nothing about a job changed, neither what it is nor when it runs."""
    return revision(old) == revision(new) and all(getattr(old, name) == getattr(new, name) for name in _WHEN)
