"""One orchestrator per state directory: ``state/orchestrator.lock`` for the kernel, ``.holder`` beside it for people."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from core.errors import HolderAlive, StateDirectoryHeld
from core.kernel_lock import KernelLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from core.clock import Clock
    from core.domain.model import Holder

_PATIENCE = 5.0
_PAUSE = 0.02


class OrchestratorLock:
    """The lock of a state directory."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._state_dir = state_dir
        self._lock = KernelLock(state_dir / "orchestrator.lock", state_dir / "orchestrator.holder", clock)

    @contextlib.contextmanager
    def hold(self, what: str = "orchestrator", *, end_holder: Callable[[Holder], None] | None = None) -> Iterator[None]:
        """Hold the state directory.

        Args:
            what: who holds it, for the record.
            end_holder: takes it over: ends the process that holds it, if that is proven to be the one on record.

        Raises:
            StateDirectoryHeld: naming the holder.
        """
        if end_holder is not None and (holder := self._lock.holder()) is not None:
            end_holder(holder)
            self._wait_until_free()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._lock.hold(f"state directory {self._state_dir}", what))
            except HolderAlive as exc:
                raise StateDirectoryHeld(exc.what, exc.holder) from exc
            yield

    def holder(self) -> Holder | None:
        """Return who holds it, None if it is free."""
        return self._lock.holder()

    def _wait_until_free(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._lock.holder() is not None and time.monotonic() < end:
            time.sleep(_PAUSE)
