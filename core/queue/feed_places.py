"""Where in a feed a job's parameter stands, for mistakes that only the flow knows of: loaded only when there is one."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from core.queue.feed_document import Document
from core.queue.feed_lines import Lines
from core.queue.feed_value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Place(NamedTuple):
    """Line and column, 1-based, and the field's path in the feed."""

    line: int
    column: int
    path: str


class DocumentPlaces:
    """The places of a JSON feed that is free of mistakes of its own."""

    def __init__(self, data: bytes) -> None:
        self._document = Document(data)

    def of(self, index: int, field: str, member: str = "params") -> Place:
        """Return where the ``index``-th job has a parameter, or the defaults that it comes from.

        Args:
            index: of the job, from 0.
            field: path within the parameters, as ``filter.price`` or ``pages[3]``; empty for the parameters themselves.
            member: of the job, if it is another than its parameters.
        """
        document = self._document
        path = f"jobs[{index}]" if document.members else f"[{index}]"
        begin = document.offset(index)
        entry = Value(bytes(document.entries[index]), begin)
        found = _parameter(entry, field, member)
        defaults = next((value for name, value in document.members if name.text == "defaults"), None)
        if found is None and defaults is not None and (found := _parameter(defaults, field, member)) is not None:
            path = "defaults"
        return Place(*document.lines.place((found or entry).at), _joined(path, member, field))


def in_lines(lines: Iterable[tuple[int, bytes, bool]], index: int, field: str, member: str = "params") -> Place:
    """Return where the ``index``-th line that is not blank has a parameter; see ``DocumentPlaces``."""
    number, line, bare = next(itertools.islice(lines, index, None))
    if bare:
        return Place(number, 1, _joined("", member, field))
    entry = Value(line.strip(), len(line) - len(line.lstrip()))
    return Place(*Lines(line, number).place((_parameter(entry, field, member) or entry).at), _joined("", member, field))


def _parameter(entry: Value, field: str, member: str) -> Value | None:
    """Return the parameter, or the nearest that holds it; None if the entry has no parameters, or not this one."""
    found = _member(entry, member)
    if found is None or not field:
        return found
    parts: Sequence[str] = re.findall(r"[^.\[\]]+", field)
    for depth, part in enumerate(parts):
        inner = _member(found, part)
        if inner is None and found.kind == "list" and part.isdecimal():
            inner = next(itertools.islice(found.items(), int(part), None), None)
        if inner is None:
            return found if depth else None
        found = inner
    return found


def _member(value: Value, name: str) -> Value | None:
    if value.kind != "object":
        return None
    return next((member for key, member in value.members() if key.text == name), None)


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)
