"""What steps and jobs took in earlier runs, from the end of the event log: an estimate for a run whose first job has not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.domain.events import AttemptEnded, StepCommitted
from core.domain.snapshot import SAMPLES, Snapshot
from core.events.recent import newest_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger(__name__)

MOST = 4 * 1024 * 1024
"""Bytes of the log's end that are looked at: some thousand jobs, and some hundredths of a second."""


def earlier_pace(path: Path, is_alike: Callable[[str], bool]) -> Snapshot:
    """Return a snapshot of no run, with the latest durations in it: what a console starts from.

    Args:
        path: of the event log; where it is missing, or cannot be read, nothing is known.
        is_alike: whether a job, by ID, is of a flow that is going to run.
    """
    steps: dict[str, list[float]] = {}
    jobs: list[float] = []
    alike: dict[str, bool] = {}
    try:
        for event in newest_first(path, ("step_committed", "attempt_ended"), MOST):
            if not isinstance(event, (StepCommitted, AttemptEnded)):
                continue
            if isinstance(event, StepCommitted):
                durations = steps.get(event.step, [])
                counts = event.body_ran and not event.recovered
            else:
                durations = jobs
                counts = event.outcome == "done"
            if not counts or len(durations) >= SAMPLES:
                continue
            if event.job not in alike:
                alike[event.job] = is_alike(event.job)
            if alike[event.job]:
                durations.append(event.seconds)
                if isinstance(event, StepCommitted):
                    steps[event.step] = durations
    except OSError as exc:
        log.warning("events_not_read", path=str(path), reason=exc.strerror)
    return Snapshot(
        step_seconds={step: tuple(reversed(durations)) for step, durations in steps.items()},
        job_seconds=tuple(reversed(jobs)),
    )
