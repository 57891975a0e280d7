"""The laws of ``core.queue.port.JobQueue``, for the durable queue and its fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec, JobState, ProcessStamp
from core.domain.retry import Decision
from core.errors import BadInput, Fenced, IllegalTransition, UnknownJob
from core.queue.memory import MemoryQueue, MemoryStore
from core.queue.port import Outlook, Readiness, Reconciled, Recurred
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.queue.port import JobQueue

NOW = 1_000.0
FEED = "queue.json"
ALL = frozenset(Code)


@pytest.fixture(params=["sqlite", "memory"])
def connect(request, tmp_path) -> Iterator[Callable[[], JobQueue]]:
    """Opens the same queue as often as it is called."""
    store = MemoryStore()
    opened: list[JobQueue] = []

    def one() -> JobQueue:
        memory = request.param == "memory"
        opened.append(MemoryQueue(store) if memory else SqliteQueue(tmp_path / "queue.db"))
        return opened[-1]

    yield one
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(connect) -> JobQueue:
    opened = connect()
    opened.begin_run(NOW)
    return opened


def job(name: str, **fields: Any) -> JobSpec:
    return JobSpec(**{"id": name, "profile_id": name, "flow": "/flows/flow.py", **fields})


def fill(queue: JobQueue, *specs: JobSpec, feed: str = FEED, now: float = NOW, **options: Any) -> Reconciled:
    return queue.reconcile(feed, iter(specs), now=now, **options)


def claimed(queue: JobQueue, now: float = NOW) -> list[str]:
    names = []
    while (claim := queue.claim(now, f"nonce-{now}-{len(names)}")) is not None:
        names.append(claim.job.spec.id)
    return names


def end(
    queue: JobQueue,
    name: str,
    event: JobEvent,
    *,
    retry_at: float | None = None,
    now: float = NOW,
    code: Code | None = Code.SELECTOR_GONE,
) -> None:
    """Claim a job, which must be next, and end its attempt."""
    nonce = f"{name}-{event}-{now}"
    claim = queue.claim(now, nonce)
    assert claim is not None
    assert claim.job.spec.id == name
    queue.record_go(nonce, fence=queue.next_fence(name), user_data_dir=None, now=now)
    code = None if event is JobEvent.COMPLETED else code
    codes = {} if code is None else {code: 2}
    counters = Counters(failures=2, codes=codes)
    decision = Decision(event=event, counters=counters, retry_at=retry_at, reason=f"it {event}", code=code)
    queue.finish(nonce, decision, now=now, seconds=1.5, outcome=str(event))


def done(queue: JobQueue, name: str, nonce: str, *, now: float = NOW) -> None:
    """End the attempt of a claimed job well."""
    queue.record_go(nonce, fence=queue.next_fence(name), user_data_dir=None, now=now)
    decision = Decision(event=JobEvent.COMPLETED, counters=Counters())
    queue.finish(nonce, decision, now=now, seconds=1.0, outcome="done")


def state(queue: JobQueue, name: str) -> JobState:
    return queue.job(name).state


def test_claim_returns_job_and_attempt(queue):
    """A claim carries the whole specification and a registry row that stands in ``open_attempts``."""
    spec = job(
        "a", params={"n": [1, {"x": None}]}, priority=2, not_before=NOW, timeout=9.5, max_attempts=4, template="/t",
        device="mobile", proxy="http://u:p@h:1",
    )  # fmt: skip
    fill(queue, spec)
    claim = queue.claim(NOW, "n1")
    assert claim is not None
    assert claim.job.spec == spec
    assert claim.job.state is JobState.PREPARED
    assert (claim.attempt.job_id, claim.attempt.profile_id, claim.attempt.number) == ("a", "a", 1)
    assert queue.open_attempts() == [claim.attempt]
    assert queue.job("a") == claim.job


def test_nothing_to_claim(queue):
    """An empty queue gives None and is not ready."""
    assert queue.claim(NOW, "n") is None
    assert queue.readiness(NOW, 5) == Readiness(ready=0, later=0, next_due=None)


def test_each_job_is_claimed_once(queue, connect):
    """No job is handed out twice, to whoever asks."""
    fill(queue, *(job(f"p{n}") for n in range(20)))
    names = claimed(queue)
    assert sorted(names) == sorted({f"p{n}" for n in range(20)})
    assert len(queue.open_attempts()) == 20


def test_order_is_priority_then_arrival(queue):
    """Higher priority first; equals in the order they came in, over several feeds."""
    fill(queue, job("a"), job("b", priority=5), job("c"), job("d", priority=5))
    fill(queue, job("e"), job("f", priority=9), feed="other")
    assert claimed(queue) == ["f", "b", "d", "a", "c", "e"]


def test_one_claimed_job_per_profile(queue):
    """Jobs of one profile run one after the other, the best first, and their profile's next is free at the end."""
    fill(queue, job("low", profile_id="p"), job("high", profile_id="p", priority=1), job("other"))
    assert queue.readiness(NOW, 5) == Readiness(ready=2, later=1, next_due=None)
    assert claimed(queue) == ["high", "other"]
    assert queue.readiness(NOW, 5) == Readiness(ready=0, later=1, next_due=None)
    decision = Decision(event=JobEvent.INTERRUPTED, counters=Counters())
    queue.finish("nonce-1000.0-1", decision, now=NOW, seconds=0, outcome="interrupted")
    assert claimed(queue, NOW + 1) == ["other"]
    queue.record_go("nonce-1000.0-0", fence=1, user_data_dir=None, now=NOW)
    done = Decision(event=JobEvent.COMPLETED, counters=Counters())
    queue.finish("nonce-1000.0-0", done, now=NOW, seconds=0, outcome="done")
    assert claimed(queue, NOW + 2) == ["low"]


