"""Who may run a browser (slots) and who may start one now (the launch gate)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.clock import Clock


class Slots:
    """At most ``limit`` holders. The task that uses a slot owns it in its ``async with``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = anyio.Semaphore(limit, max_value=limit)

    @property
    def taken(self) -> int:
        """How many are held."""
        return self.limit - self._free.value

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot, waiting for one if need be."""
        async with self._free:
            yield

    def __repr__(self) -> str:
        return f"<Slots {self.taken}/{self.limit}>"


class LaunchGate:
    """Lets one start through at a time, ``interval`` seconds apart, stretched by up to half by the clock's jitter."""

    def __init__(self, interval: float, clock: Clock) -> None:
        self._interval = interval
        self._clock = clock
        self._turn = anyio.Lock()
        self._opens_at = float("-inf")

    async def passage(self, closed: anyio.Event) -> bool:
        """Wait for one's turn; whether it came before the gate was ``closed``."""
        async with self._turn:
            with anyio.move_on_after(max(0.0, self._opens_at - self._clock.monotonic())):
                await closed.wait()
            if closed.is_set():
                return False
            self._opens_at = self._clock.monotonic() + self._interval * (1 + self._clock.jitter() / 2)
            return True
