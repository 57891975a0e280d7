"""Keeps events in memory and lets a test wait for one: the fake."""

from __future__ import annotations

from typing import Any, TypeVar

import anyio
import msgspec

from core.domain.events import Event

E = TypeVar("E")


class RecordingEvents:
    """A list of events with a bell.

    Attributes:
        events: all that was emitted, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._bell = anyio.Event()

    def emit(self, event: Event) -> None:
        """Take one event.

        Raises:
            msgspec.ValidationError: a field is of a wrong type, which in production costs the event: a test should not go on.
        """
        msgspec.convert(msgspec.to_builtins(event), Event)
        self.events.append(event)
        self._bell.set()
        self._bell = anyio.Event()

    def of(self, kind: type[E], **fields: Any) -> list[E]:
        """Return the events of one kind whose fields have these values, in order."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def wait_for(self, kind: type[E], *, deadline: float = 10.0, nth: int = 1, **fields: Any) -> E:
        """Return the ``nth`` event of this kind with these fields, past ones included.

        Raises:
            TimeoutError: it did not come within ``deadline`` seconds; says what came instead.
        """
        with anyio.move_on_after(deadline):
            while True:
                found = self.of(kind, **fields)
                if len(found) >= nth:
                    return found[nth - 1]
                await self._bell.wait()
        came = ", ".join(type(event).__name__ for event in self.events) or "nothing"
        raise TimeoutError(f"no {kind.__name__} {fields} within {deadline} s; there was {came}")