def test_not_before_holds_a_job_back(queue):
    """A job is claimed at its time, not before; ``next_due`` says when."""
    fill(queue, job("later", not_before=NOW + 10), job("latest", not_before=NOW + 20))
    assert queue.readiness(NOW, 5) == Readiness(ready=0, later=2, next_due=NOW + 10)
    assert queue.claim(NOW + 9.9, "early") is None
    assert queue.readiness(NOW + 10, 5) == Readiness(ready=1, later=1, next_due=NOW + 20)
    assert claimed(queue, NOW + 10) == ["later"]
    assert claimed(queue, NOW + 30) == ["latest"]


def test_a_better_job_that_becomes_due_goes_first(queue):
    """When a profile's better job becomes due, it takes the place of the one that was next."""
    fill(queue, job("now", profile_id="p"), job("soon", profile_id="p", priority=1, not_before=NOW + 10))
    assert queue.readiness(NOW + 10, 5) == Readiness(ready=1, later=1, next_due=None)
    assert claimed(queue, NOW + 10) == ["soon"]


def test_a_job_that_becomes_due_waits_for_its_profile(queue):
    """A job whose time comes while its profile is in use is not ready, and is when the profile is free."""
    fill(queue, job("now", profile_id="p"), job("soon", profile_id="p", not_before=NOW + 10))
    assert claimed(queue) == ["now"]
    assert queue.readiness(NOW + 10, 5) == Readiness(ready=0, later=1, next_due=None)
    assert queue.claim(NOW + 10, "early") is None
    decision = Decision(event=JobEvent.GIVEN_UP, counters=Counters())
    queue.finish("nonce-1000.0-0", decision, now=NOW + 11, seconds=0, outcome="failed")
    assert claimed(queue, NOW + 12) == ["soon"]


def test_many_due_at_once(queue):
    """Any number of jobs may become due at the same moment."""
    fill(queue, *(job(f"p{n}", not_before=NOW + 5) for n in range(300)))
    assert queue.readiness(NOW + 5, 500).ready == 300
    assert len(claimed(queue, NOW + 5)) == 300


def test_retry_waits_and_is_claimed_when_due(queue):
    """A retry goes to waiting and comes back at its time, with its counters and the attempt's number."""
    fill(queue, job("a"))
    end(queue, "a", JobEvent.RETRY, retry_at=NOW + 5)
    waiting = queue.job("a")
    assert (waiting.state, waiting.due_at, waiting.reason) == (JobState.WAITING, NOW + 5, "it retry")
    assert waiting.counters == Counters(attempts=1, failures=2, codes={Code.SELECTOR_GONE: 2})
    assert waiting.run_seconds == pytest.approx(1.5)
    assert queue.readiness(NOW, 5) == Readiness(ready=0, later=1, next_due=NOW + 5)
    claim = queue.claim(NOW + 5, "again")
    assert claim is not None
    assert claim.attempt.number == 2
    assert claim.job.counters == waiting.counters


def test_ready_is_counted_up_to_the_limit(queue):
    """``ready`` never exceeds what was asked for."""
    fill(queue, *(job(f"p{n}") for n in range(10)))
    assert queue.readiness(NOW, 3).ready == 3


def test_an_older_run_is_fenced(queue, connect):
    """After another run began, every write of the older one raises and changes nothing."""
    fill(queue, job("a"), job("b"), job("c", profile_id="c"))
    assert queue.claim(NOW, "n1") is not None
    second = connect()
    assert second.begin_run(NOW) == 2
    before = list(second.jobs())
    decision = Decision(event=JobEvent.GIVEN_UP, counters=Counters())
    stamp = ProcessStamp(host="h", pid=1, started=1.0)
    writes: list[Callable[[], Any]] = [
        lambda: queue.claim(NOW, "n2"),
        lambda: fill(queue, job("z")),
        lambda: queue.resume(NOW),
        lambda: queue.record_process("n1", stamp),
        lambda: queue.record_go("n1", fence=1, user_data_dir=None, now=NOW),
        lambda: queue.record_launch("n1", now=NOW),
        lambda: queue.record_steps("n1", done=1, total=2),
        lambda: queue.finish("n1", decision, now=NOW, seconds=1, outcome="x"),
    ]
    for write in writes:
        with pytest.raises(Fenced) as caught:
            write()
        assert (caught.value.ours, caught.value.newer) == (1, 2)
    assert list(second.jobs()) == before
    assert [attempt.nonce for attempt in second.open_attempts()] == ["n1"]
    assert second.open_attempts()[0].process is None


