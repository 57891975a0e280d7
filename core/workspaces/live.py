"""Whether a browser runs in a user-data-dir. Any one sign is enough; none of them is believed alone to prove the opposite."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path

_PROC = Path("/proc")
LEVELDB_LOCK = Path("Default", "Local Storage", "leveldb", "LOCK")


def evidence(user_data_dir: Path) -> str | None:
    """Return what shows that a browser uses this directory, None if nothing does.

    The signs, in this order: the kernel's lock on the local storage (the only one that a headless shell leaves); a process
    with this ``--user-data-dir``; a ``SingletonLock`` whose process lives on this host.
    """
    return _leveldb(user_data_dir) or _process(user_data_dir) or _singleton(user_data_dir)


def open_files(pid: int, user_data_dir: Path) -> int | None:
    """Return how many files below a directory a process has open, None where that cannot be seen."""
    root = f"{user_data_dir.resolve()}{os.sep}"
    try:
        descriptors = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return None
    count = 0
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            count += str(descriptor.readlink()).startswith(root)
    return count


def _leveldb(user_data_dir: Path) -> str | None:
    pid = lock_holder(user_data_dir)
    if pid is None:
        return None
    return f"{LEVELDB_LOCK} is locked by pid {pid}" if pid else f"{LEVELDB_LOCK} is locked"


def lock_holder(user_data_dir: Path) -> int | None:
    """Return the process that holds the local storage's lock; None for nobody, 0 for somebody who cannot be told."""
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    path = user_data_dir / LEVELDB_LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if sys.platform == "linux":
            # asks without taking it, so a browser that starts at this moment is not disturbed
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
            return None if kind == fcntl.F_UNLCK else int(pid)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        return None
    finally:
        os.close(descriptor)


def _process(user_data_dir: Path) -> str | None:
    wanted = {os.fsencode(f"--user-data-dir={path}") for path in (user_data_dir, user_data_dir.resolve())}
    try:
        numbers = [path.name for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return None
    for number in numbers:
        try:
            arguments = (_PROC / number / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted.intersection(arguments):
            return f"pid {number} runs with this --user-data-dir"
    return None


def _singleton(user_data_dir: Path) -> str | None:
    try:
        host, _, pid = os.readlink(user_data_dir / "SingletonLock").rpartition("-")  # noqa: PTH115 - it dangles
    except OSError:
        return None
    if not pid.isdigit() or host != os.uname().nodename:
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return f"SingletonLock names pid {pid}, which lives"
    return f"SingletonLock names pid {pid}, which lives"
