"""How commands print: JSON for programs, aligned columns for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from core.console.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1000


def print_json(value: Any) -> None:
    """Print a value as indented JSON. What a command prints this way is described in ``docs/schemas``."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


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
