"""Whether the file systems of state and logs can be trusted: space, locks, renames, syncs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from core import durable
from core.clock import SystemClock
from core.errors import OstlerError
from core.kernel_lock import KernelLock
from core.upkeep.finding import bad, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.upkeep.finding import Finding

SCRATCH = ".doctor-"
LITTLE, TOO_LITTLE = 1024**3, 100 * 1024**2
FEW, TOO_FEW = 10_000, 1_000
_TIMEOUT = 30.0
_ASK = """\
import sys
from pathlib import Path
from core.clock import SystemClock
from core.kernel_lock import KernelLock
lock, record = map(Path, sys.argv[1:])
print("free" if KernelLock(lock, record, SystemClock()).holder() is None else "held")
"""


def nearest(directory: Path) -> Path:
    """Return the directory, or the nearest one above that is there."""
    return next(path for path in (directory, *directory.parents) if path.is_dir())


@contextlib.contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """Give a directory of our own on the same file system; it is gone afterwards.

    Raises:
        OSError: none can be made.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=nearest(directory)) as name:
        yield Path(name)


def check_space(name: str, directory: Path, *, free: int, inodes: int | None) -> list[Finding]:
    """Whether bytes and files fit.

    Args:
        name: what the directory is for.
        directory: which one.
        free: bytes that we may write.
        inodes: files that we may make; None where the file system does not count them.
    """
    fix = f"make room on the file system of {directory}: ostler gc, or choose another with --{name}-dir"
    found = []
    megabytes = f"{free // 1024**2} MB free for {name}"
    judge = bad if free < TOO_LITTLE else warn
    found.append(ok("disk", megabytes) if free >= LITTLE else judge("disk", megabytes, fix))
    if inodes is not None:
        said = f"{inodes} more files fit for {name}"
        judge = bad if inodes < TOO_FEW else warn
        found.append(ok("inodes", said) if inodes >= FEW else judge("inodes", said, fix))
    return found


def free_of(directory: Path) -> tuple[int, int | None]:
    """Return how many bytes and files this user may still put there."""
    if not hasattr(os, "statvfs"):
        import shutil  # noqa: PLC0415 - only on Windows

        return shutil.disk_usage(directory).free, None
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def check_locks(directory: Path) -> Finding:
    """Whether a lock that this process holds is seen by another, and only while it is held."""
    fix = f"put the state directory on a local file system: --state-dir (this is {nearest(directory)})"
    lock, record = directory / "check.lock", directory / "record" / "holder"
    try:
        with KernelLock(lock, record, SystemClock()).hold("check", "ostler doctor"):
            held = _asked(lock, record)
        free = _asked(lock, record)
    except (OSError, OstlerError, subprocess.SubprocessError) as exc:
        return bad("locks", f"they do not work: {exc}", fix)
    if (held, free) != ("held", "free"):
        return bad("locks", f"another process sees a held lock as {held}, and a free one as {free}", fix)
    return ok("locks", "a second process sees what the first one holds")


def check_writes(directory: Path) -> Finding:
    """Whether a file can be replaced and synced, all or nothing."""
    path = directory / "check.json"
    try:
        durable.write_bytes(path, b"1")
        durable.write_bytes(path, b"2")
        names, data = [each.name for each in directory.iterdir()], path.read_bytes()
    except (OSError, OstlerError) as exc:
        return bad("writes", f"a durable write failed: {exc}", f"see why {nearest(directory)} cannot be written")
    if data != b"2" or any(name.endswith(".ostler-tmp") for name in names):
        what = f"a replaced file holds {data!r}, beside it: {', '.join(sorted(names))}"
        return bad("writes", what, "choose another file system: --state-dir")
    return ok("writes", "replace, fsync and fsync of the directory work")


def _asked(lock: Path, record: Path) -> str:
    """Ask another process whether the lock is held."""
    checkout = str(Path(__file__).resolve().parents[2])
    return subprocess.run(  # noqa: S603 - our own few lines
        [sys.executable, "-c", _ASK, str(lock), str(record)],
        capture_output=True, text=True, timeout=_TIMEOUT, check=True, cwd=checkout, stdin=subprocess.DEVNULL,
    ).stdout.strip()  # fmt: skip
