"""A run as it looks now."""

from __future__ import annotations

import functools

import pytest

from core.domain import events as ev
from core.domain.model import JobState
from core.domain.snapshot import KEPT_DONE, SAMPLES, Snapshot, fold


def of(job: str = "a", attempt: int = 1) -> dict:
    return {"profile_id": job, "job": job, "attempt": attempt}


def started(queued: int = 3, slots: int = 2) -> ev.RunStarted:
    return ev.RunStarted(at=100.0, run=1, queued=queued, max_concurrent=slots)


def go(job: str = "a", attempt: int = 1, at: float = 101.0) -> ev.AttemptStarted:
    return ev.AttemptStarted(at=at, pid=1, fence=1, **of(job, attempt))


def launched(job: str = "a", attempt: int = 1, at: float = 101.5, **more) -> ev.AttemptLaunched:
    return ev.AttemptLaunched(at=at, **of(job, attempt), **more)


def planned(*todo: str, job: str = "a", done: tuple[str, ...] = ()) -> ev.StepsPlanned:
    return ev.StepsPlanned(at=101.0, done=done, todo=todo, **of(job))


def committed(step: str, seconds: float = 4.0, job: str = "a", **more) -> ev.StepCommitted:
    return ev.StepCommitted(at=105.0, step=step, seconds=seconds, **of(job), **more)


def ended(outcome: str, job: str = "a", seconds: float = 8.0, reason: str = "", step: str = "") -> ev.AttemptEnded:
    return ev.AttemptEnded(at=110.0, outcome=outcome, reason=reason, step=step, seconds=seconds, **of(job))


def changed(state: str, job: str = "a", **more) -> ev.JobChanged:
    return ev.JobChanged(at=110.0, profile_id=job, job=job, state=state, **more)


def after(*events, start: Snapshot | None = None) -> Snapshot:
    return functools.reduce(fold, events, start or Snapshot())


def test_a_job_from_start_to_done():
    """Each event shows where it stands; at the end it is a row among the done, with its time."""
    run = after(started(), go(), ev.PhaseStarted(at=101.0, phase="clone", **of()))
    assert (run.running["a"].phase, run.running["a"].state, run.launched) == ("clone", JobState.PREPARED, 0)
    run = after(ev.AttemptPrepared(at=101.2, **of()), start=run)
    assert (run.running["a"].phase, run.running["a"].state, run.launched) == ("prepared", JobState.PREPARED, 0)
    run = after(launched(), start=run)
    assert (run.running["a"].state, run.batch) == (JobState.RUNNING, 0)
    assert (run.launched, run.queued, len(run.running)) == (1, 2, 1)
    run = after(
        planned("log in", "order", done=("mail",)),
        ev.StepStarted(at=102.0, step="log in", try_=1, **of()),
        ev.StepFailed(at=103.0, step="log in", try_=1, reason="slow", will_retry=True, **of()),
        ev.StepStarted(at=103.0, step="log in", try_=2, **of()),
        start=run,
    )
    view = run.running["a"]
    assert (view.step, view.try_, view.reason, view.steps_done, view.steps_total) == ("log in", 2, "slow", 1, 3)
    run = after(committed("log in"), committed("order"), start=run)
    assert (run.running["a"].steps_done, run.running["a"].todo, run.running["a"].reason) == (3, (), "")
    run = after(ended("done"), changed("done", steps_done=3, steps_total=3, attempts=1), start=run)
    assert run.running == {}
    view = run.done["a"]
    assert (view.state, view.steps_done, view.seconds, view.attempts, view.started) == (JobState.DONE, 3, 8.0, 1, None)
    assert (run.finished, run.queued, run.ended) == (1, 2, {JobState.DONE: 1})
    assert run.job_seconds == (8.0,)


def test_the_latest_batch_is_known():
    """Its number, from the event that begins it."""
    batch = ev.BatchStarted(at=101.0, batch=3, jobs=("a",), profiles=("a",))
    assert after(started(), batch).batch == 3


def test_how_many_batches_there_will_be_follows_from_what_is_left():
    """Ten jobs in batches of four: the first is under way, two are to come; without batches there are none."""
    batch = ev.BatchStarted(at=101.0, batch=1, jobs=tuple("abcd"), profiles=tuple("abcd"))
    run = after(started(10), batch, *(changed("prepared", job=job) for job in "abcd"))
    assert (run.batch_size, run.queued, run.batches) == (4, 6, 3)
    last = ev.BatchStarted(at=102.0, batch=2, jobs=("e",), profiles=("e",))
    assert after(last, start=run).batch_size == 4
    assert after(started(10)).batches == 0


