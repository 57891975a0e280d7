"""Reads events back: all of a file, or what was added since the last look, across rotations and torn lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import anyio
import msgspec

from core.domain.events import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from core.domain.events import Event

_CHUNK = 1024 * 1024


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
    """Follows a file of events. It may not exist yet, may be rotated, removed or cut short.

    Attributes:
        skipped: lines that were no event of this version: torn by a full disk or a kill, or from a newer one.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """Start at the beginning of the file, or with ``from_end`` at what is added after now."""
        self.skipped = 0
        self._path = path
        self._stream: BinaryIO | None = None
        self._rest = b""
        if from_end and self._reopen() and self._stream is not None:
            self._stream.seek(0, os.SEEK_END)

    def read_new(self) -> list[Event]:
        """Return the events that were added since the last call, at most some thousands; does not wait."""
        if self._stream is None and not self._reopen():
            return []
        found = self._drain()
        if not found and self._moved_on():
            # the writer has gone on to another file, so the last line of this one will never be completed
            self.skipped += bool(self._rest)
            self._rest = b""
            if self._reopen():
                found = self._drain()
        return found

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
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _drain(self) -> list[Event]:
        if self._stream is None:
            return []
        *lines, self._rest = (self._rest + self._stream.read(_CHUNK)).split(b"\n")
        events = [event_of(line) for line in lines if line]
        self.skipped += events.count(None)
        return [event for event in events if event is not None]

    def _moved_on(self) -> bool:
        """Whether the path is now another file than the one we read, or shorter than where we are."""
        if self._stream is None:
            return True
        ours = os.fstat(self._stream.fileno())
        try:
            theirs = self._path.stat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino) or theirs.st_size < self._stream.tell()

    def _reopen(self) -> bool:
        self.close()
        try:
            self._stream = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        return True


def event_of(line: bytes) -> Event | None:
    """Return the event of one line; None for a torn one, and for a kind that this version does not know."""
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
