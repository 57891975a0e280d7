"""``ostler.toml``: its values by dotted name, what is wrong with it as a whole, and on which line what stands."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

from core.errors import BadInput, Problem
from core.input_file import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

MOST = 1024 * 1024
WHOLE = frozenset({"limits"})
"""Tables whose names are the user's own, which may have dots in them."""
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_EXPECTED = {
    "Cannot overwrite": ("a key once", "it again"),
    "Cannot declare": ("a table once", "it again"),
    "Invalid value": ("a value: text in quotes, a number, true or false", ""),
    "Expected '='": ("= after a name", ""),
    "Unclosed array": ("] at the end of the list", ""),
    "Illegal character '\\n'": ("a closing quote", "the end of the line"),
    "Illegal character": ("no control character", "one"),
    "Expected newline": ("the end of the line after a value", ""),
    "Invalid statement": ("a line `name = value`", ""),
    "Invalid date": ("a date that there is", "another"),
}
"""By how the parser's message begins: what was expected, and found; empty: the character that stands there."""


class ConfigFile:
    """The file, read whole.

    Attributes:
        path: absolute.
        values: as they stand, by dotted name; a table that is empty, or one of ``WHOLE``, stands for itself.
    """

    def __init__(self, path: Path, *, required: bool) -> None:
        """Read it.

        Raises:
            BadInput: it cannot be read, or is no TOML; or it is missing although it is required.
        """
        self.path = path
        self.values: dict[str, Any] = {}
        self._text = b""
        self._places: dict[str, tuple[int, int]] | None = None
        if not required and not os.path.lexists(path):
            return
        place = "OSTLER_CONFIG" if required and not os.path.exists(path) else str(path)  # noqa: PTH110 - a name too long is no error of it
        with opened(path, place, "a file of settings", "") as file:
            self._text = file.read(MOST + 1)
        self.values = self._parsed()

    def place(self, name: str) -> tuple[int | None, int | None]:
        """Return line and column where a value is named, (None, None) if that cannot be said."""
        if self._places is None:
            self._places = _places(self._text)
        return self._places.get(name, (None, None))

    def _parsed(self) -> dict[str, Any]:
        if len(self._text) > MOST:
            raise self._wrong("at most 1 MB of TOML", "more")
        if self._text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._wrong("text in UTF-8", "UTF-16", hint="save the file as UTF-8")
        try:
            return dict(_flat(tomllib.loads(self._text.decode("utf-8-sig"))))
        except UnicodeDecodeError as exc:
            line = self._text.count(b"\n", 0, exc.start) + 1
            found = f"byte 0x{self._text[exc.start]:02x}"
            raise self._wrong("text in UTF-8", found, line=line, hint="save the file as UTF-8") from exc
        except tomllib.TOMLDecodeError as exc:
            raise self._syntax(str(exc)) from exc
        except RecursionError as exc:
            raise self._wrong("lists and names of few levels", "very many") from exc
        except ValueError as exc:  # an integer of thousands of digits, a date that there is not
            raise self._wrong("values in range", "one that is not") from exc

    def _syntax(self, message: str) -> BadInput:
        where = _PLACE.search(message)
        text = _PLACE.sub("", message)
        known = next((words for begin, words in _EXPECTED.items() if text.startswith(begin)), None)
        expected, found = known or ("valid TOML", text[:1].lower() + text[1:])
        if where is None or where["line"] is None:
            return self._wrong(expected, "the end of the file", line=self._text.count(b"\n") + 1)
        line, column = int(where["line"]), int(where["column"])
        lines = self._text.decode("utf-8-sig").split("\n")
        rest = lines[line - 1][column - 1 :].rstrip("\r")
        hint = "text stands in quotes" if text == "Invalid value" and re.match(r"[A-Za-z/~.]", rest) else ""
        found = found or (f"'{rest[:1]}'" if rest else "the end of the line")
        return self._wrong(expected, found, line=line, column=column, hint=hint)

    def _wrong(
        self, expected: str, found: str, *, line: int | None = None, column: int | None = None, hint: str = ""
    ) -> BadInput:
        problem = Problem(place=str(self.path), line=line, column=column, expected=expected, found=found, hint=hint)
        return BadInput([problem])


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value and prefix + name not in WHOLE:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _places(data: bytes) -> dict[str, tuple[int, int]]:
    """Return (line, column) of every key; the parser that knows positions is loaded only where they are asked for."""
    import tree_sitter_toml  # noqa: PLC0415
    from tree_sitter import Language, Parser  # noqa: PLC0415

    found: dict[str, tuple[int, int]] = {}
    todo: list[tuple[Node, str]] = [(Parser(Language(tree_sitter_toml.language())).parse(data).root_node, "")]
    while todo:
        node, prefix = todo.pop()
        if node.type in {"pair", "table", "table_array_element"} and node.named_children:
            key = node.named_children[0]
            prefix += _key(key)
            found.setdefault(prefix, (key.start_point.row + 1, key.start_point.column + 1))
            prefix += "."
        todo += [(child, prefix) for child in node.named_children]
    return found


def _key(node: Node) -> str:
    parts: list[str] = []
    while node.type == "dotted_key":  # all but the last part of it are a dotted key again
        *rest, last = node.named_children
        parts.append(_bare(last))
        if not rest:
            return ".".join(reversed(parts))
        node = rest[0]
    return ".".join(reversed([*parts, _bare(node)]))


def _bare(node: Node) -> str:
    return (node.text or b"").decode(errors="replace").strip("\"'")
