"""What a launch has to know of profiles and host: read from files, locks and the kernel, nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.launch_profiles import Fleet, KnownProfile
from core.domain.validation import is_valid_id
from core.process.meter import SystemMeter
from core.profiles import inspection
from core.profiles.lock import FileProfileLocks
from core.profiles.places import ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.clock import Clock
    from core.settings import Settings

_DATA = "browser data"


def read_fleet(settings: Settings, profile_ids: Sequence[str], clock: Clock) -> Fleet:
    """Return what ``validate_profiles`` looks at.

    Args:
        settings: where profiles are, and how much of the host is left to others.
        profile_ids: what is to be launched, as somebody typed it.
        clock: for the locks.
    """
    there = set(ids(settings.state_dir))
    locks = FileProfileLocks(settings.state_dir, clock)
    known = {}
    for profile_id in {one for one in profile_ids if is_valid_id(one)} & there:
        found, _ = inspection.view(settings.state_dir, profile_id, None, locks.holder)
        known[profile_id] = KnownProfile(
            problem=found.problem,
            holder=str(found.holder or ""),
            bytes=inspection.size(settings.state_dir, profile_id).parts[_DATA],
        )
    load = SystemMeter(_there(settings.state_dir)).measure({}, 0.0)
    limits = settings.admission_policy
    return Fleet(
        profile_ids=tuple(profile_ids),
        known=known,
        disk_free=load.disk_free,
        disk_reserve=limits.disk_reserve,
        memory_free=load.memory_free,
        memory_reserve=limits.memory_reserve,
        browser_memory=limits.usual_need,
    )


def _there(directory: Path) -> Path:
    """Return the directory, or the one above it that is there: nothing may have been run yet."""
    while not directory.exists():
        directory = directory.parent
    return directory
