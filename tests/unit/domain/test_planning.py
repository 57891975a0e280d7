"""What the dispatcher does next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.planning import BatchView, FleetView, Plan, plan


def view(**changes) -> FleetView:
    usual = {
        "running": 0,
        "limit": 5,
        "ready": 0,
        "later": 0,
        "next_due": None,
        "stopping": False,
        "watching": False,
    }
    return FleetView(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Plan(finished=True)),
        ({"watching": True}, Plan()),
        ({"running": 1}, Plan()),
        ({"ready": 3}, Plan(start=3)),
        ({"ready": 9, "running": 2}, Plan(start=3)),
        ({"ready": 9, "running": 5}, Plan()),
        ({"ready": 9, "running": 7}, Plan()),
        ({"ready": 9, "running": 5, "next_due": 20.0}, Plan(wake_at=20.0)),
        ({"later": 1, "next_due": 20.0}, Plan(wake_at=20.0)),
        ({"later": 1, "next_due": 5.0}, Plan(wake_at=10.0)),
        ({"later": 1}, Plan()),
        ({"held": True, "ready": 9}, Plan()),
        ({"held": True, "ready": 9, "next_due": 20.0}, Plan(wake_at=20.0)),
        ({"held": True}, Plan(finished=True)),
        ({"batch": BatchView(size=4), "ready": 9, "limit": 2}, Plan(start=4)),
        ({"batch": BatchView(size=4), "ready": 3, "running": 5}, Plan(start=3)),
        ({"batch": BatchView(size=4, open=True), "ready": 9}, Plan()),
        ({"batch": BatchView(size=4, next_at=12.0), "ready": 9}, Plan(wake_at=12.0)),
        ({"batch": BatchView(size=4, next_at=12.0), "ready": 9, "next_due": 11.0}, Plan(wake_at=11.0)),
        ({"batch": BatchView(size=4, next_at=12.0), "running": 1}, Plan()),
        ({"batch": BatchView(size=4, next_at=10.0), "ready": 9}, Plan(start=4)),
        ({"batch": BatchView(size=4), "held": True, "ready": 9}, Plan()),
        ({"stopping": True, "ready": 9}, Plan(finished=True)),
        ({"stopping": True, "running": 1, "ready": 9}, Plan()),
    ],
)
def test_plan(changes, expected):
    """Start what fits; else say when to look again; finished only with nothing running and nothing to come."""
    assert plan(view(**changes), now=10.0) == expected


@given(
    running=st.integers(0, 20),
    limit=st.integers(1, 20),
    ready=st.integers(0, 20),
    later=st.integers(0, 20),
    next_due=st.none() | st.floats(0, 100),
    stopping=st.booleans(),
    watching=st.booleans(),
    now=st.floats(0, 100),
)
def test_a_plan_never_overfills_and_never_leaves_early(now, **fields):
    """Slots are never exceeded, all that fits is started, and nobody leaves work or a running job behind."""
    fleet = FleetView(**fields)
    result = plan(fleet, now)
    assert result.start >= 0
    assert fleet.running + result.start <= max(fleet.limit, fleet.running)
    assert result.wake_at is None or result.wake_at >= now
    if fleet.stopping:
        assert result.start == 0
    else:
        assert result.start == min(max(fleet.limit - fleet.running, 0), fleet.ready)
    if result.finished:
        assert fleet.running == 0
        assert fleet.stopping or (fleet.ready, fleet.later, fleet.watching) == (0, 0, False)
