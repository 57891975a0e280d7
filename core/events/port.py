"""What Ostler needs from a place that events go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.domain.events import Event
    from core.domain.model import Announced, AttemptRecord


class EventSink(Protocol):
    """Takes facts as they happen. Laws: ``emit`` never raises and never waits for a slow reader; order is kept."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...


class LeftEvents(Protocol):
    """Events that others left for the orchestrator to pass on. Laws: each is taken once; ``take`` never raises."""

    def take(self) -> list[Event]:
        """Return what was left since the last call, the oldest first."""
        ...


class EventHistory(Protocol):
    """Reads back what was announced."""

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Return, by nonce, what was announced of these attempts; absent where nothing was planned."""
        ...
