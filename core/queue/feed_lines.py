"""Where in a feed something stands, also after the feed was mended so that it can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Edit(NamedTuple):
    """So many bytes at an offset were replaced by so many others."""

    at: int
    removed: int
    added: int

    def undone(self, offset: int) -> int:
        """Return the offset before the edit of what stands at ``offset`` after it."""
        if offset < self.at + self.added:
            return min(offset, self.at + self.removed)
        return offset - self.added + self.removed


def original(offset: int, edits: Sequence[Edit]) -> int:
    """Return the offset before all of these edits, which are given in the order in which they were made."""
    for edit in reversed(edits):
        offset = edit.undone(offset)
    return offset


class Lines:
    """The lines of a text.

    Args:
        data: the text as the user wrote it.
        first: number of its first line.
        edits: what was done to it since; offsets are those of the result.
    """

    def __init__(self, data: bytes, first: int = 1, edits: Sequence[Edit] = ()) -> None:
        self._data = data
        self._first = first
        self._edits = edits

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both 1-based, the column in characters."""
        offset = original(offset, self._edits)
        start = self._data.rfind(b"\n", 0, offset) + 1
        return self._first + self._data.count(b"\n", 0, start), len(
            self._data[start:offset].decode(errors="replace")
        ) + 1
