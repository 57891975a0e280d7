"""What attempts of each flow usually take, in this run and in earlier ones."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from core.domain.hard_limit import SAMPLES, HardLimit, limit_of

if TYPE_CHECKING:
    from core.dispatch.attempt import AttemptLimits
    from core.dispatch.off_loop import Blocking
    from core.queue.port import JobQueue


class UsualTime:
    """Remembers durations of attempts that ended well, if a limit depends on them.

    Args:
        limits: of an attempt.
    """

    def __init__(self, limits: AttemptLimits) -> None:
        self._limits = limits
        self._seconds: dict[str, deque[float]] = {}

    async def learn(self, queue: JobQueue, blocking: Blocking) -> None:
        """Take over what the queue knows of earlier runs.

        Raises:
            QueueUnavailable: it cannot be read.
        """
        if self._limits.percent is not None:
            for flow, seconds in (await blocking.queue(queue.usual_seconds, SAMPLES)).items():
                self._seconds[flow] = deque(seconds, SAMPLES)

    def add(self, flow: str, seconds: float) -> None:
        """An attempt of a flow ended well."""
        if self._limits.percent is not None:
            self._seconds.setdefault(flow, deque(maxlen=SAMPLES)).append(seconds)

    def limit(self, flow: str) -> HardLimit:
        """Return what an attempt of a flow may take, by what is known now."""
        limits = self._limits
        if limits.percent is None:
            return HardLimit(limits.hard)
        known = tuple(self._seconds.get(flow, ()))
        return limit_of(limits.percent, known, least=limits.progress, most=limits.hard)
