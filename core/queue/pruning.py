"""Forgets finished jobs, for whoever holds the state directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.model import JobState
from core.queue.database import Database

if TYPE_CHECKING:
    from pathlib import Path

FORGETTABLE = (JobState.DONE, JobState.CANCELLED)
"""Failed and quarantined jobs wait for a person's decision. What others wait for, and what runs again and again, is kept."""
_WHERE = (
    "state IN (?, ?) AND updated_at < ? AND (every IS NULL OR feed = '') AND NOT EXISTS (SELECT 1 FROM afters JOIN jobs AS later "
    "ON later.id = afters.job_id WHERE afters.parent = jobs.id AND later.state NOT IN ('done', 'cancelled'))"
)


def count_finished(path: Path, before: float) -> int:
    """Return how many done and cancelled jobs have not changed since a moment; nothing is written.

    Raises:
        ForeignDatabase, NewerSchema, QueueUnavailable: as ``Database`` has them.
    """
    database = Database(path, create=False, read_only=True)
    try:
        with database.reading() as connection:
            row = connection.execute(f"SELECT count(*) FROM jobs WHERE {_WHERE}", (*FORGETTABLE, before))  # noqa: S608 - ours
            found: int = row.fetchone()[0]
            return found
    finally:
        database.close()


def forget_finished(path: Path, before: float) -> int:
    """Remove the records of these jobs and of their attempts; return how many jobs.

    Raises:
        ForeignDatabase, NewerSchema, QueueUnavailable: nothing was removed.
    """
    database = Database(path, create=False)
    try:
        with database.transaction() as connection:
            given = (*FORGETTABLE, before)
            connection.execute(f"DELETE FROM attempts WHERE job_id IN (SELECT id FROM jobs WHERE {_WHERE})", given)  # noqa: S608 - ours
            connection.execute(f"DELETE FROM afters WHERE job_id IN (SELECT id FROM jobs WHERE {_WHERE})", given)  # noqa: S608 - ours
            return connection.execute(f"DELETE FROM jobs WHERE {_WHERE}", given).rowcount  # noqa: S608 - ours
    finally:
        database.close()
