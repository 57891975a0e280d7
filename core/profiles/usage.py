"""What the profiles of a state directory take: room on disk, and memory of the browsers that run now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from core.process.meter import memory_of_trees
from core.profiles import inspection, places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.domain.model import Holder


class LiveProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that somebody works with.

    Attributes:
        pid: of the process that holds it.
        memory: bytes that it and all below it have, shared ones by share (PSS); null where this host does not tell.
    """

    profile_id: str
    pid: int
    memory: int | None


class MemoryMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What all profiles take.

    Attributes:
        profiles: how many there are.
        bytes: on disk, all that belongs to them.
        files: how many.
        parts: bytes by part, as ``ostler profile size`` has them.
        live: those that somebody works with.
        memory: bytes of these together; null where this host does not tell.
    """

    profiles: int
    bytes: int
    files: int
    parts: dict[str, int]
    live: tuple[LiveProfile, ...]
    memory: int | None


def memory_usage(state_dir: Path, holder: Callable[[str], Holder | None]) -> MemoryMetrics:
    """Return what all profiles take.

    Args:
        state_dir: where they are.
        holder: says who holds a profile.
    """
    ids = places.ids(state_dir)
    sizes = [inspection.size(state_dir, profile_id) for profile_id in ids]
    parts: Counter[str] = Counter()
    for size in sizes:
        parts.update(size.parts)
    holders = {profile_id: found.pid for profile_id in ids if (found := holder(profile_id)) is not None}
    memory = memory_of_trees(set(holders.values()))
    live = tuple(
        LiveProfile(profile_id=profile_id, pid=pid, memory=memory.get(pid)) for profile_id, pid in holders.items()
    )
    known = [memory[pid] for pid in set(holders.values()) if pid in memory]
    return MemoryMetrics(
        profiles=len(ids),
        bytes=sum(size.bytes for size in sizes),
        files=sum(size.files for size in sizes),
        parts=dict(parts),
        live=live,
        memory=sum(known) if known or not live else None,
    )