def test_the_new_run_ends_what_the_old_one_left(queue, connect):
    """A later run finds the open attempt with its process and may end it."""
    fill(queue, job("a"))
    queue.claim(NOW, "n1")
    stamp = ProcessStamp(host="h", pid=7, started=8.5, boot_id="b", pid_namespace="n")
    queue.record_process("n1", stamp)
    queue.record_go("n1", fence=3, user_data_dir="/ws/a", now=NOW)
    second = connect()
    second.begin_run(NOW)
    (left,) = second.open_attempts()
    assert (left.process, left.fence, left.user_data_dir) == (stamp, 3, "/ws/a")
    ended = second.finish(
        "n1", Decision(event=JobEvent.INTERRUPTED, counters=Counters()), now=NOW, seconds=0, outcome="interrupted"
    )
    assert ended.state is JobState.QUEUED
    assert second.open_attempts() == []
    assert claimed(second) == ["a"]


def test_finish_is_recorded_once(queue):
    """A second end of the same attempt raises and changes nothing; an unknown attempt is unknown."""
    fill(queue, job("a"))
    end(queue, "a", JobEvent.COMPLETED)
    before = queue.job("a")
    decision = Decision(event=JobEvent.GIVEN_UP, counters=Counters())
    with pytest.raises(IllegalTransition):
        queue.finish(f"a-{JobEvent.COMPLETED}-{NOW}", decision, now=NOW, seconds=1, outcome="x")
    with pytest.raises(UnknownJob):
        queue.finish("never", decision, now=NOW, seconds=1, outcome="x")
    assert queue.job("a") == before


def test_a_late_end_does_not_touch_the_next_attempt(queue):
    """The end of an attempt that is recorded already says nothing about the one that runs now."""
    fill(queue, job("a"))
    end(queue, "a", JobEvent.INTERRUPTED)
    queue.claim(NOW, "n2")
    queue.record_go("n2", fence=9, user_data_dir=None, now=NOW)
    before = queue.job("a")
    late = Decision(event=JobEvent.GIVEN_UP, counters=Counters())
    with pytest.raises(IllegalTransition):
        queue.finish(f"a-{JobEvent.INTERRUPTED}-{NOW}", late, now=NOW, seconds=1, outcome="x")
    assert queue.job("a") == before
    assert [attempt.nonce for attempt in queue.open_attempts()] == ["n2"]


def test_illegal_events_change_nothing(queue):
    """What is out of turn is refused: go twice, a launch twice, an end that is none."""
    fill(queue, job("a"))
    queue.claim(NOW, "n1")
    with pytest.raises(IllegalTransition):
        queue.finish("n1", Decision(event=JobEvent.DUE, counters=Counters()), now=NOW, seconds=0, outcome="done")
    assert [attempt.nonce for attempt in queue.open_attempts()] == ["n1"]
    queue.record_go("n1", fence=1, user_data_dir=None, now=NOW)
    with pytest.raises(IllegalTransition):
        queue.record_go("n1", fence=2, user_data_dir=None, now=NOW)
    assert queue.open_attempts()[0].fence == 1
    assert (queue.job("a").state, queue.job("a").counters.attempts) == (JobState.PREPARED, 1)
    queue.record_launch("n1", now=NOW + 1)
    with pytest.raises(IllegalTransition):
        queue.record_launch("n1", now=NOW + 2)
    assert (queue.job("a").state, queue.job("a").updated_at) == (JobState.RUNNING, NOW + 1)


def test_what_is_prepared_may_end_without_a_launch(queue):
    """Nothing was left to do: done, and the attempt is counted."""
    fill(queue, job("a"))
    queue.claim(NOW, "n1")
    queue.record_go("n1", fence=1, user_data_dir=None, now=NOW)
    decision = Decision(event=JobEvent.COMPLETED, counters=Counters())
    ended = queue.finish("n1", decision, now=NOW, seconds=0, outcome="done")
    assert (ended.state, ended.counters.attempts) == (JobState.DONE, 1)


def test_steps_are_noted(queue):
    """How far a job has come stands in its record; an ended attempt notes nothing more."""
    fill(queue, job("a"))
    queue.claim(NOW, "n1")
    queue.record_steps("n1", done=2, total=5)
    assert (queue.job("a").steps_done, queue.job("a").steps_total) == (2, 5)
    queue.finish("n1", Decision(event=JobEvent.INTERRUPTED, counters=Counters()), now=NOW, seconds=0, outcome="x")
    queue.record_steps("n1", done=3, total=5)
    assert queue.job("a").steps_done == 2


def test_the_same_feed_again_changes_nothing(queue):
    """Reading an unchanged feed leaves every job as it is."""
    specs = [job("a"), job("b", priority=1), job("c", not_before=NOW + 5)]
    assert fill(queue, *specs) == Reconciled(added=3)
    before = list(queue.jobs())
    assert fill(queue, *specs, now=NOW + 1) == Reconciled(unchanged=3)
    assert list(queue.jobs()) == before


