"""Who may run a browser (slots) and who may start one now (the launch gate)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from core.clock import Clock


class Slots:
    """At most ``limit`` holders, first come, first served. The limit may change: who holds a slot keeps it."""

    def __init__(self, limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(limit)

    @property
    def limit(self) -> int:
        """How many may hold a slot."""
        return int(self._limiter.total_tokens)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limiter.total_tokens = limit

    @property
    def taken(self) -> int:
        """How many are held."""
        return self._limiter.borrowed_tokens

    def seat(self) -> Seat:
        """Return a seat that holds no slot yet."""
        return Seat(self._limiter)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot, waiting for one if need be."""
        async with self.seat() as seat:
            await seat.take()
            yield

    def __repr__(self) -> str:
        return f"<Slots {self.taken}/{self.limit}>"


class Seat:
    """One task's share of the slots: a slot or none. The task owns it in its ``async with``, and leaves with none."""

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._holds = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up()

    async def take(self) -> None:
        """Hold a slot, waiting for one if need be; at once if it is held already."""
        if not self._holds:
            await self._limiter.acquire_on_behalf_of(self)
            self._holds = True

    def give_up(self) -> None:
        """Hold none, so that somebody else may."""
        if self._holds:
            self._limiter.release_on_behalf_of(self)
            self._holds = False


class LaunchGate:
    """Lets one start through at a time, ``interval`` seconds apart, stretched by up to half by the clock's jitter.

    It may be held, for several reasons at once, and let go again; once closed it lets nobody through any more.

    Attributes:
        passed: called each time somebody is let through, before anybody else can be.
    """

    def __init__(self, interval: float, clock: Clock) -> None:
        self._interval = interval
        self._clock = clock
        self._turn = anyio.Lock()
        self._opens_at = float("-inf")
        self._closed = False
        self._held: dict[str, None] = {}
        self._changed = anyio.Event()
        self.passed: Callable[[], None] = lambda: None

    @property
    def held(self) -> tuple[str, ...]:
        """Why nobody may pass now, the oldest reason first."""
        return tuple(self._held)

    def hold(self, reason: str) -> None:
        """Let nobody through until ``let_go`` of the same reason."""
        self._held[reason] = None
        self._tell()

    def let_go(self, reason: str) -> None:
        """Take one reason back."""
        self._held.pop(reason, None)
        self._tell()

    def close(self) -> None:
        """Send all who wait away, now and later."""
        self._closed = True
        self._tell()

    async def passage(self) -> bool:
        """Wait for one's turn; whether it came before the gate was closed."""
        async with self._turn:
            while not self._closed:
                wait = float("inf") if self._held else self._opens_at - self._clock.monotonic()
                if wait <= 0:
                    self._opens_at = self._clock.monotonic() + self._interval * (1 + self._clock.jitter() / 2)
                    self.passed()
                    return True
                with anyio.move_on_after(wait):
                    await self._changed.wait()
            return False

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
