"""The one planning function: called on every change, it says what the dispatcher does next."""

from __future__ import annotations

import msgspec


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run that goes in batches stands.

    Attributes:
        size: jobs of a batch.
        open: some of the present batch are still to be launched.
        next_at: epoch seconds before which no other begins; None once one may.
    """

    size: int
    open: bool = False
    next_at: float | None = None


class FleetView(msgspec.Struct, frozen=True, kw_only=True):
    """What planning looks at.

    Attributes:
        running: attempts under way, prepared ones and dying ones of an earlier run included.
        limit: slots.
        ready: jobs that may start now.
        later: jobs that may start at ``next_due`` or after, or when their profile is free.
        next_due: epoch seconds of the earliest of them; None if only a running job can make one ready.
        stopping: no new attempt is to start.
        watching: stay when nothing is left.
        held: nothing is to start now, and somebody will say when it may again.
        parked: of those under way, how many wait for a person.
        idle_since: epoch seconds since when nothing but parked attempts is left; None while something is.
        wait_parked: for how many seconds a person is waited for then.
        batch: None where jobs start one by one, as slots become free.
    """

    running: int
    limit: int
    ready: int
    later: int
    next_due: float | None
    stopping: bool
    watching: bool
    held: bool = False
    parked: int = 0
    idle_since: float | None = None
    wait_parked: float = 0.0
    batch: BatchView | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing but parked attempts is left."""
        return self.running == self.parked > 0 and self.ready == 0 and self.next_due is None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now.

    Attributes:
        start: how many jobs to claim and start; where there are batches, as the next one.
        wake_at: epoch seconds at which to plan again without a change; None to wait for one.
        dismiss: no person is waited for any more.
        finished: nothing is left to do and nobody stays.
    """

    start: int = 0
    wake_at: float | None = None
    dismiss: bool = False
    finished: bool = False


def plan(view: FleetView, now: float) -> Plan:
    """Say how many jobs to start, when to look again, and whether the run is over."""
    if view.stopping:
        return Plan(finished=view.running == 0)
    if view.running == 0 and view.ready == 0 and view.later == 0 and not view.watching:
        return Plan(finished=True)
    start, wake_at = (0, None) if view.held else _next(view, now)
    if start:
        return Plan(start=start)
    if view.is_idle and not view.watching:
        until = (now if view.idle_since is None else view.idle_since) + view.wait_parked
        return Plan(dismiss=True) if now >= until else Plan(wake_at=until)
    waits = [at for at in (wake_at, view.next_due) if at is not None]
    return Plan(wake_at=max(min(waits), now) if waits else None)


def _next(view: FleetView, now: float) -> tuple[int, float | None]:
    """Return how many to start now, and when there may be more without any other change.

    The cases: no batches → what free slots there are; a batch that is not complete → none, its completion is a change; the
    delay after one → none yet; else → the next batch, however many slots are free: its jobs wait prepared.
    """
    if view.batch is None:
        return min(max(view.limit - (view.running - view.parked), 0), view.ready), None
    if view.batch.open:
        return 0, None
    if view.batch.next_at is not None and now < view.batch.next_at:
        return 0, view.batch.next_at if view.ready else None
    return min(view.batch.size, view.ready), None
