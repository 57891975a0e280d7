"""What Ostler needs from a place that events go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.domain.events import Event


class EventSink(Protocol):
    """Takes facts as they happen. Laws: ``emit`` never raises and never waits for a slow reader; order is kept."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...
