"""Follows a file line by line while somebody writes, rotates, truncates or removes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1024 * 1024


class LineTail:
    """Whole lines of a file, as they come. It may not exist yet.

    Attributes:
        torn: last lines that will never be completed, because their writer went on to another file.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """Start at the beginning of the file, or with ``from_end`` at what is added after now."""
        self.torn = 0
        self._path = path
        self._stream: BinaryIO | None = None
        self._rest = b""
        if from_end and self._reopen() and self._stream is not None:
            self._stream.seek(0, os.SEEK_END)

    def read_new(self) -> list[bytes]:
        """Return the lines, without their newlines, that were added since the last call; at most a megabyte of them."""
        if self._stream is None and not self._reopen():
            return []
        found = self._drain()
        if not found and self._moved_on():
            self.torn += bool(self._rest)
            self._rest = b""
            if self._reopen():
                found = self._drain()
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
