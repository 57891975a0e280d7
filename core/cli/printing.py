"""How commands print: JSON for programs, aligned columns for people."""

from __future__ import annotations

import logging
import re
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from core.console.wording import one_line
from core.text import encodable_within, visible, visible_json
from core.upkeep.finding import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from core.upkeep.finding import Finding

_MARKS = {Level.OK: "ok  ", Level.WARN: "WARN", Level.BAD: "BAD "}
_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1000
_GAP = "  "
_NARROWEST = 10
"""Columns are not made narrower than this; heads and numbers that need less take less."""
_PIECE = re.compile(r"[^\s_/.,-]*[\s_/.,-]+|[^\s_/.,-]+")


def print_json(value: Any) -> None:
    """Print a value as indented JSON. What a command prints this way is described in ``docs/schemas``."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file's name need not be text
        data = msgspec.json.encode(encodable_within(msgspec.to_builtins(value)))
    sys.stdout.write(visible_json(msgspec.json.format(data, indent=2).decode()) + "\n")


def print_json_lines(texts: Iterable[bytes]) -> None:
    """Print JSON, each text on a line of its own, so that who follows has it now."""
    sys.stdout.writelines(visible_json(text.decode()) + "\n" for text in texts)
    sys.stdout.flush()


def say(lines: Iterable[str], *, now: bool = False) -> None:
    """Print lines for people. What others wrote may stand in them: each stays one line, and no terminal obeys it.

    Args:
        lines: without line breaks.
        now: whoever follows has them at once.
    """
    sys.stdout.writelines(visible(line).replace("\n", "\\n") + "\n" for line in lines)
    if now:
        sys.stdout.flush()


def say_aside(text: object) -> None:
    """Print a message to standard error, which need not be one line."""
    sys.stderr.write(f"ostler: {visible(str(text))}\n")


def lines_of_findings(findings: Iterable[Finding]) -> list[str]:
    """Return what a check-up found, each with what to do about it."""
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.level]}  {finding.check:<14}{one_line(finding.what)}")
        if finding.fix:
            lines.append(f"{'':20}-> {one_line(finding.fix)}")
    return lines


def log_aside() -> None:
    """Let warnings that a command logs be messages on standard error: what it prints may be JSON for a program."""
    structlog.configure(
        processors=[_as_message],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: _Aside(),
        cache_logger_on_first_use=False,
    )


class _Aside:
    """What structlog hands lines to."""

    def msg(self, line: str) -> None:
        """Print one."""
        say_aside(line)

    warning = error = critical = exception = msg


def _as_message(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    what = str(event.pop("event")).replace("_", " ")
    event.pop("exc_info", None)
    said = ", ".join(f"{name} {value}" for name, value in event.items())
    return f"{what}: {said}" if said else what


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned cells; nothing in a cell reaches the terminal as a command."""
    plain = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in plain]


def fitted(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Return rows as ``columns`` does, the first of them the head, each as lines of at most ``width``; nothing is left out.

    What is too long for its column goes on in the next line. Where columns would be too narrow to read there is no head, and
    each row has a line for each column.
    """
    plain = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    room = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    if sum(widths) > room:
        return [[], *(_block(plain[0], row, width) for row in plain[1:])]
    return [_fitted_row(row, widths) for row in plain]


def _fitted_row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [folded(cell, most) for cell, most in zip(row, widths, strict=True)]
    return [
        _GAP.join(part.ljust(most) for part, most in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _block(head: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    first = max(map(len, head))
    lines: list[str] = []
    for name, cell in zip(head, row, strict=True):
        parts = folded(cell, max(width - first - len(_GAP), 1))
        lines += [f"{label:<{first}}{_GAP}{part}" for label, part in zip_longest([name], parts, fillvalue="")]
    return lines


def folded(cell: str, width: int) -> list[str]:
    """Return a cell as lines: broken at blanks, within a long name after its underscores and the like, else anywhere."""
    lines = [""]
    for piece in _PIECE.findall(cell):
        for part in (piece[at : at + width] for at in range(0, len(piece), width)):
            if len(lines[-1]) + len(part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return [line.strip() for line in lines]


def size(number: float) -> str:
    """Return bytes as people say them: ``1.5 GB``."""
    for unit in _UNITS[:-1]:
        if abs(number) < _STEP:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
