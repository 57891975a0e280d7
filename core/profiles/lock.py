"""Profile locks: a kernel lock on ``state/locks/<id>.lock``, and beside the profile a record for people.

The kernel frees the lock when its holder dies, whatever the holder had started: the descriptor is not inherited. The lock
file itself is never removed; a second file under the same name would let a second holder in.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from filelock import FileLock, Timeout

from core.domain.validation import require_id
from core.durable import ensure_directory, write_bytes
from core.errors import ProfileHeld
from core.profiles.port import Holder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.clock import Clock

_PROBES = 5
_PROBE_PAUSE = 0.01


class _Record(Holder, frozen=True, kw_only=True):
    """``profiles/<id>/.lock``: the holder, and what tells it from a later process of the same number.

    Attributes:
        started: the holder's start time, in clock ticks since boot; None where the kernel does not say.
        boot_id: the kernel's boot ID; empty where there is none.
    """

    started: int | None = None
    boot_id: str = ""


class FileProfileLocks:
    """``ProfileLocks`` below a state directory."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._locks = state_dir / "locks"
        self._profiles = state_dir / "profiles"
        self._clock = clock

    @contextlib.contextmanager
    def hold(self, profile_id: str, what: str) -> Iterator[None]:
        """Hold the lock, and write the record for people. It may be released by another thread than took it.

        Raises:
            ProfileHeld: naming the holder.
            DurableWriteFailed: the record could not be written.
        """
        path = self._path(profile_id)
        ensure_directory(path.parent)
        lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
        self._acquire(lock, profile_id)
        try:
            with self._recorded(profile_id, what):
                yield
        finally:
            lock.release()

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds it, None if it is free."""
        path = self._path(profile_id)
        if not _is_locked(path):
            return None
        try:
            record = msgspec.json.decode(self._record(profile_id).read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            # held, but its record is not there yet, or damaged: the kernel is right all the same
            return Holder(pid=0, host=socket.gethostname(), since=self._clock.now(), what="another process")
        return Holder(pid=record.pid, host=record.host, since=record.since, what=record.what)

    def _acquire(self, lock: FileLock, profile_id: str) -> None:
        # Not a wait for the holder: only for somebody who is just looking whether there is one (`holder`).
        for _ in range(_PROBES):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                time.sleep(_PROBE_PAUSE)
            else:
                return
        raise ProfileHeld(f"profile {profile_id}", str(self.holder(profile_id) or "another process, until just now"))

    @contextlib.contextmanager
    def _recorded(self, profile_id: str, what: str) -> Iterator[None]:
        path = self._record(profile_id)
        is_new = not path.parent.exists()
        ensure_directory(path.parent)
        record = _Record(
            pid=os.getpid(),
            host=socket.gethostname(),
            since=self._clock.now(),
            what=what,
            started=_start_time(),
            boot_id=_boot_id(),
        )
        write_bytes(path, msgspec.json.encode(record), fsync=False)
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):  # the profile was deleted by its holder
                path.unlink()
            if is_new:
                # a lock alone does not make a profile
                with contextlib.suppress(OSError):
                    path.parent.rmdir()

    def _path(self, profile_id: str) -> Path:
        return self._locks / f"{require_id(profile_id)}.lock"

    def _record(self, profile_id: str) -> Path:
        return self._profiles / profile_id / ".lock"


def _is_locked(path: Path) -> bool:
    """Whether somebody holds the lock. A shared lock is enough to tell, so that two who look do not see each other."""
    if fcntl is None:
        try:
            FileLock(path, fallback_to_soft=False).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _start_time() -> int | None:
    try:
        # the name in parentheses may hold anything, so count from behind it; start time is field 22
        return int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return ""
