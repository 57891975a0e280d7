"""A value in a feed: its text and where that begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.queue.feed_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {b"{": "object", b"[": "list", b'"': "string", b"t": "constant", b"f": "constant", b"n": "constant"}


class Value(NamedTuple):
    """A value that is JSON, and where it begins."""

    raw: bytes
    at: int = 0

    @property
    def kind(self) -> str:
        """``object``, ``list``, ``string``, ``constant`` or ``number``."""
        return _KINDS.get(self.raw[:1], "number")

    @property
    def text(self) -> str:
        """What a string says, or how anything else is written."""
        if self.kind == "string" and self.is_a(str):
            return str(msgspec.json.decode(self.raw))
        return self.raw.decode(errors="replace").strip('"')

    def is_a(self, type_: Any) -> bool:
        """Whether it can be decoded as that."""
        try:
            msgspec.json.decode(self.raw, type=type_)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        return True

    def items(self) -> Iterator[Value]:
        """Yield the items of a list."""
        for part in Reader(self.raw).parts(0):
            yield self._piece(part.value)

    def members(self) -> Iterator[tuple[Value, Value]]:
        """Yield the names and values of an object, in order; a name may come again."""
        for part in Reader(self.raw).parts(0):
            yield self._piece(part.name), self._piece(part.value)

    def _piece(self, piece: slice) -> Value:
        return Value(self.raw[piece], self.at + piece.start)