def test_changed_jobs_are_updated(queue):
    """A pending job takes its new specification; a waiting one keeps its place in time."""
    fill(queue, job("w"), job("q"), job("same"), job("t"))
    end(queue, "w", JobEvent.RETRY, retry_at=NOW + 50)
    changed = [job("w", params={"x": 1}), job("q", flow="/flows/other.py"), job("same"), job("t", not_before=NOW + 9)]
    assert fill(queue, *changed) == Reconciled(updated=3, unchanged=1)
    assert [record.spec for record in queue.jobs()] == changed
    assert (state(queue, "w"), queue.job("w").due_at) == (JobState.WAITING, NOW + 50)
    assert queue.job("w").counters.failures == 2
    assert queue.readiness(NOW, 9) == Readiness(ready=2, later=2, next_due=NOW + 9)


def test_claimed_jobs_are_left_alone(queue):
    """Neither a change nor disappearance from the feed touches a job that is under way."""
    fill(queue, job("a"), job("b"))
    assert claimed(queue) == ["a", "b"]
    before = list(queue.jobs())
    assert fill(queue, job("a", params={"x": 1})) == Reconciled(unchanged=1)
    assert list(queue.jobs()) == before


@pytest.mark.parametrize(
    ("event", "options", "expected", "after"),
    [
        (JobEvent.GIVEN_UP, {"retry_failed": {Code.SELECTOR_GONE}}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.GIVEN_UP, {"retry_failed": {Code.SITE_DOWN}}, Reconciled(failed=1), JobState.FAILED),
        (JobEvent.QUARANTINED, {"retry_failed": {Code.SITE_DOWN}}, Reconciled(failed=1), JobState.QUARANTINED),
        (JobEvent.COMPLETED, {}, Reconciled(done=1), JobState.DONE),
        (JobEvent.COMPLETED, {"retry_failed": ALL}, Reconciled(done=1), JobState.DONE),
        (JobEvent.COMPLETED, {"again": True}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.GIVEN_UP, {}, Reconciled(failed=1), JobState.FAILED),
        (JobEvent.GIVEN_UP, {"retry_failed": ALL}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.GIVEN_UP, {"again": True}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.QUARANTINED, {}, Reconciled(failed=1), JobState.QUARANTINED),
        (JobEvent.QUARANTINED, {"retry_failed": ALL}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.QUARANTINED, {"again": True}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.CANCELLED, {}, Reconciled(added=1), JobState.QUEUED),
        (JobEvent.PARKED, {}, Reconciled(resumed=1), JobState.QUEUED),
        (JobEvent.RETRY, {}, Reconciled(unchanged=1), JobState.WAITING),
        (JobEvent.RETRY, {"again": True}, Reconciled(unchanged=1), JobState.WAITING),
    ],
)
@pytest.mark.parametrize("changed", [False, True])
def test_known_jobs_in_a_feed(queue, event, options, expected, after, changed):  # noqa: PLR0917
    """What becomes of a job that the feed names again, by its state, its change and what was asked."""
    fill(queue, job("a"))
    end(queue, "a", event, retry_at=NOW + 5 if event is JobEvent.RETRY else None)
    if changed and event is JobEvent.RETRY:
        expected = Reconciled(updated=1)
    spec = job("a", params={"new": 1}) if changed else job("a")
    assert fill(queue, spec, **options) == expected
    record = queue.job("a")
    assert record.state is after
    terminal_kept = after in {JobState.DONE, JobState.FAILED, JobState.QUARANTINED}
    assert record.spec == (job("a") if terminal_kept else spec)
    renewed = bool(options) and after is JobState.QUEUED
    assert record.generation == (2 if renewed else 1)
    codes = {} if event is JobEvent.COMPLETED else {Code.SELECTOR_GONE: 2}
    assert record.counters == (Counters() if renewed else Counters(attempts=1, failures=2, codes=codes))
    kept = after in {JobState.FAILED, JobState.QUARANTINED, JobState.WAITING}
    assert record.code == (Code.SELECTOR_GONE if kept else None)
    assert bool(record.reason) == (kept or after is JobState.DONE)
    assert queue.readiness(NOW, 5).ready == (1 if after is JobState.QUEUED else 0)


def test_what_ended_and_is_gone_from_the_feed_is_no_longer_its_own(queue):
    """A failure that the feed no longer names does not count in a run of that feed, and is still known."""
    fill(queue, job("a"), job("b"))
    claim = queue.claim(NOW, "n1")
    queue.record_process("n1", ProcessStamp(host="h", pid=1, started=1.0))
    queue.record_go("n1", fence=1, user_data_dir=None, now=NOW)
    given_up = Decision(event=JobEvent.GIVEN_UP, counters=claim.job.counters, reason="no")
    queue.finish("n1", given_up, now=NOW, seconds=1.0, outcome="failed")
    other = "b" if claim.job.spec.id == "a" else "a"
    fill(queue, job(other))
    queue.begin_run(NOW, feed=FEED)
    assert queue.counts() == {JobState.QUEUED: 1}
    assert queue.job(claim.job.spec.id).state is JobState.FAILED


