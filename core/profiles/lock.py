"""Profile locks: ``state/locks/<id>.lock`` for the kernel, ``state/profiles/<id>/.lock`` for people."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from core.domain.validation import require_id
from core.errors import HolderAlive, ProfileHeld
from core.kernel_lock import KernelLock
from core.profiles import staging

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
        self._profiles = state_dir / "profiles"
        self._clock = clock

    @contextlib.contextmanager
    def hold(self, profile_id: str, what: str) -> Iterator[None]:
        """Hold the lock, and write the record for people. It may be released by another thread than took it.

        A profile that somebody was putting together when he was killed is there as a whole by then, or not at all.

        Raises:
            ProfileHeld: naming the holder.
            DurableWriteFailed: the record could not be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._lock(profile_id).hold(f"profile {profile_id}", what))
            except HolderAlive as exc:
                raise ProfileHeld(exc.what, exc.holder) from exc
            staging.settle(self._state_dir, profile_id)
            yield

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds it, None if it is free."""
        return self._lock(profile_id).holder()

    def _lock(self, profile_id: str) -> KernelLock:
        name = require_id(profile_id)
        return KernelLock(self._locks / f"{name}.lock", self._profiles / name / ".lock", self._clock)
