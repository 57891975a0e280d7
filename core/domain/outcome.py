"""How an attempt ended, said in one closed union, and which exit code says the same to a shell.

A worker reports its own end (``core.domain.messages.Finished``) and its exit code backs it up. What the orchestrator saw
from outside comes first: whoever was stopped did not fail, and whoever died did not finish.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(enum.IntEnum):
    """Exit codes of ``run.py`` and ``orchestrator.py``: one meaning each, the same for both."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    QUARANTINED = 3
    NEEDS_PERSON = 4
    HOLDER_ALIVE = 5
    INTERRUPTED = 6
    HOST_FAULT = 7


PRECEDENCE = (
    ExitCode.BAD_INPUT,
    ExitCode.HOLDER_ALIVE,
    ExitCode.HOST_FAULT,
    ExitCode.INTERRUPTED,
    ExitCode.FAILED,
    ExitCode.QUARANTINED,
    ExitCode.NEEDS_PERSON,
    ExitCode.DONE,
)
"""Where several apply, the first of these is returned."""


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that stands first in ``PRECEDENCE``; ``DONE`` if there are none."""
    present = set(codes)
    return next((code for code in PRECEDENCE if code in present), ExitCode.DONE)


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """All steps are committed and the profile is saved."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A step, the browser or the workspace failed, and the worker said so."""

    step: str
    reason: str
    permanent: bool = False


class Crashed(msgspec.Struct, frozen=True, kw_only=True, tag="crashed"):
    """The worker died without a word: killed, or gone down with its browser."""

    step: str
    reason: str


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag="timed_out"):
    """No progress for too long, or the hard limit; the tree was stopped."""

    step: str
    reason: str


class Interrupted(msgspec.Struct, frozen=True, kw_only=True, tag="interrupted"):
    """Stopped by the operator, or gone with its orchestrator or host. Costs nothing."""

    reason: str


class Busy(msgspec.Struct, frozen=True, kw_only=True, tag="busy"):
    """Another process holds the profile. Costs nothing."""

    holder: str


class HostFault(msgspec.Struct, frozen=True, kw_only=True, tag="host_fault"):
    """The host could not do its part: no process, no space, no browser. Costs nothing."""

    reason: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag="needs_person"):
    """A step says that a person is needed."""

    step: str
    why: str


class Corrupt(msgspec.Struct, frozen=True, kw_only=True, tag="corrupt"):
    """The profile's own data is damaged; trying again blindly would make it worse."""

    reason: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """The flow or its parameters cannot be used; trying again changes nothing."""

    reason: str


Outcome = Done | Failed | Crashed | TimedOut | Interrupted | Busy | HostFault | Waiting | Corrupt | Rejected

EXIT_CODES: dict[type[Outcome], ExitCode] = {
    Done: ExitCode.DONE,
    Failed: ExitCode.FAILED,
    Crashed: ExitCode.FAILED,
    TimedOut: ExitCode.FAILED,
    Interrupted: ExitCode.INTERRUPTED,
    Busy: ExitCode.HOLDER_ALIVE,
    HostFault: ExitCode.HOST_FAULT,
    Waiting: ExitCode.NEEDS_PERSON,
    Corrupt: ExitCode.QUARANTINED,
    Rejected: ExitCode.BAD_INPUT,
}
"""What a worker exits with when its attempt ended so."""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """What the orchestrator saw of an attempt's end.

    Attributes:
        returncode: the worker's, negative for a signal; None if it was never started.
        reported: the worker's own word, if it came through.
        spawn_error: why it could not be started.
        stopped_by: why we stopped it: ``"operator"``, ``"timeout"`` or None.
        stop_reason: the sentence that goes with it.
        last_step: the step or phase that was under way.
    """

    returncode: int | None
    reported: Outcome | None = None
    spawn_error: str | None = None
    stopped_by: str | None = None
    stop_reason: str = ""
    last_step: str = ""


def classify(exit_: Exit) -> Outcome:
    """Say how the attempt ended.

    The cases, in this order: it was never started; its own word arrived and is final (a job that finished while we were
    stopping it is finished); we stopped it; its exit code alone; it died.
    """
    if exit_.spawn_error is not None:
        return HostFault(reason=exit_.spawn_error)
    if exit_.reported is not None and not isinstance(exit_.reported, Interrupted):
        return exit_.reported
    if exit_.stopped_by == "timeout":
        return TimedOut(step=exit_.last_step, reason=exit_.stop_reason)
    if exit_.stopped_by is not None:
        return Interrupted(reason=exit_.stop_reason)
    if exit_.reported is not None:
        return exit_.reported
    return Crashed(step=exit_.last_step, reason=_death(exit_.returncode))


def _death(returncode: int | None) -> str:
    if returncode is None:
        return "its end was not seen"
    if returncode < 0:
        return f"killed by signal {-returncode}"
    return f"exited with {returncode} without a report"