def test_jobs_gone_from_the_feed_are_cancelled(queue):
    """Pending and parked jobs go with a reason; another feed's, claimed and terminal ones stay."""
    fill(queue, job("done"), job("parked"), job("running"), job("queued"), job("waiting", priority=9))
    fill(queue, job("foreign"), feed="other")
    end(queue, "waiting", JobEvent.RETRY, retry_at=NOW + 5)
    end(queue, "done", JobEvent.COMPLETED)
    end(queue, "parked", JobEvent.PARKED)
    queue.claim(NOW, "n1")
    assert fill(queue, cancel_missing=False) == Reconciled()
    assert fill(queue) == Reconciled(cancelled=3)
    states = {record.spec.id: record.state.value for record in queue.jobs()}
    assert states == {
        "done": "done", "parked": "cancelled", "running": "prepared", "queued": "cancelled", "waiting": "cancelled",
        "foreign": "queued",
    }  # fmt: skip
    assert queue.job("queued").reason == "gone from the feed"
    assert claimed(queue) == ["foreign"]


def test_a_job_belongs_to_the_feed_that_named_it_last(queue):
    """Once another feed names a job, the first one's silence does not cancel it."""
    fill(queue, job("a"), feed="one")
    assert fill(queue, job("a"), feed="two") == Reconciled(unchanged=1)
    assert fill(queue, feed="one") == Reconciled()
    assert fill(queue, feed="two") == Reconciled(cancelled=1)


def test_reconcile_is_all_or_nothing(queue):
    """A feed that breaks off, or that names an ID twice, changes nothing."""
    fill(queue, job("a"), job("b"))
    before = list(queue.jobs())

    def broken() -> Iterator[JobSpec]:
        yield job("c")
        raise BadInput([])

    with pytest.raises(BadInput):
        queue.reconcile(FEED, broken(), now=NOW)
    with pytest.raises(BadInput):
        fill(queue, job("x"), job("x"))
    assert list(queue.jobs()) == before
    assert fill(queue, job("a"), job("b"), job("c")) == Reconciled(unchanged=2, added=1)


def test_resume_parked(queue):
    """Without a feed, parked jobs are queued again."""
    fill(queue, job("a"), job("b"))
    end(queue, "a", JobEvent.PARKED)
    assert queue.readiness(NOW, 5) == Readiness(ready=1, later=0, next_due=None)
    assert queue.resume(NOW) == 1
    assert claimed(queue) == ["a", "b"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["p"]),
        ({"retry_failed": ALL}, ["f", "q", "p"]),
        ({"retry_failed": {Code.SITE_DOWN}}, ["p"]),
        ({"again": True}, ["d", "f", "q", "p"]),
    ],
)
def test_without_a_feed_what_ended_is_asked_for_again(queue, asked, expected):
    """Failed ones or all start anew, as a new generation; what left its feed, or was cancelled by that, does not."""
    ends = {"d": JobEvent.COMPLETED, "f": JobEvent.GIVEN_UP, "q": JobEvent.QUARANTINED, "gone": JobEvent.GIVEN_UP}
    fill(queue, *(job(name) for name in (*ends, "p", "cancelled")))
    for name, event in ends.items():
        end(queue, name, event)
    fill(queue, *(job(name) for name in ("d", "f", "q", "p")))
    end(queue, "p", JobEvent.PARKED)
    assert queue.job("cancelled").state is JobState.CANCELLED
    assert queue.resume(NOW, **asked) == len(expected)
    generations = {name: queue.job(name).generation for name in expected}
    assert generations == {name: 1 if name == "p" else 2 for name in expected}
    assert claimed(queue) == expected


def test_what_went_wrong_is_kept_until_the_next_attempt(queue):
    """Code, reason and the count of each code stand with the job; a claim clears the first two, an end well all but the count."""
    fill(queue, job("a"), job("b", priority=-1))
    end(queue, "a", JobEvent.RETRY, retry_at=NOW, code=Code.RATE_LIMITED)
    end(queue, "a", JobEvent.INTERRUPTED, code=Code.INTERRUPTED, now=NOW + 1)
    assert (queue.job("a").code, queue.job("a").reason) == (Code.INTERRUPTED, "it interrupted")
    assert queue.codes() == {"interrupted": 1}
    claim = queue.claim(NOW + 2, "n")
    assert claim is not None
    assert (claim.job.code, claim.job.reason, claim.job.counters.codes) == (None, "", {Code.INTERRUPTED: 2})
    assert queue.job("a").code is None
    assert queue.codes() == {}


