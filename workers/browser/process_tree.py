"""The processes of one browser: found by its user-data-dir, pinned by start time, and ended.

Chromium runs in a session of its own, so nothing that is done to the worker's process group reaches it; a launcher script
may stand between it and its driver; and a process whose parent died no longer shows who started it. So the members are
collected while the browser lives and looked for once more at its end. All of this reads ``/proc``; where there is none,
nothing is found and ending the driver must do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_PAUSE = 0.02


class Process(msgspec.Struct, frozen=True):
    """One process, beyond reuse of its number: ``started`` is in clock ticks since boot."""

    pid: int
    started: int
    parent: int
    session: int


def is_known() -> bool:
    """Whether processes can be seen on this system."""
    return (_PROC / "self" / "stat").exists()


def look(pid: int) -> Process | None:
    """Return the process of this number, None if it is gone or only waits to be reaped."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid=pid, started=int(fields[19]), parent=int(fields[1]), session=int(fields[3]))


def is_alive(process: Process) -> bool:
    """Whether that very process lives."""
    found = look(process.pid)
    return found is not None and found.started == process.started


def children_of_this_process_with(variable: str, value: str) -> list[Process]:
    """Return our own children that were started with this environment variable."""
    wanted = os.fsencode(f"{variable}={value}")
    ours = [process for process in _all() if process.parent == os.getpid()]
    return [process for process in ours if wanted in _read(process.pid, "environ").split(b"\0")]


def of_browser(user_data_dir: Path, known: set[Process] | None = None) -> set[Process]:
    """Return the live processes of the browser that was started on exactly this directory, all that it started included.

    Args:
        user_data_dir: as it was passed on the command line.
        known: members seen earlier; those that live still belong to it.
    """
    marker = os.fsencode(f"--user-data-dir={user_data_dir}")
    everything = _all()
    members = {process for process in (known or ()) if is_alive(process)}
    members |= {process for process in everything if marker in _read(process.pid, "cmdline").split(b"\0")}
    own = os.getsid(0)
    sessions = {process.session for process in members} - {own, 0}
    members |= {process for process in everything if process.session in sessions}
    grew = True
    while grew:
        numbers = {process.pid for process in members}
        more = {process for process in everything if process.parent in numbers} - members
        members |= more
        grew = bool(more)
    return {process for process in members if process.pid != os.getpid()}


def main_process(user_data_dir: Path) -> Process | None:
    """Return the browser's main process: it alone holds files of the directory and has the marker as an argument."""
    marker = os.fsencode(f"--user-data-dir={user_data_dir}")
    for process in _all():
        if marker in _read(process.pid, "cmdline").split(b"\0") and open_files(process, user_data_dir):
            return process
    return None


def open_files(process: Process, below: Path) -> set[Path]:
    """Return the files below a directory that a process holds open, relative to it."""
    found: set[Path] = set()
    try:
        descriptors = list((_PROC / str(process.pid) / "fd").iterdir())
    except OSError:
        return found
    for descriptor in descriptors:
        with contextlib.suppress(OSError, ValueError):
            found.add(descriptor.readlink().relative_to(below))
    return found


def kill(process: Process) -> None:
    """SIGKILL that very process; works on a stopped one too."""
    try:
        if hasattr(signal, "pidfd_send_signal") and hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(process.pid)
            try:
                # opened first, compared then: the number cannot be reused in between
                if is_alive(process):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)
        elif is_alive(process):
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def outlasting(user_data_dir: Path, known: set[Process], seconds: float) -> set[Process]:
    """Wait until a browser has ended by itself, at most this long; return what is still there."""
    deadline = time.monotonic() + seconds
    members = of_browser(user_data_dir, known)
    while members and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        members = of_browser(user_data_dir, members)
    return members


def end(user_data_dir: Path, known: set[Process], *, grace: float, limit: float) -> tuple[set[Process], set[Process]]:
    """End a browser whose driver is gone, and return when it is.

    Args:
        user_data_dir: the browser's.
        known: members seen earlier.
        grace: seconds in which it may end by itself, which it does once its driver's pipe is closed.
        limit: seconds that the killing may take.

    Returns:
        What is still there after all, normally nothing; and what had to be killed.
    """
    members = outlasting(user_data_dir, known, grace)
    deadline = time.monotonic() + limit
    killed: set[Process] = set()
    while members:
        for process in members:
            kill(process)
        killed |= members
        time.sleep(_PAUSE)
        # one that was being born while its parent died shows up now
        members = of_browser(user_data_dir, members)
        if time.monotonic() > deadline:
            break
    return members, killed


def _all() -> list[Process]:
    try:
        numbers = [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []
    return [process for process in map(look, numbers) if process is not None]


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
