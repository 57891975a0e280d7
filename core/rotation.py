"""Makes room for a new log: the old one gets a number, the oldest goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def rotated(path: Path, number: int) -> Path:
    """Return where the ``number``-th older file is; 1 is the youngest of them."""
    return path.with_name(f"{path.name}.{number}")


def rotate(path: Path, max_bytes: int, keep: int) -> bool:
    """Move a log of at least ``max_bytes`` to ``<name>.1``, older ones one further, and drop what exceeds ``keep``.

    Called between attempts or runs, so that a follower never loses lines of the one it watches. Returns whether it moved.

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
