"""When a job may start: after other jobs, and again and again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable

RECURRING = (JobState.DONE, JobState.FAILED)
"""How a job with ``every`` has ended whose next time comes; what is quarantined or cancelled waits for a person."""


def next_due(anchor: float, every: float, now: float) -> float:
    """Return the next time of a job that is run again and again: a whole number of intervals from its anchor.

    It lies after ``now``, and at most one interval later, wherever the clock was moved to: times that were missed are left out,
    and none is further away than the next.

    Args:
        anchor: epoch seconds of one of its times.
        every: the interval in seconds, above 0.
        now: epoch seconds.
    """
    due = anchor + every * (math.floor((now - anchor) / every) + 1)
    return due if due > now else due + every


def waits_text(parents: Iterable[tuple[str, JobState]]) -> str:
    """Say which jobs one waits for, and how they stand; empty if for none."""
    names = [f"{job_id} ({state})" for job_id, state in parents]
    return f"waits for {', '.join(names)}" if names else ""
