"""Whether the host has what a run needs: interpreter, packages, memory files, descriptors, a clock."""

from __future__ import annotations

import datetime as dt
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from core.upkeep.finding import bad, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.upkeep.finding import Finding

PER_WORKER = 5
"""Descriptors that the orchestrator holds for each worker: both ends of its talk, its output, its log, its pump."""
OWN = 64
"""What it holds besides, generously."""
_LEAST = (3, 11)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ;)?")
_YEARS = range(2025, 2100)
_AHEAD = 300.0
"""Seconds that a file may be younger than now: other hosts' clocks on the same file system."""
_SHARED = "/dev/shm"  # noqa: S108 - only looked at
SHM = 64 * 1024 * 1024


def check_python(version: tuple[int, int, int], prefix: Path, venv: Path) -> Finding:
    """Whether the interpreter is new enough, and the one that was set up."""
    said = ".".join(map(str, version))
    if version[:2] < _LEAST:
        return bad("python", f"{said} is older than 3.11", "install Python 3.11 or newer, then: make setup")
    if prefix.resolve() != venv.resolve():
        return warn("python", f"{said} of {prefix}, not of {venv}", "make setup, then .venv/bin/ostler doctor")
    return ok("python", said)


def check_packages(lock: str, installed: Callable[[str], str | None]) -> Finding:
    """Whether what is installed is what ``requirements.lock`` names."""
    wrong = []
    pins = [found for line in lock.splitlines() if (found := _PIN.match(line))]
    for name, wanted, conditional in (found.groups() for found in pins):
        have = installed(name)
        # one with a condition may rightly be missing here
        if have != wanted and not (have is None and conditional):
            wrong.append(f"{name} {have or 'missing'} instead of {wanted}")
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""  # noqa: PLR2004 - as many as a line takes
        return bad("packages", ", ".join(wrong[:5]) + more, "make setup")
    return ok("packages", f"{len(pins)} as in requirements.lock")


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_shared_memory(size: int | None) -> Finding:
    """Whether ``/dev/shm`` is of a usable size; None: there is none."""
    fix = "in Docker: --shm-size 1g, or shm_size in compose; elsewhere: mount -o remount,size=1G /dev/shm"
    what = "browsers put shared memory into their temporary directories instead, which is slower"
    if size is None:
        return warn(_SHARED, f"there is none; {what}", fix)
    if size < SHM:
        return warn(_SHARED, f"{size // 1024**2} MB; {what}", fix)
    return ok(_SHARED, f"{size // 1024**2} MB")


def check_descriptors(limit: int | None, max_concurrent: int) -> Finding:
    """Whether as many workers as wanted can be talked to at once; None: no limit."""
    needed = OWN + PER_WORKER * max_concurrent
    if limit is None or limit >= needed:
        said = "unlimited" if limit is None else str(limit)
        return ok("descriptors", f"{said}; {max_concurrent} workers need about {needed}")
    fits = max((limit - OWN) // PER_WORKER, 1)
    fix = f"ulimit -n {needed}, LimitNOFILE={needed} in a systemd unit, or --max-concurrent {fits}"
    return bad("descriptors", f"{limit}; {max_concurrent} workers need about {needed}", fix)


def check_clock(now: float, newest: float | None, boot_id: str | None) -> Finding:
    """Whether time makes sense.

    Args:
        now: epoch seconds.
        newest: when the youngest of our files was written.
        boot_id: the kernel's; None where there is none to be had (then nothing is said of it), empty if unreadable.
    """
    year = dt.datetime.fromtimestamp(now, dt.UTC).year
    fix = "set the clock: timedatectl set-ntp true"
    if year not in _YEARS:
        return bad("clock", f"it is said to be {year}", fix)
    if newest is not None and newest > now + _AHEAD:
        return warn("clock", f"files here are {newest - now:.0f} s younger than now: the clock went back", fix)
    if boot_id == "":
        what = "the boot ID cannot be read, so that a process of an earlier boot cannot be told from one of today"
        return warn("clock", what, "make /proc/sys/kernel/random/boot_id readable")
    return ok("clock", f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y-%m-%d %H:%M:%S} UTC")


def descriptor_limit() -> int | None:
    """Return how many descriptors this user's processes may have, None for any number."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def boot_id() -> str | None:
    """Return the kernel's boot ID; empty if it cannot be read, None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
