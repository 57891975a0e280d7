"""The order that a dry run tells: by hand where it is easy, against a queue that is run where it is not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobRecord, JobSpec, JobState
from core.domain.rehearsal import Held, Rehearsal, rehearse
from core.domain.retry import Decision
from core.queue.memory import MemoryQueue

NOW = 1_000.0


def job(name: str, state: JobState = JobState.QUEUED, due_at: float | None = None, **fields: Any) -> JobRecord:
    spec = JobSpec(**{"id": name, "profile_id": name, "flow": "/f.py", **fields})
    return JobRecord(spec=spec, state=state, due_at=due_at)


def rounds(found: Rehearsal) -> list[list[str]]:
    names: list[list[str]] = []
    for start in found.starts:
        while len(names) < start.round:
            names.append([])
        names[start.round - 1].append(start.job.spec.id)
    return names


def later(found: Rehearsal) -> list[tuple[str, float]]:
    return [(one.job.spec.id, one.at) for one in found.later]


def test_nothing_is_nothing() -> None:
    """No jobs, and only such as ended."""
    nothing = Rehearsal(in_hand=(), starts=(), later=(), held=())
    assert rehearse([], {}, now=NOW, width=3) == nothing
    assert rehearse([job("a", JobState.DONE), job("b", JobState.PARKED)], {}, now=NOW, width=3) == nothing


def test_the_next_time_of_what_ended_is_later() -> None:
    """It is told beside the others, the earliest first; what no time is known of is not."""
    jobs = [
        job("done", JobState.DONE, NOW + 9, every=9.0), job("failed", JobState.FAILED, NOW + 2, every=9.0),
        job("asleep", due_at=NOW + 5), job("once", JobState.DONE, NOW + 5), job("parked", JobState.PARKED, every=9.0),
    ]  # fmt: skip
    assert later(rehearse(jobs, {}, now=NOW, width=3)) == [
        ("failed", NOW + 2), ("asleep", NOW + 5), ("done", NOW + 9),
    ]  # fmt: skip


def test_priority_comes_first_then_the_order_in_the_queue() -> None:
    """As many at a time as fit."""
    found = rehearse([job("a"), job("b", priority=1), job("c"), job("d", priority=1)], {}, now=NOW, width=3)
    assert rounds(found) == [["b", "d", "a"], ["c"]]


def test_of_a_profile_one_at_a_time() -> None:
    """Its jobs go one after the other, the better ones first."""
    jobs = [job("a", profile_id="p"), job("b", profile_id="p", priority=2), job("c", profile_id="p"), job("d")]
    assert rounds(rehearse(jobs, {}, now=NOW, width=3)) == [["b", "d"], ["a"], ["c"]]


def test_what_comes_after_others_starts_when_they_are_done() -> None:
    """Also after what a run has in hand, or was done before, or was forgotten; a better one takes its profile's turn."""
    jobs = [
        job("late", after=("x", "a"), priority=9), job("a"), job("x", JobState.RUNNING), job("y", JobState.DONE),
        job("z", after=("y", "gone")), job("same", profile_id="late"), job("more", profile_id="late"),
    ]  # fmt: skip
    found = rehearse(jobs, {}, now=NOW, width=2)
    assert rounds(found) == [["a", "z"], ["late"], ["same"], ["more"]]
    assert [one.spec.id for one in found.in_hand] == ["x"]


def test_what_is_not_due_comes_later_and_what_comes_after_it() -> None:
    """Each at the moment that the last of its reasons to wait ends."""
    jobs = [
        job("c", after=("b",), due_at=NOW + 9), job("b", after=("a",)), job("a", due_at=NOW + 5), job("d", after=("e",), due_at=NOW + 1),
        job("e"), job("f", JobState.WAITING, due_at=NOW),
    ]  # fmt: skip
    found = rehearse(jobs, {}, now=NOW, width=2)
    assert rounds(found) == [["e", "f"]]
    assert later(found) == [("d", NOW + 1), ("a", NOW + 5), ("b", NOW + 5), ("c", NOW + 9)]


def test_what_waits_for_what_is_not_going_to_be_done_does_not_start() -> None:
    """It says for whom; so does what comes after it."""
    jobs = [job("a", JobState.FAILED), job("b", after=("a", "out")), job("c", after=("b",)), job("d", after=("in",))]
    found = rehearse(jobs, {"out": JobState.QUEUED, "in": JobState.DONE}, now=NOW, width=2)
    assert rounds(found) == [["d"]]
    assert found.held == (
        Held(jobs[1], (("a", JobState.FAILED), ("out", JobState.QUEUED))),
        Held(jobs[2], (("b", JobState.QUEUED),)),
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.lists(st.integers(0, 11), max_size=2)),
        min_size=1,
        max_size=12,
    )
)
def test_one_at_a_time_it_is_what_a_queue_gives(given_jobs: list[tuple[int, int, list[int]]]) -> None:
    """Profiles, priorities and what comes after what, at random: the order is that of claims, each job done at once."""
    specs = [
        JobSpec(
            id=f"j{number}", profile_id=f"p{profile}", flow="/f.py", priority=priority,
            after=tuple(f"j{other}" for other in sorted(set(after)) if other < number),
        )
        for number, (profile, priority, after) in enumerate(given_jobs)
    ]  # fmt: skip
    queue = MemoryQueue()
    queue.begin_run(NOW)
    queue.reconcile("feed", specs, now=NOW)
    told = [start.job.spec.id for start in rehearse(list(queue.jobs()), {}, now=NOW, width=1).starts]
    claims = []
    while (claim := queue.claim(NOW, f"n{len(claims)}")) is not None:
        claims.append(claim.job.spec.id)
        decision = Decision(event=JobEvent.COMPLETED, counters=Counters())
        queue.finish(claim.attempt.nonce, decision, now=NOW, seconds=1, outcome="done")
    assert told == claims
    assert len(claims) == len(specs)
