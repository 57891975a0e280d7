"""Keeps ``jobs.turn`` true: who is next of each profile, who stands behind, whose time has not come, who waits for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import JobState
from core.domain.schedule import RECURRING
from core.queue.statements import read_statements

if TYPE_CHECKING:
    from core.queue.reconciling import Statements

_STATEMENTS = read_statements("lines.sql")
_FEW = 100


def arrange(connection: Statements, now: float, scope: str | None) -> None:
    """Put all pending jobs in line anew; only what stands wrong is written."""
    connection.execute(_STATEMENTS["leave"], {"scope": scope})
    connection.execute(_STATEMENTS["arrange"], {"now": now, "scope": scope})
    connection.execute(_STATEMENTS["rest"], {"scope": scope})


def wake(connection: Statements, now: float, scope: str | None) -> None:
    """Put those in line whose time has come."""
    profiles = [row[0] for row in connection.execute(_STATEMENTS["woken"], {"now": now, "most": _FEW + 1})]
    if len(profiles) > _FEW:
        arrange(connection, now, scope)
    elif profiles:
        connection.execute(_STATEMENTS["wake"], {"now": now})
        for profile_id in profiles:
            promote(connection, profile_id)


def settle(
    connection: Statements, job_id: str, profile_id: str, state: JobState, *, now: float, scope: str | None
) -> None:
    """Put everything in line that the end of an attempt touches: its job, its profile, and the jobs that waited for it.

    Args:
        connection: in a transaction.
        job_id: of the attempt.
        profile_id: of the attempt.
        state: that the job has now.
        now: epoch seconds.
        scope: the feed that the run sees, None for all.
    """
    connection.execute(_STATEMENTS["hold"], {"id": job_id})
    connection.execute(_STATEMENTS["plan_again"], {"id": job_id, "now": now, "scope": scope})
    promote(connection, profile_id)
    if state is not JobState.DONE:
        return
    freed = list(connection.execute(_STATEMENTS["freed"], {"id": job_id, "most": _FEW + 1}))
    if len(freed) > _FEW:
        arrange(connection, now, scope)
        return
    for later, its_profile in freed:
        connection.execute(_STATEMENTS["free"], {"id": later, "now": now})
        promote(connection, its_profile)


def begin_again(connection: Statements, now: float, scope: str | None) -> list[str]:
    """Queue the jobs again whose next time has come; return their IDs."""
    connection.execute(_STATEMENTS["mend"], {"now": now})
    due = list(connection.execute(_STATEMENTS["again_due"], {"now": now}))
    for before in RECURRING if due else ():
        after = advance(JOB, before, JobEvent.AGAIN)
        connection.execute(_STATEMENTS["begin_again"], {"now": now, "before": before, "after": after})
    # what comes after one of them waits once more
    if len(due) > _FEW or any(_is_waited_for(connection, row[0]) for row in due):
        arrange(connection, now, scope)
    else:
        for job_id, profile_id in due:
            connection.execute(_STATEMENTS["hold"], {"id": job_id})
            promote(connection, profile_id)
    return [row[0] for row in due]


def promote(connection: Statements, profile_id: str) -> None:
    """Say who is next of a profile: its best job in line, unless it is in use."""
    connection.execute(_STATEMENTS["demote"], {"profile_id": profile_id})
    connection.execute(_STATEMENTS["promote"], {"profile_id": profile_id})


def _is_waited_for(connection: Statements, job_id: str) -> bool:
    return bool(next(iter(connection.execute(_STATEMENTS["has_later"], {"id": job_id})))[0])
