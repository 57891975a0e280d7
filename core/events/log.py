"""The event log as a whole, its older parts first: each line an event, or what is wrong with it and where it stands."""

from __future__ import annotations

from io import BufferedReader
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.domain.events import VERSION, decode
from core.line_tail import LineTail
from core.rotation import identity, open_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from core.domain.events import Event


class Line(NamedTuple):
    """An event, and its line as it stands in the log, without the line break."""

    event: Event
    text: bytes


class BadLine(NamedTuple):
    """A line that is no event of this version.

    Attributes:
        part: which part of the log, for people.
        number: which line of it, from 1.
        problem: what is wrong with it; holds a few words of others at the most.
    """

    part: str
    number: int
    problem: str


class _Head(msgspec.Struct):
    type: str = ""
    v: int = 1


_head: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)
_LONGEST_NAME = 40


class EventLog:
    """All that is kept of an event log, and then what is added to it, across rotations and other orchestrators.

    Args:
        path: of the log; it may not be there yet.

    Raises:
        OSError: from each method, too: a part may not be read, or the log is no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = LineTail(path)
        self._older = self._tail.older
        self._part = self._tail.part
        self._count = 0

    def past(self, since: float = 0.0) -> Iterator[Line | BadLine]:
        """Yield what was there when this was made and is not in the log's newest part: the oldest first. Called first, and once.

        Args:
            since: epoch seconds; parts that were written before may be left out as a whole.
        """
        parts = [(number, BufferedReader(part), identity(part)) for number, part in open_parts(self._path)]
        try:
            for number, part, whose in reversed(parts):
                if whose in self._older and whose[2] >= since * 1e9:
                    lines = (line.removesuffix(b"\n") for line in part)
                    yield from _read(f"{self._path.name}.{number}", lines, 0)
        finally:
            for _, part, _ in parts:
                part.close()

    def new(self) -> list[Line | BadLine]:
        """Return what was added since the last call, the first time all of the newest part; at most a megabyte; does not wait."""
        lines = self._tail.read_new()
        if self._tail.part != self._part:
            self._part, self._count = self._tail.part, 0
        found = list(_read(self._path.name, lines, self._count))
        self._count += len(lines)
        return found

    def close(self) -> None:
        """Release the file."""
        self._tail.close()


def _read(part: str, lines: Iterable[bytes], before: int) -> Iterator[Line | BadLine]:
    for number, line in enumerate(lines, before + 1):
        if not line:
            continue  # what a torn line is followed by
        try:
            yield Line(decode(line), line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            yield BadLine(part, number, _problem(line, exc))


def _problem(line: bytes, exc: Exception) -> str:
    if not isinstance(exc, msgspec.ValidationError):
        return "no whole line of JSON: its writer was killed, or the disk was full"
    try:
        head = _head.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return str(exc)
    if head.v > VERSION:
        return (
            f"written by a newer Ostler (version {head.v} of the events, this one knows {VERSION}): upgrade to read it"
        )
    if str(exc).endswith("`$.type`"):
        return f"an event that this Ostler does not know: {head.type[:_LONGEST_NAME]!r}"
    return str(exc)
