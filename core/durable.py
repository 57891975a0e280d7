"""Durable writes: a reader sees the old version or the new one, whole, after kill -9, a full disk and a power cut.

``write_bytes`` is the write that all small state files share; ``core.envelope`` stands on the same parts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING, BinaryIO

from core.errors import DurableWriteFailed

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be unlinked or replaced there, which protects it as well
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.ostler-tmp")
_NO_LOCKS_HERE = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
_NO_LINKS_HERE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
KERNEL_LOCKS = fcntl is not None
"""Whether ``try_lock`` means anything on this platform."""
_WRITERS_TURN = 10.0
"""Seconds that one writer waits for another; a write takes milliseconds."""


def write_bytes(path: Path, data: bytes, *, fsync: bool = True) -> None:
    """Replace a file's content, all or nothing; the file has mode 0600.

    Args:
        path: the file; its directory exists.
        data: the new content.
        fsync: wait until the disk has it. Without, a kill is survived, a power cut is not.

    Raises:
        DurableWriteFailed: the old version is intact, nothing is left over.
    """
    try:
        with temporary(path, data, fsync=fsync) as temp:
            temp.replace(path)
        if fsync:
            sync_directory(path.parent)
    except OSError as exc:
        raise write_failed(path, exc) from exc


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield an empty file that takes the place of ``path`` once the block has ended well: for what is too large for one write.

    The file can be written, read and sought in, and has mode 0600. What killed writers of the same file left is removed.

    Raises:
        DurableWriteFailed: it could not be written, or the block raised an ``OSError``; the old version is intact.
    """
    try:
        sweep_beside(path)
        temp, descriptor = _create(path)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                _sync(file.fileno())
                if fcntl is not None:
                    temp.replace(path)
            if fcntl is None:  # Windows does not rename what is open
                temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as exc:
        raise write_failed(path, exc) from exc


def ensure_directory(path: Path) -> None:
    """Create a directory and its missing parents, mode 0700, durably; those that exist stay as they are.

    Raises:
        DurableWriteFailed: it could not be created.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        try:
            with contextlib.suppress(FileExistsError):  # somebody else was faster; a file in the way fails below
                directory.mkdir(mode=0o700)
            if not directory.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
            sync_directory(directory.parent)
        except OSError as exc:
            raise write_failed(directory, exc) from exc


def sweep_temporaries(root: Path, *, beside: Collection[str] = ()) -> list[Path]:
    """Remove the temporary files that killed writers left anywhere below ``root``; return them.

    A writer that lives keeps its file: it holds the kernel's lock on it.

    Args:
        root: a directory; nothing is done if there is none.
        beside: names of directories that are not looked into.
    """
    removed = []
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if name not in beside]
        for name in names:
            if is_temporary(name):
                path = type(root)(directory, name)
                if _remove_if_abandoned(path):
                    removed.append(path)
    return removed


def sweep_beside(path: Path) -> None:
    """Remove the temporary files that killed writers of this one file left beside it."""
    for other in path.parent.iterdir():
        if is_temporary(other.name) and other.name.startswith(f".{path.name}."):
            _remove_if_abandoned(other)


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        path.unlink()
    except (FileNotFoundError, PermissionError):  # gone by itself; or, on Windows, still open
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def temporary(path: Path, data: bytes, *, fsync: bool) -> Iterator[Path]:
    """Yield a file in the same directory that holds ``data``; it is gone afterwards, unless it was renamed."""
    temp, descriptor = _create(path)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if fsync:
                _sync(descriptor)
            if fcntl is None:  # Windows does not rename what is open
                os.close(descriptor)
                descriptor = -1
            yield temp
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    finally:
        # also after a rename: renaming one of two links to the same file onto the other does nothing at all
        temp.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that a writer has not ended yet, or that a killed one left."""
    return _TEMPORARY.fullmatch(name) is not None


def temporary_name(path: Path) -> Path:
    """Return a new name in the same directory that ``sweep_temporaries`` recognises."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.ostler-tmp")


def _create(path: Path) -> tuple[Path, int]:
    while True:
        temp = temporary_name(path)
        descriptor = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # The lock tells a sweep that the writer lives. One that came before the lock has removed the name: once more.
        if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
            return temp, descriptor
        os.close(descriptor)
        temp.unlink(missing_ok=True)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; whether that worked. Where there are no locks, it always does."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LOCKS_HERE:
            raise
    return True


def take_turn(path: Path) -> int | None:
    """Be the only writer of a file until the descriptor is closed; None: there is no file yet, or no such lock here.

    The lock is on the file that is going to be replaced: whoever gets it late sees that and tries again.

    Raises:
        TimeoutError: another writer does not finish.
        OSError: the file cannot be opened.
    """
    deadline = time.monotonic() + _WRITERS_TURN
    while KERNEL_LOCKS:
        try:
            # opening a pipe would wait for its other end
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        if try_lock(descriptor) and _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "another writer does not finish", str(path))
        time.sleep(0.001)
    return None


def _is_current(descriptor: int, path: Path) -> bool:
    ours = os.fstat(descriptor)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _sync(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone leaves the data in the drive's cache
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class NotAFile(OSError):
    """It is a pipe, a socket or a device: reading it might wait, or go on, for ever."""


def is_unreadable(exc: OSError) -> bool:
    """Whether what stands there can be read by nobody as we are, today and tomorrow: no file, not ours, a link to itself, bad sectors."""
    return isinstance(exc, (NotAFile, IsADirectoryError, PermissionError)) or exc.errno in {errno.EIO, errno.ELOOP}


def bytes_of(path: Path) -> bytes | None:
    """Return a file's content, None if there is no such file.

    Raises:
        NotAFile: it is something else.
        OSError: it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a directory says so itself
            raise NotAFile(errno.EINVAL, "it is no regular file", str(path))
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():  # somebody's file was meant to be there
            raise NotAFile(errno.ENOENT, "it is a link that leads nowhere", str(path)) from None
        return None


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or, where the file system has no hard links, a durable copy."""
    try:
        os.link(source, target)
    except OSError as exc:
        if exc.errno not in _NO_LINKS_HERE or target.exists():
            raise
        write_bytes(target, source.read_bytes())


def write_failed(path: Path, exc: OSError) -> DurableWriteFailed:
    """Say which file it was, and why."""
    return DurableWriteFailed(path, exc.errno, exc.strerror or str(exc))