def test_why_nothing_starts_is_known_until_it_is_over():
    """Several reasons may hold at once, each counts once, and none outlasts the run; so does the number of slots."""
    memory, paused = ev.StartsHeld(at=1.0, reason="memory"), ev.StartsHeld(at=1.0, reason="paused")
    run = after(started(), memory, paused, memory, ev.LimitChanged(at=1.0, max_concurrent=7, reason="asked"))
    assert (run.held, run.max_concurrent) == (("paused", "memory"), 7)
    run = after(ev.StartsResumed(at=2.0, reason="paused", seconds=1.0), start=run)
    assert run.held == ("memory",)
    assert after(ev.RunEnded(at=3.0, run=1, exit_code=0, counts={}, seconds=2.0), start=run).held == ()


def test_a_job_whose_browser_waits_for_a_person_is_parked_until_it_goes_on():
    """It holds no slot, says what it asks for, and what it asked is forgotten once it is told."""
    parked = ev.AttemptParked(at=103.0, step="log in", why="a code", code="needs_code", asks=("code",), **of())
    run = after(started(3), go(), launched(), go("b"), parked)
    view = run.running["a"]
    assert (view.state, view.reason, view.code, view.asks) == (JobState.PARKED, "a code", "needs_code", ("code",))
    assert (run.parked, run.queued, run.under_way(JobState.PARKED), run.under_way(JobState.PREPARED)) == (1, 1, 1, 1)
    again = after(ev.AttemptResumed(at=104.0, step="log in", **of()), start=run).running["a"]
    assert (again.state, again.reason, again.code, again.asks) == (JobState.RUNNING, "", "", ())
    run = after(ended("needs_person", reason="a code"), changed("parked", reason="a code"), start=run)
    assert (run.parked, run.others["a"].asks, run.errors) == (1, (), 0)


def test_attempts_that_failed_are_counted():
    """In whatever way; being stopped, a busy profile and a wait for a person are no failures."""
    run = after(started(9), *(ended(outcome) for outcome in ("failed", "crashed", "timed_out", "interrupted", "busy")))
    assert run.errors == 3


def test_steps_that_were_seen_go_before_those_that_are_on_record():
    """The record leaves out steps that always run; of a job that was not seen it is all there is."""
    run = after(started(2), go(), planned("log in", "order"), committed("log in"), committed("order"), ended("done"))
    run = after(
        changed("done", steps_done=1, steps_total=2), changed("failed", job="x", steps_done=3, steps_total=5), start=run
    )
    assert (run.done["a"].steps_done, run.done["a"].steps_total) == (2, 2)
    assert (run.others["x"].steps_done, run.others["x"].steps_total) == (3, 5)


def test_a_retry_counts_attempts_and_adds_up_time():
    """Between its attempts a job waits; its row keeps what it has cost."""
    run = after(
        started(1),
        go(),
        ended("failed", reason="no button", step="order"),
        changed("waiting", retry_at=120.0, reason="no button", attempts=1),
    )
    view = run.others["a"]
    assert (run.waiting, run.queued, run.finished) == (1, 0, 0)
    assert (view.retry_at, view.reason, view.step, view.outcome) == (120.0, "no button", "order", "failed")
    run = after(go(attempt=2), start=run)
    assert (run.running["a"].attempts, run.running["a"].reason, run.others) == (2, "", {})
    run = after(ended("done", seconds=2.0), changed("done"), start=run)
    assert run.done["a"].seconds == 10.0


@pytest.mark.parametrize("order", [1, -1])
def test_the_end_of_an_attempt_and_of_its_job_may_come_in_either_order(order):
    """Nothing is counted twice and nothing comes back to life."""
    run = after(started(1), go(), *[ended("done"), changed("done")][::order])
    assert (run.running, run.others, list(run.done), run.finished) == ({}, {}, ["a"], 1)
    assert run.done["a"].seconds == 8.0


