"""The laws of ``core.queue.port.QueueDesk``, for the durable queue and its fake, each beside a run on the same queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec, JobState
from core.domain.retry import Decision
from core.errors import BadInput, JobsRefused, UnknownJob
from core.queue.desk import SqliteDesk
from core.queue.memory import MemoryQueue, MemoryStore
from core.queue.memory_desk import MemoryDesk
from core.queue.port import BY_HAND, Added, PastAttempt, Selection
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.queue.port import JobQueue, QueueDesk

NOW = 1_000.0
FEED = "queue.json"
ENDS = {
    JobState.DONE: JobEvent.COMPLETED,
    JobState.FAILED: JobEvent.GIVEN_UP,
    JobState.QUARANTINED: JobEvent.QUARANTINED,
    JobState.PARKED: JobEvent.PARKED,
    JobState.WAITING: JobEvent.RETRY,
}

CODES = {JobState.FAILED: Code.SELECTOR_GONE, JobState.QUARANTINED: Code.WORKER_KILLED}


@pytest.fixture(params=["sqlite", "memory"])
def both(request, tmp_path) -> Iterator[tuple[JobQueue, QueueDesk]]:
    """A run on a queue, and an operator at the same one."""
    if request.param == "memory":
        store = MemoryStore()
        queue, desk = MemoryQueue(store), MemoryDesk(store)
    else:
        queue, desk = SqliteQueue(tmp_path / "queue.db"), SqliteDesk(tmp_path / "queue.db")
    queue.begin_run(NOW)
    yield queue, desk
    desk.close()
    queue.close()


def job(name: str, **fields: Any) -> JobSpec:
    return JobSpec(**{"id": name, "profile_id": name, "flow": "/flows/flow.py", **fields})


def fill(queue: JobQueue, *specs: JobSpec, feed: str = FEED) -> None:
    queue.reconcile(feed, iter(specs), now=NOW, cancel_missing=False)


def bring(queue: JobQueue, name: str, state: JobState, **fields: Any) -> None:
    """Add a job and bring it into a state."""
    fill(queue, job(name, priority=9, **fields))
    if state is JobState.CANCELLED:
        queue.reconcile(f"feed of {name}", [job(name, **fields)], now=NOW)
        queue.reconcile(f"feed of {name}", [], now=NOW)
    elif state is not JobState.QUEUED:
        claim = queue.claim(NOW, name)
        assert claim is not None
        assert claim.job.spec.id == name
        if state is not JobState.PREPARED:
            queue.record_go(name, fence=7, user_data_dir=None, now=NOW)
            queue.record_launch(name, now=NOW)
        if state in ENDS:
            retry_at = NOW + 60 if state is JobState.WAITING else None
            decision = Decision(
                event=ENDS[state], counters=Counters(failures=2), reason=f"it {state}", retry_at=retry_at,
                code=None if state is JobState.DONE else CODES.get(state, Code.UNKNOWN),
            )  # fmt: skip
            queue.finish(name, decision, now=NOW + 2, seconds=1.5, outcome=str(state))
    assert queue.job(name).state is state


def names(desk: QueueDesk, **how: Any) -> list[str]:
    return [kept.job.spec.id for kept in desk.select(Selection(**how))]


def test_what_is_added_is_claimed_by_the_run_that_is_under_way(both):
    """The run is not fenced, is told, and takes the new job."""
    queue, desk = both
    before = queue.changes_of_others()
    assert queue.changes_of_others() == before
    assert desk.add([job("a"), job("b", priority=1)], now=NOW) == Added(added=2)
    assert queue.changes_of_others() != before
    assert queue.readiness(NOW, 5).ready == 2
    claim = queue.claim(NOW, "n")
    assert claim is not None
    assert claim.job.spec == job("b", priority=1)


def test_the_runs_own_writes_are_no_changes_of_others(both):
    """Only an operator makes the run look again."""
    queue, _ = both
    before = queue.changes_of_others()
    bring(queue, "a", JobState.DONE)
    assert queue.changes_of_others() == before


def test_known_jobs_are_left_as_they_are(both):
    """Whatever they are, but for cancelled ones, which come back."""
    queue, desk = both
    bring(queue, "done", JobState.DONE)
    bring(queue, "gone", JobState.CANCELLED)
    bring(queue, "busy", JobState.RUNNING)
    given = [job(name, params={"n": 1}) for name in ("busy", "gone", "new", "done")]
    known = (("busy", JobState.RUNNING), ("done", JobState.DONE))
    assert desk.add(given, now=NOW) == Added(added=2, known=known)
    assert queue.job("done").spec.params == {}
    assert queue.job("gone").spec.params == {"n": 1}
    assert [queue.job(name).state for name in ("gone", "new")] == [JobState.QUEUED] * 2
    assert [desk.find(name).feed for name in ("busy", "gone", "new", "done")] == [FEED, BY_HAND, BY_HAND, FEED]


def test_an_id_given_twice_adds_nothing(both):
    """All or nothing."""
    queue, desk = both
    with pytest.raises(BadInput):
        desk.add([job("a"), job("b"), job("a")], now=NOW)
    assert names(desk) == []
    assert not queue.counts()


def test_no_feed_cancels_what_was_added_by_hand(both):
    """Reading a feed concerns its own jobs, and a run on it does not see the others; one on everything does."""
    queue, desk = both
    desk.add([job("mine")], now=NOW)
    queue.begin_run(NOW, feed=FEED)
    queue.reconcile(FEED, [job("a")], now=NOW)
    assert queue.readiness(NOW, 5).ready == 1
    desk.add([job("more")], now=NOW)
    assert queue.readiness(NOW, 5).ready == 1
    queue.begin_run(NOW)
    assert queue.readiness(NOW, 5).ready == 3


def test_selections(both):
    """By state, flow, profile and reason, each and together; the order is the queue's."""
    queue, desk = both
    bring(queue, "anna", JobState.FAILED)
    bring(queue, "bert", JobState.DONE, flow="/other/buy.py")
    fill(queue, job("j1", profile_id="anna"), job("j2", profile_id="anton", flow="/other/buy.py"))
    assert names(desk) == ["anna", "bert", "j1", "j2"]
    assert names(desk, states=frozenset({JobState.FAILED, JobState.DONE})) == ["anna", "bert"]
    assert names(desk, flow="buy.py") == names(desk, flow="/other/buy.py") == ["bert", "j2"]
    assert names(desk, flow="uy.py") == []
    assert names(desk, profile="an*") == ["anna", "j1", "j2"]
    assert names(desk, profile="[!b]nn?") == ["anna", "j1"]
    assert names(desk, reason="IT FAIL") == ["anna"]
    assert names(desk, codes=frozenset({Code.SELECTOR_GONE, Code.SITE_DOWN})) == ["anna"]
    assert names(desk, codes=frozenset()) == []
    assert names(desk, profile="anna", states=frozenset({JobState.QUEUED})) == ["j1"]
    assert desk.count(Selection(profile="an*")) == 3
    assert [kept.job.spec.id for kept in desk.select(Selection(), limit=2)] == ["anna", "bert"]


