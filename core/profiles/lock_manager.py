"""Waiting for a profile's lock: whoever wants it while somebody has it waits for a while, and is then told who has it."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import HolderAlive
from core.kernel_lock import KernelLock
from core.profiles import places, staging
from core.profiles.lock import FileProfileLocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from core.clock import Clock
    from core.domain.model import Holder

PATIENCE = 30.0
"""Seconds."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1


class ProfileLockManager:
    """The locks of profiles for operations, which wait; a worker does not wait for them (``FileProfileLocks``).

    Args:
        state_dir: absolute.
        clock: for the records.
        timeout: seconds that an operation waits.
    """

    def __init__(self, state_dir: Path, clock: Clock, *, timeout: float = PATIENCE) -> None:
        self._state_dir = state_dir
        self._locks = FileProfileLocks(state_dir, clock)
        self._all = KernelLock(state_dir / "locks" / ".profiles.lock", state_dir / "locks" / ".profiles.holder", clock)
        self._timeout = timeout
        self._held: dict[str, contextlib.ExitStack] = {}

    def acquire(
        self, *profile_ids: str, what: str = "ostler profile", timeout: float | None = None
    ) -> AbstractContextManager[Any]:
        """Take the locks of some profiles, and return what releases them when it is left; so does ``release``.

        Args:
            profile_ids: whose; always taken in the same order, so that two who want the same do not block each other.
            what: what the holder is called meanwhile.
            timeout: seconds to wait; None: as the manager was told.

        Raises:
            ProfileHeld: somebody still has one of them then; pid, host and since when are said.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        with contextlib.ExitStack() as stack:
            for profile_id in sorted(profile_ids):
                stack.enter_context(_patiently(partial(self._locks.hold, profile_id, what), deadline))
                stack.callback(self._held.pop, profile_id, None)
            taken = stack.pop_all()
        self._held.update(dict.fromkeys(profile_ids, taken))
        return taken

    def release(self, profile_id: str) -> bool:
        """Release what ``acquire`` of this manager took for a profile, and what it took with it; whether it had."""
        taken = self._held.pop(profile_id, None)
        if taken is None:
            return False
        taken.close()
        return True

    @contextlib.contextmanager
    def acquire_all(self, what: str = "ostler profile") -> Iterator[None]:
        """Be the one who changes which profiles there are, or which is active. Nobody waits for a profile meanwhile.

        Raises:
            HolderAlive: somebody else still does.
        """
        deadline = time.monotonic() + self._timeout
        with _patiently(partial(self._all.hold, "the list of profiles", what), deadline):
            yield

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds a profile, None if it is free."""
        return self._locks.holder(profile_id)

    def is_locked(self, profile_id: str) -> bool:
        """Whether somebody holds it."""
        return self.holder(profile_id) is not None

    def cleanup_stale(self) -> list[str]:
        """Remove the records that killed holders left, and finish what they had begun; return whose records they were."""
        removed = []
        for profile_id in self.recorded():
            with contextlib.suppress(HolderAlive):
                if not self.is_locked(profile_id) and self._locks.remove_stale(profile_id):
                    removed.append(profile_id)
        self.finish_begun()
        return removed

    def finish_begun(self) -> None:
        """Finish or take back what killed processes had begun; what is under way is left alone."""
        for profile_id in places.begun(self._state_dir):
            with contextlib.suppress(HolderAlive), self._locks.hold(profile_id, "cleaning up"):
                continue

    def recorded(self) -> list[str]:
        """Return profiles for which there is a record, of whom it may be."""
        root = places.profiles(self._state_dir)
        return sorted(
            path.parent.name for path in root.glob(f"[A-Za-z0-9]*/{staging.RECORD}") if not path.parent.is_symlink()
        )


@contextlib.contextmanager
def _patiently(hold: Callable[[], AbstractContextManager[None]], deadline: float) -> Iterator[None]:
    pause = _FIRST_PAUSE
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold())
            except HolderAlive:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                break
        yield
