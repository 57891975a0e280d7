"""What an operator may do to a job by hand: one table for every queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.lifecycle import JOB, JobEvent
from core.domain.model import JobState
from core.errors import JobsRefused
from core.queue.following import CLAIMED, GONE
from core.queue.port import BY_HAND

if TYPE_CHECKING:
    from collections.abc import Iterable

CANCELLED_BY_HAND = "cancelled by hand"


def is_allowed(event: JobEvent, state: JobState, *, recurs: bool = False) -> bool:
    """Whether an operator may do this now: it is legal, and the job is not the run's.

    What has ended and is run again and again (``recurs``) is cancelled by ending that: it stays as it ended.
    """
    return (state not in CLAIMED and event in JOB[state]) or (recurs and event is JobEvent.CANCELLED)


def allowed_states(event: JobEvent) -> frozenset[JobState]:
    """Return the states in which an operator may do this."""
    return frozenset(state for state in JobState if is_allowed(event, state))


def refuse_others(event: JobEvent, found: Iterable[tuple[str, JobState | None, bool]]) -> None:
    """Raise if an operator may not do this to one of the jobs.

    Args:
        event: what is to happen.
        found: ID and state of each job, None where there is none, and whether it has ended and recurs.

    Raises:
        JobsRefused: naming all of them.
    """
    refused = [
        (job_id, state) for job_id, state, recurs in found
        if state is None or not is_allowed(event, state, recurs=recurs)
    ]  # fmt: skip
    if refused:
        what = "cancel" if event is JobEvent.CANCELLED else "retry"
        raise JobsRefused(what, [(job_id, None if state is None else str(state)) for job_id, state in refused])


def feed_after(feed: str, reason: str) -> str:
    """Return whose a job is that runs again: what no feed names any more is the operator's, or it would be cancelled."""
    return BY_HAND if not feed or reason == GONE else feed
