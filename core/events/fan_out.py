"""One emit to several sinks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.domain.events import Event
    from core.events.port import EventSink

log = structlog.get_logger(__name__)


class FanOut:
    """Passes each event to all sinks, in their order. A sink that breaks the law and raises is named once, and left in."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)
        self._named: set[int] = set()

    def emit(self, event: Event) -> None:
        """Take one event."""
        for position, sink in enumerate(self._sinks):
            try:
                sink.emit(event)
            except Exception:
                # showing and logging must not end what they show
                if position not in self._named:
                    self._named.add(position)
                    with contextlib.suppress(OSError):  # the log's disk may be what failed
                        log.exception("event_sink_failed", sink=type(sink).__name__, type=type(event).__name__)
