"""``ostler logs``: what one profile, or the orchestrator, is doing."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.profile_id import add_id
from core.domain.outcome import ExitCode
from core.domain.validation import require_id
from core.errors import BadInput, Problem
from core.text import visible
from core.upkeep.log_lines import LEVELS, LogReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from core.settings import Settings

_INTERVAL = 0.2
_LINES = 100
_DIGITS = 9


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "logs", "show the last lines of a profile's log, and those that follow",
        ["logs anna -f", "logs orchestrator --level warning"],
    )  # fmt: skip
    add_id(command, needed=True, says="a profile, or `orchestrator`")
    command.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until ^C")
    command.add_argument("-n", "--lines", metavar="LINES", type=_number, default=_LINES, help=f"default: {_LINES}")
    command.add_argument("--level", choices=LEVELS, default="debug", help="leave out what is less important")
    command.set_defaults(run=_logs)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise argparse.ArgumentTypeError("expected a number of lines, 0 or more")
    return int(text)


def _logs(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    path = settings.log_dir / f"{require_id(arguments.profile_id)}.log"
    with _readable(path):
        if not arguments.follow:
            path.stat()
        reader = LogReader(path, least=arguments.level)
    # ^C is how following ends
    with contextlib.closing(reader), contextlib.suppress(KeyboardInterrupt):
        with _readable(path):
            lines = reader.last(arguments.lines)
        _write(lines)
        while arguments.follow:
            with _readable(path):
                lines = reader.new()
            _write(lines)
            if not lines:
                time.sleep(_INTERVAL)
    return ExitCode.DONE


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        found = f"nothing at {path}" if isinstance(exc, FileNotFoundError) else f"{path}: {exc.strerror}"
        raise BadInput([Problem(place="ID", expected="a profile that has a log", found=found)]) from exc


def _write(lines: Iterable[bytes]) -> None:
    for line in lines:
        # what stands in a log was made harmless on its way there, but anybody may have written to it since
        sys.stdout.write(visible(line.decode("utf-8", "replace")) + "\n")
    sys.stdout.flush()
