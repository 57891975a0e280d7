"""Follows a file line by line while somebody writes, rotates, truncates or removes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.rotation import identity, open_parts

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from core.rotation import Identity

_CHUNK = 1024 * 1024


class LineTail:
    """Whole lines of a file, as they come, each once, in the order in which they were written. It may not exist yet.

    However often it is rotated between two looks, the parts are read one after the other as long as they are kept.

    Attributes:
        torn: last lines that will never be completed, because their writer went on to another file.
        part: how many parts were read to their end; all that one reading returns is of one part.
        older: the parts that were there before the one that is read.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """Start at the beginning of the file, or with ``from_end`` at what is added after now.

        Raises:
            OSError: it may not be read, or is no file.
        """
        self.torn = 0
        self.part = 0
        self._path = path
        self._rest = b""
        parts = open_parts(path)
        current = parts.pop(0)[1] if parts and parts[0][0] == 0 else None
        self._stream: FileIO | None = current
        self.older = frozenset(identity(stream) for _, stream in parts)
        _close(parts)
        if from_end and current is not None:
            current.seek(0, os.SEEK_END)

    def read_new(self) -> list[bytes]:
        """Return the lines, without their newlines, that were added since the last call; at most a megabyte of them.

        Raises:
            OSError: what the path leads to by now may not be read, or is no file.
        """
        found = self._drain()
        while not found and self._has_moved_on():
            # what was written between the last look and the move; nothing can come after that
            found = self._drain()
            if not found and not self._advance():
                break
            found = found or self._drain()
        return found

    def close(self) -> None:
        """Release the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _drain(self) -> list[bytes]:
        lines: list[bytes] = []
        # a line may be longer than what one reading takes: then it is not the end of the file yet
        while not lines and self._stream is not None and (data := self._stream.read(_CHUNK)):
            *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def _has_moved_on(self) -> bool:
        """Whether the path is no longer the file we read, or shorter than where we are."""
        if self._stream is None:
            return True
        ours = os.fstat(self._stream.fileno())
        try:
            theirs = self._path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(ours, theirs) or theirs.st_size < self._stream.tell()

    def _advance(self) -> bool:
        """Go on to the part that was begun after ours, or to the beginning of ours if it was cut short."""
        parts = open_parts(self._path)
        number, following = _after(self._stream, parts, self.older)
        if following is None:
            _close(parts)
            return False
        self.part += 1
        self.torn += bool(self._rest)
        self._rest = b""
        self.close()
        self._stream = following
        self.older = frozenset(identity(stream) for other, stream in parts if other > number)
        _close([part for part in parts if part[0] != number])
        return True


def _after(
    ours: FileIO | None, parts: list[tuple[int, FileIO]], older: frozenset[Identity]
) -> tuple[int, FileIO | None]:
    """Return the part to go on with; None if there is none yet."""
    after: tuple[int, FileIO | None] = (0, None)
    for number, stream in parts:
        if ours is not None and os.path.sameopenfile(stream.fileno(), ours.fileno()):
            return (number, stream) if os.fstat(ours.fileno()).st_size < ours.tell() else after
        after = (number, stream)
    # ours is gone, or there was none: everything came after it that was not there before
    newer = [part for part in parts if identity(part[1]) not in older]
    return newer[-1] if newer else (0, None)


def _close(parts: list[tuple[int, FileIO]]) -> None:
    for _, stream in parts:
        stream.close()
