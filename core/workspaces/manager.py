"""Private browser profiles for whoever drives browsers without Ostler's runs: what people import from ``core.workspaces``.

    with WorkspaceManager("/home/anna/.config/chromium") as manager:
        path = manager.create_profile("w1")

Calls are synchronous and may come from any thread; async code uses ``asyncio.to_thread``, and ``async with`` for the manager.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.to_thread
import structlog

from core.clock import SystemClock
from core.domain.lifecycle import WorkspaceEvent, WorkspaceState
from core.domain.verification import ProfileType, VerificationConfig
from core.errors import BadArgument
from core.venv import CHECKOUT
from core.workspaces import base_profile, places
from core.workspaces.clones import Clones
from core.workspaces.errors import (
    BaseProfileMissing,
    BaseProfileUnreadable,
    ProfileCleanupError,
    ProfileCreationError,
    verification_error,
)
from core.workspaces.making import Limits
from core.workspaces.monitoring import Monitor
from core.workspaces.verifier import Verifier
from core.workspaces.worker_profile import WorkerProfile, check_worker_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.domain.lifecycle import ManagerState
    from core.domain.verification import ProfileStatus, VerificationResult
    from core.workspaces.checks import Driver
    from core.workspaces.making import Clone

MOST_PROFILES = 16
_BASE_WORKER = 1
_MEGABYTE = 1024 * 1024
_log = structlog.get_logger()


class WorkspaceManager:
    """Makes, verifies and removes browser profiles of workers.

    Args:
        base_profile_path: a closed user-data-dir that clones are copies of; None: they start empty.
        cleanup_on_exit: remove all clones when the manager is closed or collected, or the process ends. Else they stay until
            somebody removes them.
        max_profiles: profiles at a time, 1 to 16, of all managers and processes that share the directory.
        profile_size_limit_mb: the most that a clone may have, in MB (1024 * 1024 bytes).
        temp_directory: where clones lie; by default ``state/clones`` of the checkout. Where it cannot be written to, a
            directory below the system's temporary one is used.
        max_concurrent_clones: copies that are made at a time, of all managers and processes that share the directory.
        clone_timeout: seconds that a copy may take, and that it may wait for its turn.
        verification_config: which methods ``verify_profile`` uses.
        base_worker: worker 1 uses the base profile itself, and no copy. Its clones must be made before its browser starts.
        authenticated: says whether a profile is logged in, instead of a look at ``auth_check_url``.
        clock: for records and durations.

    Attributes:
        state: initialized, active after the first profile, shutdown after ``close``.

    Raises:
        BadArgument: a ``ValueError``: a number out of its range.
        BaseProfileMissing: a ``FileNotFoundError``.
        BaseProfileUnreadable: a ``PermissionError``.
    """

    def __init__(
        self,
        base_profile_path: str | os.PathLike[str] | None = None,
        cleanup_on_exit: bool = True,  # noqa: FBT001, FBT002 - the contract's order
        max_profiles: int = 8,
        profile_size_limit_mb: int = 500,
        *,
        temp_directory: str | os.PathLike[str] | None = None,
        max_concurrent_clones: int = 4,
        clone_timeout: float = 60.0,
        verification_config: VerificationConfig | None = None,
        base_worker: bool = False,
        authenticated: Callable[[WorkerProfile], bool] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not 1 <= max_profiles <= MOST_PROFILES:
            raise BadArgument("max_profiles", expected=f"1 to {MOST_PROFILES}", found=max_profiles)
        for name, number in (
            ("profile_size_limit_mb", profile_size_limit_mb),
            ("max_concurrent_clones", max_concurrent_clones),
            ("clone_timeout", clone_timeout),
        ):
            if not number > 0:
                raise BadArgument(name, expected="more than 0", found=number)
        self.base_profile_path = _checked_base(base_profile_path)
        self.temp_directory = Path(temp_directory or CHECKOUT / "state" / places.CLONES).expanduser().resolve()
        self.max_profiles = max_profiles
        self.max_concurrent_clones = max_concurrent_clones
        self.clone_timeout = clone_timeout
        self.verification_config = verification_config or VerificationConfig()
        self._base_worker = base_worker
        self._clock = clock or SystemClock()
        limits = Limits(
            profiles=max_profiles,
            bytes=int(profile_size_limit_mb * _MEGABYTE),
            concurrent=max_concurrent_clones,
            clone_timeout=clone_timeout,
        )
        self._monitor = Monitor(limits.bytes, self._clock)
        self._clones = Clones(
            places.at(self.temp_directory),
            self.base_profile_path,
            limits,
            keep=not cleanup_on_exit,
            clock=self._clock,
        )
        self._closing = threading.Event()
        self._verifier = Verifier(
            self.verification_config,
            self._clones,
            authenticated=authenticated,
            clock=self._clock,
            pause=self._closing.wait,
        )
        # also at the end of the process; it must not know the manager, or that would never be collected
        weakref.finalize(self, self._clones.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    @property
    def state(self) -> ManagerState:
        """Where it stands."""
        return self._clones.state

    @property
    def sequential(self) -> bool:
        """Whether copies are made one after the other: after two that failed in a row, until two in a row went well."""
        return self._clones.maker.pace.sequential

    def close(self) -> None:
        """End what is being made and, with ``cleanup_on_exit``, remove all clones. A second call tries again what is left."""
        self._closing.set()
        self._clones.close()

    # --- creating ----------------------------------------------------------------------------------------------------

    def create_profile(self, worker_id: str) -> str:
        """Create a worker's profile: a copy of the base profile, or an empty one.

        Returns:
            Absolute path of the user-data-dir.

        Raises:
            BadArgument: a ``ValueError``: the worker has a profile, or this is no worker's name.
            ProfileLimitError: there are as many profiles as are allowed.
            ProfileCreationError: an ``OSError``, in four kinds; nothing was made.
            IllegalTransition: the manager is closed.
        """
        check_worker_id(worker_id)
        return str(self._clones.create(worker_id, ProfileType.CLONE).profile_path)

    def create_worker_profile(self, worker_id: int) -> WorkerProfile:
        """Create a worker's profile; as ``create_profile``, by number.

        Returns:
            A profile in state READY: the base profile itself for worker 1 if the manager was told so, else a clone.

        Raises:
            the same.
        """
        if not isinstance(worker_id, int):
            raise BadArgument("worker_id", expected="a positive number", found=worker_id)
        check_worker_id(worker_id)
        is_base = self._base_worker and worker_id == _BASE_WORKER
        return self._clones.create(worker_id, ProfileType.BASE if is_base else ProfileType.CLONE)

    def copy_base_profile(self, worker_id: str | int) -> bool:
        """Replace a clone's data by a new copy of the base profile, without caches.

        Returns:
            False where there is no base profile or no clone, or the copy failed; then the clone is as it was.
        """
        clone = self._clones.find(worker_id)
        if clone is None or self.base_profile_path is None:
            return False
        try:
            self._clones.maker.refill(clone)
        except ProfileCreationError as exc:
            _log.warning("clone_not_filled", worker=worker_id, reason=exc.reason)
            return False
        return True

    # --- removing ----------------------------------------------------------------------------------------------------

    def cleanup_profile(self, worker: str | int | WorkerProfile, *, strict: bool = False) -> bool:
        """Remove a worker's clone; a base profile is only given back. A browser that is closing is waited for, for a while.

        Args:
            worker: ID, or the profile itself.
            strict: raise what is logged otherwise.

        Returns:
            Whether it is gone; also if there was none.

        Raises:
            ProfileCleanupError: with ``strict``; it is still there, and can be tried again.
        """
        clone = self._clones.find(worker)
        if clone is None:
            return True
        try:
            self._clones.remove(clone)
        except ProfileCleanupError as exc:
            if strict:
                raise
            _log.warning("clone_not_removed", worker=exc.worker_id, reason=exc.reason)
            return False
        return True

    def cleanup_all_profiles(self) -> int:
        """Remove all clones of this manager; return how many are gone. What cannot be removed is logged, and still known."""
        return self._clones.remove_all()

    def sweep(self) -> list[str]:
        """Remove what crashed processes left; return names. The first profile of every manager does it, too."""
        return self._clones.sweep()

    # --- looking -----------------------------------------------------------------------------------------------------

    def get_profile_path(self, worker_id: str | int) -> str | None:
        """Return the path of a worker's profile, None if there is none."""
        profile = self.get_worker_profile(worker_id)
        return str(profile.profile_path) if profile is not None and profile.profile_path.is_dir() else None

    def get_worker_profile(self, worker_id: str | int) -> WorkerProfile | None:
        """Return a worker's profile, also of one that was created by name; None if there is none."""
        known = self._known(worker_id)
        if known is None:
            return None
        clone, profile = known
        clone.accessed = self._clock.now()
        return profile

    def validate_profile(self, worker_id: str | int) -> bool:
        """Whether a browser could use a worker's profile: it is there, readable and writable, whole, and no browser is in it
        that was not announced with ``mark_in_use`` (or seen by a capability check). Why not is logged.
        """
        known = self._known(worker_id)
        return known is not None and self._monitor.is_valid(*known)

    def get_profile_size(self, worker_id: str | int) -> int:
        """Return the bytes of all files of a worker's profile, at most 10 seconds old; 0 if there is none."""
        known = self._known(worker_id)
        return 0 if known is None else self._monitor.size(*known)

    def list_profiles(self) -> dict[str, dict[str, Any]]:
        """Return all profiles that are whole, by worker ID (numbers as text).

        Returns:
            ``path``, ``size_mb``, ``created_at`` and ``last_accessed`` (UTC), ``is_valid``. Size and validity are looked at again
            when something in the profile has changed.
        """
        return {
            str(clone.worker_id): self._monitor.listed(clone, profile)
            for clone in self._clones.all()
            if (profile := clone.profile) is not None and profile.state is not WorkspaceState.DESTROYED
        }

    def get_base_profile_status(self) -> ProfileStatus:
        """Return whether the base profile can be cloned now; ``MISSING`` where there is none."""
        return base_profile.status(self.base_profile_path)

    # --- using -------------------------------------------------------------------------------------------------------

    def mark_in_use(self, worker: str | int | WorkerProfile) -> None:
        """Say that the worker's browser runs in its verified profile now.

        Raises:
            BadArgument: there is no such profile.
            IllegalTransition: it is not verified.
        """
        self._clones.advance(self._required(worker)[0], WorkspaceEvent.LAUNCHED)

    def verify_profile(
        self, worker: str | int | WorkerProfile, *, driver: Driver | None = None, strict: bool = False
    ) -> VerificationResult:
        """Verify a profile with every method of the configuration. ``core.workspaces.checks`` says what each proves.

        Args:
            worker: ID, or the profile itself; it is updated.
            driver: a WebDriver whose browser should run in it.
            strict: raise the exception of the first method that failed, after all were tried.

        Raises:
            BadArgument: there is no such profile.
            VerificationError: with ``strict``, in four kinds.
        """
        clone, profile = self._required(worker)
        result = self._verifier.verify(clone, profile, driver)
        for each in result.method_results.values():
            if strict and each.failure is not None:
                raise verification_error(profile.worker_id, each.failure, each.error or "")
        return result

    def _known(self, worker: object) -> tuple[Clone, WorkerProfile] | None:
        clone = self._clones.find(worker)
        return None if clone is None or clone.profile is None else (clone, clone.profile)

    def _required(self, worker: object) -> tuple[Clone, WorkerProfile]:
        known = self._known(worker)
        if known is None:
            found = worker.worker_id if isinstance(worker, WorkerProfile) else worker
            raise BadArgument("worker", expected="one whose profile was created here and not cleaned up", found=found)
        return known


def _checked_base(path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    base = Path(path).expanduser().resolve()
    if not base.is_dir():
        raise BaseProfileMissing(base)
    if not os.access(base, os.R_OK | os.X_OK):
        raise BaseProfileUnreadable(base)
    return base
