"""Ends whoever works with a profile: asked first, then killed with all that it has started, and only what is proven to be it."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import structlog

from core.process.identity import is_alive, stamp
from core.process.tree import Marks, end_tree, kill_tree
from core.profiles.errors import ProfileInUse

if TYPE_CHECKING:
    from pathlib import Path

    from core.domain.model import Holder, ProcessStamp
    from core.profiles.lock_manager import ProfileLockManager

GRACE = 10.0
"""Seconds that a worker has to close its browser."""
_RECORDED_WITHIN = 1.0
_PAUSE = 0.02
log = structlog.get_logger(__name__)


def stop_holder(state_dir: Path, profile_id: str, locks: ProfileLockManager, *, grace: float = GRACE) -> int:
    """End who holds a profile, and browsers of it that nobody looks after; return how many processes that took.

    Raises:
        ProfileInUse: the holder is on another host, is this very process, or cannot be proven to be the one on record.
    """
    count = 0
    holder = _recorded(profile_id, locks)
    if holder is not None:
        process = _proven(profile_id, holder)
        log.warning("holder_stopped", profile_id=profile_id, holder=str(holder))
        count += end_tree(Marks(worker=process), grace)
    for path in (state_dir / "workspaces").glob(f"{profile_id}-*"):
        if path.name.rpartition("-")[0] == profile_id:
            count += kill_tree(Marks(user_data_dir=str(path / "user-data")))
    return count


def _recorded(profile_id: str, locks: ProfileLockManager) -> Holder | None:
    """Return who holds it; who has just taken the lock gets a moment to say so."""
    deadline = time.monotonic() + _RECORDED_WITHIN
    while True:
        holder = locks.holder(profile_id)
        if holder is None or holder.pid or time.monotonic() > deadline:
            return holder
        time.sleep(_PAUSE)


def _proven(profile_id: str, holder: Holder) -> ProcessStamp:
    if holder.host != socket.gethostname():
        raise ProfileInUse(profile_id, str(holder), "stop it there")
    if holder.pid == os.getpid():
        raise ProfileInUse(profile_id, str(holder), "that is this very process")
    try:
        found = stamp(holder.pid)
    except ProcessLookupError:
        found = None
    if found is None or found.started != holder.started or found.boot_id != holder.boot_id or not is_alive(found):
        raise ProfileInUse(profile_id, str(holder), "that process is not the one on record, so it is not stopped")
    return found
