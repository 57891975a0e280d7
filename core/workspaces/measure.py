"""How large browser data is, and whether it may have changed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TELLING = (
    "", "Local State", "Default", "Default/Preferences", "Default/Cookies", "Default/Network/Cookies", "Default/History",
    "Default/Cache/Cache_Data", "Default/IndexedDB", "Default/Local Storage/leveldb", "Default/Sessions",
)  # fmt: skip
Signature = tuple[int, ...]


def files_and_bytes(directory: Path) -> tuple[int, int]:
    """Return how many files there are below a directory, and their sizes' sum; what vanishes meanwhile does not count."""
    files = size = 0
    pending = [os.fspath(directory)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
                    files += 1
    return files, size


def signature(user_data_dir: Path) -> Signature:
    """Return what changes when a browser works here: some modification times, 0 for what is missing."""
    root = os.fspath(user_data_dir)
    return tuple(_changed(f"{root}/{name}") for name in _TELLING)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - hundreds of listings of many profiles
    except OSError:
        return 0


def last_change(signature: Signature) -> float:
    """Return the latest of a signature's modification times, in epoch seconds."""
    return max(signature) / 1e9