def test_more_jobs_than_a_page(both):
    """All of a long queue are found, once and in order, and a limit holds."""
    _, desk = both
    desk.add([job(f"j{n}") for n in range(1201)], now=NOW)
    assert names(desk) == [f"j{n}" for n in range(1201)]
    assert len(list(desk.select(Selection(), limit=1100))) == 1100


@pytest.mark.parametrize("before", [JobState.DONE, JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED])
def test_a_retried_job_is_a_new_generation(both, before):
    """With fresh counters, and the run takes it."""
    queue, desk = both
    bring(queue, "a", before)
    changes = queue.changes_of_others()
    assert desk.again(["a"], now=NOW + 9) == ["a"]
    assert queue.changes_of_others() != changes
    again = queue.job("a")
    assert (again.state, again.generation, again.counters, again.reason, again.code) == (
        JobState.QUEUED,
        2,
        Counters(),
        "",
        None,
    )
    assert again.updated_at == NOW + 9
    claim = queue.claim(NOW + 9, "second")
    assert claim is not None
    assert claim.job.spec.id == "a"


def test_a_parked_job_goes_on(both):
    """It is no new generation: what it has cost is kept."""
    queue, desk = both
    bring(queue, "a", JobState.PARKED)
    desk.again(["a"], now=NOW)
    assert queue.job("a").state is JobState.QUEUED
    assert (queue.job("a").generation, queue.job("a").counters.failures) == (1, 2)


def test_a_retry_of_what_no_feed_names_is_the_operators(both):
    """Else the next reading of the feed would cancel it once more."""
    queue, desk = both
    for name, state in (("left", JobState.FAILED), ("kept", JobState.FAILED), ("gone", JobState.QUEUED)):
        bring(queue, name, state)
    queue.reconcile(FEED, [job("kept", priority=9)], now=NOW)
    desk.again(["left", "gone", "kept"], now=NOW)
    queue.reconcile(FEED, [], now=NOW)
    assert [queue.job(name).state for name in ("left", "gone", "kept")] == [
        JobState.QUEUED, JobState.QUEUED, JobState.CANCELLED,
    ]  # fmt: skip


