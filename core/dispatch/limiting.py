"""How the waits of one attempt for what keys limit are seen by the rest of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.domain import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.dispatch.attempt import Attempt
    from core.dispatch.handle import Handle
    from core.domain.events import Event


class LimitWatcher:
    """Stops the attempt's clock while it waits, and tells of what takes long. A ``core.dispatch.passes.Watcher``."""

    def __init__(self, attempt: Attempt, handle: Handle, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._attempt = attempt
        self._handle = handle
        self._clock = clock
        self._emit = emit

    def waits(self, ticket: int) -> None:
        """See ``Watcher``."""
        self._attempt.pause(ticket, self._clock.monotonic())

    def held(self, key: str, reason: str) -> None:
        """See ``Watcher``."""
        self._handle.limited = f"{key}: {reason}"
        self._emit(events.LimitHeld(key=key, reason=reason, **self._of()))

    def went_on(self, ticket: int, key: str, held: float | None) -> None:
        """See ``Watcher``."""
        self._attempt.go_on(ticket, self._clock.monotonic())
        if held is not None:
            self._handle.limited = ""
            self._emit(events.LimitPassed(key=key, seconds=held, **self._of()))

    def _of(self) -> dict[str, Any]:
        record = self._handle.claim.attempt
        return {
            "at": self._clock.now(),
            "profile_id": record.profile_id,
            "job": record.job_id,
            "attempt": record.number,
        }
