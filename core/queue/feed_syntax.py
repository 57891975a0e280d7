"""Where a text stops being JSON in UTF-8, and why.

Judged by the standard library, whose messages say what it waited for; the constants that it alone takes are refused.
"""

from __future__ import annotations

import bisect
import json
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.queue.feed_job import quoted

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_DEPTH = 100
"""How deep a value may be nested: far from where a decoder in a deep call runs out of stack."""

_NEWER = {
    "Illegal trailing comma before end of object": "Expecting property name enclosed in double quotes",
    "Illegal trailing comma before end of array": "Expecting value",
}
"""From Python 3.13 on, and placed at the comma; said here as before, so that every Python says the same."""
_EXPECTING = {
    "Expecting value": "a value",
    "Expecting ',' delimiter": "a comma or the end of what was opened",
    "Expecting ':' delimiter": "a colon",
    "Expecting property name enclosed in double quotes": "a field name in double quotes",
    "Extra data": "nothing after the end of the value",
    "Unterminated string starting at": "a closing quote for the string that begins here",
    "Invalid control character at": "no line break or control character inside a string",
    "Invalid \\escape": 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u after a backslash',
    "Invalid \\uXXXX escape": "four hexadecimal digits after \\u",
}


class Text:
    """A piece of a feed, and where it begins.

    Attributes:
        data: the bytes.
        line: number of the first line.
    """

    def __init__(self, data: bytes, line: int = 1) -> None:
        self.data = data
        self.line = line
        self._starts = [0, *(match.end() for match in re.finditer(rb"\n", data))]

    def of(self, node: Node) -> bytes:
        """Return the text of a node."""
        return self.data[node.start_byte : node.end_byte]

    def line_of(self, offset: int) -> int:
        """Return the line that an offset is in."""
        return self.line + bisect.bisect_right(self._starts, offset) - 1

    def column_of(self, offset: int) -> int:
        """Return the column of an offset, 1-based, in characters."""
        start = self._starts[bisect.bisect_right(self._starts, offset) - 1]
        return len(self.data[start:offset].decode(errors="replace")) + 1


class Flaw(NamedTuple):
    """Why a text is no JSON, and at which byte."""

    offset: int
    expected: str
    found: str
    hint: str = ""


class _ConstantFound(Exception):
    """A way out of the standard library's parser."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def find_flaw(data: bytes, *, is_file: bool) -> Flaw | None:
    """Return the first thing that keeps the text from being JSON, or None.

    Args:
        data: the text, without byte order mark.
        is_file: whether it is a whole ``*.json`` file, where more than one value may be JSON Lines under a wrong name.
    """
    if (flaw := not_utf8(data)) is not None:
        return flaw
    text = data.decode()
    try:
        json.loads(text, parse_constant=_refuse, parse_int=len)  # an integer of any length: judged as a value
    except json.JSONDecodeError as exc:
        return _syntax(text, exc, is_file=is_file)
    except RecursionError:
        return Flaw(_deep(data), f"at most {MAX_DEPTH} levels of nesting", "more")
    except _ConstantFound as exc:
        return Flaw(_constant(data), "a finite number", exc.name)
    return None


def not_utf8(data: bytes) -> Flaw | None:
    """Return where the text stops being UTF-8, or None."""
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        return Flaw(exc.start, "text in UTF-8", f"byte 0x{data[exc.start]:02x}", "save the file as UTF-8")
    return None


def _refuse(name: str) -> None:
    raise _ConstantFound(name)


def _syntax(text: str, exc: json.JSONDecodeError, *, is_file: bool) -> Flaw:
    message = _NEWER.get(exc.msg, exc.msg)
    rest = text[exc.pos :] if message == exc.msg else text[exc.pos + 1 :]
    if not message.startswith("Invalid control"):
        rest = rest.lstrip(" \t\r\n")
    offset = len(text[: len(text) - len(rest)].encode())
    found = quoted(rest[:1]) if rest else "the end of the text"
    return Flaw(offset, _EXPECTING.get(message, "valid JSON"), found, _hint(message, rest[:1], is_file=is_file))


def _hint(message: str, found: str, *, is_file: bool) -> str:
    if message == "Extra data" and is_file:
        return "one job a line belongs in a *.jsonl file"
    if found == "'":
        return "strings stand in double quotes"
    if found in {"N", "T", "F"} and message == "Expecting value":
        return "JSON has null, true and false"
    if found in {"/", "#"}:
        return "JSON has no comments"
    if (found == "}" and message.startswith("Expecting property name")) or (
        found == "]" and message == "Expecting value"
    ):
        return "no comma before it"
    return ""


def _constant(data: bytes) -> int:
    """Return where a constant stands that is no JSON; msgspec says at which byte it gave up."""
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError as exc:
        digits = str(exc).rpartition("(byte ")[2].rstrip(")")
        offset = int(digits) if digits.isdigit() else 0
        return offset - 1 if data[max(offset - 1, 0) : offset] == b"-" else offset
    return 0


def _deep(data: bytes) -> int:
    """Return where nesting goes too deep; brackets inside strings may make it a little early."""
    depth = 0
    for match in re.finditer(rb"[][{}]", data):
        depth += 1 if match[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            return match.start()
    return 0
