"""What one worker has asked of the turnstiles, by the numbers that it gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from core.domain.messages import LimitAsked, LimitBegun, LimitGiven, LimitLeft
from core.errors import ControlLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from core.dispatch.turnstiles import Turnstiles, Visit
    from core.domain.messages import Up

log = structlog.get_logger(__name__)


class Watcher(Protocol):
    """Is told how a worker's waits go."""

    def waits(self, ticket: int) -> None:
        """It waits, and holds nothing that others wait for."""
        ...

    def held(self, key: str, reason: str) -> None:
        """It has waited for a while."""
        ...

    def went_on(self, ticket: int, key: str, held: float | None) -> None:
        """It waits no more; ``held``: for how many seconds it did, if that was told."""
        ...


class Passes:
    """Takes a worker's words about limits, and gives the answers. Whatever it holds is given back on leaving.

    A wait of one who holds what others wait for is not told as one: its time goes on, so that two who wait for each other do not
    do so for ever.

    Args:
        turnstiles: the run's.
        send: sends an answer.
        watcher: hears how it goes.
    """

    def __init__(self, turnstiles: Turnstiles, send: Callable[[LimitGiven], Awaitable[None]], watcher: Watcher) -> None:
        self._turnstiles = turnstiles
        self._send = send
        self._watcher = watcher
        self._visits: dict[int, Visit] = {}
        self._held: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for visit in self._visits.values():
            visit.leave()

    def hear(self, message: Up, tasks: TaskGroup) -> bool:
        """Act on a word, in a task of its own where that takes time; whether it was about a limit."""
        match message:
            case LimitAsked(ticket=ticket, key=key) if ticket not in self._visits:
                visit = self._visits[ticket] = self._turnstiles.visit(key)
                if not self._held:
                    self._watcher.waits(ticket)
                tasks.start_soon(self._let_in, ticket, visit)
            case LimitBegun(ticket=ticket) if ticket in self._visits:
                self._visits[ticket].began()
                tasks.start_soon(self._turnstiles.write_begun)
            case LimitLeft(ticket=ticket) if ticket in self._visits:
                self._held.discard(ticket)
                self._visits.pop(ticket).leave()
            case LimitAsked() | LimitBegun() | LimitLeft():
                pass  # said twice, or too late
            case _:
                return False
        return True

    async def _let_in(self, ticket: int, visit: Visit) -> None:
        came = await visit.admitted(lambda reason: self._watcher.held(visit.key, reason))
        held = self._turnstiles.clock.monotonic() - visit.since if visit.reason else None
        self._watcher.went_on(ticket, visit.key, held)
        if came and ticket in self._visits:
            if visit.holds:
                self._held.add(ticket)
            try:
                await self._send(LimitGiven(ticket=ticket, holds=visit.holds))
            except ControlLost:
                log.info("worker_gone_before_its_turn", key=visit.key)
