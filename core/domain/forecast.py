"""How long a run is likely to take: from what steps and jobs took, with a range that is as wide as these were different."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.domain.snapshot import JobView, Snapshot

FEW = 4
"""With fewer durations than this their quartiles say nothing: the range is from half to double."""
_FLOOR, _CEILING = 0.5, 2.0


class Eta(NamedTuple):
    """Seconds until a run is likely to end; ``low`` and ``high`` if all went as in the quickest, or slowest, quarter of cases."""

    likely: float
    low: float
    high: float


class _Usual(NamedTuple):
    """One number for each duration that is asked for: the middle, or a quartile."""

    steps: Mapping[str, float]
    job: float | None

    @property
    def step(self) -> float | None:
        return median(self.steps.values()) if self.steps else None


def eta(snapshot: Snapshot, now: float) -> Eta | None:
    """Return when the run is likely to end; None while nothing is known, zeros when nothing is left.

    Work is counted in seconds of one slot: what the running jobs have still to do by their steps, and for each job that has
    not started a whole job, or until one is done, a running job's steps. It cannot be shorter than the longest that one
    running job still needs, nor end before the last retry that is known of. A run that is being stopped has only what runs;
    who waits for a person is nobody's work.
    """
    waiting = 0 if snapshot.stopping else snapshot.queued + snapshot.waiting
    running = [view for view in snapshot.running.values() if view.state is not JobState.PARKED]
    if not waiting and not running:
        return Eta(0.0, 0.0, 0.0) if snapshot.run else None
    if not snapshot.step_seconds and not snapshot.job_seconds:
        return None
    likely, low, high = (
        _until_done(snapshot, running, waiting, now, _usual(snapshot, of)) for of in (median, _lower, _upper)
    )
    return Eta(likely, min(low, likely), max(high, likely))


def quartiles(durations: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile; of a few durations half and double their median."""
    if len(durations) < FEW:
        return median(durations) * _FLOOR, median(durations) * _CEILING
    lower, _, upper = quantiles(durations, n=4, method="inclusive")
    return lower, upper


def _lower(durations: Sequence[float]) -> float:
    return quartiles(durations)[0]


def _upper(durations: Sequence[float]) -> float:
    return quartiles(durations)[1]


def _usual(snapshot: Snapshot, of: Callable[[Sequence[float]], float]) -> _Usual:
    steps = {name: of(durations) for name, durations in snapshot.step_seconds.items()}
    return _Usual(steps, of(snapshot.job_seconds) if snapshot.job_seconds else None)


def _until_done(snapshot: Snapshot, running: Sequence[JobView], waiting: int, now: float, usual: _Usual) -> float:
    left = [_left(view, now, usual) for view in running]
    whole = _whole(running, usual)
    slots = max(min(snapshot.max_concurrent, waiting + len(left)), 1)
    retries = [view.retry_at for view in snapshot.others.values() if view.retry_at is not None] if waiting else []
    return max([(sum(left) + waiting * whole) / slots, *left, *(at - now + whole for at in retries)])


def _left(view: JobView, now: float, usual: _Usual) -> float:
    step = usual.step
    if step is None or not view.todo:
        spent = now - view.started if view.started is not None else 0.0
        return max((usual.job if usual.job is not None else step or 0.0) - spent, 0.0)
    needed = sum(usual.steps.get(name, step) for name in view.todo)
    under_way = usual.steps.get(view.step, step) if view.step in view.todo else 0.0
    spent = now - view.step_started if view.step_started is not None else 0.0
    return needed - min(under_way, max(spent, 0.0))


def _whole(running: Sequence[JobView], usual: _Usual) -> float:
    if usual.job is not None:
        return usual.job
    totals = [view.steps_total for view in running if view.steps_total]
    return (usual.step or 0.0) * max(totals, default=len(usual.steps))
