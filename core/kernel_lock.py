"""A lock that the kernel frees when its holder dies, and beside it a record for people.

Whatever the holder had started does not matter: the descriptor is not inherited. The lock file itself is never removed; a
second file under the same name would let a second holder in.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog
from filelock import FileLock, Timeout

from core.domain.model import Holder
from core.durable import bytes_of, ensure_directory, sweep_beside, write_bytes, write_failed
from core.errors import HolderAlive

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.clock import Clock

log = structlog.get_logger(__name__)
_HOLDER = msgspec.json.Decoder(Holder)  # made before there are threads: see ``core.sealed``
_PROBES = 5
_PROBE_PAUSE = 0.01


class KernelLock:
    """One lock.

    Args:
        lock: the file that is locked; made if need be, never removed.
        record: where the holder writes who it is; removed by it.
        clock: for ``since``.
    """

    def __init__(self, lock: Path, record: Path, clock: Clock) -> None:
        self._lock = lock
        self._record = record
        self._clock = clock

    @contextlib.contextmanager
    def hold(self, name: str, what: str) -> Iterator[None]:
        """Hold it, without waiting for another holder. It may be released by another thread than took it.

        Args:
            name: what is locked, for the error.
            what: who holds it, for the record.

        Raises:
            HolderAlive: naming the holder.
            DurableWriteFailed: the lock file cannot be opened, or the record not be written.
        """
        ensure_directory(self._lock.parent)
        lock = FileLock(self._lock, mode=0o600, thread_local=False, fallback_to_soft=False)
        self._acquire(lock, name)
        try:
            with self._recorded(what):
                yield
        finally:
            lock.release()

    def holder(self) -> Holder | None:
        """Return who holds it, None if it is free."""
        if not _is_locked(self._lock):
            return None
        try:
            return _HOLDER.decode(bytes_of(self._record) or b"")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            # held, but its record is not there yet, or damaged: the kernel is right all the same
            return Holder(pid=0, host=socket.gethostname(), since=self._clock.now(), what="another process")

    def _acquire(self, lock: FileLock, name: str) -> None:
        # Not a wait for the holder: only for somebody who is just looking whether there is one (`holder`).
        for _ in range(_PROBES):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                time.sleep(_PROBE_PAUSE)
            except OSError as exc:
                raise write_failed(self._lock, exc) from exc
            else:
                return
        raise HolderAlive(name, str(self.holder() or "another process, until just now"))

    @contextlib.contextmanager
    def _recorded(self, what: str) -> Iterator[None]:
        self._warn_of_stale()
        is_new = self._is_alone()
        record = Holder(
            pid=os.getpid(),
            host=socket.gethostname(),
            since=self._clock.now(),
            what=what,
            started=_start_time(),
            boot_id=_boot_id(),
        )
        try:
            ensure_directory(self._record.parent)
            write_bytes(self._record, msgspec.json.encode(record), fsync=False)
            yield
        finally:
            with contextlib.suppress(OSError):  # what it stood in was deleted by its holder; one that stays is stale
                self._record.unlink()
            if is_new:
                # a lock alone does not make a profile
                with contextlib.suppress(OSError):
                    self._record.parent.rmdir()

    def _is_alone(self) -> bool:
        """Whether where the record goes there is nothing, or just what a holder that was killed left of its own."""
        try:
            sweep_beside(self._record)
            return all(path == self._record for path in self._record.parent.iterdir())
        except FileNotFoundError:
            return True

    def _warn_of_stale(self) -> None:
        """Say that a killed holder left its record: the kernel has given us its lock, so it holds it no more."""
        try:
            left = _HOLDER.decode(bytes_of(self._record) or b"")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return  # none, or nothing that names anybody
        log.warning(
            "stale_lock_removed", record=str(self._record), pid=left.pid, host=left.host, since=left.since,
            what=left.what, holder=_fate(left),
        )  # fmt: skip


def _fate(left: Holder) -> str:
    """Say what became of a process that holds its lock no more: a number alone proves nothing, it may be reused."""
    if left.host != socket.gethostname() or left.boot_id != _boot_id():
        return "of another host or boot"
    return "lives, but has let go" if _start_time(left.pid) == left.started is not None else "dead"


def _is_locked(path: Path) -> bool:
    """Whether somebody holds the lock. A shared lock is enough to tell, so that two who look do not see each other."""
    if fcntl is None:
        try:
            FileLock(path, fallback_to_soft=False).acquire(blocking=False).lock.release()
        except Timeout:
            return True
        return False
    try:
        # opening a pipe would wait for its other end
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _start_time(pid: int | str = "self") -> int | None:
    try:
        # the name in parentheses may hold anything, so count from behind it; start time is field 22
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return ""
