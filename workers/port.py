"""What a run needs besides the ports of ``core``: the other side of its control channel, and a place for its artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from core.domain.messages import Up, Word


class Control(Protocol):
    """The worker's side. Laws:

    - ``send`` returns at once and never raises: a parent that is frozen or gone must not hold up the run. Heartbeats may be
      dropped, everything else is kept in order up to a bound.
    - ``receive`` gives messages in order; a signal that asks this process to end arrives as a ``Stop``.
    - ``kill_on_silence`` names a directory: whatever browser runs there is killed if this process must die at once.
    """

    def send(self, message: Up) -> None:
        """Queue a message for the other side."""
        ...

    async def receive(self) -> Word | None:
        """Return the next message; None, again and again, once the other side is gone."""
        ...

    def kill_on_silence(self, user_data_dir: str | None) -> None:
        """Say which browser goes down with this process; None: none."""
        ...

    async def drain(self, seconds: float) -> None:
        """Wait until everything queued is sent, at most that long."""
        ...


@dataclass(frozen=True)
class AttemptKey:
    """Which attempt files belong to: the attempt's number, its job and its profile."""

    profile_id: str
    job: str
    number: int


class Artifacts(Protocol):
    """Where files for people are kept. Laws: names are made safe, nothing is overwritten, files are 0600, and what is returned
    is the path relative to the state directory.
    """

    def keep(self, of: AttemptKey, name: str, data: bytes) -> str:
        """Keep these bytes under this name, or the next free one.

        Raises:
            ArtifactRefused: too large, or too many.
            DurableWriteFailed: it could not be written.
        """
        ...

    def take_in(self, of: AttemptKey, name: str, file: Path) -> str:
        """Move a file here.

        Raises:
            ArtifactRefused, DurableWriteFailed: it stays where it is.
        """
        ...

    def is_first(self, of: AttemptKey, kind: str) -> bool:
        """Whether this kind of failure was not asked for before in this job, by this attempt or an earlier one; durable.

        Raises:
            DurableWriteFailed: it could not be noted.
        """
        ...
