"""What Ostler needs from a way to tell somebody something."""

from __future__ import annotations

from typing import Protocol

from core.errors import OstlerError


class NotDelivered(OstlerError):
    """A notification did not arrive. ``reason`` holds no secret; ``again``: another try may help."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        self.reason = reason
        self.again = again
        super().__init__(reason)


class Destination(Protocol):
    """Where notifications go. Laws: several threads may deliver at a time; each comes back within its limit.

    Attributes:
        place: what messages call it; no secrets.
    """

    place: str

    def deliver(self, body: bytes) -> None:
        """Deliver one, as JSON.

        Raises:
            NotDelivered: it did not arrive.
        """
        ...

    def close(self) -> None:
        """Give up what is under way, and take nothing more."""
        ...
