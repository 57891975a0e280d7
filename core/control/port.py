"""What an operator may ask of a run, what it answers, and what the engine needs from whoever brings the one to the other.

One JSON object a line: a request, then its answer, as often as wanted on one connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Say how the run stands."""


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Start nothing more; what runs goes on."""


class Continue(msgspec.Struct, frozen=True, tag="continue"):
    """Take a pause back."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Start nothing more, and end when what runs has ended."""


class StopNow(msgspec.Struct, frozen=True, tag="stop"):
    """End what runs, and the run; it goes on with the same command."""


class SetLimit(msgspec.Struct, frozen=True, kw_only=True, tag="limit"):
    """Run so many browsers at a time from now on; what runs beyond that goes on to its end."""

    max_concurrent: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """End a job for good, while it runs; committed steps stay done."""

    job: str


class GoOn(msgspec.Struct, frozen=True, kw_only=True, tag="go_on"):
    """A person has done what the parked job waits for. ``answers``: what it asked for, by name; secret."""

    job: str
    answers: dict[str, str] = {}


Request = Look | Pause | Continue | Drain | StopNow | SetLimit | Cancel | GoOn


class ParkedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose browser waits for a person.

    Attributes:
        since: epoch seconds.
        why: what the person has to do.
        asks: names of what the step wants to be told.
    """

    job: str
    profile_id: str
    step: str
    why: str
    since: float
    asks: tuple[str, ...] = ()


class LimitedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose attempt waits for what a key limits; ``why``: key and limit."""

    job: str
    why: str


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands.

    Attributes:
        max_concurrent: slots.
        running: attempts that hold a slot.
        prepared: attempts that wait for one.
        parked: jobs that wait for a person, their browsers open.
        limited: those of ``running`` that wait for what a key limits.
        held: why nothing is started now; empty while it is.
        stopping: ``drain`` or ``now`` once a stop was asked for.
    """

    max_concurrent: int
    running: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    parked: tuple[ParkedJob, ...] = ()
    limited: tuple[LimitedJob, ...] = ()
    held: tuple[str, ...] = ()
    stopping: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request.

    Attributes:
        problem: why it was not done; empty if it was.
        done: what was done, in a sentence.
        run: how the run stands now.
    """

    problem: str = ""
    done: str = ""
    run: RunView


class Commands(Protocol):
    """Brings requests to the engine. Laws: ``obey`` is called on the event loop, for one request at a time; a connection that
    says what is no request is told so and closed; nothing that a client does ends the run.
    """

    async def serve(self, obey: Callable[[Request], Answer]) -> None:
        """Answer requests until cancelled."""
        ...
