"""How an attempt ended, said in one closed union, and which exit code says the same to a shell.

A worker reports its own end (``core.domain.messages.Finished``) and its exit code backs it up. What the orchestrator saw
from outside comes first: whoever was stopped did not fail, and whoever died did not finish. Each outcome but ``Done`` has a
code (``core.domain.failure``), which says what went wrong and decides what follows.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, assert_never

import msgspec

from core.domain.failure import FAILURES, Code, Kind

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
    code: Code = Code.UNKNOWN


class Crashed(msgspec.Struct, frozen=True, kw_only=True, tag="crashed"):
    """The worker died without a word: killed, or gone down with its browser."""

    step: str
    reason: str
    code: Code = Code.WORKER_KILLED


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag="timed_out"):
    """No progress for too long, or the hard limit; the tree was stopped."""

    step: str
    reason: str
    code: Code = Code.ATTEMPT_TIMEOUT


class Interrupted(msgspec.Struct, frozen=True, kw_only=True, tag="interrupted"):
    """Stopped by the operator, or gone with its orchestrator or host. Costs nothing."""

    reason: str
    code: Code = Code.INTERRUPTED


class Busy(msgspec.Struct, frozen=True, kw_only=True, tag="busy"):
    """Another process holds the profile. Costs nothing."""

    holder: str
    code: Code = Code.PROFILE_BUSY


class HostFault(msgspec.Struct, frozen=True, kw_only=True, tag="host_fault"):
    """The host could not do its part: no process, no space, no browser. Costs nothing."""

    reason: str
    step: str = ""
    code: Code = Code.HOST_FAULT


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag="needs_person"):
    """A step says that a person is needed."""

    step: str
    why: str
    code: Code = Code.NEEDS_PERSON


class Corrupt(msgspec.Struct, frozen=True, kw_only=True, tag="corrupt"):
    """The profile's own data is damaged; trying again blindly would make it worse."""

    reason: str
    step: str = ""
    code: Code = Code.PROFILE_CORRUPT


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """The flow or its parameters cannot be used; trying again changes nothing."""

    reason: str
    step: str = ""
    code: Code = Code.FLOW_INVALID


Ended = Failed | Crashed | TimedOut | Interrupted | Busy | HostFault | Waiting | Corrupt | Rejected
Outcome = Done | Ended

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


def ended(code: Code, reason: str, step: str = "") -> Ended:  # noqa: PLR0911 - one per kind
    """Return the outcome of an attempt that ended by this code.

    Args:
        code: what went wrong.
        reason: why, redacted; of a busy profile, who holds it.
        step: the step, or the stage of the pipeline, under way.
    """
    match FAILURES[code].kind:
        case Kind.FAILED:
            return Failed(step=step, reason=reason, code=code)
        case Kind.CRASHED:
            return Crashed(step=step, reason=reason, code=code)
        case Kind.TIMED_OUT:
            return TimedOut(step=step, reason=reason, code=code)
        case Kind.INTERRUPTED:
            return Interrupted(reason=reason, code=code)
        case Kind.BUSY:
            return Busy(holder=reason, code=code)
        case Kind.HOST_FAULT:
            return HostFault(reason=reason, step=step, code=code)
        case Kind.NEEDS_PERSON:
            return Waiting(step=step, why=reason, code=code)
        case Kind.CORRUPT:
            return Corrupt(reason=reason, step=step, code=code)
        case Kind.REJECTED:
            return Rejected(reason=reason, step=step, code=code)
        case _ as unreachable:
            assert_never(unreachable)


def exit_code_of(code: Code) -> ExitCode:
    """Return what a worker exits with when its attempt ended by this code."""
    return EXIT_CODES[type(ended(code, ""))]


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """What the orchestrator saw of an attempt's end.

    Attributes:
        returncode: the worker's, negative for a signal; None if it was never started.
        reported: the worker's own word, if it came through.
        spawn_error: why it could not be started.
        stopped_by: why we stopped it: ``"operator"``, ``"cancel"``, ``"timeout"`` or None.
        stop_reason: the sentence that goes with it.
        last_step: the step or phase that was under way.
        out_of_memory: whether the kernel shows that it was killed for want of memory.
    """

    returncode: int | None
    reported: Outcome | None = None
    spawn_error: str | None = None
    stopped_by: str | None = None
    stop_reason: str = ""
    last_step: str = ""
    out_of_memory: bool = False


def classify(exit_: Exit) -> Outcome:  # noqa: PLR0911 - one for each case
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
    if exit_.stopped_by == "cancel":
        return Interrupted(reason=exit_.stop_reason, code=Code.CANCELLED)
    if exit_.stopped_by is not None:
        return Interrupted(reason=exit_.stop_reason)
    if exit_.reported is not None:
        return exit_.reported
    code = Code.OUT_OF_MEMORY if exit_.out_of_memory else Code.WORKER_KILLED
    return Crashed(step=exit_.last_step, reason=_death(exit_), code=code)


def _death(exit_: Exit) -> str:
    returncode = exit_.returncode
    if exit_.out_of_memory:
        return "killed by the kernel: there was not enough memory"
    if returncode is None:
        return "its end was not seen"
    if returncode < 0:
        return f"killed by signal {-returncode}"
    return f"exited with {returncode} without a report"
