"""A JSON feed to be explained: its entries and where each begins, also of one that is JSON only once it is mended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from core.queue.feed_check import MISTAKES
from core.queue.feed_reader import Reader
from core.queue.feed_value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_AT_ONCE = 1000
_TRIES = 5
_BETWEEN_ENTRIES = (b"},", b'",', b"],")
_BETWEEN = re.compile(rb"[\s,]*")


class Document:
    """What there is of a JSON feed.

    Attributes:
        reader: what it was read with, which knows its flaws.
        lines: of its text, which may have been mended.
        root: its value; None if it makes no sense.
        members: names and values of the root, if that is an object.
        entries: the texts of the jobs; of one that makes no sense, nothing.
    """

    def __init__(self, data: bytes, *, is_file: bool = False) -> None:
        """Take a text in UTF-8, and whether it is all of a ``*.json`` file."""
        whole = _whole(data)
        jobs, entries, comma = (*whole, 0) if whole is not None else _beginning(data)
        self.reader = Reader(data, known=jobs if whole else b"", since=comma)
        start = len(data) - len(data.lstrip())
        root: slice | None = slice(start, len(data))
        if whole is None:
            self.reader.read(items="jobs", is_file=is_file)
            root = self.reader.root
            data = self.reader.text.encode("latin-1")
        elif data[start : start + 1] == b"{":
            self.reader.read()
        self.root = None if root is None else _cut(data, root)
        self.members = [(_cut(data, part.name), _cut(data, part.value)) for part in self.reader.members]
        self.entries = [*entries, *(data[part.value] for part in self.reader.items)]
        self.lines = self.reader.lines()
        self._known = len(entries)
        self._offsets = _Offsets(data, entries, self._list() + 1)

    def offset(self, number: int) -> int:
        """Return where an entry begins."""
        if number < self._known:
            return self._offsets[number]
        return int(self.reader.items[number - self._known].value.start)

    def place(self, number: int, at: int = 0) -> tuple[int, int]:
        """Return line and column of an offset in an entry."""
        return self.lines.place(self.offset(number) + at)

    def _list(self) -> int:
        """Return where the list of jobs begins."""
        if self.reader.items_at >= 0:
            return self.reader.items_at
        # of an object that was right and given twice, the last is decoded
        found = (value.at for name, value in reversed(self.members) if name.text == "jobs")
        return next(found, 0 if self.root is None else self.root.at)


def _cut(data: bytes, piece: slice) -> Value:
    return Value(data[piece], piece.start)


def _whole(data: bytes, *, jobs_last: bool = False) -> tuple[bytes, Sequence[bytes]] | None:
    """Return the list of jobs, if it stands in an object, and the entries in it; None for what is no JSON.

    Args:
        data: the text.
        jobs_last: whether an object will only do if its last member is the list of jobs.
    """
    try:
        if data.lstrip()[:1] != b"{":
            return b"", _LIST.decode(data)
        members = _MEMBERS.decode(data)
        jobs = bytes(members.get("jobs", b""))
        if jobs_last and next(reversed(members), "") != "jobs":
            return None
        return jobs, _LIST.decode(jobs) if jobs[:1] == b"[" else []
    except MISTAKES:
        return None


def _beginning(data: bytes) -> tuple[bytes, Sequence[bytes], int]:
    """Return the same of what stands before the first flaw, and the comma behind it; it need not be read step by step."""
    end = _flaw(data)
    closing = b"]}" if data.lstrip()[:1] == b"{" else b"]"
    for _ in range(_TRIES):
        end = max(data.rfind(mark, 0, end) for mark in _BETWEEN_ENTRIES) + 1
        if end <= 0:
            break
        if (found := _whole(data[:end] + closing, jobs_last=True)) is not None and found[1]:
            return (*found, end)
    return b"", [], 0


def _flaw(data: bytes) -> int:
    """Return about where a text stops being JSON: msgspec says at which byte it gave up."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError as exc:
        found = re.search(r"\(byte (\d+)\)", str(exc))
        return int(found[1]) if found else len(data)
    except MISTAKES:
        return 0
    return len(data)


class _Offsets:
    """Where the entries of a large list begin, found out only when somebody asks.

    Args:
        data: the feed.
        entries: the texts of all entries, in order.
        start: right behind the bracket of their list.
    """

    def __init__(self, data: bytes, entries: Sequence[bytes], start: int) -> None:
        self._data = data
        self._entries = entries
        self._starts = [start]

    def __getitem__(self, number: int) -> int:
        while len(self._starts) <= number // _AT_ONCE:
            begin = (len(self._starts) - 1) * _AT_ONCE
            self._starts.append(self._after(self._entries[begin : begin + _AT_ONCE], self._starts[-1]))
        begin = number // _AT_ONCE * _AT_ONCE
        at = self._skip(self._starts[number // _AT_ONCE])
        for entry in self._entries[begin:number]:
            at = self._skip(at + len(entry))
        return at

    def _after(self, entries: Sequence[bytes], at: int) -> int:
        """Return where the last of these ends."""
        at = self._skip(at)
        end = at + len(entries[0])
        # most feeds were written by a program, with the same between all entries
        text = self._data[end : self._skip(end)].join(entries)
        if self._data.startswith(text, at):
            return at + len(text)
        for entry in entries:
            at = self._skip(at) + len(entry)
        return at

    def _skip(self, at: int) -> int:
        return _BETWEEN.match(self._data, at).end()  # type: ignore[union-attr]  # it matches everywhere
