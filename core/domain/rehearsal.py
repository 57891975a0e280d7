"""What a run would do, were every job of it to end well: in which order jobs start, what starts later, what not at all."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import msgspec

from core.domain.model import JobRecord, JobState
from core.domain.schedule import RECURRING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PENDING = (JobState.QUEUED, JobState.WAITING)
_IN_HAND = (JobState.PREPARED, JobState.RUNNING)
_DONE_SOON = (JobState.DONE, *_IN_HAND)


class Start(msgspec.Struct, frozen=True):
    """A job, and in which round it starts, from 1: as many start together as there are slots, or as a batch has."""

    job: JobRecord
    round: int


class Later(msgspec.Struct, frozen=True):
    """A job that does not start before a moment, in epoch seconds."""

    job: JobRecord
    at: float


class Held(msgspec.Struct, frozen=True):
    """A job that does not start, and the jobs that it waits for, as they stand."""

    job: JobRecord
    waits_for: tuple[tuple[str, JobState], ...]


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the jobs that have not ended.

    Attributes:
        in_hand: some run has them already.
        starts: in order.
        later: those whose time, or next time, has not come, and those that come after one of them, the earliest first.
        held: those that wait for jobs that are not going to be done, in queue order.
    """

    in_hand: tuple[JobRecord, ...]
    starts: tuple[Start, ...]
    later: tuple[Later, ...]
    held: tuple[Held, ...]


class _Line:
    """Who may start: of each profile one at a time, the best one."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[int, int, JobRecord]]] = {}
        self._heads: list[tuple[int, int, str]] = []

    def add(self, number: int, job: JobRecord) -> None:
        """Let a job stand in line; ``number`` is its place in the queue."""
        profile = self._of.setdefault(job.spec.profile_id, [])
        heapq.heappush(profile, (-job.spec.priority, number, job))
        self._show(job.spec.profile_id)

    def take(self, most: int) -> list[JobRecord]:
        """Take the next ones, no two of one profile."""
        taken: dict[str, JobRecord] = {}
        while self._heads and len(taken) < most:
            priority, number, profile_id = heapq.heappop(self._heads)
            profile = self._of[profile_id]
            # a head that another one has taken the place of was shown again
            if profile_id not in taken and profile and profile[0][:2] == (priority, number):
                taken[profile_id] = heapq.heappop(profile)[2]
        for profile_id in taken:
            self._show(profile_id)
        return list(taken.values())

    def _show(self, profile_id: str) -> None:
        if profile := self._of[profile_id]:
            heapq.heappush(self._heads, (*profile[0][:2], profile_id))


class _Waiting:
    """Jobs that wait for others."""

    def __init__(self) -> None:
        self.open: dict[int, set[str]] = {}
        self._children: dict[str, list[int]] = {}

    def add(self, number: int, parents: set[str]) -> None:
        """Let a job wait; ``number`` is its place in the queue."""
        self.open[number] = parents
        for name in parents:
            self._children.setdefault(name, []).append(number)

    def end(self, job_id: str) -> list[int]:
        """Note that a job is done; return those that wait for nothing more."""
        freed = []
        for number in self._children.get(job_id, ()):
            self.open[number].discard(job_id)
            if not self.open[number]:
                del self.open[number]
                freed.append(number)
        return freed


def rehearse(jobs: Sequence[JobRecord], others: Mapping[str, JobState], *, now: float, width: int) -> Rehearsal:
    """Say what a run would do.

    Args:
        jobs: all that the run sees, in queue order.
        others: states of jobs that it does not see and that some of its own come after.
        now: epoch seconds.
        width: how many start together.
    """
    states = {**others, **{job.spec.id: job.state for job in jobs}}
    line, waiting = _Line(), _Waiting()
    asleep: list[tuple[float, int]] = []

    def enter(number: int) -> None:
        due_at = jobs[number].due_at
        if due_at is not None and due_at > now:
            heapq.heappush(asleep, (due_at, number))
        else:
            line.add(number, jobs[number])

    for number, job in enumerate(jobs):
        # what nobody knows is not waited for
        waits = {name for name in job.spec.after if name in states and states[name] not in _DONE_SOON}
        if job.state in _PENDING and waits:
            waiting.add(number, waits)
        elif job.state in _PENDING:
            enter(number)
    starts: list[Start] = []
    nth = 0
    while taken := line.take(width):
        nth += 1
        starts += (Start(job, nth) for job in taken)
        for job in taken:
            for freed in waiting.end(job.spec.id):
                enter(freed)
    return Rehearsal(
        in_hand=tuple(job for job in jobs if job.state in _IN_HAND),
        starts=tuple(starts),
        later=tuple(sorted([*_later(jobs, waiting, asleep), *_again(jobs, now)], key=lambda one: one.at)),
        held=tuple(
            Held(jobs[number], tuple((name, states[name]) for name in sorted(waits)))
            for number, waits in sorted(waiting.open.items())
        ),
    )


def _again(jobs: Sequence[JobRecord], now: float) -> Iterator[Later]:
    """Yield the jobs that ended and whose next time has not come."""
    for job in jobs:
        if job.state in RECURRING and job.spec.every is not None and job.due_at is not None and job.due_at > now:
            yield Later(job, job.due_at)


def _later(jobs: Sequence[JobRecord], waiting: _Waiting, asleep: list[tuple[float, int]]) -> Iterator[Later]:
    """Yield the jobs whose time has not come, and with each what it sets free."""
    while asleep:
        at, number = heapq.heappop(asleep)
        yield Later(jobs[number], at)
        for freed in waiting.end(jobs[number].spec.id):
            heapq.heappush(asleep, (max(at, jobs[freed].due_at or at), freed))
