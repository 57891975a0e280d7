"""Every error that Ostler raises on purpose, under one root.

Data is in attributes; the message is built from them. Adapters translate foreign exceptions into these with
``raise Ours(...) from exc``. No message ever carries a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class OstlerError(Exception):
    """The root of all errors that Ostler can name."""


# --- input -----------------------------------------------------------------------------------------------------------


class Problem:
    """One mistake in an input: where it is, what was expected, what was found, how to mend it.

    Attributes:
        place: file name, ``<stdin>``, flag or variable.
        line: 1-based, or None where lines do not apply.
        column: 1-based, in characters, or None.
        field: path of the field, as ``jobs[3].priority``; empty for the whole input.
        expected: what would have been right.
        found: what stood there, shortened and redacted.
        hint: how to mend it; may be empty.
    """

    __slots__ = ("column", "expected", "field", "found", "hint", "line", "place")

    def __init__(
        self,
        *,
        place: str,
        expected: str,
        found: str,
        field: str = "",
        line: int | None = None,
        column: int | None = None,
        hint: str = "",
    ) -> None:
        self.place = place
        self.line = line
        self.column = column
        self.field = field
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        where = self.place
        if self.line is not None:
            where += f":{self.line}"
            if self.column is not None:
                where += f":{self.column}"
        field = f" {self.field}:" if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        line = f"{where}:{field} expected {self.expected}, found {self.found}{hint}"
        # what stands in an input may hold line breaks and terminal commands; a message is one line
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


class BadInput(OstlerError):
    """What the user gave is wrong; nothing was launched and nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BadArgument(BadInput, ValueError):
    """An argument of a call is wrong; nothing was changed."""

    def __init__(self, name: str, *, expected: str, found: object, hint: str = "") -> None:
        super().__init__([Problem(place=name, expected=expected, found=repr(found)[:64], hint=hint)])


class HostFailed(OstlerError):
    """The host could not do its part, and nothing was launched; the message says what."""


class FlowLoadError(OstlerError):
    """A flow file could not be loaded; the place is in the author's file."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        super().__init__(f"{path}{f':{line}' if line is not None else ''}: {reason}")


# --- who holds what --------------------------------------------------------------------------------------------------


class HolderAlive(OstlerError):
    """Somebody else holds what is asked for; ``holder`` says who, where and since when."""

    def __init__(self, what: str, holder: str) -> None:
        self.what = what
        self.holder = holder
        super().__init__(f"{what} is held by {holder}")


class StateDirectoryHeld(HolderAlive):
    """Another orchestrator runs on this state directory."""


class ProfileHeld(HolderAlive):
    """Another process holds this profile's lock."""


class Fenced(OstlerError):
    """A newer holder exists: this late write was refused and changed nothing."""

    def __init__(self, what: str, *, ours: int, newer: int) -> None:
        self.what = what
        self.ours = ours
        self.newer = newer
        super().__init__(f"{what}: this holder's number is {ours}, but {newer} has taken over; nothing was written")


# --- state -----------------------------------------------------------------------------------------------------------


class IllegalTransition(OstlerError):
    """This event is not legal in this state; nothing changed."""

    def __init__(self, machine: str, state: str, event: str) -> None:
        self.machine = machine
        self.state = state
        self.event = event
        super().__init__(f"{machine}: {event!r} is not legal in state {state!r}")


class DurableWriteFailed(OstlerError):
    """A file could not be made durable; the old version is intact."""

    def __init__(self, path: Path, errno: int | None, reason: str) -> None:
        self.path = path
        self.errno = errno
        self.reason = reason
        super().__init__(f"{path} was not written ({reason}); the previous version is intact")


class ArtifactRefused(OstlerError):
    """A file is too large to be kept for people to look at, or there are too many."""


class StateCorrupt(OstlerError):
    """A state file is damaged, and so is its previous generation; the bytes are kept for inspection."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} is damaged: {reason}")


class NewerSchema(OstlerError):
    """A file was written by a newer version; it is not touched."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(f"{path} has schema {found}; this version knows {known}. Upgrade Ostler; nothing was changed")


class ForeignDatabase(OstlerError):
    """A SQLite file that is not ours, or is damaged; it is not touched."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}; it was not changed")


class DamagedDatabase(ForeignDatabase):
    """A queue of ours whose file is damaged; it is not touched."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, f"it is damaged ({found})")
        done = "what is done stands in the profiles' sessions, and nothing that was committed is repeated"
        self.args = (f"{self}. Move {path.name}* away and run the same command again: {done}",)


class QueueUnavailable(OstlerError):
    """The queue's file cannot be written now (full disk, I/O error, a lock held too long); nothing was changed."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written now: {reason}")


class UnknownJob(OstlerError):
    """No such job in the queue."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"no job {job_id!r} in the queue")


