"""Brings to its end, or takes back, what a killed holder of a profile's lock had begun with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.profiles import deletion, intents, migration, recovery, renaming, staging
from core.profiles.intents import Migration, Recovery, Rename
from core.profiles.lock_manager import ProfileLockManager
from core.profiles.registry import ProfileRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from core.clock import Clock
    from core.profiles.lock import FileProfileLocks

log = structlog.get_logger(__name__)


def mend(state_dir: Path, profile_id: str, locks: FileProfileLocks, clock: Clock) -> None:
    """Let nothing half be left of a profile whose lock the caller holds.

    A record decides first: what lies about belongs to it. Then a profile that was put together, and is whole, takes its place,
    and one that had disappeared is removed for good.

    Raises:
        ProfileHeld: it concerns another profile, too, and somebody holds that one.
        StateCorrupt: a record is damaged.
        DurableWriteFailed, WorkspaceError: it cannot be done now.
    """
    intent = intents.read(state_dir, profile_id)
    if intent is not None:
        log.warning("operation_resumed", profile_id=profile_id, operation=type(intent).__name__.lower())
    match intent:
        case Rename():
            _settle_rename(state_dir, intent, profile_id, locks, clock)
        case Recovery():
            recovery.carry_out(state_dir, intent)
        case Migration():
            migration.carry_out(state_dir, intent)
    staging.settle(state_dir, profile_id)
    deletion.finish(state_dir, profile_id)


def _settle_rename(state_dir: Path, renaming_: Rename, held: str, locks: FileProfileLocks, clock: Clock) -> None:
    other = renaming_.new if held == renaming_.old else renaming_.old
    with locks.hold_as_it_is(other, "cleaning up"):
        if intents.read(state_dir, held) is None:  # whoever held the other one did it meanwhile
            return
        if renaming.is_decided(state_dir, renaming_):
            registry = ProfileRegistry(state_dir, clock, ProfileLockManager(state_dir, clock))
            renaming.carry_out(state_dir, renaming_, registry)
        else:
            renaming.take_back(state_dir, renaming_)
