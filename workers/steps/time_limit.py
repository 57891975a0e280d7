"""How long a flow's code may take; time in which it waits for its turn does not count."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Running:
    """One limit that runs."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.scope = scope
        self.pauses = 0
        self.left = 0.0


class TimeLimit:
    """The limit of what is under way of a flow's code, one after the other."""

    def __init__(self) -> None:
        self._running: _Running | None = None

    @contextmanager
    def of(self, seconds: float) -> Iterator[anyio.CancelScope]:
        """Cancel the body after so many seconds, as ``anyio.move_on_after`` does."""
        outer = self._running
        with anyio.move_on_after(seconds) as scope:
            self._running = _Running(scope)
            try:
                yield scope
            finally:
                self._running = outer

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass for what is under way, while one or several bodies last."""
        running = self._running
        if running is None:
            yield
            return
        if not running.pauses:
            running.left = running.scope.deadline - anyio.current_time()
            running.scope.deadline = float("inf")
        running.pauses += 1
        try:
            yield
        finally:
            running.pauses -= 1
            if not running.pauses:
                running.scope.deadline = anyio.current_time() + running.left
