"""What a person is told who does not look: which events are worth it, and in which words.

A fold over the catalogue; what was told is not told again. No notification holds a secret, for no event does.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain import events as ev
from core.domain.admission import PRESSURES
from core.domain.failure import code_named
from core.domain.model import JobState
from core.domain.policy import classified

if TYPE_CHECKING:
    from core.domain.events import Event
    from core.domain.failure import Code

VERSION = 1
PRESSURE_AGAIN = 600.0
"""Seconds after which pressure of one sort is told again."""


class About(enum.StrEnum):
    """What somebody may want to be told of."""

    FINISHED = "finished"
    NEEDS_PERSON = "needs_person"
    QUARANTINED = "quarantined"
    PRESSURE = "pressure"


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to tell; what does not apply is left out.

    Attributes:
        v: version of this form; fields may be added.
        id: the same each time this one is sent, and no other's of this state directory.
        about: what sort of thing it is.
        at: when it happened, epoch seconds.
        run: number of the run.
        text: all of it, in a sentence or two for people.
        reason: why, as it was reported.
        code: what went wrong, as in docs/failures.md.
        asks: names of what the step wants to be told.
        do: what to do about it.
        exit_code: of the orchestrator.
        counts: jobs by state over the whole queue; may be missing where an error ended the run.
        seconds: that the run took.
    """

    v: int
    id: str
    about: About
    at: float
    run: int
    text: str
    job: str = ""
    profile_id: str = ""
    attempt: int | None = None
    step: str = ""
    reason: str = ""
    code: str = ""
    asks: tuple[str, ...] = ()
    do: str = ""
    exit_code: int | None = None
    counts: dict[str, int] | None = None
    seconds: float | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be remembered.

    Attributes:
        run: number of the run.
        count: how many there were.
        parked: jobs whose browser waits for a person, of whom that was told.
        pressure: when each sort was told last.
    """

    run: int = 0
    count: int = 0
    parked: frozenset[str] = frozenset()
    pressure: Mapping[str, float] = msgspec.field(default_factory=dict)


def notice(told: Told, event: Event) -> tuple[Told, Notification | None]:
    """Return what is to be remembered after ``event``, and what to tell of it; None for nothing."""
    if isinstance(event, ev.RunStarted):
        return Told(run=event.run), None
    if isinstance(event, (ev.AttemptStarted, ev.AttemptResumed)):
        return msgspec.structs.replace(told, parked=told.parked - {event.job}), None
    fields = _fields(told, event)
    if fields is None:
        return told, None
    run = event.run if isinstance(event, ev.RunEnded) else told.run
    count = told.count + 1
    parked, pressure = told.parked, told.pressure
    if isinstance(event, ev.AttemptParked):
        parked |= {event.job}
    if isinstance(event, ev.StartsHeld):
        pressure = {**pressure, event.reason: event.at}
    after = Told(run=run, count=count, parked=parked, pressure=pressure)
    return after, Notification(v=VERSION, id=f"{run}.{count}", at=event.at, run=run, **fields)


def _fields(told: Told, event: Event) -> dict[str, Any] | None:  # noqa: PLR0911 - one case for each kind of event
    match event:
        case ev.AttemptParked():
            do = f"ostler ctl resume {event.job}"
            text = f"{event.profile_id} waits for a person in {event.step}: {event.why}. Its browser is open; {do} goes on."
            return {
                "about": About.NEEDS_PERSON, "text": text, "job": event.job, "profile_id": event.profile_id,
                "attempt": event.attempt, "step": event.step, "reason": event.why, "code": event.code,
                "asks": event.asks, "do": do,
            }  # fmt: skip
        case ev.JobChanged(state=JobState.PARKED) if event.job not in told.parked:
            return {"about": About.NEEDS_PERSON, **_of_job(event, "needs a person")}
        case ev.JobChanged(state=JobState.QUARANTINED):
            return {"about": About.QUARANTINED, **_of_job(event, "is in quarantine")}
        case ev.StartsHeld(reason=reason) if reason in PRESSURES:
            if event.at - told.pressure.get(reason, event.at - PRESSURE_AGAIN) < PRESSURE_AGAIN:
                return None
            text = f"Nothing more is started, for now: {reason}. What runs goes on."
            return {"about": About.PRESSURE, "text": text, "reason": reason}
        case ev.RunEnded():
            numbers = ", ".join(f"{number} {state}" for state, number in event.counts.items() if number)
            text = f"Run {event.run} has ended with exit code {event.exit_code}: {numbers or 'no jobs are known'}."
            return {
                "about": About.FINISHED, "text": text, "exit_code": event.exit_code, "counts": event.counts,
                "seconds": event.seconds,
            }  # fmt: skip
        case _:
            return None


def _of_job(event: ev.JobChanged, is_so: str) -> dict[str, Any]:
    code: Code | None = code_named(event.code)
    do = "" if code is None else classified(code, event.reason, profile_id=event.profile_id).suggested_action
    reason = f": {event.reason}" if event.reason else ""
    return {
        "text": f"{event.profile_id} {is_so}{reason}. {do}".rstrip(), "job": event.job,
        "profile_id": event.profile_id, "attempt": event.attempts, "reason": event.reason, "code": event.code, "do": do,
    }  # fmt: skip
