"""How loaded the host is: memory, processor, disk, and what each attempt's processes use.

Linux is read from ``/proc`` and the control groups above us, narrower ones first: what a group does not leave is not there,
whatever the host has. Elsewhere psutil says how much memory and processor there is, and nothing is known of pressure.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.domain.admission import Load
from core.process.identity import LINUX
from core.process.table import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from core.domain.model import ProcessStamp
    from core.process.table import Entry

_TREES_AT_ONCE = 4
"""Trees whose memory is read in one look: reading it takes about a millisecond a process."""
_UNLIMITED = 1 << 60


class _Past(NamedTuple):
    """What the last look saw: when, and in seconds since the host was started what all used, was stalled, and ours used."""

    at: float
    busy: float
    stalled: float | None
    ours: float


class SystemMeter:
    """Implements ``HostMeter``. One thread at a time.

    Args:
        disk: a directory of the file system that workspaces are on.
        proc: where the kernel speaks.
        groups: where control groups are.
    """

    def __init__(self, disk: Path, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._disk = disk
        self._proc = proc
        self._groups = list(memory_groups(proc, groups)) if LINUX else []
        self._used: dict[str, int] = {}
        self._looked: dict[str, float] = {}
        self._before: _Past | None = None

    def measure(self, attempts: Mapping[str, ProcessStamp], lag: float) -> Load:
        """Measure; see the port."""
        table = read_table()
        trees = {profile: _tree(table, stamp) for profile, stamp in attempts.items()}
        self._measure_memory(trees)
        # all that comes from us is ours, what prepares as well as what is launched
        own = {pid for tree in (_descendants(table, os.getpid()), *trees.values()) for pid in tree}
        others, ours, stalled = self._since_last(own)
        free, inodes = _room(self._disk)
        return Load(
            memory_free=self._memory_free(),
            stalled=stalled,
            cpu_others=others,
            cpu_own=ours,
            disk_free=free,
            inodes_free=inodes,
            lag=lag,
            used={profile: self._used.get(profile, 0) for profile in attempts},
        )

    def _memory_free(self) -> int | None:
        if not LINUX:
            import psutil  # noqa: PLC0415 - not on Linux

            return int(psutil.virtual_memory().available)
        free = [_of_meminfo(_read(self._proc / "meminfo"), "MemAvailable")]
        free += [_left_in(group) for group in self._groups]
        known = [size for size in free if size is not None]
        return min(known) if known else None

    def _measure_memory(self, trees: Mapping[str, list[int]]) -> None:
        """Read what some trees have, those first that were not looked at for longest."""
        self._used = {profile: size for profile, size in self._used.items() if profile in trees}
        self._looked = {profile: at for profile, at in self._looked.items() if profile in trees}
        for profile in sorted(trees, key=lambda one: self._looked.get(one, 0.0))[:_TREES_AT_ONCE]:
            self._used[profile] = sum(_memory(self._proc, pid) for pid in trees[profile])
            self._looked[profile] = time.monotonic()

    def _since_last(self, own: Iterable[int]) -> tuple[float | None, float | None, float | None]:
        """Return the shares of all cores that others and our own used, and the share of time stalled for memory."""
        if not LINUX:
            return None, None, None
        cores = os.cpu_count() or 1
        tick = os.sysconf("SC_CLK_TCK")
        numbers = [float(text) for text in _read(self._proc / "stat").partition("\n")[0].split()[1:]]
        busy = (sum(numbers[:8]) - sum(numbers[3:5])) / tick  # without idle and waiting for disks
        ours = sum(self._processor_of(pid, tick) for pid in own)
        now = _Past(time.monotonic(), busy, _stalled(_read(self._proc / "pressure" / "memory")), ours)
        before, self._before = self._before, now
        if before is None:
            return None, None, None
        seconds = max(now.at - before.at, 0.001)
        own_used = now.ours - before.ours
        all_used = now.busy - before.busy
        unknown = now.stalled is None or before.stalled is None
        stalled = None if unknown else ((now.stalled or 0.0) - (before.stalled or 0.0)) / seconds
        whole = seconds * cores
        return _share(all_used - own_used, whole), _share(own_used, whole), stalled

    def _processor_of(self, pid: int, tick: int) -> float:
        """Return the seconds that a process has computed, with those of its children that are gone; 0 if it is gone itself."""
        fields = _read(self._proc / str(pid) / "stat").rpartition(")")[2].split()
        return sum(map(float, fields[11:15])) / tick  # user and system time, and both of what it has reaped


def memory_groups(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield the directories of the memory control groups that we are in, the narrowest first."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "memory"} and "memory" not in controllers.split(","):
            continue
        roots = [groups / "memory"] if controllers else [groups, groups / "unified"]
        for root in roots:
            here = root / path.lstrip("/")
            # in a container our group may be the root of what we can see
            here = here if here.is_dir() else root
            while here.is_dir():
                yield here
                if here == root:
                    break
                here = here.parent


def _left_in(group: Path) -> int | None:
    """Return how many bytes a group leaves; None without a limit. What the kernel may drop is not used."""
    limit = _number(_read(group / "memory.max") or _read(group / "memory.limit_in_bytes"))
    used = _number(_read(group / "memory.current") or _read(group / "memory.usage_in_bytes"))
    if limit is None or used is None or limit >= _UNLIMITED:
        return None
    stat = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines() if " " in line)
    droppable = _number(stat.get("total_inactive_file", stat.get("inactive_file", "0"))) or 0
    return limit - max(used - droppable, 0)


def _tree(table: Mapping[int, Entry], stamp: ProcessStamp) -> list[int]:
    """Return the worker and its descendants; nothing if its number belongs to another process by now."""
    top = table.get(stamp.pid)
    return [] if top is None or top.started != stamp.started else _descendants(table, stamp.pid)


def _descendants(table: Mapping[int, Entry], top: int) -> list[int]:
    """Return a process and all that comes from it."""
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.pid)
    found, todo = [], [top]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _share(used: float, whole: float) -> float:
    """Return what part of the whole was used; between two looks in a moment the kernel's ticks may say more than there was."""
    return min(max(used, 0.0) / whole, 1.0)


def _room(directory: Path) -> tuple[int | None, int | None]:
    try:
        found = os.statvfs(directory)
    except (OSError, AttributeError):
        return None, None
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def _stalled(text: str) -> float | None:
    """Return the seconds that some task waited, since the host was started."""
    for line in text.splitlines():
        if line.startswith("some "):
            return float(line.rpartition("total=")[2]) / 1_000_000
    return None


def _of_meminfo(text: str, name: str) -> int | None:
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def memory_of_trees(pids: Iterable[int], proc: Path = Path("/proc")) -> dict[int, int]:
    """Return the memory in bytes of processes with all that is below them, shared memory by share.

    Left out are those that are gone, and all where the host does not tell. Reading it takes about a millisecond a process.
    """
    table = read_table() if LINUX else {}
    trees = {pid: _descendants(table, pid) for pid in pids if pid in table}
    return {pid: sum(_memory(proc, one) for one in tree) for pid, tree in trees.items()}


def _memory(proc: Path, pid: int) -> int:
    """Return a process's share of memory in bytes; 0 if it is gone, or not ours to look at."""
    return _of_meminfo(_read(proc / str(pid) / "smaps_rollup"), "Pss") or 0
