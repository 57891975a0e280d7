"""Lines of a log by level: the last ones, and those that are being written."""

from __future__ import annotations

import re
from collections import deque
from io import BufferedReader
from typing import TYPE_CHECKING

from core.line_tail import LineTail
from core.rotation import identity, open_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LEVELS = ("debug", "info", "warning", "error", "critical")
_LEVEL = re.compile(rb'^\S+ \[(\w+) *\]|^\{.*"level": ?"(\w+)"')
_ALWAYS = (b"--- ",)
_TROUBLE = b"Traceback (most recent call last)"


class LevelFilter:
    """Keeps lines of at least a level.

    A line without a level (what a flow prints, the rest of a traceback) shares the fate of the line before it, but for the
    first of a traceback, which counts as an error. Our own marks between attempts are always kept.
    """

    def __init__(self, least: str) -> None:
        self._least = LEVELS.index(least)
        self._level = LEVELS.index("info")

    def keep(self, line: bytes) -> bool:
        """Whether this, the next line, is kept."""
        if line.startswith(_ALWAYS):
            return True
        found = _LEVEL.match(line)
        name = (found[1] or found[2]).decode("ascii", "replace") if found else ""
        if name in LEVELS:
            self._level = LEVELS.index(name)
        elif line.startswith(_TROUBLE):
            self._level = max(self._level, LEVELS.index("error"))
        return self._level >= self._least


class LogReader:
    """The last lines of a log, and then what is added to it.

    Args:
        path: the log; ``.1``, ``.2`` … beside it are its older parts.
        least: the least level that is shown.

    Raises:
        OSError: from each method, too: it may not be read, or is no file.
    """

    def __init__(self, path: Path, *, least: str = "debug") -> None:
        self._path = path
        self._least = least
        self._filter = LevelFilter(least)
        self._tail = LineTail(path)
        self._older = self._tail.older

    def last(self, count: int) -> list[bytes]:
        """Return the last lines, from the older parts, too, where the log has too few. Called first, and once."""
        found: deque[bytes] = deque(maxlen=count)
        while lines := self._tail.read_new():
            found.extend(filter(self._filter.keep, lines))
        return [*self._before(count - len(found)), *found]

    def new(self) -> list[bytes]:
        """Return what was added since the last call; does not wait."""
        return [line for line in self._tail.read_new() if self._filter.keep(line)]

    def close(self) -> None:
        """Release the file."""
        self._tail.close()

    def _before(self, count: int) -> list[bytes]:
        """Return the last lines of the parts that were older when we began."""
        found: list[bytes] = []
        for _, part in open_parts(self._path) if count else ():
            with BufferedReader(part) as stream:
                if len(found) < count and identity(part) in self._older:
                    kept = LevelFilter(self._least)
                    found = [*deque(filter(kept.keep, _plain(stream)), maxlen=count - len(found)), *found]
        return found


def _plain(stream: Iterable[bytes]) -> Iterator[bytes]:
    return (line.removesuffix(b"\n") for line in stream)
