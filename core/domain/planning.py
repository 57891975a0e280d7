"""The one planning function: called on every change, it says what the dispatcher does next."""

from __future__ import annotations

import msgspec


class FleetView(msgspec.Struct, frozen=True, kw_only=True):
    """What planning looks at.

    Attributes:
        running: attempts that hold a slot, dying ones of an earlier run included.
        limit: slots.
        ready: jobs that may start now.
        later: jobs that may start at ``next_due`` or after, or when their profile is free.
        next_due: epoch seconds of the earliest of them; None if only a running job can make one ready.
        stopping: no new attempt is to start.
        watching: stay when nothing is left.
    """

    running: int
    limit: int
    ready: int
    later: int
    next_due: float | None
    stopping: bool
    watching: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now.

    Attributes:
        start: how many jobs to claim and start.
        wake_at: epoch seconds at which to plan again without a change; None to wait for one.
        finished: nothing is left to do and nobody stays.
    """

    start: int = 0
    wake_at: float | None = None
    finished: bool = False


def plan(view: FleetView, now: float) -> Plan:
    """Say how many jobs to start, when to look again, and whether the run is over."""
    if view.stopping:
        return Plan(finished=view.running == 0)
    start = min(max(view.limit - view.running, 0), view.ready)
    if start:
        return Plan(start=start)
    if view.running == 0 and view.ready == 0 and view.later == 0 and not view.watching:
        return Plan(finished=True)
    return Plan(wake_at=None if view.next_due is None else max(view.next_due, now))
