"""Reads events back: all of a file, or what was added since the last look, across rotations and torn lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec

from core.domain.events import decode
from core.line_tail import LineTail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from core.domain.events import Event


def read_events(path: Path) -> Iterator[Event]:
    """Yield the events of one file; torn lines and kinds this version does not know are left out."""
    try:
        with path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n") and (event := event_of(line)) is not None:
                    yield event
    except FileNotFoundError:
        return


class EventTail:
    """Follows a file of events. It may not exist yet, may be rotated, removed or cut short."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """Start at the beginning of the file, or with ``from_end`` at what is added after now."""
        self._lines = LineTail(path, from_end=from_end)
        self._unknown = 0

    @property
    def skipped(self) -> int:
        """Lines that were no event of this version: torn by a full disk or a kill, or from a newer one."""
        return self._unknown + self._lines.torn

    def read_new(self) -> list[Event]:
        """Return the events that were added since the last call, at most some thousands; does not wait."""
        events = [event_of(line) for line in self._lines.read_new() if line]
        self._unknown += events.count(None)
        return [event for event in events if event is not None]

    async def follow(self, interval: float = 0.2) -> AsyncIterator[Event]:
        """Yield events as they come, looking every ``interval`` seconds; ends when it is cancelled."""
        while True:
            found = await anyio.to_thread.run_sync(self.read_new)
            for event in found:
                yield event
            if not found:
                await anyio.sleep(interval)

    def close(self) -> None:
        """Release the file."""
        self._lines.close()


def event_of(line: bytes) -> Event | None:
    """Return the event of one line; None for a torn one, and for a kind that this version does not know."""
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
