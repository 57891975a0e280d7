"""All jobs of a queue, one row each: what became of them, and what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.domain.model import JobState
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from core.domain.model import JobRecord


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One job.

    Attributes:
        outcome: the state it is in.
        steps_done: flags of its flow that are committed.
        steps_total: flags that it has; 0 before its first run.
        attempts: executions since it was last asked for.
        seconds: what they took together.
        code: what went wrong in its latest attempt, as in docs/failures.md; empty if nothing.
        reason: why it is where it is; empty for done jobs.
        updated_at: when it last changed, epoch seconds.
    """

    profile_id: str
    job: str
    flow: str
    outcome: JobState
    steps_done: int
    steps_total: int
    attempts: int
    seconds: float
    code: str
    reason: str
    updated_at: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of a queue, in the order they came in, and how many are in each state."""

    jobs: tuple[ReportRow, ...]
    counts: dict[JobState, int]


def report_rows(path: Path) -> Iterator[ReportRow]:
    """Yield a row for each job of a queue; none if there is no queue.

    Raises:
        ForeignDatabase, NewerSchema, QueueUnavailable: it cannot be read.
    """
    if not path.exists():
        return
    queue = SqliteQueue(path, read_only=True)
    try:
        yield from rows_of(queue.jobs())
    finally:
        queue.close()


def rows_of(jobs: Iterable[JobRecord]) -> Iterator[ReportRow]:
    """Yield a row for each job, as they come."""
    for job in jobs:
        yield ReportRow(
            profile_id=job.spec.profile_id,
            job=job.spec.id,
            flow=job.spec.flow,
            outcome=job.state,
            steps_done=job.steps_done,
            steps_total=job.steps_total,
            attempts=job.counters.attempts,
            seconds=round(job.run_seconds, 3),
            code=str(job.code or ""),
            reason=job.reason,
            updated_at=job.updated_at,
        )
