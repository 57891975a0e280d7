"""What a run needs from the other side of its control channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.domain.messages import Go, Stop, Up


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

    async def receive(self) -> Go | Stop | None:
        """Return the next message; None, again and again, once the other side is gone."""
        ...

    def kill_on_silence(self, user_data_dir: str | None) -> None:
        """Say which browser goes down with this process; None: none."""
        ...

    async def drain(self, seconds: float) -> None:
        """Wait until everything queued is sent, at most that long."""
        ...
