"""Whether the kernel killed something of ours for want of memory: its counters, read before and after.

The counter is that of our control group where there is one (``memory.events``, or ``memory.oom_control`` of the older
hierarchy), else the whole host's. It says how many were killed, not which: a worker that dies of SIGKILL while it rises is taken
for one of them, and each kill is taken for one worker at the most.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def oom_kills(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """Return how many processes were killed for want of memory so far; None where nothing says so.

    Args:
        proc: where the kernel shows processes.
        groups: where it shows control groups.
    """
    for path in _counters(proc, groups):
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, ValueError):
            continue
        for line in lines:
            name, _, number = line.partition(" ")
            if name == "oom_kill" and number.isdecimal():
                return int(number)
    return None


class OomWatch:
    """Tells workers that were killed for want of memory from others that were killed."""

    def __init__(self) -> None:
        self._accounted = 0

    def now(self) -> int | None:
        """Return the count, to be shown to ``took`` later."""
        return oom_kills()

    def took(self, before: int | None) -> bool:
        """Whether there was a kill since ``before`` that no other worker was taken for."""
        now = oom_kills()
        if before is None or now is None or now <= max(before, self._accounted):
            return False
        self._accounted = max(before, self._accounted) + 1
        return True


def _counters(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield where a counter may stand, the closest first: a container may show its own group at the root."""
    try:
        lines = (proc / "self" / "cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        inside = group.strip("/")
        if "memory" in controllers.split(","):
            yield from (groups / "memory" / part / "memory.oom_control" for part in (inside, ""))
        elif number == "0":
            yield from (groups / part / "memory.events" for part in (inside, ""))
    yield proc / "vmstat"
