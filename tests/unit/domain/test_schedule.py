"""When a job is run again, and what is said of one that waits for others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.domain.model import JobState
from core.domain.schedule import next_due, waits_text

TIMES = st.floats(min_value=0, max_value=4e9)


@given(anchor=TIMES, every=st.floats(min_value=1, max_value=366 * 86_400), now=TIMES)
def test_the_next_time_is_near(anchor: float, every: float, now: float) -> None:
    """Wherever the clock stands it comes after now, at most one interval later, and fits the anchor."""
    due = next_due(anchor, every, now)
    assert now < due <= now + every + 1e-5
    rounds = (due - anchor) / every
    assert abs(rounds - round(rounds)) < 1e-3


def test_a_time_that_is_now_is_over() -> None:
    """The one after it is next."""
    assert next_due(100.0, 60.0, 160.0) == 220.0
    assert next_due(0.1, 0.1, 0.3) > 0.3


def test_what_a_job_waits_for() -> None:
    """Each with how it stands."""
    assert waits_text([]) == ""
    assert waits_text([("a", JobState.FAILED), ("b", JobState.RUNNING)]) == "waits for a (failed), b (running)"
