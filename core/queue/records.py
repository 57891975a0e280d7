"""Single records of the queue's tables, and what is left to come of all."""

# ruff: noqa: S608 - only our own column names are put into statements; values are bound

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import IllegalTransition, UnknownJob
from core.queue.port import Outlook
from core.queue.rows import ATTEMPT_COLUMNS, JOB_COLUMNS, attempt_of, job_of

if TYPE_CHECKING:
    from core.domain.model import AttemptRecord, JobRecord
    from core.queue.reconciling import Statements

_HELD = """
SELECT count(*) FROM jobs
WHERE after <> '[]' AND state IN ('queued', 'waiting') AND (:scope IS NULL OR feed = :scope) AND EXISTS (
    SELECT 1 FROM afters JOIN jobs AS first ON first.id = afters.parent
    WHERE afters.job_id = jobs.id AND first.state <> 'done'
)
"""
_AGAIN_AT = """
SELECT min(due_at) FROM jobs
WHERE every IS NOT NULL AND state IN ('done', 'failed') AND feed <> '' AND (:scope IS NULL OR feed = :scope)
"""


def job_in(connection: Statements, job_id: str) -> JobRecord:
    """Return a job.

    Raises:
        UnknownJob: there is none.
    """
    row = next(iter(connection.execute(f"SELECT {JOB_COLUMNS} FROM jobs WHERE id = ?", (job_id,))), None)
    if row is None:
        raise UnknownJob(job_id)
    return job_of(row)


def open_attempt_in(connection: Statements, nonce: str, event: str) -> AttemptRecord:
    """Return an attempt that has not ended.

    Raises:
        UnknownJob: there is no such attempt.
        IllegalTransition: its end is recorded.
    """
    rows = connection.execute(f"SELECT {ATTEMPT_COLUMNS}, ended_at FROM attempts WHERE nonce = ?", (nonce,))
    row = next(iter(rows), None)
    if row is None:
        raise UnknownJob(nonce)
    if row[-1] is not None:
        raise IllegalTransition("attempt", "ended", event)
    return attempt_of(row[:-1])


def outlook_in(connection: Statements, scope: str | None) -> Outlook:
    """Return what is left to come of the jobs of a feed, or of all."""
    held = next(iter(connection.execute(_HELD, {"scope": scope})))[0]
    again_at = next(iter(connection.execute(_AGAIN_AT, {"scope": scope})))[0]
    return Outlook(held=held, again_at=again_at)
