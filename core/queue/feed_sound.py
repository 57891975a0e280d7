"""What is wrong with a value whatever it is for: a key twice, a number out of range, an escape that stands for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from core.queue.feed_check import MAX_DEPTH, MISTAKES, is_deeper, refuse_twice
from core.queue.feed_syntax import too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.queue.feed_value import Value

_NO_CHARACTER = "an escape that stands for none"


class Unsound(NamedTuple):
    """A mistake, and where it is."""

    at: int
    field: str
    expected: str
    found: str


def unsound(top: Value, path: str, line_of: Callable[[int], int]) -> Iterator[Unsound]:
    """Yield the mistakes in a value.

    Args:
        top: the value, which is JSON.
        path: of its field.
        line_of: gives the line of an offset.
    """
    if is_deeper(top.raw, MAX_DEPTH):
        yield Unsound(top.at + too_deep(top.raw).offset, path, f"at most {MAX_DEPTH} levels of nesting", "more")
        return
    todo = [(top, path)]
    while todo:
        value, at = todo.pop()
        if _is_sound(value.raw):
            continue
        if value.kind == "number":
            yield Unsound(value.at, at, "a number in range", shortened(value.text))
        elif value.kind == "string":
            yield Unsound(value.at, at, "a string of valid characters", _NO_CHARACTER)
        elif value.kind == "list":
            todo += [(item, f"{at}[{number}]") for number, item in enumerate(value.items())][::-1]
        elif value.kind == "object":
            yield from _names(value, at, line_of)
            todo += [(member, joined(at, key.text)) for key, member in value.members()][::-1]


def _names(value: Value, path: str, line_of: Callable[[int], int]) -> Iterator[Unsound]:
    """Yield what is wrong with the names in an object."""
    seen: dict[str, int] = {}
    for key, _ in value.members():
        name = key.text
        if not key.is_a(str):
            yield Unsound(key.at, path, "a key of valid characters", _NO_CHARACTER)
        elif name in seen:
            yield Unsound(key.at, joined(path, name), "a key once", f"it again; line {line_of(seen[name])} has it")
        seen[name] = key.at


def joined(path: str, name: str) -> str:
    """Return the path of a member."""
    return f"{path}.{name}" if path else name


def shortened(text: str, most: int = 20) -> str:
    """Return the beginning of what may be very long."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _is_sound(raw: bytes) -> bool:
    try:
        refuse_twice(raw)
    except MISTAKES:
        return False
    return True
