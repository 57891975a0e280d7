"""Why a text is no JSON in UTF-8, in words.

Judged by the standard library, whose messages say what it waited for; the constants that it alone takes are refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from core.queue.feed_check import MAX_DEPTH
from core.queue.feed_job import quoted

VALUE = "Expecting value"
COMMA = "Expecting ',' delimiter"
COLON = "Expecting ':' delimiter"
NAME = "Expecting property name enclosed in double quotes"
EXTRA = "Extra data"
UNENDED = "Unterminated string starting at"
CONTROL = "Invalid control character at"
ESCAPE = "Invalid \\escape"
UNICODE = "Invalid \\uXXXX escape"
CONSTANT = "A constant that is no JSON"
START = "No list or object"
"""These two are our own; the others are the library's words."""
_NEWER = {
    "Illegal trailing comma before end of object": NAME,
    "Illegal trailing comma before end of array": VALUE,
}
"""From Python 3.13 on, and placed at the comma; said here as before, so that every Python says the same."""
_EXPECTING = {
    VALUE: "a value",
    COMMA: "a comma or the end of what was opened",
    COLON: "a colon",
    NAME: "a field name in double quotes",
    EXTRA: "nothing after the end of the value",
    UNENDED: "a closing quote for the string that begins here",
    CONTROL: "no line break or control character inside a string",
    ESCAPE: 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u after a backslash',
    UNICODE: "four hexadecimal digits after \\u",
    CONSTANT: "a finite number",
    START: "a value",
}
_BLANK = re.compile(r"[ \t\r\n]*")


class Flaw(NamedTuple):
    """Why a text is no JSON, and at which byte."""

    offset: int
    expected: str
    found: str
    hint: str = ""


def settled(message: str, text: str, at: int) -> tuple[str, int]:
    """Return the library's message in the words of every Python, and the place of what was found instead."""
    if message in _NEWER:
        return _NEWER[message], skip(text, at + 1)
    return message, at if message == CONTROL else skip(text, at)


def skip(text: str, at: int) -> int:
    """Return where the next character stands that is not blank."""
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere


def expected(message: str) -> str:
    """Return what the library waited for."""
    return _EXPECTING.get(message, "valid JSON")


def found(message: str, text: str, at: int) -> str:
    """Return what stands there instead, in a text that has a character for each byte."""
    if message == UNENDED:
        return "none"
    if message == CONSTANT:
        return re.compile(r"-?\w+").match(text, at)[0]  # type: ignore[index]  # it is one
    character = text[at : at + 4].encode("latin-1").decode(errors="ignore")[:1]
    return quoted(character) if character else "the end of the text"


def not_utf8(data: bytes) -> Flaw | None:
    """Return where the text stops being UTF-8, or None."""
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        return Flaw(exc.start, "text in UTF-8", f"byte 0x{data[exc.start]:02x}", "save the file as UTF-8")
    return None


def too_deep(data: bytes) -> Flaw:
    """Return where nesting goes too deep; brackets inside strings may make it a little early."""
    depth = 0
    for match in re.finditer(rb"[][{}]", data):
        depth += 1 if match[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            break
    return Flaw(match.start(), f"at most {MAX_DEPTH} levels of nesting", "more")
