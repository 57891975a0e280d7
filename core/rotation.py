"""A log and its older parts: making room for a new one, and reading all of them while somebody does."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    Identity = tuple[int, int, int]

MOST_KEPT = 999
"""Older parts that may be kept, and the highest number that is looked for."""
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
_LEAST_LOOKED_FOR = 8
"""A directory's list need not name what is renamed meanwhile; so many are looked for without it."""


def rotated(path: Path, number: int) -> Path:
    """Return where the ``number``-th older file is; 1 is the youngest of them, 0 the log itself."""
    return path.with_name(f"{path.name}.{number}") if number else path


def rotate(path: Path, max_bytes: int, keep: int) -> bool:
    """Move a log of at least ``max_bytes`` to ``<name>.1``, older ones one further, and drop what exceeds ``keep``.

    Only renames: a kill between two of them leaves a number out, which readers pass over and the next call fills. Returns
    whether it moved. Only the log's one writer calls this, and goes on in a new file.

    Raises:
        OSError: a file could not be moved; none is lost.
    """
    try:
        if path.stat().st_size < max_bytes:
            return False
    except FileNotFoundError:
        return False
    if keep == 0:
        path.unlink()
        return True
    for number in range(keep - 1, 0, -1):
        if rotated(path, number).exists():
            rotated(path, number).replace(rotated(path, number + 1))
    path.replace(rotated(path, 1))
    return True


def open_part(path: Path) -> FileIO:
    """Open a log for reading; what only looks like one is not waited for.

    Raises:
        OSError: it is not there, may not be read, or is no file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(kind, "Is a directory" if kind == errno.EISDIR else "Not a file", str(path))
    return os.fdopen(descriptor, "rb", buffering=0)


def open_parts(path: Path) -> list[tuple[int, FileIO]]:
    """Open a log and all of its older parts, the youngest first; return them with the numbers that they have.

    None is left out or opened twice, even if they are rotated meanwhile: they only move in the direction that is looked in.
    What stands in the place of an older part and is no file was not put there by us, and is left out.

    Raises:
        OSError: one may not be read, or the log itself is no file.
    """
    found: dict[tuple[int, int], tuple[int, FileIO]] = {}
    try:
        # parts move up by one: where the highest of them was is not the end
        for number in range(max(_highest(path) + 1, _LEAST_LOOKED_FOR) + 1):
            try:
                stream = open_part(rotated(path, number))
            except FileNotFoundError:
                continue
            except OSError as exc:
                if number and exc.errno in (errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENXIO):
                    continue
                raise
            status = os.fstat(stream.fileno())
            _, before = found.pop((status.st_dev, status.st_ino), (0, None))
            if before is not None:
                before.close()
            found[status.st_dev, status.st_ino] = (number, stream)
    except OSError:
        for _, stream in found.values():
            stream.close()
        raise
    return list(found.values())


def identity(stream: FileIO) -> Identity:
    """Return what tells a part that is no longer written from any that comes later, even under its inode's number."""
    status = os.fstat(stream.fileno())
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _highest(path: Path) -> int:
    prefix = f"{path.name}."
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return 0
    ends = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return max((int(end) for end in ends if _NUMBER.fullmatch(end)), default=0)
