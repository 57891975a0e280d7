"""The host's process table at one moment: who descends from whom, and who carries our marks.

Linux is read from ``/proc`` (a worker may use this to find its browser's tree, and must stay light); elsewhere psutil.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from core.process.identity import LINUX, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPT_VARIABLE = "OSTLER_ATTEMPT"
"""Environment variable of a worker and of all that it starts: the attempt's nonce."""
_LOOKS = 10
"""How often to look for processes that are born while others are read; on a host that always forks there are always some."""


class Entry:
    """A live process; its environment and arguments are read when asked for.

    Attributes:
        pid: process ID in our PID namespace.
        parent: process ID of the parent; 0 for none that we can see.
        session: ID of its session; -1 where that is unknown.
        started: as in ``ProcessStamp``.
        stopped: frozen by a signal.
    """

    __slots__ = ("_kept", "_read", "parent", "pid", "session", "started", "stopped")

    def __init__(
        self,
        pid: int,
        *,
        parent: int,
        session: int,
        started: float,
        stopped: bool,
        read: Callable[[int, str], bytes],
    ) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.started = started
        self.stopped = stopped
        self._read = read
        self._kept: dict[str, bytes] = {}

    def look(self) -> None:
        """Read environment and arguments now: one that lives for a moment has none any more when it is asked later."""
        for name in ("environ", "cmdline"):
            self._kept[name] = self._read(self.pid, name)

    def _text(self, name: str) -> bytes:
        return self._kept[name] if name in self._kept else self._read(self.pid, name)

    def __repr__(self) -> str:
        return f"Entry(pid={self.pid}, parent={self.parent}, session={self.session}, started={self.started})"

    def nonce(self) -> str | None:
        """Return the attempt that it says it belongs to.

        None if it carries none, is not ours to read, or wrote over its environment (Chromium's child processes do).
        """
        for variable in self._text("environ").split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == ATTEMPT_VARIABLE.encode():
                return os.fsdecode(value)
        return None

    def user_data_dir(self) -> str | None:
        """Return the value of its ``--user-data-dir=`` argument, if it has one."""
        prefix = b"--user-data-dir="
        for argument in self._text("cmdline").split(b"\0"):
            if argument.startswith(prefix):
                return os.fsdecode(argument[len(prefix) :])
        return None


def read_table(*, with_marks: bool = False) -> dict[int, Entry]:
    """Return all live processes of our PID namespace by pid; zombies are not alive.

    Args:
        with_marks: read what they carry at once, not when it is asked for.
    """
    return _read_proc(with_marks=with_marks) if LINUX else _read_psutil()


def _read_proc(*, with_marks: bool) -> dict[int, Entry]:
    table: dict[int, Entry] = {}
    seen: set[str] = set()
    for _ in range(_LOOKS):
        # one that forked and ended after the list was made is not in it any more, and its child is not yet: look for those
        new = [name for name in os.listdir("/proc") if name not in seen and name.isdecimal()]  # noqa: PTH208 - thousands
        if not new:
            break
        seen.update(new)
        for pid in map(int, new):
            stat = read_stat(pid)
            if stat is not None and not stat.dead:
                table[pid] = Entry(
                    pid,
                    parent=stat.parent,
                    session=stat.session,
                    started=stat.started,
                    stopped=stat.stopped,
                    read=_proc_file,
                )
                if with_marks:
                    table[pid].look()
    return table


def _proc_file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        # gone, or another user's: nothing is proven by it
        return b""


def _read_psutil() -> dict[int, Entry]:
    import psutil  # noqa: PLC0415 - not on Linux

    def read(pid: int, name: str) -> bytes:
        try:
            process = psutil.Process(pid)
            if name == "environ":
                parts = [f"{key}={value}" for key, value in process.environ().items()]
            else:
                parts = process.cmdline()
        except (psutil.Error, OSError):
            return b""
        return b"\0".join(os.fsencode(part) for part in parts)

    table: dict[int, Entry] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                table[process.pid] = Entry(
                    process.pid,
                    parent=process.ppid(),
                    session=_session(process.pid),
                    started=float(round(process.create_time())),
                    stopped=process.status() == psutil.STATUS_STOPPED,
                    read=read,
                )
        except psutil.Error:
            continue
    return table


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1
