"""When a run is likely to end."""

from __future__ import annotations

import pytest

from core.domain import events as ev
from core.domain.forecast import Eta, eta, quartiles
from core.domain.snapshot import Snapshot
from tests.unit.domain.test_snapshot import after, changed, committed, ended, go, of, planned, started


def likely(run: Snapshot, now: float) -> float:
    """Return the middle of the estimate, which lies within its range."""
    found = eta(run, now)
    assert found is not None
    assert found.low <= found.likely <= found.high
    return found.likely


def test_nothing_is_known_at_first():
    """No number is better than a wrong one."""
    assert eta(Snapshot(), 0.0) is None
    assert eta(after(started(3)), 100.0) is None
    assert eta(after(started(3), go(), planned("x")), 101.0) is None


def test_nothing_left_takes_no_time():
    """Also when the rest is parked."""
    assert likely(after(started(0)), 100.0) == 0.0
    assert likely(after(started(1), changed("parked")), 100.0) == 0.0


def test_steps_that_are_known_speak_for_those_that_are_not():
    """Two slots, three jobs of two steps: 4 s known for one of them."""
    run = after(started(3), go(), planned("one", "two"), committed("one"), go("b"), planned("one", "two", job="b"))
    # a has "two" left (4 s, as "one" took), b both (8 s), the third is not started (8 s): 20 s of work for two slots
    assert likely(run, 105.0) == 10.0


def test_the_step_under_way_counts_for_what_is_left_of_it():
    """And never for less than nothing."""
    run = after(
        started(1),
        go(),
        planned("one", "two"),
        committed("one"),
        ev.StepStarted(at=106.0, step="two", try_=1, **of()),
    )
    assert likely(run, 109.0) == 1.0
    assert likely(run, 200.0) == 0.0
    assert likely(run, 90.0) == 4.0  # a clock that was set back adds no time


def test_whole_jobs_are_the_better_measure_once_one_is_done():
    """Four jobs of 8 s each behind one slot."""
    run = after(started(5, slots=1), go(), ended("done"), changed("done"))
    assert likely(run, 110.0) == 32.0


def test_a_job_whose_steps_are_not_known_yet_takes_as_long_as_others():
    """Less what it has run already."""
    run = after(started(2, slots=1), go(), ended("done"), changed("done"), go("b", at=110.0))
    assert likely(run, 113.0) == 5.0
    prepared = after(started(2, slots=1), committed("s"), changed("prepared"))
    assert likely(prepared, 110.0) == 8.0


def test_it_is_never_shorter_than_the_longest_single_job():
    """Many slots do not make one job quicker."""
    run = after(started(2, slots=9), go(), planned("one", "two", "three"), go("b"), planned("one", job="b"))
    run = after(committed("one", job="b"), start=run)
    assert likely(run, 105.0) == 12.0


def test_waiting_jobs_are_work():
    """They come back."""
    run = after(started(1, slots=1), go(), committed("s"), ended("failed"), changed("waiting", retry_at=130.0))
    assert likely(run, 131.0) == 4.0


def test_a_run_does_not_end_before_its_last_retry():
    """However short it is then; one that is being stopped does not wait for it."""
    run = after(started(1, slots=1), go(), committed("s"), ended("failed"), changed("waiting", retry_at=900.0))
    assert eta(run, 100.0) == Eta(804.0, 802.0, 808.0)
    assert likely(after(ev.StopAsked(at=110.0, how="drain"), start=run), 110.0) == 0.0


def test_a_range_is_as_wide_as_durations_were_different():
    """Nine more jobs behind one slot: from nine times the lower quartile to nine times the upper one."""
    alike = Snapshot(job_seconds=(8.0,) * 5)
    different = Snapshot(job_seconds=(4.0, 6.0, 8.0, 10.0, 20.0))
    run = started(9, slots=1)
    assert eta(after(run, start=alike), 100.0) == Eta(72.0, 72.0, 72.0)
    assert eta(after(run, start=different), 100.0) == Eta(72.0, 54.0, 90.0)


@pytest.mark.parametrize("durations", [(8.0,), (6.0, 8.0, 20.0)])
def test_a_few_durations_prove_little(durations):
    """Quartiles of one number would be that number."""
    assert quartiles(durations) == (4.0, 16.0)


def test_what_earlier_runs_took_is_an_estimate_before_anything_ran():
    """By steps alone, too: as many as are known make a job."""
    assert likely(after(started(4), start=Snapshot(job_seconds=(10.0,) * 4)), 100.0) == 20.0
    assert likely(after(started(4), start=Snapshot(step_seconds={"a": (2.0,), "b": (4.0,)})), 100.0) == 12.0


def test_a_run_that_is_being_stopped_ends_with_what_runs():
    """Nothing more is started."""
    run = after(started(9, slots=1), go(), planned("one", "two"), committed("one"))
    assert likely(after(ev.StopAsked(at=106.0, how="drain"), start=run), 105.0) == 4.0


def test_who_waits_for_a_person_is_not_waited_for():
    """Nobody knows how long a person takes."""
    parked = ev.AttemptParked(at=103.0, step="one", why="a code", code="", **of())
    assert likely(after(started(1), go(), planned("one", "two"), committed("one"), parked), 105.0) == 0.0
