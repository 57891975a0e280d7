"""How a text that is no JSON was probably meant, so that the flaws after the first can be found, too.

Nothing that is mended here is ever run: it is only read on, for what else to say. Where more than one meaning is likely,
there is no mend, since every further mistake might only follow from the wrong one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from core.queue.feed_syntax import COLON, COMMA, CONSTANT, CONTROL, ESCAPE, EXTRA, NAME, START, UNENDED, UNICODE, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

NO_COMMENTS = "JSON has no comments"
NO_COMMA = "no comma before it"
QUOTES = "strings stand in double quotes"
CONSTANTS = "JSON has null, true and false"
_NUMBERS = "numbers are written as 5, 0.5, -1 or 1e3"

# The text has a character for each byte of UTF-8: “ is \xe2\x80\x9c.
_ENDS = r"(?=[ \t\r]*(?:[,\]}\n]|//|/\*|#|\Z))"
_THEN = r"(?=[ \t\r\n]*(?:[,:\]}]|//|/\*|#|\Z))"
_COMMENT = re.compile(r"(?://|#)[^\n]*|/\*(?s:.*?)\*/")
_QUOTED = re.compile(
    r"(?:['`]|\xe2\x80[\x98-\x9f]|\xc2[\xab\xbb])"
    r"((?:[^\\\n]|\\.)*?)"
    r"(?:['`\"]|\xe2\x80[\x98-\x9f]|\xc2[\xab\xbb])" + _THEN
)
_UNOPENED = re.compile(r"[^\"'\n,:\[\]{}]*[^\"'\n,:\[\]{}\s]\"" + _THEN)
_NAME = re.compile(r"[\w$\x80-\xff][\w$.\x80-\xff-]*+(?=[ \t\r\n]*[:=])")
_WORD = re.compile(r"(?!/[*/])[A-Za-z_$~/\x80-\xff][^\s\"',\[\]{}]*+" + _ENDS)
_NUMBER = re.compile(r"[+.-]*+\d[^\s\"',\[\]{}]*+" + _ENDS)
_END_OF_NUMBER = re.compile(r"[\w.+-]*\Z")
_LONGEST_NUMBER = 100
_NO_NUMBER = re.compile(r"-?[A-Za-z]+")
_BEGIN = re.compile(r"[\"'{\[\w-]")
_UNSEEN = re.compile(r"(?:\xef\xbb\xbf|\xc2\xa0|\xe2\x80[\x8b-\x8f\xa8\xa9]|[\x0b\x0c])+")
_EQUALS = re.compile(r"=>?|:=")
_CLOSED_TOO_LATE = re.compile(r"([^\"{}\[\],:]*[^\"{}\[\],:\s])\s*[{}\[\],:][\s{}\[\],:]*")
_NAME_AND_MORE = re.compile(r"([\w$-]+)\s*:[^\"\n]*")
_UNENDED_IN_LINE = re.compile(r"([^\"]*[^\"\s,\]}])([\s,\]}]*)")
_REST_OF_STRING = re.compile(r'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+')
_ESCAPES = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')
_CONSTANTS = {
    "none": "null", "null": "null", "nil": "null", "undefined": "null", "true": "true", "false": "false",
}  # fmt: skip


class Mend(NamedTuple):
    """What is put in place of a piece of the text, and what to say.

    Attributes:
        start: where the piece begins.
        end: where it ends.
        new: what is put there.
        hint: for the user; if empty, there is one that follows from the flaw.
        at: where the flaw is rather than where it was noticed: at the string whose closing quote is missing.
    """

    start: int
    end: int
    new: str
    hint: str = ""
    at: int | None = None


def mend(message: str, text: str, at: int) -> Mend | None:
    """Return how to read on, or None where that would be a guess.

    Args:
        message: what the library said, settled.
        text: with a character for each byte.
        at: where that was.
    """
    return next((found for way in _WAYS.get(message, ()) if (found := way(text, at)) is not None), None)


def hint(message: str, text: str, at: int) -> str:
    """Return what follows from a flaw that has no mend, or one that says nothing."""
    found = text[at : at + 1]
    if found == "'":
        return QUOTES
    if found in {"N", "T", "F"} and message == VALUE:
        return CONSTANTS
    if found in {"/", "#"}:
        return NO_COMMENTS
    if (found, message) in {("}", NAME), ("]", VALUE)}:
        return NO_COMMA
    if message in {COMMA, COLON} and found.isalnum() and text[at - 1] == '"':
        return 'a quote inside a string is written as \\"'
    return ""


def _before(text: str, at: int) -> int:
    """Return where the last character before ``at`` stands that is not blank; -1 if there is none."""
    return len(text[:at].rstrip(" \t\r\n")) - 1


def _comment(text: str, at: int) -> Mend | None:
    found = _COMMENT.match(text, at)
    return Mend(at, found.end(), "", NO_COMMENTS) if found else None


def _unseen(text: str, at: int) -> Mend | None:
    """A byte order mark, a space that does not break, and the like."""
    found = _UNSEEN.match(text, at)
    return Mend(at, found.end(), "", "it cannot be seen: delete it") if found else None


def _comma_before_the_end(text: str, at: int) -> Mend | None:
    comma = _before(text, at)
    return Mend(comma, comma + 1, "", NO_COMMA) if text[at : at + 1] in {"]", "}"} and text[comma] == "," else None


def _comma_too_many(text: str, at: int) -> Mend | None:
    if text[at : at + 1] == "," and text[_before(text, at)] in ",[{":
        return Mend(at, at + 1, "", "one comma too many")
    return None


def _no_value(text: str, at: int) -> Mend | None:
    return Mend(at, at, "null") if text[at : at + 1] in {",", "}"} and text[_before(text, at)] == ":" else None


def _other_quotes(text: str, at: int) -> Mend | None:
    found = _QUOTED.match(text, at)
    if found is None:
        return None
    inner = re.sub(r"(\\[^'])|\\'|\"", lambda part: part[1] or {'"': '\\"'}.get(part[0], "'"), found[1])
    return Mend(at, found.end(), f'"{inner}"', QUOTES)


def _no_opening_quote(text: str, at: int) -> Mend | None:
    return Mend(at, at, '"', "a quote is missing before it") if _UNOPENED.match(text, at) else None


def _constant(text: str, at: int) -> Mend | None:
    found = _WORD.match(text, at)
    constant = found and _CONSTANTS.get(found[0].lower())
    return Mend(at, found.end(), constant, CONSTANTS) if found and constant else None


def _no_finite_number(text: str, at: int) -> Mend | None:
    found = _NO_NUMBER.match(text, at)
    return Mend(at, found.end(), "null") if found else None


def _word(text: str, at: int) -> Mend | None:
    found = _WORD.match(text, at)
    return Mend(at, found.end(), _in_quotes(found[0]), QUOTES) if found else None


def _name(text: str, at: int) -> Mend | None:
    found = _NAME.match(text, at)
    return Mend(at, found.end(), _in_quotes(found[0]), QUOTES) if found else None


def _number(text: str, at: int) -> Mend | None:
    found = _NUMBER.match(text, at)
    if found is None:
        return None
    for kind in (int, float):
        try:
            return Mend(at, found.end(), json.dumps(kind(found[0]), allow_nan=False), _NUMBERS)
        except ValueError:
            continue
    return Mend(at, found.end(), _in_quotes(found[0]), QUOTES)


def _in_quotes(text: str) -> str:
    """Return a string that holds this; its backslashes are taken for characters."""
    return '"' + text.replace("\\", "\\\\") + '"'


def _rest_of_number(text: str, at: int) -> Mend | None:
    """The zero of ``01`` is a number, and so is the 1: begin anew at the zero."""
    start = at - len(_END_OF_NUMBER.search(text[max(0, at - _LONGEST_NUMBER) : at])[0])  # type: ignore[index]  # or it is ""
    if at - start == _LONGEST_NUMBER:
        return None
    found = (_number(text, start) or _word(text, start)) if start < at else None
    return found if found and found.end > at else None


def _quote_too_late(text: str, at: int) -> Mend | None:
    """In ``["anna, "bert"]`` the string that began at anna ends where bert begins."""
    if text[at - 1 : at] != '"' or not (text[at : at + 1].isalnum() or text[at : at + 1] == "_"):
        return None
    start = text.rfind('"', 0, at - 1)
    found = _CLOSED_TOO_LATE.fullmatch(text, start + 1, at - 1) if start >= 0 else None
    return Mend(found.end(1), found.end(1), '"', at=start) if found else None


def _name_too_long(text: str, at: int) -> Mend | None:
    """In ``{"priority: 1, "timeout": 5}`` the name goes on to the next quote."""
    start = text.rfind('"', 0, at - 1)
    found = _NAME_AND_MORE.fullmatch(text, start + 1, at - 1) if start >= 0 and text[at - 1] == '"' else None
    return Mend(found.end(1), found.end(1), '"', at=start) if found else None


def _equals(text: str, at: int) -> Mend | None:
    found = _EQUALS.match(text, at)
    return Mend(at, found.end(), ":") if found else None


def _semicolon(text: str, at: int) -> Mend | None:
    return Mend(at, at + 1, ",") if text[at : at + 1] == ";" else None


def _missing(mark: str) -> Callable[[str, int], Mend | None]:
    def missing(text: str, at: int) -> Mend | None:
        """A value begins; not right behind a quote, which is more likely to be one too many."""
        return Mend(at, at, mark) if _BEGIN.match(text, at) and text[at - 1 : at] != '"' else None

    return missing


def _no_closing_quote(text: str, at: int) -> Mend | None:
    """A string that goes to the end of its line, up to the marks that were meant to follow it."""
    start = text.rfind('"', 0, at)
    found = _UNENDED_IN_LINE.fullmatch(text, start + 1, at) if start >= 0 else None
    if found is None or text[at : at + 1] not in {"\n", "\r", ""}:
        return None
    follows = found[2].strip() or text[at:].lstrip()[:1] in {",", "]", "}"}
    return Mend(found.end(1), found.end(1), '"', at=start) if follows else None


def _no_closing_quote_at_all(text: str, at: int) -> Mend | None:
    del at  # where it begins
    return _no_closing_quote(text, len(text.rstrip()))


def _control_characters(text: str, at: int) -> Mend | None:
    if text[at : at + 1] in {"\n", "\r"}:
        return None
    end = _REST_OF_STRING.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere
    new = re.sub(r"[\0-\x1f]", lambda found: f"\\u{ord(found[0]):04x}", text[at:end])
    return Mend(at, end, new, "a tab is written as \\t" if text[at] == "\t" else "")


def _backslashes(text: str, at: int) -> Mend | None:
    start = text.rfind("\\", 0, at + 1)
    end = _REST_OF_STRING.match(text, start).end()  # type: ignore[union-attr]  # it matches everywhere
    new = _ESCAPES.sub(lambda found: found[0] if found[1] else "\\\\", text[start:end])
    # a string that is cut in an escape has no end, either: that is one flaw
    return (
        Mend(start, end, new, "a backslash is written twice")
        if new != text[start:end] and text[end:].startswith('"')
        else None
    )


_ANYWHERE = (_comment, _unseen)
_WAYS: dict[str, tuple[Callable[[str, int], Mend | None], ...]] = {
    VALUE: (
        *_ANYWHERE, _comma_before_the_end, _comma_too_many, _no_value, _other_quotes, _no_opening_quote, _constant, _word,
        _number,
    ),
    NAME: (
        *_ANYWHERE, _comma_before_the_end, _comma_too_many, _other_quotes, _no_opening_quote, _name,
    ),
    COLON: (*_ANYWHERE, _quote_too_late, _name_too_long, _equals, _missing(":")),
    COMMA: (*_ANYWHERE, _rest_of_number, _quote_too_late, _semicolon, _missing(",")),
    START: _ANYWHERE,
    EXTRA: _ANYWHERE,
    CONTROL: (_no_closing_quote, _control_characters),
    UNENDED: (_no_closing_quote_at_all,),
    ESCAPE: (_backslashes,),
    UNICODE: (_backslashes,),
    CONSTANT: (_no_finite_number,),
}  # fmt: skip