def test_codes_are_counted(queue):
    """The most frequent first; done jobs have none, and a limited run sees its own."""
    fill(queue, *(job(name) for name in "abcde"))
    end(queue, "a", JobEvent.GIVEN_UP, code=Code.SITE_DOWN)
    end(queue, "b", JobEvent.PARKED, code=Code.NEEDS_CODE)
    end(queue, "c", JobEvent.QUARANTINED, code=Code.SITE_DOWN)
    end(queue, "d", JobEvent.COMPLETED)
    assert list(queue.codes().items()) == [("site_down", 2), ("needs_code", 1)]
    queue.begin_run(NOW, "other")
    assert queue.codes() == {}


def test_fences_only_rise(queue):
    """The next fence is higher than any that was recorded for the profile, whatever became of the attempt."""
    fill(queue, job("a"), job("b"))
    assert queue.next_fence("a") == 1
    queue.claim(NOW, "n1")
    queue.record_go("n1", fence=41, user_data_dir=None, now=NOW)
    assert queue.next_fence("a") == 42
    queue.finish("n1", Decision(event=JobEvent.COMPLETED, counters=Counters()), now=NOW, seconds=0, outcome="done")
    assert queue.next_fence("a") == 42
    assert queue.next_fence("b") == 1


def test_counts_jobs_and_profiles(queue):
    """Counts, listing by state and pending profiles agree."""
    fill(queue, job("a"), job("b", profile_id="p"), job("c", profile_id="p"), job("d"))
    end(queue, "a", JobEvent.COMPLETED)
    queue.claim(NOW, "n1")
    assert dict(queue.counts()) == {JobState.DONE: 1, JobState.PREPARED: 1, JobState.QUEUED: 2}
    assert [record.spec.id for record in queue.jobs()] == ["a", "b", "c", "d"]
    assert [record.spec.id for record in queue.jobs([JobState.QUEUED, JobState.DONE])] == ["a", "c", "d"]
    assert queue.pending_profiles() == {"p", "d"}
    with pytest.raises(UnknownJob):
        queue.job("nobody")


def test_the_iterator_is_not_disturbed_by_changes(queue):
    """Jobs may be finished while they are iterated over; each is seen once."""
    fill(queue, *(job(f"p{n:04}") for n in range(1200)))
    seen = []
    for number, record in enumerate(queue.jobs()):
        seen.append(record.spec.id)
        if number % 400 == 0:
            queue.claim(NOW, f"n{number}")
    assert seen == [f"p{n:04}" for n in range(1200)]


def test_a_run_may_be_limited_to_one_feed(queue, connect):
    """A limited run sees only its feed's jobs, but never a profile that another feed's job uses."""
    fill(queue, job("a1", profile_id="p"), job("busy", profile_id="q", priority=9), feed="a")
    queue.claim(NOW, "n1")
    fill(queue, job("b1", profile_id="p", priority=-1), job("b2", profile_id="q"), job("b3"), feed="b")
    limited = connect()
    limited.begin_run(NOW, "b")
    assert dict(limited.counts()) == {JobState.QUEUED: 3}
    assert [record.spec.id for record in limited.jobs()] == ["b1", "b2", "b3"]
    assert limited.readiness(NOW, 5) == Readiness(ready=2, later=1, next_due=None)
    assert claimed(limited) == ["b3", "b1"]
    assert limited.pending_profiles() == {"p", "q", "b3"}
    assert limited.job("a1").state is JobState.QUEUED
    assert len(limited.open_attempts()) == 3
    everything = connect()
    everything.begin_run(NOW)
    assert everything.claim(NOW, "n9") is None
    assert everything.readiness(NOW, 5).later == 2


def test_what_attempts_usually_take_is_known_by_flow(queue):
    """Only of those that ended well, the latest of each flow, oldest first; also to a run that comes later."""
    fill(queue, *(job(name, flow=f"/{name[0]}.py") for name in ("a1", "a2", "a3", "b1", "b2")))
    for number, name in enumerate(claimed(queue)):
        decision = Decision(event=JobEvent.COMPLETED if name != "b2" else JobEvent.GIVEN_UP, counters=Counters())
        outcome = "done" if name != "b2" else "failed"
        queue.finish(f"nonce-{NOW}-{number}", decision, now=NOW + 9 - number, seconds=float(number), outcome=outcome)
    assert queue.usual_seconds(9) == {"/a.py": [2.0, 1.0, 0.0], "/b.py": [3.0]}
    assert queue.usual_seconds(2) == {"/a.py": [1.0, 0.0], "/b.py": [3.0]}


def test_a_job_comes_after_others(queue):
    """It is neither ready nor counted as later until all of them are done; their order in the feed does not matter."""
    fill(queue, job("c", after=("a", "b")), job("a"), job("b"), job("free"))
    assert queue.readiness(NOW, 9) == Readiness(ready=3, later=0, next_due=None)
    assert claimed(queue) == ["a", "b", "free"]
    for number, name in enumerate("ab"):
        assert claimed(queue) == []
        done(queue, name, f"nonce-{NOW}-{number}")
    assert queue.readiness(NOW, 9) == Readiness(ready=1, later=0, next_due=None)
    assert claimed(queue, NOW + 1) == ["c"]


