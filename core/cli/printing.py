"""How commands print: JSON for programs, aligned columns for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from core.console.wording import one_line
from core.text import encodable_within, visible, visible_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1000


def print_json(value: Any) -> None:
    """Print a value as indented JSON. What a command prints this way is described in ``docs/schemas``."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file's name need not be text
        data = msgspec.json.encode(encodable_within(msgspec.to_builtins(value)))
    sys.stdout.write(visible_json(msgspec.json.format(data, indent=2).decode()) + "\n")


def say(lines: Iterable[str]) -> None:
    """Print lines for people. What others wrote may stand in them: each stays one line, and no terminal obeys it."""
    sys.stdout.writelines(visible(line).replace("\n", "\\n") + "\n" for line in lines)


def say_aside(text: object) -> None:
    """Print a message to standard error, which need not be one line."""
    sys.stderr.write(f"ostler: {visible(str(text))}\n")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned cells; nothing in a cell reaches the terminal as a command."""
    plain = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in plain]


def size(number: float) -> str:
    """Return bytes as people say them: ``1.5 GB``."""
    for unit in _UNITS[:-1]:
        if abs(number) < _STEP:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