def test_parked_cancelled_and_interrupted_jobs():
    """Each has its place in the counts."""
    run = after(
        started(4),
        changed("parked", job="p", reason="a code"),
        changed("cancelled", job="c"),
        go("i"),
        ended("interrupted", job="i"),
        changed("queued", job="i"),
    )
    assert (run.parked, run.finished, run.queued, run.waiting) == (1, 1, 2, 0)
    assert set(run.others) == {"p", "c", "i"}


def test_a_prepared_job_holds_a_slot():
    """From its claim on."""
    run = after(started(2), changed("prepared"))
    assert (len(run.running), run.queued) == (1, 1)
    assert len(after(go(), changed("running"), start=run).running) == 1


def test_a_job_asked_for_again_is_not_finished_any_more():
    """Whether it had failed or was done."""
    run = after(started(2), changed("failed", job="f"), changed("done", job="d"))
    assert run.finished == 2
    run = after(changed("queued", job="f"), changed("queued", job="d"), start=run)
    assert (run.finished, run.queued) == (0, 2)


def test_a_feed_that_grows_during_a_run_adds_to_its_total():
    """Before the run its jobs are counted by the start; after it they are for the next."""
    feed = ev.FeedRead(at=99.0, source="q", added=3, updated=0, unchanged=0, done=0, cancelled=0)
    run = after(feed, started(3))
    assert (run.total, run.feed) == (3, feed)
    run = after(feed, start=run)
    assert run.total == 6
    over = after(ev.RunEnded(at=120.0, run=1, exit_code=0, counts={}, seconds=1.0), feed, start=run)
    assert over.total == 6


def test_more_ends_than_were_known_widen_the_total():
    """A bar never passes its end."""
    run = after(started(0), changed("failed", job="x"))
    assert (run.total, run.finished, run.queued) == (1, 1, 0)


def test_the_end_of_a_run():
    """What the orchestrator says at its end is kept as it says it."""
    run = after(
        started(1),
        go(),
        ev.StopAsked(at=111.0, how="drain"),
        ev.OrphanStopped(at=111.0, processes=3, **of("o")),
        ev.BrowserClosed(at=111.0, **of()),
        ev.RunEnded(at=112.0, run=1, exit_code=6, counts={"queued": 1}, seconds=12.0),
    )
    assert (run.stopping, run.orphans, run.exit_code, run.counts, run.seconds, run.at) == (
        "drain",
        1,
        6,
        {"queued": 1},
        12.0,
        112.0,
    )
    assert run.running == {}


def test_an_attempt_of_an_earlier_run_that_is_settled_now_is_known():
    """It was never started in this run, and shows with what its end says."""
    run = after(started(1), ended("interrupted", reason="its orchestrator went away"))
    assert run.others["a"].outcome == "interrupted"


def test_events_of_jobs_that_do_not_run_change_no_row():
    """A late word of a worker that is gone."""
    run = after(started(1), ev.PhaseStarted(at=1.0, phase="x", **of()), committed("order"), planned("x"))
    assert (run.running, run.others) == ({}, {})
    assert run.step_seconds == {"order": (4.0,)}


def test_steps_found_done_are_no_measure_of_time():
    """Neither one that was already true, nor one announced late."""
    run = after(started(1), committed("a", body_ran=False), committed("b", recovered=True))
    assert run.step_seconds == {}


def test_a_snapshot_stays_small():
    """Of thousands of finished jobs only some rows and durations are kept; all are counted."""
    run = started(2000)
    snapshot = after(run)
    for number in range(300):
        name = f"j{number}"
        snapshot = after(go(name), committed("s", job=name), ended("done", name), changed("done", name), start=snapshot)
    assert (len(snapshot.done), snapshot.finished) == (KEPT_DONE, 300)
    assert (len(snapshot.job_seconds), len(snapshot.step_seconds["s"])) == (SAMPLES, SAMPLES)


def test_a_fold_changes_nothing_in_place():
    """An older snapshot may still be drawn."""
    before = after(started(2), go())
    rows = dict(before.running)
    after(planned("x"), committed("x"), ended("done"), changed("done"), start=before)
    assert before.running == rows
    assert before.step_seconds == {}


def test_a_new_run_starts_anew_and_keeps_what_durations_were_learnt():
    """A reader of the log sees run after run."""
    run = after(started(1), go(), committed("s"), ended("done"), changed("failed"), started(5))
    assert (run.total, run.launched, run.others, run.finished) == (5, 0, {}, 0)
    assert (run.step_seconds, run.job_seconds) == ({"s": (4.0,)}, (8.0,))