@pytest.mark.parametrize("event", [JobEvent.GIVEN_UP, JobEvent.QUARANTINED, JobEvent.PARKED])
def test_what_comes_after_a_job_that_is_not_done_stays(queue, event):
    """It is not run, nor cancelled, and is there once that one is done after all."""
    fill(queue, job("a"), job("b", after=("a",)))
    end(queue, "a", event)
    assert queue.readiness(NOW, 9) == Readiness(ready=0, later=0, next_due=None)
    assert state(queue, "b") is JobState.QUEUED
    fill(queue, job("a"), job("b", after=("a",)), retry_failed=ALL)
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 1)
    assert claimed(queue) == ["b"]


def test_a_retry_sets_nobody_free(queue):
    """Also what was interrupted; and a job of the same profile waits like any other."""
    fill(queue, job("a"), job("b", after=("a",), profile_id="a"), job("c", profile_id="a"))
    end(queue, "a", JobEvent.RETRY, retry_at=NOW + 10)
    assert queue.readiness(NOW, 9) == Readiness(ready=1, later=1, next_due=NOW + 10)
    assert claimed(queue) == ["c"]


def test_many_that_come_after_one(queue):
    """All are set free at once, each at its own time."""
    late = [job(f"j{n}", after=("a",), not_before=NOW + 5 if n % 2 else None) for n in range(300)]
    fill(queue, job("a"), *late)
    end(queue, "a", JobEvent.COMPLETED)
    assert queue.readiness(NOW, 999) == Readiness(ready=150, later=150, next_due=NOW + 5)


def test_an_edit_changes_the_order(queue):
    """A feed that says otherwise is followed; one that says the same changes nothing."""
    fill(queue, job("a"), job("b", after=("a",)))
    assert fill(queue, job("a"), job("b", after=("a",))).unchanged == 2
    assert fill(queue, job("a", after=("b",)), job("b")).updated == 2
    assert claimed(queue) == ["b"]


def test_who_is_waited_for_anew(queue):
    """A job that is asked for again is waited for again by those that have not begun."""
    fill(queue, job("a"), job("b", after=("a",), not_before=NOW + 5))
    end(queue, "a", JobEvent.COMPLETED)
    fill(queue, job("a"), job("b", after=("a",), not_before=NOW + 5), again=True)
    assert claimed(queue, NOW + 6) == ["a"]


def test_known(queue):
    """Of any feed, in any state."""
    fill(queue, job("a"))
    fill(queue, job("b"), feed="other")
    assert queue.known(["a", "b", "c"]) == {"a", "b"}


def test_a_job_is_run_again_and_again(queue):
    """From start to start, at multiples of its interval; times that were missed are left out."""
    fill(queue, job("a", every=60.0), now=NOW - 100)
    end(queue, "a", JobEvent.COMPLETED)
    assert (state(queue, "a"), queue.job("a").due_at) == (JobState.DONE, NOW + 60)
    assert queue.readiness(NOW + 100, 9) == Readiness(ready=0, later=0, next_due=None)
    assert queue.recur(NOW + 59) == Recurred(next_due=NOW + 60)
    begun = queue.recur(NOW + 61)
    assert [one.spec.id for one in begun.jobs] == ["a"]
    assert (begun.jobs[0].state, begun.jobs[0].generation, begun.next_due) == (JobState.QUEUED, 2, None)
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 61)
    assert queue.job("a").due_at == NOW + 120
    queue.recur(NOW + 1_000)
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 1_001)
    assert queue.job("a").due_at == NOW + 1_020


def test_a_failure_is_run_again_at_its_time(queue):
    """It stays failed until then, and its counters begin anew; what is quarantined waits for a person."""
    fill(queue, job("a", every=60.0), job("b", every=60.0))
    end(queue, "a", JobEvent.GIVEN_UP)
    end(queue, "b", JobEvent.QUARANTINED)
    assert (state(queue, "a"), queue.job("a").counters.failures) == (JobState.FAILED, 2)
    assert [one.spec.id for one in queue.recur(NOW + 60).jobs] == ["a"]
    assert (queue.job("a").counters, queue.job("a").reason, queue.job("a").code) == (Counters(), "", None)


def test_a_retry_of_one_that_recurs(queue):
    """Its own schedule does not replace the policy for failures."""
    fill(queue, job("a", every=60.0))
    end(queue, "a", JobEvent.RETRY, retry_at=NOW + 1)
    assert queue.recur(NOW + 60) == Recurred()
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 61)
    assert queue.job("a").due_at == NOW + 120


def test_a_clock_that_is_put_back_or_forward(queue):
    """No time is further away than one interval, and none is made up for."""
    fill(queue, job("a", every=60.0))
    end(queue, "a", JobEvent.COMPLETED)
    assert queue.recur(NOW - 500) == Recurred(next_due=NOW - 480)
    assert len(queue.recur(NOW + 100_000).jobs) == 1
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 100_001)
    assert queue.recur(NOW + 100_002).jobs == ()
    assert len(queue.recur(NOW + 100_021).jobs) == 1
    end(queue, "a", JobEvent.COMPLETED, now=NOW - 90)
    assert queue.job("a").due_at == NOW - 60