class JobsRefused(OstlerError):
    """Some of the jobs are not in a state in which that can be done to them; nothing was changed.

    Attributes:
        refused: ID and state of each; None where there is no such job.
    """

    def __init__(self, what: str, refused: Sequence[tuple[str, str | None]]) -> None:
        self.what = what
        self.refused = tuple(refused)
        lines = [
            f"no job {job_id!r} in the queue" if state is None else f"{job_id} is {state}" for job_id, state in refused
        ]
        super().__init__(f"{what}: {'; '.join(lines)}; nothing was changed")


# --- processes -------------------------------------------------------------------------------------------------------


class SpawnFailed(OstlerError):
    """The host could not start a process; this costs the profile nothing."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"could not start {what}: {reason}")


class NotUnderWay(OstlerError):
    """Nobody answers on the control socket of a state directory."""

    def __init__(self, state_dir: Path, why: str) -> None:
        self.state_dir = state_dir
        self.why = why
        super().__init__(f"{state_dir}: {why}")


class ControlLost(OstlerError):
    """The other side of a control channel is gone."""


# --- workspaces ------------------------------------------------------------------------------------------------------


class WorkspaceError(OstlerError):
    """The phase of cloning, verifying or saving a workspace failed."""


class TemplateMissing(WorkspaceError):
    """The template directory does not exist or holds no browser data."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"template {path} does not exist or is not a browser's user-data-dir")


class TemplateLive(WorkspaceError):
    """The template is open in a browser; a copy of it could be torn."""

    def __init__(self, path: Path, evidence: str) -> None:
        self.path = path
        self.evidence = evidence
        super().__init__(f"template {path} is in use ({evidence}); close that browser first")


class WorkspaceCorrupt(WorkspaceError):
    """Browser data failed verification, also after a second clone."""

    def __init__(self, path: Path, findings: Sequence[str]) -> None:
        self.path = path
        self.findings = tuple(findings)
        super().__init__(f"{path}: {'; '.join(self.findings)}")


class NoSpace(WorkspaceError):
    """The file system has too little room for this copy."""

    def __init__(self, path: Path, *, needed: int, free: int) -> None:
        self.path = path
        self.needed = needed
        self.free = free
        super().__init__(f"{path} needs {needed} bytes, {free} are free")


class TooLarge(WorkspaceError):
    """The copy would be, or became, larger than is allowed."""

    def __init__(self, path: Path, *, size: int, limit: int) -> None:
        self.path = path
        self.size = size
        self.limit = limit
        super().__init__(f"a copy of {path} would have {size} bytes, {limit} are allowed")


class OutsideRoot(WorkspaceError):
    """A path lies outside the directory that Ostler owns; it is not touched."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.root = root
        super().__init__(f"{path} is not inside {root}; refusing to touch it")


# --- browsers --------------------------------------------------------------------------------------------------------


class BrowserError(OstlerError):
    """The phase of finding, launching or talking to a browser failed."""


class BrowserNotFound(BrowserError):
    """No browser works here; the message says what to type."""


class BrowserLaunchFailed(BrowserError):
    """The browser did not start."""

    def __init__(self, executable: str, reason: str) -> None:
        self.executable = executable
        self.reason = reason
        super().__init__(f"{executable} did not start: {reason}")


class BrowserRefused(BrowserLaunchFailed):
    """The host lets no browser start: no display, no sandbox, no driver. The browser data is not to blame."""


class BrowserLost(BrowserError):
    """The browser or its driver is gone, or no longer answers; ``driver``: it was the driver that died."""

    def __init__(self, reason: str, *, driver: bool = False) -> None:
        self.driver = driver
        super().__init__(reason)


class CapabilityMismatch(BrowserError):
    """The browser that was launched does not use our workspace."""

    def __init__(self, workspace: Path, reason: str) -> None:
        self.workspace = workspace
        self.reason = reason
        super().__init__(f"the browser does not use {workspace}: {reason}")


# --- steps -----------------------------------------------------------------------------------------------------------


class StepError(OstlerError):
    """A step of a flow did not reach its post-condition; ``code`` is one of ``core.domain.failure``, empty if not said."""

    def __init__(self, step: str, reason: str, code: str = "") -> None:
        self.step = step
        self.reason = reason
        self.code = code
        super().__init__(f"step {step}: {reason}")


class StepFailed(StepError):
    """The step's body raised."""


class StepTimedOut(StepError):
    """The step did not end within its timeout."""


class PostconditionFailed(StepError):
    """The step's body ended, but its post-condition does not hold."""


class NeedsPerson(StepError):
    """The step cannot go on without a person. ``asks``: names of what it wants to be told."""

    def __init__(self, step: str, reason: str, code: str = "", asks: Sequence[str] = ()) -> None:
        self.asks = tuple(asks)
        super().__init__(step, reason, code)


class LocateFailed(OstlerError):
    """None of the candidates of ``ctx.locate`` was found on the page."""

    def __init__(self, label: str, tried: Sequence[str]) -> None:
        self.label = label
        self.tried = tuple(tried)
        super().__init__(f"{label!r} was not found; tried {', '.join(self.tried) or 'no candidates'}")
