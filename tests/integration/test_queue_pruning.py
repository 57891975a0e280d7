"""Looking at a queue without disturbing it, and forgetting what is finished."""

from __future__ import annotations

import pytest

from core.domain.model import Counters, JobSpec, JobState
from core.domain.retry import Decision, JobEvent
from core.errors import QueueUnavailable
from core.queue.pruning import count_finished, forget_finished
from core.queue.sqlite import SqliteQueue


def finished(path, jobs: dict[str, JobEvent]) -> SqliteQueue:
    """Return a queue whose jobs ended at 10, 20, … seconds."""
    queue = SqliteQueue(path)
    queue.begin_run(1.0)
    queue.reconcile("feed", [JobSpec(id=name, profile_id=name, flow="/flow.py") for name in jobs], now=1.0)
    for number, (name, event) in enumerate(jobs.items(), start=1):
        claim = queue.claim(2.0, name)
        queue.record_go(name, fence=1, user_data_dir=None, now=3.0)
        queue.finish(
            name,
            Decision(event=event, counters=Counters(attempts=1), retry_at=None, reason=""),
            now=10.0 * number,
            seconds=1.0,
            outcome="x",
        )
        assert claim.job.spec.id == name
    return queue


def test_only_done_jobs_that_are_old_enough_are_forgotten(tmp_path):
    """Failed ones wait for a person, younger ones for their time; attempts go with their job."""
    path = tmp_path / "queue.db"
    queue = finished(path, {"a": JobEvent.COMPLETED, "b": JobEvent.GIVEN_UP, "c": JobEvent.COMPLETED})
    queue.close()
    assert count_finished(path, 30.0) == 1
    assert forget_finished(path, 30.0) == 1
    queue = SqliteQueue(path, read_only=True)
    assert [job.spec.id for job in queue.jobs()] == ["b", "c"]
    assert queue.counts() == {JobState.FAILED: 1, JobState.DONE: 1}
    queue.close()


def test_counting_forgets_nothing(tmp_path):
    """A look is a look."""
    path = tmp_path / "queue.db"
    finished(path, {"a": JobEvent.COMPLETED}).close()
    before = path.read_bytes()
    assert count_finished(path, 99.0) == 1
    assert path.read_bytes() == before


def test_a_look_neither_writes_nor_holds_up_the_writer(tmp_path):
    """Who reads sees what was committed; who writes goes on; and writing through a look is refused."""
    path = tmp_path / "queue.db"
    queue = finished(path, {"a": JobEvent.COMPLETED})
    look = SqliteQueue(path, read_only=True)
    assert look.counts() == {JobState.DONE: 1}
    queue.reconcile("feed", [JobSpec(id=name, profile_id=name, flow="/flow.py") for name in "ab"], now=50.0)
    assert look.counts() == {JobState.DONE: 1, JobState.QUEUED: 1}
    with pytest.raises(QueueUnavailable):
        look.begin_run(60.0)
    look.close()
    queue.close()