def test_every_is_an_edit_like_others(queue):
    """A job that ended takes its new interval and parameters for the next time, or has none any more."""
    fill(queue, job("a"))
    end(queue, "a", JobEvent.COMPLETED)
    assert fill(queue, job("a", every=60.0)).updated == 1
    assert queue.job("a").due_at == NOW + 60
    assert fill(queue, job("a", every=60.0)).done == 1
    assert fill(queue, job("a", every=60.0, params={"n": 1}), now=NOW + 90).updated == 1
    assert (queue.job("a").due_at, queue.job("a").spec.params) == (NOW + 60, {"n": 1})
    assert fill(queue, job("a", every=10.0)).updated == 1
    assert queue.job("a").due_at == NOW + 10
    assert fill(queue, job("a")).updated == 1
    assert (queue.job("a").due_at, queue.recur(NOW + 99)) == (None, Recurred())
    assert fill(queue, job("a", params={"n": 2})).done == 1


def test_gone_from_the_feed_it_is_not_run_again(queue):
    """Neither is one that only another feed names, in a run on a feed."""
    fill(queue, job("a", every=60.0))
    end(queue, "a", JobEvent.COMPLETED)
    fill(queue, job("b"))
    assert queue.recur(NOW + 60) == Recurred()
    fill(queue, job("a", every=60.0), feed="other")
    queue.begin_run(NOW, feed=FEED)
    assert queue.recur(NOW + 60) == Recurred()
    queue.begin_run(NOW, feed="other")
    assert len(queue.recur(NOW + 60).jobs) == 1


def test_one_that_recurs_and_goes_from_the_feed_alone(queue):
    """It is not run again, even where nothing else of the feed has changed."""
    fill(queue, job("a", every=60.0), job("b"))
    end(queue, "a", JobEvent.COMPLETED)
    end(queue, "b", JobEvent.COMPLETED)
    fill(queue, job("b"))
    assert queue.recur(NOW + 60) == Recurred()
    assert queue.job("a").state is JobState.DONE


def test_what_comes_after_one_that_recurs(queue):
    """It is free once that one was done, also when the next time comes after that."""
    fill(queue, job("a", every=60.0), job("b", after=("a",)), job("c", after=("a",), not_before=NOW + 70))
    end(queue, "a", JobEvent.COMPLETED)
    assert claimed(queue) == ["b"]
    queue.recur(NOW + 60)
    assert claimed(queue, NOW + 80) == ["a"]
    done(queue, "a", f"nonce-{NOW + 80}-0", now=NOW + 81)
    assert claimed(queue, NOW + 82) == ["c"]


def test_many_that_recur(queue):
    """All are queued at once, each once."""
    fill(queue, *(job(f"j{n}", every=60.0) for n in range(150)))
    for number, name in enumerate(claimed(queue)):
        done(queue, name, f"nonce-{NOW}-{number}")
    assert len(queue.recur(NOW + 60).jobs) == 150
    assert queue.readiness(NOW + 60, 999).ready == 150


def test_outlook(queue):
    """How many are held, by others or by what is not due, and when the first of those that recur is due."""
    assert queue.outlook() == Outlook()
    fill(
        queue,
        job("a", every=60.0),
        job("b", after=("a",)),
        job("c", every=30.0, not_before=NOW + 5),
        job("d", after=("b", "a")),
    )
    assert queue.outlook() == Outlook(held=2)
    end(queue, "a", JobEvent.COMPLETED)
    assert queue.outlook() == Outlook(held=1, again_at=NOW + 60)
    end(queue, "b", JobEvent.GIVEN_UP)
    end(queue, "c", JobEvent.COMPLETED, now=NOW + 10)
    assert queue.outlook() == Outlook(held=1, again_at=NOW + 40)
    queue.begin_run(NOW, feed="another")
    assert queue.outlook() == Outlook()


def test_a_schedule_outlives_its_run(connect):
    """It is in the file: another run, after whatever happened to this one, goes on with it."""
    queue = connect()
    queue.begin_run(NOW)
    fill(queue, job("a", every=60.0), job("b", after=("a",), not_before=NOW + 70))
    end(queue, "a", JobEvent.COMPLETED, now=NOW + 10)
    other = connect()
    other.begin_run(NOW + 65)
    assert other.outlook() == Outlook(held=0, again_at=NOW + 70)
    assert [one.spec.id for one in other.recur(NOW + 75).jobs] == ["a"]
    assert other.claim(NOW + 76, "n") is not None
    third = connect()
    third.begin_run(NOW + 80)
    decision = Decision(event=JobEvent.INTERRUPTED, counters=Counters())
    third.finish("n", decision, now=NOW + 81, seconds=1, outcome="interrupted")
    end(third, "a", JobEvent.COMPLETED, now=NOW + 82)
    assert third.job("a").due_at == NOW + 130
    assert claimed(third, NOW + 83) == ["b"]
