"""The worker's side of limits by key: the orchestrator says when it is this worker's turn."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from itertools import count
from typing import TYPE_CHECKING

import anyio

from core.domain.messages import LimitAsked, LimitBegun, LimitLeft

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.domain.messages import LimitGiven
    from workers.port import Control
    from workers.steps.time_limit import TimeLimit


class _Turn:
    """Comes once."""

    def __init__(self) -> None:
        self.came = anyio.Event()
        self.holds = False


class Permits:
    """Asks for permits, one number each.

    Args:
        control: the other side, which has the limits.
        time_limit: stands still while this worker waits, unless others wait for it.
    """

    def __init__(self, control: Control, time_limit: TimeLimit) -> None:
        self._control = control
        self._time_limit = time_limit
        self._tickets = count(1)
        self._turns: dict[int, _Turn] = {}
        self._held = 0

    def hear(self, word: LimitGiven) -> None:
        """It is the turn of a number."""
        turn = self._turns.get(word.ticket)
        if turn is not None:
            turn.holds = word.holds
            turn.came.set()

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait until one may go on with what the key limits; the body is what is limited."""
        ticket = next(self._tickets)
        turn = self._turns[ticket] = _Turn()
        holds = 0
        said: asyncio.Handle | None = None
        self._control.send(LimitAsked(ticket=ticket, key=key))
        try:
            with nullcontext() if self._held else self._time_limit.paused():
                await turn.came.wait()
            holds = int(turn.holds)
            self._held += holds
            # said when the body has had the loop for once: a start never counts from before it is one
            said = asyncio.get_running_loop().call_soon(self._control.send, LimitBegun(ticket=ticket))
            yield
        finally:
            if said is not None:
                said.cancel()
            self._held -= holds
            del self._turns[ticket]
            self._control.send(LimitLeft(ticket=ticket))
