"""Where the parts of a JSON text stand, and what keeps it from being JSON.

Values are read by the standard library, which says where each ends or why there is none; the marks between them are looked
at here. A flaw is noted and mended, if it is clear how, and the part that it is in is read again.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from core.queue import feed_syntax as syntax
from core.queue.feed_lines import Edit, Lines, original
from core.queue.feed_mends import NO_COMMA, hint, mend
from core.queue.feed_syntax import Flaw, skip

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 20
_CLOSING = {"[": "]", "{": "}"}
_STRING_OR_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?Infinity|NaN')
_MOST_READ_AGAIN = 100_000_000
"""Bytes, because something in them was mended: about a second of work."""
_MOST_FLAWS = 20_000
_LINES = "one job a line belongs in a *.jsonl file"


class Part(NamedTuple):
    """An item of a list, whose name is empty, or a member of an object, by where it stands."""

    name: slice
    value: slice


class _Lost(Exception):
    """What follows cannot be told apart.

    Attributes:
        at: where it begins.
        flaw: the number of the flaw that says so; -1 if it is not shown.
    """

    def __init__(self, at: int, flaw: int) -> None:
        self.at = at
        self.flaw = flaw
        super().__init__(at)


class Reader:
    """Reads a text in UTF-8 that may be JSON.

    Attributes:
        text: with a character for each byte, so that offsets are those of bytes; mended.
        flaws: what was wrong, the first 20 of it; their offsets are those of the text as it came.
        more: how many flaws there were beyond those.
        root: where its value stands; None if it makes no sense.
        members: of the root, if that is an object.
        items: of the root, if that is a list; of an object's list that was asked for by its name.
        items_at: where their list begins; -1 if there is none.
        complete: whether all of the text was read.
    """

    def __init__(self, data: bytes, known: bytes = b"", since: int = 0) -> None:
        """Take a text, and what of it need not be read again.

        Args:
            data: the text.
            known: a large value that stands in it.
            since: the comma behind those items that are known, of the list whose items are wanted.
        """
        self.text = data.decode("latin-1")
        self.flaws: list[Flaw] = []
        self.more = 0
        self.root: slice | None = None
        self.members: list[Part] = []
        self.items: list[Part] = []
        self.items_at = -1
        self.complete = True
        self._data = data
        self._known = known
        self._since = since
        self._wanted = ""
        self._items_end = -1
        self._edits: list[Edit] = []
        self._read_again = 0
        self._end = 0
        self._constants = 0
        self._decode = json.JSONDecoder(parse_constant=self._note_constant, parse_int=len, parse_float=len).raw_decode

    def read(self, *, items: str = "", is_line: bool = False, is_file: bool = False) -> None:
        """Read the text; what there is of it stands in the attributes.

        Args:
            items: the name of a list in the root object whose items are wanted.
            is_line: whether it is a line of a feed, which may be any value; else it is a list or an object.
            is_file: whether it is a whole ``*.json`` file, where more than one value may be JSON Lines under a wrong name.
        """
        self._wanted = f'"{items}"' if items else ""
        try:
            self._read_root(is_line=is_line)
            self._read_end(_LINES if is_file else "")
        except _Lost as exc:
            self.complete = False
            if self.root is not None:
                self.root = slice(self.root.start, len(self.text))
                if not is_line and self.text[exc.at + 1 :].strip():
                    self._add_hint(exc, "what follows it could not be read")
        except RecursionError:
            self.flaws, self.more, self.root = [syntax.too_deep(self._data)], 0, None

    def parts(self, at: int, since: int = 0) -> Iterator[Part]:
        """Yield the parts of a list or an object; of an item that makes no sense only where it begins.

        Args:
            at: where it begins.
            since: the comma before the first part that is wanted; nothing for all of them.
        """
        closing = _CLOSING[self.text[at]]
        comma = since
        at = (since or at) + 1
        while True:
            try:
                part = self._part(at, closing)
            except _Lost as exc:
                begin = skip(self.text, at)
                at = self._next_like(begin, closing)
                if at < 0:
                    raise
                if exc.at >= at:
                    line, _ = self.lines().place(begin)
                    self._add_hint(exc, f"what begins in line {line} has no end")
                yield Part(slice(begin, begin), slice(begin, begin))
                continue
            if part is None:
                if comma:
                    self._note(syntax.NAME if closing == "}" else syntax.VALUE, self._end - 1, NO_COMMA)
                    self._replace(comma, comma + 1, "")
                    self._end -= 1
                return
            yield part
            at = skip(self.text, part.value.stop)
            if self.text[at] == closing:
                self._end = at + 1
                return
            comma, at = at, at + 1

    def is_endless(self) -> bool:
        """Whether looking for flaws was given up because it took too long."""
        return self._read_again > _MOST_READ_AGAIN or self.more > _MOST_FLAWS

    def lines(self, first: int = 1) -> Lines:
        """Return where things stand in the text as it is now."""
        return Lines(self._data, first, self._edits)

    def _read_root(self, *, is_line: bool) -> None:
        at = 0
        while self.root is None:
            at = skip(self.text, at)
            if self.text[at : at + 1] in {"[", "{"}:
                self.root = slice(at, at)
                is_list = self.text[at] == "["
                self.items_at = at if is_list else -1
                into = self.items if is_list else self.members
                for part in self.parts(at, self._since if is_list else 0):
                    into.append(part)
                break
            try:
                self._end = self._value(at)
                break
            except json.JSONDecodeError as exc:
                self._mend(exc.msg if is_line else syntax.START, exc.pos, at)
        self.root = slice(at, self._end)

    def _read_end(self, otherwise: str) -> None:
        while (at := skip(self.text, self._end)) < len(self.text):
            try:
                self._mend(syntax.EXTRA, at, at, otherwise if self.text[at] in '{["' else "")
            except _Lost:
                self.root = None
                raise

    def _part(self, at: int, closing: str) -> Part | None:
        """Return the part that begins there, mended; None if there is none any more."""
        while True:
            at = skip(self.text, at)
            if self.text.startswith(closing, at):
                self._end = at + 1
                return None
            try:
                return self._read_part(at, closing)
            except json.JSONDecodeError as exc:
                self._mend(exc.msg, exc.pos, at)

    def _read_part(self, at: int, closing: str) -> Part:
        text = self.text
        name, start = slice(at, at), at
        if closing == "}":
            if text[at : at + 1] != '"':
                raise json.JSONDecodeError(syntax.NAME, text, at)
            name = slice(at, self._decode(text, at)[1])
            colon = skip(text, name.stop)
            if text[colon : colon + 1] != ":":
                raise json.JSONDecodeError(syntax.COLON, text, colon)
            start = skip(text, colon + 1)
        is_wanted = closing == "}" and text[name] == self._wanted
        value = slice(start, self._wanted_items(start) if is_wanted else self._value(start))
        after = skip(self.text, value.stop)
        if self.text[after : after + 1] not in {",", closing}:
            raise json.JSONDecodeError(syntax.COMMA, self.text, after)
        return Part(name, value)

    def _wanted_items(self, at: int) -> int:
        """Read the list that was asked for; what follows it may have to be read again, and a second one is any value."""
        if self.text[at : at + 1] != "[" or self.items_at not in {-1, at}:
            return self._value(at)
        if self.items_at == -1:
            self.items_at = at
            for part in self.parts(at, self._since):
                self.items.append(part)
            self._items_end = self._end
        return self._items_end

    def _value(self, at: int) -> int:
        """Return where a value ends.

        Raises:
            json.JSONDecodeError: there is none, or one that is no JSON.
        """
        if self._known and self._data.startswith(self._known, at):
            return at + len(self._known)
        self._constants = 0
        end: int = self._decode(self.text, at)[1]
        if self._constants:
            found = next(found for found in _STRING_OR_CONSTANT.finditer(self.text, at, end) if found[0][0] != '"')
            raise json.JSONDecodeError(syntax.CONSTANT, self.text, found.start())
        return end

    def _note_constant(self, name: str) -> None:
        del name
        self._constants += 1

    def _mend(self, message: str, at: int, since: int, otherwise: str = "") -> None:
        """Note a flaw and mend it.

        Args:
            message: the library's.
            at: where it stands.
            since: where the part begins that is read again.
            otherwise: a hint, if there is no other.

        Raises:
            _Lost: it cannot be mended.
        """
        message, at = syntax.settled(message, self.text, at)
        fix = None if self.is_endless() else mend(message, self.text, at)
        if fix is None:
            # a string without an end leaves nothing to read
            raise _Lost(len(self.text) if message == syntax.UNENDED else at, self._note(message, at, otherwise))
        if fix.at is None:
            self._note(message, at, fix.hint)
        else:
            self._note(syntax.UNENDED, fix.at, fix.hint)
        # the text is copied, which is fast, and read again, which is not
        self._read_again += at - since + len(self.text) // 16
        self._replace(fix.start, fix.end, fix.new)

    def _replace(self, start: int, end: int, new: str) -> None:
        self.text = self.text[:start] + new + self.text[end:]
        self._edits.append(Edit(start, end - start, len(new)))

    def _note(self, message: str, at: int, said: str) -> int:
        """Note a flaw; return its number, or -1 if it is not shown."""
        if len(self.flaws) >= SHOWN:
            self.more += 1
            return -1
        offset = original(at, self._edits)
        # what is wrong with a place that was mended already follows from the mend
        if not (self.flaws and self.flaws[-1].offset == offset):
            found = syntax.found(message, self.text, at)
            self.flaws.append(Flaw(offset, syntax.expected(message), found, said or hint(message, self.text, at)))
        return len(self.flaws) - 1

    def _add_hint(self, lost: _Lost, said: str) -> None:
        if lost.flaw >= 0 and not self.flaws[lost.flaw].hint:
            self.flaws[lost.flaw] = self.flaws[lost.flaw]._replace(hint=said)

    def _next_like(self, at: int, closing: str) -> int:
        """Return where the next item of a list probably begins, in a line of its own, as far in as this one; -1 if nowhere."""
        lead = self.text[self.text.rfind("\n", 0, at) + 1 : at]
        begin = self.text[at : at + 1]
        if closing == "}" or lead.strip() or begin not in {"{", '"', "["} or self.is_endless():
            return -1
        found = re.compile(f"\n{lead},?{re.escape(begin)}").search(self.text, at + 1)
        return found.end() - 1 if found else -1
