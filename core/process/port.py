"""What Ostler needs from child processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.domain.admission import Load
    from core.domain.messages import Down, Up
    from core.domain.model import AttemptRecord, ProcessStamp
    from core.redaction import Redactor


class WorkerCommand(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a worker; nothing here is secret.

    Attributes:
        profile_id: the only argument.
        nonce: goes into the environment of the worker and of all that it starts, as ``OSTLER_ATTEMPT``.
        job_id: for the line that begins the attempt in the log; empty where there is none.
        number: the attempt's, for the same line; 0 where there is none.
    """

    profile_id: str
    nonce: str
    job_id: str = ""
    number: int = 0


class Child(Protocol):
    """A running worker, as its orchestrator sees it. Laws:

    - ``receive`` returns messages in order, then None once the other side is gone; it never raises for a bad line (that
      is logged and skipped), nor for a message that is too long.
    - ``wait`` returns after the process is reaped and its output is pumped (or the pump's grace is over).
    - ``kill_tree`` ends the worker and all that it started, frozen ones too, and returns when they are gone.
    - ``out_of_memory`` is False until the process is reaped.
    """

    @property
    def stamp(self) -> ProcessStamp:
        """Which process."""
        ...

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel shows that it was killed for want of memory."""
        ...

    async def send(self, message: Down) -> None:
        """Send a message.

        Raises:
            ControlLost: the other side is gone.
        """
        ...

    async def receive(self) -> Up | None:
        """Return the next message, None at end of file."""
        ...

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the worker only."""
        ...

    async def kill_tree(self, user_data_dir: str | None) -> int:
        """Kill the tree; return how many processes it took."""
        ...

    async def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        ...

    async def close(self) -> None:
        """Release descriptors; safe to call twice."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    async def spawn(self, command: WorkerCommand, redactor: Redactor) -> Child:
        """Start a worker in a session of its own; its output goes to ``logs/<id>.log`` through ``redactor``.

        Raises:
            SpawnFailed: the host could not do it.
        """
        ...


class HostMeter(Protocol):
    """Says how loaded the host is. Calls are synchronous and may take some milliseconds: engines call them in a thread."""

    def measure(self, attempts: Mapping[str, ProcessStamp], lag: float) -> Load:
        """Measure, since the last call where it is a share of time.

        Args:
            attempts: the workers under way, by profile.
            lag: seconds that the caller was late; goes into what is returned.
        """
        ...


class Reaper(Protocol):
    """Finds and ends what an attempt left behind."""

    def is_alive(self, stamp: ProcessStamp) -> bool | None:
        """Whether that very process lives; None where it cannot be known (another host, another PID namespace)."""
        ...

    async def reap(self, attempt: AttemptRecord, grace: float) -> int:
        """End whatever is proven to belong to the attempt (stamp, nonce in the environment, user-data-dir), gracefully
        first, killed after ``grace`` seconds; return how many processes it took. Never touches anything unproven.
        """
        ...

    async def leftovers(self, known: Iterable[AttemptRecord]) -> list[ProcessStamp]:
        """Return live processes that belong to one of these attempts."""
        ...
