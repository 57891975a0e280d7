"""How durations, counts and foreign text are written on a terminal or a pipe."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Protocol

from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.domain.forecast import Eta

OUTCOME: Mapping[JobState, str] = {
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.QUARANTINED: "quarantined",
    JobState.PARKED: "needs a person",
    JobState.WAITING: "waiting",
    JobState.CANCELLED: "cancelled",
    JobState.QUEUED: "queued",
    JobState.PREPARED: "prepared",
    JobState.RUNNING: "running",
}
"""A word for each state, in the order in which counts are said."""

STYLE: Mapping[JobState, str] = {
    JobState.DONE: "green",
    JobState.FAILED: "red",
    JobState.QUARANTINED: "magenta",
    JobState.PARKED: "yellow",
    JobState.WAITING: "yellow",
}

_LATEST = 253_402_300_799.0
"""Seconds: the end of the year 9999. What is beyond that, in a log that somebody else has written to, is no time that could be said."""


def one_line(text: str) -> str:
    """Return foreign text as one line without anything a terminal would obey: no escape codes, no bidi overrides."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


class OfJob(Protocol):
    """An event, or a view, of a job."""

    @property
    def profile_id(self) -> str: ...  # noqa: D102 - as in events

    @property
    def job(self) -> str: ...  # noqa: D102


def job_name(of: OfJob) -> str:
    """Return ``profile``, or ``profile (job)`` where the job has a name of its own."""
    return one_line(of.profile_id if of.job == of.profile_id else f"{of.profile_id} ({of.job})")


def with_code(code: str, reason: str) -> str:
    """Return a reason as one line, with the code of what went wrong before it, if there is one."""
    return one_line(f"{code}: {reason}" if code and reason else reason)


def duration(seconds: float) -> str:
    """Return ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(min(max(0.0, seconds), _LATEST)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_UNITS = ((7200, 3600, "h", 0.5), (120, 60, "min", 1.0), (10, 1, "s", 5.0), (0, 1, "s", 1.0))
"""From how many seconds on an estimate is said in a unit, the unit's seconds and name, and what is rounded to."""


def about(eta: Eta | None) -> str:
    """Return an estimate in round numbers, ``about 4 min (3-6)``; the range is rounded to its outside."""
    if eta is None:
        return "no estimate yet"
    unit, name, step = next(unit[1:] for unit in _UNITS if eta.likely >= unit[0])
    low = math.floor(eta.low / unit / step) * step
    high = math.ceil(eta.high / unit / step) * step
    likely = min(max(round(eta.likely / unit / step) * step, low), high)
    if not high:
        return "about done"
    between = f" ({low:g}-{high:g})" if low != high else ""
    return f"about {likely:g} {name}{between}" if likely else f"less than {high:g} {name}"


def moment(at: float | None) -> str:
    """Return a time for people, in UTC; ``-`` for none."""
    return "-" if at is None else f"{in_utc(at):%Y-%m-%d %H:%M:%S}Z"


def in_utc(at: float) -> dt.datetime:
    """Return a time as a calendar has it; what none has, as the nearest that one has."""
    return dt.datetime.fromtimestamp(min(max(0.0, at), _LATEST), dt.UTC)


def said(counts: Mapping[JobState, int]) -> str:
    """Return ``10 done, 1 failed``; states without jobs are left out."""
    return ", ".join(f"{counts[state]} {word}" for state, word in OUTCOME.items() if counts.get(state))
