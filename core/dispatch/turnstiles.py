"""The turnstiles of a run, one for each key that is limited: all workers pass through the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from core.domain.limits import Limit
from core.domain.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.clock import Clock
    from core.dispatch.off_loop import OffLoop
    from core.state.port import LimitRecord

PATIENCE = 1.0
"""Seconds that a wait takes to be worth telling."""


class Visit:
    """One who wants to go on with what a key limits; stands in line from the beginning.

    Attributes:
        key: which.
        since: monotonic seconds.
        reason: why it still waits, once that is worth telling.
        holds: whether others wait until it leaves.
    """

    def __init__(self, key: str, stile: Turnstile | None, turnstiles: Turnstiles) -> None:
        self.key = key
        self.reason = ""
        self._stile = stile
        self._turnstiles = turnstiles
        self._clock = turnstiles.clock
        self._gone = False
        self._let_in: float | None = None
        self._woken = anyio.Event()
        self.since = self._clock.monotonic()
        self.holds = stile is not None and stile.limit.concurrency is not None
        if stile is not None:
            stile.ask(self)

    async def admitted(self, tell: Callable[[str], None]) -> bool:
        """Wait for its turn; whether it came before this one left. ``tell`` hears once why it takes long."""
        stile = self._stile
        if stile is None:
            return True
        while not self._gone:
            now = self._clock.monotonic()
            if stile.admit(self, now):
                if stile.limit.rate is not None:
                    self._let_in = self._clock.now()
                    await self._turnstiles.note(self.key, self._let_in)
                self._turnstiles.wake(stile)
                return True
            if not self.reason and now >= self.since + PATIENCE:
                self.reason = stile.why_not(now) or "others come first"
                tell(self.reason)
            wait = stile.opens_at(now) - now if stile.first is self else float("inf")
            if not self.reason:
                wait = min(wait, self.since + PATIENCE - now)
            with anyio.move_on_after(wait):
                await self._woken.wait()
            self._woken = anyio.Event()
        return False

    def began(self) -> None:
        """It has begun."""
        if self._stile is not None:
            self._stile.began(self, self._clock.monotonic())
            self._turnstiles.wake(self._stile)
            self._say_began()

    def leave(self) -> None:
        """It is done, or waits no more; safe to call twice."""
        self._gone = True
        self.wake()
        if self._stile is not None:
            self._stile.leave(self, self._clock.monotonic())
            self._turnstiles.wake(self._stile)
            self._say_began()

    def _say_began(self) -> None:
        if self._let_in is not None:
            self._turnstiles.began.append((self.key, self._let_in, self._clock.now()))
            self._let_in = None

    def wake(self) -> None:
        """Look again whether it is its turn."""
        self._woken.set()


class Turnstiles:
    """All of them.

    Args:
        limits: returns what holds by key; what is not in it is not limited.
        clock: time.
        record: knows what earlier runs began, and is told of each start before anybody is let in; None: nobody is.
        files: threads for that.

    Attributes:
        clock: time.
        began: key, when it was let in, and when it began, of those of whom that is still to be written.
    """

    def __init__(
        self,
        limits: Callable[[], Mapping[str, Limit]],
        clock: Clock,
        *,
        record: LimitRecord | None = None,
        files: OffLoop | None = None,
    ) -> None:
        self.clock = clock
        self.began: list[tuple[str, float, float]] = []
        self._limits = limits
        self._record = record
        self._files = files
        # a clock that was put back must not make an earlier start one of the future
        now = clock.monotonic()
        ahead = now - clock.now()
        earlier = {} if record is None else record.starts()
        self._earlier = {key: [min(at + ahead, now) for at in starts] for key, starts in earlier.items()}
        self._stiles: dict[str, Turnstile] = {}
        self.look_again()

    def look_again(self) -> None:
        """Other limits may hold from now on; who waits or is inside stays there."""
        limits = self._limits()
        for key in limits.keys() - self._stiles.keys():
            self._stiles[key] = Turnstile(limits[key], self._earlier.get(key, ()))
        for key, stile in self._stiles.items():
            stile.limit = limits.get(key, Limit())
            self.wake(stile)

    def visit(self, key: str) -> Visit:
        """Return one who stands in line for a key."""
        return Visit(key, self._stiles.get(key), self)

    def wake(self, stile: Turnstile) -> None:
        """Something has changed at a turnstile: whose turn it is looks again."""
        if isinstance(stile.first, Visit):
            stile.first.wake()

    async def note(self, key: str, at: float) -> None:
        """Make known that somebody is let in."""
        await self._record_it(lambda record: record.note(key, at))

    async def write_begun(self) -> None:
        """Make known who has begun; who is not known to have when a run is killed counts for the next from its beginning."""
        while self.began:
            said = self.began.pop(0)
            await self._record_it(partial(_write, said))

    async def _record_it(self, say: Callable[[LimitRecord], None]) -> None:
        if self._record is not None and self._files is not None:
            await self._files(say, self._record)


def _write(said: tuple[str, float, float], record: LimitRecord) -> None:
    record.began(*said)
