"""Batches: jobs that are claimed and prepared together, launched one by one, and followed by a delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain import events
from core.domain.planning import BatchView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.clock import Clock
    from core.domain.events import Event
    from core.domain.model import Claim


class Batch:
    """One batch: it is complete when each of its jobs was launched or has ended before that."""

    def __init__(self, number: int, claims: Sequence[Claim], tell: Callable[[Batch], None]) -> None:
        self.number = number
        self.jobs = tuple(claim.job.spec.id for claim in claims)
        self.profiles = tuple(claim.job.spec.profile_id for claim in claims)
        self.launched = 0
        self._open = set(self.jobs)
        self._tell = tell

    @property
    def failed(self) -> int:
        """How many ended before they were launched."""
        return len(self.jobs) - len(self._open) - self.launched

    @property
    def is_complete(self) -> bool:
        """Whether nobody is left to be launched."""
        return not self._open

    def launch(self, job: str) -> None:
        """Count a job that may start its browser."""
        self.launched += 1
        self.settle(job)

    def settle(self, job: str) -> None:
        """Count a job as one that the batch no longer waits for."""
        if job in self._open:
            self._open.remove(job)
            if self.is_complete:
                self._tell(self)


class Batches:
    """The pace of a run: how large batches are, which one is open, when the next may begin."""

    def __init__(self, size: int, delay: float, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._size = size
        self._delay = delay
        self._clock = clock
        self._emit = emit
        self._number = 0
        self._began = 0.0
        self._next = float("-inf")  # monotonic: a clock that is set back makes no delay longer
        self._open = False

    @property
    def view(self) -> BatchView:
        """What planning looks at."""
        wait = self._next - self._clock.monotonic()
        return BatchView(size=self._size, open=self._open, next_at=self._clock.now() + wait if wait > 0 else None)

    def begin(self, claims: Sequence[Claim]) -> Batch:
        """Begin the next batch with these jobs, of which there is at least one."""
        self._number += 1
        self._open = True
        self._began = self._clock.monotonic()
        batch = Batch(self._number, claims, self._complete)
        self._emit(
            events.BatchStarted(at=self._clock.now(), batch=batch.number, jobs=batch.jobs, profiles=batch.profiles)
        )
        return batch

    def _complete(self, batch: Batch) -> None:
        now = self._clock.now()
        self._open = False
        self._next = self._clock.monotonic() + self._delay
        self._emit(
            events.BatchCompleted(
                at=now,
                batch=batch.number,
                launched=batch.launched,
                failed=batch.failed,
                seconds=self._clock.monotonic() - self._began,
                next_at=now + self._delay,
            )
        )
