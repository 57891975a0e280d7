"""Locks that the kernel frees when their holder dies: they say that a clone's owner lives, and how many work at a time.

Where there are none (Windows, some network file systems) every lock is had by everybody and ``proven`` is False: limits then
hold within a process only, and nothing is taken for dead.
"""

from __future__ import annotations

import os
import time
import weakref
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_PAUSE = 0.005


class Lock:
    """A lock that is held until it is released, or until this process ends. A fork does not take it along.

    Attributes:
        proven: the kernel says that nobody else has it.
    """

    def __init__(self, path: Path, descriptor: int, *, proven: bool) -> None:
        self.path = path
        self.proven = proven
        self._descriptor = descriptor
        _held.add(self)

    def __del__(self) -> None:
        # a signal may come between taking it and writing down who has it
        self.release()

    def release(self) -> None:
        """Let go; the file stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Let go for good: only for a name that nobody will use again."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
        self.release()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Close, in a new child, what its parent holds: it would keep the locks when the parent is dead."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def take(path: Path) -> Lock | None:
    """Take a lock without waiting; None if somebody has it, in this process or in another.

    Raises:
        OSError: the file cannot be made or opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            proven = _locked(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if proven is None:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return Lock(path, descriptor, proven=proven)
        # whoever had it has removed the name meanwhile
        os.close(descriptor)


def wait_for_one(paths: Sequence[Path], seconds: float, is_over: Callable[[], bool]) -> Lock | None:
    """Take one of several locks, as soon as one is free; None after this time, or when ``is_over`` says so.

    Raises:
        OSError: as ``take``.
    """
    end = time.monotonic() + seconds
    while True:
        for path in paths:
            lock = take(path)
            if lock is not None:
                return lock
        if is_over() or time.monotonic() >= end:
            return None
        time.sleep(_PAUSE)


def _locked(descriptor: int) -> bool | None:
    """Whether the kernel vouches for the lock; None if somebody else has it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True
