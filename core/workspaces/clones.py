"""The clones of one manager, by their workers.

One lock guards the table, and nothing slow happens under it. Each clone has a lock of its own, so that it is not removed while
it is being made. A signal handler may take both again in the thread that has them.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

import msgspec
import structlog

from core.domain.lifecycle import (
    MANAGER,
    WORKSPACE,
    ManagerEvent,
    ManagerState,
    WorkspaceEvent,
    WorkspaceState,
    advance,
)
from core.domain.verification import ProfileType
from core.errors import BadArgument, OstlerError, WorkspaceError
from core.workspaces import building, live, marker
from core.workspaces.errors import ProfileCleanupError, ProfileCreationError
from core.workspaces.making import Clone, Maker, why
from core.workspaces.worker_profile import WorkerProfile

if TYPE_CHECKING:
    from pathlib import Path

    from core.clock import Clock
    from core.workspaces.making import Limits
    from core.workspaces.places import Places

_log = structlog.get_logger()
_PAUSES = (0.1, 0.2, 0.4, 0.8)
_all: weakref.WeakSet[Clones] = weakref.WeakSet()


class Clones:
    """All clones of one manager.

    Args:
        places: where they lie.
        base: what they are copies of; None for none.
        limits: how many, how large, how long.
        keep: they outlive the manager.
        clock: for records.
    """

    def __init__(self, places: Places, base: Path | None, limits: Limits, *, keep: bool, clock: Clock) -> None:
        self._places = places
        self._keep = keep
        self._guard = threading.RLock()
        self._table: dict[str, Clone] = {}
        self.maker = Maker(places, base, limits, keep=keep, clock=clock, is_over=self._is_over)
        self.state = ManagerState.INITIALIZED
        _all.add(self)

    def create(self, worker_id: int | str, kind: ProfileType) -> WorkerProfile:
        """Make a worker's profile; the first one sweeps what dead owners left.

        Raises:
            BadArgument: the worker has one.
            IllegalTransition: the manager is closed.
            ProfileLimitError, ProfileCreationError: nothing was made.
        """
        clone = Clone(worker_id)
        with clone.guard:
            with self._guard:
                if str(worker_id) in self._table:
                    raise BadArgument("worker_id", expected="a worker without a profile", found=worker_id)
                is_first = self.state is ManagerState.INITIALIZED
                self.state = advance(MANAGER, self.state, ManagerEvent.USED)
                own = len(self._table)
                self._table[str(worker_id)] = clone
            try:
                if is_first:
                    self.sweep()
                profile = self.maker.make(clone, kind, own=own)
            except BaseException:
                self._forget(clone)
                raise
            if self.find(worker_id) is not clone:
                # by a signal handler of this very thread: nobody else gets past the guard
                self.remove(clone)
                raise ProfileCreationError(str(worker_id), "it was cleaned up while it was made", errno.ECANCELED)
            return profile

    def advance(self, clone: Clone, event: WorkspaceEvent) -> None:
        """Let something happen to a clone, and write it down in it.

        Raises:
            IllegalTransition: it cannot happen now.
        """
        with clone.guard:
            if clone.profile is None:
                return
            clone.profile.state = advance(WORKSPACE, clone.profile.state, event)
            found = marker.read(clone.root) if clone.root is not None else None
            if clone.root is not None and found is not None:
                marker.write(clone.root, msgspec.structs.replace(found, state=clone.profile.state))

    def remove(self, clone: Clone) -> None:
        """Remove a clone; a base profile is only given back. One that is gone already is fine.

        Raises:
            ProfileCleanupError: a browser still runs in it, or something is left; it is still known, and can be tried again.
        """
        with clone.guard:
            profile = clone.profile
            if profile is not None and profile.state is not WorkspaceState.DESTROYED:
                try:
                    _destroy(profile, clone.root)
                except (OSError, OstlerError) as exc:
                    raise ProfileCleanupError(str(clone.worker_id), why(exc)) from exc
            clone.let_go()
        self._forget(clone)

    def remove_all(self) -> int:
        """Remove all clones; those that cannot be removed are logged and still known. Return how many are gone."""
        removed, left = 0, []
        for clone in self.all():
            try:
                self.remove(clone)
            except ProfileCleanupError as exc:
                _log.warning("clone_not_removed", worker=exc.worker_id, reason=exc.reason)
                left.append(exc.worker_id)
            else:
                removed += 1
        if removed or left:
            _log.info("clones_removed", removed=removed, left=left)
        return removed

    def close(self) -> None:
        """End all copying, and remove all clones, unless they are to be kept. A second call tries again what could not be."""
        with self._guard:
            if self.state is not ManagerState.SHUTDOWN:
                self.state = advance(MANAGER, self.state, ManagerEvent.CLOSED)
        if not self._keep:
            self.remove_all()
            return
        for clone in self.all():
            with clone.guard:
                clone.let_go()

    def find(self, worker: object) -> Clone | None:
        """Return a worker's clone, by its ID or by the profile that it was given; None if there is none."""
        if isinstance(worker, WorkerProfile):
            clone = self.find(worker.worker_id)
            return clone if clone is not None and clone.profile is worker else None
        with self._guard:
            return self._table.get(str(worker))

    def all(self) -> list[Clone]:
        """Return all clones, also those that are being made."""
        with self._guard:
            return list(self._table.values())

    def sweep(self) -> list[str]:
        """Remove what dead owners left in our places; see ``Places.sweep``. Somebody else's leftovers keep nobody from working."""
        try:
            removed = self._places.sweep()
        except (OSError, OstlerError) as exc:
            _log.warning("clones_not_swept", reason=why(exc))
            return []
        if removed:
            _log.info("clones_swept", names=removed)
        return removed

    def leave_to_parent(self) -> None:
        """Forget everything: this is a new child, and all that there is is still its parent's."""
        self._guard = threading.RLock()
        self._table = {}
        self.maker.start_over()
        if self.state is ManagerState.ACTIVE:
            self.state = ManagerState.INITIALIZED

    def _is_over(self) -> bool:
        return self.state is ManagerState.SHUTDOWN

    def _forget(self, clone: Clone) -> None:
        with self._guard:
            if self._table.get(str(clone.worker_id)) is clone:
                del self._table[str(clone.worker_id)]


def _leave_to_parent() -> None:
    # after the locks, whose module was imported first, let go of theirs
    for clones in list(_all):
        clones.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _destroy(profile: WorkerProfile, root: Path | None) -> None:
    if profile.profile_type is ProfileType.CLONE and root is not None:
        _wait_for_browser(profile.profile_path)
    if profile.state is not WorkspaceState.CLEANUP:
        profile.state = advance(WORKSPACE, profile.state, WorkspaceEvent.RELEASED)
    if root is not None:
        building.discard(root)
    profile.state = advance(WORKSPACE, profile.state, WorkspaceEvent.REMOVED)


def _wait_for_browser(user_data_dir: Path) -> None:
    """Give a browser that is just closing the time to let go of its files.

    Raises:
        WorkspaceError: one still runs in it.
    """
    for pause in (*_PAUSES, 0.0):
        signs = live.evidence(user_data_dir)
        if signs is None:
            return
        time.sleep(pause)
    raise WorkspaceError(f"a browser still runs in it ({signs}); close it first")
