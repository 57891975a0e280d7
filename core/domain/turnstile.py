"""Who may go on with what a key limits: first come, first served.

The law of a rate: never more than ``number`` starts in any ``seconds``, wherever that window begins. So each start is
remembered until it is ``seconds`` old. A start counts from when whoever was let in says that it began; until then it takes
its place in the window, however long the word is under way.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from core.domain.limits import Limit

NEVER = float("inf")


class Turnstile:
    """Of one key. Knows no clock: ``now`` is in seconds that never go back, and ``starts`` are in the same.

    Args:
        limit: what holds.
        starts: earlier ones that still count.
    """

    def __init__(self, limit: Limit, starts: Iterable[float] = ()) -> None:
        self.limit = limit
        self._starts = deque(sorted(starts))
        self._waiting: dict[Hashable, None] = {}
        self._unsaid: set[Hashable] = set()
        self._inside: set[Hashable] = set()

    @property
    def first(self) -> Hashable | None:
        """Whose turn it is next; None if nobody waits."""
        return next(iter(self._waiting), None)

    @property
    def is_unused(self) -> bool:
        """Whether nobody waits and nobody is inside."""
        return not self._waiting and not self._inside

    def ask(self, who: Hashable) -> None:
        """Stand in line."""
        self._waiting[who] = None

    def admit(self, who: Hashable, now: float) -> bool:
        """Let this one in if it is its turn and there is room; whether it was."""
        if who != self.first or self.opens_at(now) > now:
            return False
        del self._waiting[who]
        self._inside.add(who)
        self._unsaid.add(who)
        return True

    def began(self, who: Hashable, now: float) -> None:
        """It says that it began; only the first time counts."""
        if who in self._unsaid:
            self._unsaid.remove(who)
            if self.limit.rate is not None:
                self._starts.append(now)

    def leave(self, who: Hashable, now: float) -> None:
        """It has left, the line or the inside; whoever is gone began at the latest now."""
        self._waiting.pop(who, None)
        self.began(who, now)
        self._inside.discard(who)

    def opens_at(self, now: float) -> float:
        """Return when there is room as far as time decides; ``NEVER`` while somebody has to do something first."""
        limit = self.limit
        if limit.concurrency is not None and len(self._inside) >= limit.concurrency:
            return NEVER
        if limit.rate is None:
            return now
        while self._starts and self._starts[0] <= now - limit.rate.seconds:
            self._starts.popleft()
        over = len(self._starts) + len(self._unsaid) - limit.rate.number
        if over < 0:
            return now
        # the one whose end makes room; those that have not said that they began will last longer than any
        return self._starts[over] + limit.rate.seconds if over < len(self._starts) else NEVER

    def why_not(self, now: float) -> str:
        """Return what holds the next one up, for people; empty if nothing does."""
        limit = self.limit
        if limit.concurrency is not None and len(self._inside) >= limit.concurrency:
            return f"{len(self._inside)} of {limit.concurrency} at a time"
        return str(limit.rate) if self.opens_at(now) > now else ""