@pytest.mark.parametrize("before", [JobState.QUEUED, JobState.WAITING, JobState.PARKED])
def test_a_cancelled_job_is_not_claimed(both, before):
    """Pending ones can be cancelled, and the run takes them no more."""
    queue, desk = both
    bring(queue, "a", before)
    assert desk.cancel(["a"], now=NOW + 1) == ["a"]
    assert (queue.job("a").state, queue.job("a").reason) == (JobState.CANCELLED, "cancelled by hand")
    assert queue.claim(NOW + 100, "n") is None


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("cancel", JobState.PREPARED),
        ("cancel", JobState.RUNNING),
        ("cancel", JobState.DONE),
        ("cancel", JobState.CANCELLED),
        ("again", JobState.PREPARED),
        ("again", JobState.RUNNING),
        ("again", JobState.QUEUED),
        ("again", JobState.WAITING),
    ],
)
def test_what_is_not_legal_changes_nothing(both, what, state):
    """Neither that job nor the others that were named; a claimed one is the run's."""
    queue, desk = both
    if what == "again":
        bring(queue, "b", JobState.FAILED)
    bring(queue, "a", state)
    if what == "cancel":
        bring(queue, "b", JobState.QUEUED)
    before = [queue.job(name) for name in ("a", "b")]
    with pytest.raises(JobsRefused, match=f"a is {state}; no job 'nobody'"):
        getattr(desk, what)(["b", "a", "nobody"], now=NOW + 5)
    assert [queue.job(name) for name in ("a", "b")] == before


def test_a_selection_leaves_out_what_is_not_legal(both):
    """Whoever cancels all of a profile does not mean the one that runs."""
    queue, desk = both
    bring(queue, "done", JobState.DONE)
    bring(queue, "busy", JobState.RUNNING)
    fill(queue, job("next", profile_id="busy"))
    assert desk.cancel(Selection(), now=NOW) == ["next"]
    assert desk.again(Selection(states=frozenset({JobState.DONE, JobState.RUNNING})), now=NOW) == ["done"]
    assert queue.job("busy").state is JobState.RUNNING


def test_the_run_goes_on_with_what_it_has_claimed(both):
    """While an operator works beside it: the attempt ends, and the profile's next is its own."""
    queue, desk = both
    bring(queue, "p", JobState.RUNNING)
    desk.add([job("second", profile_id="p"), job("third", profile_id="p", priority=1)], now=NOW)
    assert queue.readiness(NOW, 5).ready == 0
    desk.cancel(["third"], now=NOW)
    queue.finish("p", Decision(event=JobEvent.COMPLETED, counters=Counters()), now=NOW, seconds=1, outcome="done")
    claim = queue.claim(NOW, "n")
    assert claim is not None
    assert claim.job.spec.id == "second"


def test_attempts_of_all_generations_are_shown(both):
    """With when they began and ended, how, and as which run's."""
    queue, desk = both
    bring(queue, "a", JobState.FAILED)
    desk.again(["a"], now=NOW)
    assert queue.claim(NOW + 5, "second") is not None
    first = PastAttempt(
        number=1, run=1, started_at=NOW, ended_at=NOW + 2, seconds=1.5, outcome="failed", fence=7, generation=1,
        code=Code.SELECTOR_GONE, reason="it failed",
    )  # fmt: skip
    assert desk.attempts("a") == [first, PastAttempt(number=1, run=1, started_at=NOW + 5, generation=2)]
    assert desk.attempts("nobody") == []


def test_find(both):
    """One job with its feed and its time; of none it says so."""
    queue, desk = both
    fill(queue, job("a"))
    kept = desk.find("a")
    assert (kept.job, kept.feed, kept.added_at) == (queue.job("a"), FEED, NOW)
    assert msgspec.json.encode(kept)
    with pytest.raises(UnknownJob):
        desk.find("b")


def test_a_job_says_what_it_waits_for(both):
    """Those that are not done, as they stand, while it is pending."""
    queue, desk = both
    bring(queue, "a", JobState.FAILED)
    fill(queue, job("b"), job("c", after=("a", "b")), job("d", after=("b",)))
    waits = {kept.job.spec.id: kept.waits_for for kept in desk.select(Selection())}
    assert waits == {
        "a": (), "b": (), "c": (("a", JobState.FAILED), ("b", JobState.QUEUED)), "d": (("b", JobState.QUEUED),),
    }  # fmt: skip
    assert desk.find("c").waits_for == waits["c"]
    desk.cancel(["d"], now=NOW)
    assert desk.find("d").waits_for == ()
    assert desk.known(["a", "x"]) == {"a"}


def test_what_is_added_after_others_waits_for_them(both):
    """And so does what is asked for again."""
    queue, desk = both
    bring(queue, "a", JobState.CANCELLED)
    desk.add([job("b", after=("a",))], now=NOW)
    assert queue.readiness(NOW, 9).ready == 0
    desk.again(["a"], now=NOW)
    assert queue.readiness(NOW, 9).ready == 1


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED])
def test_what_is_run_again_and_again_can_be_ended(both, state):
    """Cancelled after it ended, it stays what it is and has no next time; a second time there is nothing to cancel."""
    queue, desk = both
    bring(queue, "a", state, every=60.0)
    assert desk.find("a").job.due_at is not None
    assert desk.cancel(["a"], now=NOW) == ["a"]
    job_ = desk.find("a").job
    assert (job_.state, job_.due_at, job_.spec.every) == (state, None, None)
    assert queue.recur(NOW + 900).jobs == ()
    with pytest.raises(JobsRefused):
        desk.cancel(["a"], now=NOW)
    bring(queue, "b", state, every=60.0)
    assert desk.cancel(Selection(profile="b"), now=NOW) == ["b"]
