"""A file that a user names: opened only if it is one, and read only if nobody changes it meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import IO, TYPE_CHECKING

from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def absolute(text: str, base: Path) -> Path:
    """Return a path that starts from ``base`` unless it is absolute; ``~`` of somebody unknown stays as it is."""
    return base / os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for an unknown user


def is_regular(path: Path) -> bool:
    """Whether there is a file that reading comes to the end of; opening a pipe would wait for its writer."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def opened(
    path: Path, place: str, expected: str = "a queue file", otherwise: str = "pipe it in, and give - as the queue"
) -> Iterator[IO[bytes]]:
    """Open a file for reading.

    Args:
        path: absolute.
        place: what the user calls it.
        expected: what it should be.
        otherwise: what to do with a pipe.

    Raises:
        BadInput: it is none, or may not be read.
    """
    hint = f"looked at {path}" if str(path) != place else ""
    try:
        mode = _mode(path)
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                yield file
            return
        found = next((kind for is_it, kind in _KINDS if is_it(mode)), "something else")
        hint = "" if stat.S_ISDIR(mode) else otherwise
    except FileNotFoundError:
        found = "nothing there"
    except PermissionError:
        found, hint = "a file that may not be read", "check its owner and mode"
    except OSError as exc:
        found = exc.strerror or type(exc).__name__
    raise BadInput([Problem(place=place, expected=expected, found=found, hint=hint)])


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except ValueError as exc:  # a zero in it, or half a pair of surrogates
        raise FileNotFoundError(path) from exc


def moment_of(stream: IO[bytes]) -> tuple[int, int] | None:
    """Return what a write to an open file changes; None for what is no file."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # io.UnsupportedOperation among them
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def refuse_changed(stream: IO[bytes], before: tuple[int, int] | None, place: str) -> None:
    """Refuse what may be half an old version and half a new one.

    Raises:
        BadInput: the file was written to since ``before``.
    """
    if moment_of(stream) != before:
        hint = "run the same command again once it is written; a file that is replaced by a rename is never half there"
        raise BadInput(
            [Problem(place=place, expected="a file that stays as it is while it is read", found="changes", hint=hint)]
        )
