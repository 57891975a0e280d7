"""Profile locks: ``state/locks/<id>.lock`` for the kernel, ``state/profiles/<id>/.lock`` for people."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from core.domain.validation import require_id
from core.errors import HolderAlive, ProfileHeld
from core.kernel_lock import KernelLock
from core.profiles import places, staging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.clock import Clock
    from core.domain.model import Holder


class FileProfileLocks:
    """``ProfileLocks`` below a state directory."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._state_dir = state_dir
        self._locks = state_dir / "locks"
        self._clock = clock

    @contextlib.contextmanager
    def hold(self, profile_id: str, what: str) -> Iterator[None]:
        """Hold the lock, and write the record for people. It may be released by another thread than took it.

        What a killed holder had begun with the profile is finished or taken back by then: whoever holds it finds it whole.

        Raises:
            ProfileHeld: naming the holder.
            DurableWriteFailed: the record could not be written.
        """
        with self.hold_as_it_is(profile_id, what):
            if places.is_begun(self._state_dir, profile_id):
                from core.profiles.mending import mend  # noqa: PLC0415 - rarely needed, and a worker must start quickly

                mend(self._state_dir, profile_id, self, self._clock)
            yield

    @contextlib.contextmanager
    def hold_as_it_is(self, profile_id: str, what: str) -> Iterator[None]:
        """Hold the lock, whatever was begun with the profile: for whoever looks after that himself.

        Raises:
            ProfileHeld: naming the holder.
            DurableWriteFailed: the record could not be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._lock(profile_id).hold(f"profile {profile_id}", what))
            except HolderAlive as exc:
                raise ProfileHeld(exc.what, exc.holder) from exc
            yield

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds it, None if it is free."""
        return self._lock(profile_id).holder()

    def remove_stale(self, profile_id: str) -> bool:
        """Remove the record that a killed holder left, with a warning in the log; whether there was one.

        Raises:
            ProfileHeld: somebody holds the lock: the record is not stale.
        """
        record = places.profile(self._state_dir, profile_id) / staging.RECORD
        if not record.exists():
            return False
        with self.hold_as_it_is(profile_id, "cleaning up"):
            pass  # its own record has replaced the stale one, and gone with it
        return True

    def _lock(self, profile_id: str) -> KernelLock:
        record = places.profile(self._state_dir, profile_id) / staging.RECORD
        return KernelLock(self._locks / f"{require_id(profile_id)}.lock", record, self._clock)
