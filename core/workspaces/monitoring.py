"""How clones are doing: size, validity, last access. What was found is kept until something in the clone has changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from core.domain.lifecycle import WorkspaceState
from core.workspaces import checks, live, measure

if TYPE_CHECKING:
    from core.clock import Clock
    from core.workspaces.making import Clone
    from core.workspaces.worker_profile import WorkerProfile

_log = structlog.get_logger()
_MEGABYTE = 1024 * 1024
_FRESH = 10.0
_USABLE = frozenset({WorkspaceState.READY, WorkspaceState.VERIFIED, WorkspaceState.IN_USE})


class Measured(msgspec.Struct, frozen=True):
    """What was found, and when.

    Attributes:
        signature: what the clone looked like from outside.
        size: bytes.
        is_valid: whether a browser could use it.
        at: monotonic seconds.
    """

    signature: measure.Signature
    size: int
    is_valid: bool
    at: float


class Monitor:
    """Looks at clones.

    Args:
        limit: bytes that a clone should not exceed; a browser may, and that is logged once.
        clock: for ages.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock

    def is_valid(self, clone: Clone, profile: WorkerProfile) -> bool:
        """Whether a browser could use it: there, readable and writable, whole, and not used by another browser already."""
        if profile.state not in _USABLE:
            return False
        signs = live.evidence(profile.profile_path)
        if signs is not None and profile.state is not WorkspaceState.IN_USE:
            _log.warning("clone_in_use", worker=clone.worker_id, reason=signs)
            return False
        found = checks.faults(profile, clone.digests, is_live=signs is not None)
        if found and profile.state in _USABLE:  # else another thread has just removed it, and nothing is wrong
            _log.warning("clone_not_valid", worker=clone.worker_id, reason="; ".join(found))
        return not found

    def size(self, clone: Clone, profile: WorkerProfile) -> int:
        """Return its size in bytes; at most 10 seconds old, and measured anew where something changed."""
        known, seen = clone.measured, measure.signature(profile.profile_path)
        now = self._clock.monotonic()
        if known is not None and known.signature == seen and now - known.at < _FRESH:
            return known.size
        size = self._weigh(clone, profile)
        if known is not None and known.signature == seen:
            clone.measured = Measured(seen, size, known.is_valid, now)
        return size

    def listed(self, clone: Clone, profile: WorkerProfile) -> dict[str, Any]:
        """Return what a list of clones says of one."""
        seen = measure.signature(profile.profile_path)
        known = clone.measured
        if known is None or known.signature != seen:
            size, is_valid = self._weigh(clone, profile), self.is_valid(clone, profile)
            clone.measured = known = Measured(seen, size, is_valid, self._clock.monotonic())
        return {
            "path": str(profile.profile_path),
            "size_mb": known.size / _MEGABYTE,
            "created_at": profile.created_at,
            "last_accessed": datetime.fromtimestamp(max(clone.accessed, measure.last_change(seen)), UTC),
            "is_valid": known.is_valid,
        }

    def _weigh(self, clone: Clone, profile: WorkerProfile) -> int:
        size = measure.files_and_bytes(profile.profile_path)[1]
        if size > self._limit >= (clone.measured.size if clone.measured is not None else 0):
            _log.warning("clone_too_large", worker=clone.worker_id, bytes=size, limit=self._limit)
        return size
