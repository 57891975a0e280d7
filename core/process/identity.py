"""Which process, beyond reuse of its number: a pid alone is never an identity.

On Linux everything comes from ``/proc``, so that workers can stamp themselves without psutil.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
from pathlib import Path

from core.domain.model import Holder, ProcessStamp

LINUX = sys.platform == "linux"
_DEAD_STATES = frozenset({"Z", "X", "x"})


def own_stamp() -> ProcessStamp:
    """Return this process's stamp."""
    return stamp(os.getpid())


def stamp(pid: int) -> ProcessStamp:
    """Return the stamp of the process that has this number now; a zombie has one, too.

    Raises:
        ProcessLookupError: there is no such process.
    """
    started = start_time(pid)
    if started is None:
        raise ProcessLookupError(f"no process {pid}")
    return ProcessStamp(
        host=socket.gethostname(), pid=pid, started=started, boot_id=_boot_id(), pid_namespace=_pid_namespace()
    )


def is_alive(stamp: ProcessStamp) -> bool | None:
    """Say whether that very process lives.

    The cases, in this order:

    - another host: None;
    - this host, another boot: False, it went down with the kernel that ran it;
    - another PID namespace of this boot: None, its number says nothing here;
    - no process of that number, another start time, or a zombie: False.
    """
    if stamp.host != socket.gethostname():
        return None
    if stamp.boot_id != _boot_id():
        return False if stamp.boot_id and _boot_id() else None
    if stamp.pid_namespace != _pid_namespace():
        return None
    return is_running(stamp.pid, stamp.started)


def is_running(pid: int, started: float) -> bool:
    """Whether the process with this number in our own PID namespace started then, and is no zombie."""
    if not LINUX:
        return _portable_is_running(pid, started)
    stat = read_stat(pid)
    return stat is not None and stat.started == started and not stat.dead


def start_time(pid: int) -> float | None:
    """Return when the process started, in the unit of ``ProcessStamp.started``; None if there is none."""
    if LINUX:
        stat = read_stat(pid)
        return None if stat is None else stat.started
    return _portable_start_time(pid)


def end_holder(holder: Holder) -> None:
    """Kill the process that holds a lock, frozen or not, if it is proven to be the one on record; else do nothing."""
    here = holder.host == socket.gethostname() and holder.boot_id == _boot_id()
    if here and holder.started is not None and is_running(holder.pid, holder.started):
        os.kill(holder.pid, signal.SIGKILL)


class Stat:
    """What ``/proc/<pid>/stat`` says.

    Attributes:
        parent: process ID of the parent.
        session: ID of the session.
        started: clock ticks since boot.
        dead: a zombie with no thread left.
        stopped: frozen by a signal or a tracer.
    """

    __slots__ = ("dead", "parent", "session", "started", "stopped")

    def __init__(self, raw: bytes) -> None:
        # the name stands in parentheses and may itself hold blanks and parentheses
        fields = raw[raw.rindex(b")") + 2 :].split()
        state = fields[0].decode()
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.started = float(fields[19])
        # a leader whose other threads still run is shown as a zombie, but the process lives
        self.dead = state in _DEAD_STATES and int(fields[17]) <= 1
        self.stopped = state in "Tt"


def read_stat(pid: int) -> Stat | None:
    """Return what Linux says about a process; None if there is none."""
    try:
        return Stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return None


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@functools.cache
def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _portable_start_time(pid: int) -> float | None:
    import psutil  # noqa: PLC0415 - not on Linux, where workers must stay light

    try:
        return float(round(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess:
        return None


def _portable_is_running(pid: int, started: float) -> bool:
    import psutil  # noqa: PLC0415 - as above

    try:
        process = psutil.Process(pid)
        return round(process.create_time()) == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
