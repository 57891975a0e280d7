"""A job's story: what happened, what it cost, what comes next and what to do, in every state, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain import events as ev
from core.domain.failure import FAILURES, Code
from core.domain.model import Counters, JobRecord, JobSpec, JobState
from core.domain.policy import PolicyChange
from core.domain.retry import RetryPolicy
from core.queue.port import PastAttempt
from core.upkeep.explanation import Explanation, FailedTry, History, explain

NOW = 10_000.0
POLICY = RetryPolicy()


def job(state: JobState, code: Code | None = None, reason: str = "", **fields: Any) -> JobRecord:
    own = fields.pop("max_attempts", None)
    spec = JobSpec(id="j1", profile_id="anna", flow="/f.py", max_attempts=own)
    return JobRecord(spec=spec, state=state, code=code, reason=reason, run_seconds=75.0, **fields)


def past(nth: int, code: Code | None = None, outcome: str | None = "failed", **fields: Any) -> PastAttempt:
    """The ``nth`` attempt: it takes 10 s, and the next begins 20 s after its end."""
    start = 1000.0 + 30 * (nth - 1)
    ended = {} if outcome is None else {"ended_at": start + 10, "seconds": 10.0}
    return PastAttempt(
        **{"number": nth, "run": 1, "started_at": start, "outcome": outcome, "code": code, "reason": f"reason {nth}",
           "generation": 1, **ended, **fields}
    )  # fmt: skip


def of(nth: int, after: float = 1.0, **fields: Any) -> dict[str, Any]:
    return {"at": 1000.0 + 30 * (nth - 1) + after, "profile_id": "anna", "job": "j1", "attempt": nth, **fields}


def told(nth: int, step: str = "pay", code: str = "unknown") -> list[Any]:
    """What the event log has of an attempt that failed in a step."""
    return [
        ev.AttemptStarted(pid=1, fence=nth, **of(nth)),
        ev.PhaseStarted(phase="steps", **of(nth)),
        ev.StepStarted(step=step, try_=1, **of(nth)),
        ev.AttemptEnded(outcome="failed", reason="r", step=step, seconds=10.0, code=code, **of(nth, 10.0)),
    ]


def story(record: JobRecord, attempts: list[PastAttempt], events: list[Any] | None = None, **how: Any) -> Explanation:
    """Explain; unless events are given, the log has all of each attempt."""
    if events is None:
        events = [event for one in attempts for event in told(one.number)]
    history = History(record, attempts, events, how.get("problems", ()), how.get("mask", str), how.get("waits_for", ()))
    return explain(history, how.get("policy", POLICY), NOW, runs=how.get("runs", True))


def test_a_job_that_failed_for_good():
    """Each attempt with its code, its delay and its cost; the last with the end; evidence and the command that tries again."""
    code = Code.SELECTOR_GONE
    attempts = [past(1, code), past(2, Code.PROFILE_BUSY, "busy"), past(3, code), past(4, Code.SITE_DOWN)]
    events = [event for one in attempts for event in told(one.number)]
    events.insert(-1, ev.ArtifactsKept(step="pay", why="x", files=("artifacts/anna/4/pay.html",), **of(4)))
    found = story(job(JobState.FAILED, Code.SITE_DOWN, "reason 4"), attempts, events)
    assert found.says == "j1 failed for good, after 4 attempts."
    assert [one.then for one in found.attempts] == [
        "It was tried again 20.0 s later; it was failing attempt 1 of 3.",
        "It was tried again 20.0 s later; it cost no attempt.",
        "It was tried again 20.0 s later; it was failing attempt 2 of 3.",
        "The job was given up; it was failing attempt 3 of 3.",
    ]
    assert [one.step for one in found.attempts] == ["pay"] * 4
    assert found.error == found.attempts[3].error
    assert found.error.user_message == "The site broke off the connection, or did not take it (pay)."
    assert found.error.technical_message == "reason 4"
    assert found.next == "Nothing, by itself."
    assert (
        found.do == f"{FAILURES[Code.SITE_DOWN].do} Evidence: artifacts/anna/4/pay.html … Then: ostler queue retry j1"
    )
    assert (found.missing, found.earlier, found.next_at) == ((), 0, None)


def test_a_job_that_waits_for_others():
    """Which, how they stand, and what sets it free; also one that is not due."""
    waits = [("a", JobState.FAILED)]
    found = story(job(JobState.QUEUED), [], waits_for=waits)
    assert found.next == "It waits for a (failed), and starts once that one is done. What keeps it: ostler explain a."
    found = story(job(JobState.QUEUED, due_at=NOW + 9), [], waits_for=[*waits, ("b", JobState.QUEUED)], runs=False)
    told = "It waits for a (failed), b (queued), and starts once all of them are done. What keeps it: ostler explain a."
    assert found.next == told
    found = story(job(JobState.QUEUED), [], waits_for=[("b", JobState.QUEUED)])
    assert found.next == "It waits for b (queued), and starts once that one is done."


def test_a_job_that_is_run_again():
    """When, and by whom."""
    found = story(job(JobState.DONE, due_at=NOW + 95), [])
    assert found.next.startswith("It is run again at 1970-01-01 02:48:15Z, by a run with --watch, or by the first")
    assert found.next_at == NOW + 95


def test_a_job_that_was_set_aside():
    """A streak of crashes, which a commit starts anew; a step without a flag is no commit."""
    attempts = [past(nth, Code.WORKER_KILLED, "crashed") for nth in range(1, 5)]
    events = [event for one in attempts for event in told(one.number)]
    events += [
        ev.StepsPlanned(done=(), todo=("look", "buy"), flags={"buy": "bought"}, **of(1)),
        ev.StepCommitted(step="look", seconds=1.0, **of(1)),
        ev.StepsPlanned(done=(), todo=("buy",), flags={"buy": "bought"}, **of(2)),
        ev.StepCommitted(step="buy", seconds=1.0, recovered=True, **of(2)),
    ]
    events.sort(key=lambda event: event.at)
    found = story(job(JobState.QUARANTINED, Code.WORKER_KILLED), attempts, events)
    assert found.says == "j1 was set aside, after 4 attempts, and is not tried again by itself."
    costs = [one.then.partition("; ")[2] for one in found.attempts]
    assert costs == [f"it was crash {nth} of 3 with nothing committed between." for nth in (1, 1, 2, 3)]
    assert [one.committed for one in found.attempts[:2]] == [("look",), ("buy",)]
    assert found.attempts[1].notes == ("buy was found committed after the interruption",)
    assert found.attempts[3].then.startswith("The job was set aside; ")
    assert found.do.endswith(" Then: ostler queue retry j1")


def test_a_job_that_waits_for_its_next_try():
    """When it comes, if anybody runs it, and what to do meanwhile."""
    record = job(JobState.WAITING, Code.RATE_LIMITED, "429", due_at=NOW + 95)
    found = story(record, [past(1, Code.RATE_LIMITED)])
    assert found.says == "j1 waits for its next try, after 1 attempt."
    assert found.attempts[0].then == "It will be tried again; it was failing attempt 1 of 3."
    assert (found.next, found.next_at) == ("The next attempt starts in 1:35, at 1970-01-01 02:48:15Z.", NOW + 95)
    assert found.do == FAILURES[Code.RATE_LIMITED].do
    alone = story(record, [past(1, Code.RATE_LIMITED)], runs=False)
    assert alone.next.startswith("No orchestrator runs. With one, the next attempt starts in 1:35")
    due = story(job(JobState.WAITING, Code.RATE_LIMITED, due_at=NOW - 1), [past(1, Code.RATE_LIMITED)])
    assert due.next == "The next attempt starts as soon as it has a slot."


def test_numbers_are_those_that_hold_here():
    """A number of its own, fewer than the job's, and the job's own limit."""
    apart = RetryPolicy(changes={Code.RATE_LIMITED: PolicyChange(attempts=5)})
    record = job(JobState.WAITING, Code.RATE_LIMITED)
    found = story(record, [past(1, Code.SITE_DOWN), past(2, Code.RATE_LIMITED)], policy=apart)
    assert [one.then.partition("; ")[2] for one in found.attempts] == [
        "it was failing attempt 1 of 3.", "it was attempt 1 of 5 that may end by rate_limited.",
    ]  # fmt: skip
    fewer = story(job(JobState.WAITING, Code.TLS_ERROR, max_attempts=7), [past(1, Code.TLS_ERROR)])
    assert fewer.attempts[0].then.endswith("it was failing attempt 1 of 7, and 1 of 2 that may end by tls_error.")


@pytest.mark.parametrize(
    ("record", "attempts", "says", "next_", "do"),
    [
        (job(JobState.DONE), [past(1, outcome="done")], "j1 is done, after 1 attempt and 1:15.", "Nothing, by itself.", ""),
        (job(JobState.QUEUED), [], "j1 waits for its turn.", "The next attempt starts as soon as it has a slot.", ""),
        (
            job(JobState.QUEUED, Code.INTERRUPTED, "stopped by the operator"), [past(1, Code.INTERRUPTED, "interrupted")],
            "j1 waits for its turn: stopped by the operator.", "The next attempt starts as soon as it has a slot.",
            "Nothing: it goes on where it was.",
        ),
        (
            job(JobState.PARKED, Code.NEEDS_CODE, "type the code"), [past(1, Code.NEEDS_CODE, "needs_person")],
            "j1 waits for a person: type the code.",
            "It is queued again by the next start of the orchestrator, and begins with the same step.",
            "Have the code of anna at hand, then run the same command again.",
        ),
        (job(JobState.PREPARED), [], "j1 is under way: it was claimed.", "It goes on.", ""),
        (job(JobState.CANCELLED, reason="cancelled by hand"), [past(1, Code.SITE_DOWN)], "j1 was cancelled: cancelled by hand.", "Nothing, by itself.", ""),
    ],
)  # fmt: skip
def test_each_state_has_its_sentences(record, attempts, says, next_, do):
    """Where it stands, what comes next, what to do."""
    found = story(record, attempts)
    assert (found.says, found.next, found.do) == (says, next_, do)
    assert found.state is record.state


def test_a_job_that_is_under_way():
    """In which attempt and step, and since when; what went wrong before, and tries that failed meanwhile."""
    tries = ev.StepFailed(step="pay", try_=1, reason="slow", will_retry=True, code="step_timeout", **of(2))
    final = ev.StepFailed(step="pay", try_=2, reason="slow", will_retry=False, code="step_timeout", **of(2))
    events = [
        *told(1),
        ev.PhaseStarted(phase="clone", **of(2)),
        ev.WorkerNoted(name="workspace_rebuilt", data={"reason": "the login is not there"}, **of(2)),
        ev.WorkerNoted(name="not_authenticated", data={}, **of(2)),
        ev.WorkerNoted(name="of no interest", data={}, **of(2)),
        ev.StepStarted(step="pay", try_=1, **of(2)),
        tries,
        ev.StepStarted(step="pay", try_=2, **of(2)),
        final,
    ]
    found = story(job(JobState.RUNNING), [past(1, Code.SITE_DOWN), past(2, outcome=None)], events)
    assert found.says == "j1 is under way: attempt 2 is in pay, for 2:29:30."
    assert found.error is not None and found.error.code is Code.SITE_DOWN
    assert found.do == ""
    second = found.attempts[1]
    assert (second.then, second.outcome, second.error) == ("It goes on.", None, None)
    assert second.tries == (FailedTry(step="pay", try_=1, code="step_timeout", reason="slow"),)
    assert second.notes == (
        "the copy of the browser data was made anew: the login is not there", "the flow's check found no login",
    )  # fmt: skip
    cut = story(job(JobState.RUNNING), [past(1, outcome=None)], runs=False)
    assert cut.says == "j1 was cut off with its orchestrator in pay."
    assert cut.next == "No orchestrator runs: the next start ends what is left of it, and goes on at no cost."
    assert story(job(JobState.PREPARED, reason="look"), [], runs=False).do == ""


def test_a_job_that_waits_for_a_person_with_its_browser_open():
    """The queue says why, the log what was asked and answered before."""
    events = [
        ev.StepStarted(step="log_in", try_=1, **of(1)),
        ev.AttemptParked(step="log_in", why="type the code", code="needs_code", **of(1)),
        ev.AttemptResumed(step="log_in", **of(1)),
    ]
    found = story(job(JobState.RUNNING, reason="solve the puzzle"), [past(1, outcome=None)], events)
    assert found.says == "j1 waits for a person, with its browser open: solve the puzzle."
    assert found.do == "Do what it asks for, then: ostler ctl resume j1"
    assert found.attempts[0].notes == (
        "it waited for a person in log_in: type the code", "a person was done, and it went on with log_in",
    )  # fmt: skip


def test_a_job_that_was_cut_off_with_its_orchestrator():
    """What was found and stopped is told."""
    events = [*told(1), ev.OrphanStopped(processes=3, **of(1, 12.0))]
    found = story(job(JobState.QUEUED, Code.INTERRUPTED), [past(1, Code.INTERRUPTED, "interrupted")], events)
    assert found.attempts[0].notes == (
        "it was cut off with its orchestrator; 3 processes were still there, and stopped",
    )
    assert found.attempts[0].then == "It goes on with the next attempt; it cost no attempt."


def test_what_is_missing_is_said():
    """A log that was rotated away or cannot be read, and what an earlier version did not note; the queue's own word is told."""
    old = past(2, None, "crashed", generation=None, reason="")
    attempts = [past(1, Code.SITE_DOWN), old, past(3, Code.SITE_DOWN)]
    found = story(
        job(JobState.FAILED, Code.SITE_DOWN), attempts, [*told(2), *told(3)], problems=("The log is no file.",)
    )
    assert found.missing == (
        "The log is no file.",
        "The event log has nothing of attempt 1, 1970-01-01 00:16:40Z: what is told of it is the queue's.",
        "An earlier version recorded attempt 2, without its code: what is told of it is a guess.",
    )
    first, second, _ = found.attempts
    assert (first.told, first.step, first.error.technical_message) == (False, "", "reason 1")
    assert (second.error.code, second.error.technical_message) == (Code.WORKER_KILLED, "r")
    assert second.then.endswith("; it was crash 1 of 3 with nothing committed between.")


def test_only_what_happened_since_it_was_asked_for_is_told():
    """Numbers begin again with each generation: neither attempts nor events of an earlier one are taken for these."""
    attempts = [past(1, Code.SITE_DOWN), past(2, Code.FLOW_ERROR, number=1, generation=2)]
    events = [*told(1, "old"), *(type(event)(**{**_fields(event), "at": event.at + 30}) for event in told(1, "new"))]
    found = story(job(JobState.FAILED, Code.FLOW_ERROR, generation=2), attempts, events)
    [only] = found.attempts
    assert (only.number, only.step, found.earlier, found.says) == (1, "new", 1, "j1 failed for good, after 1 attempt.")
    assert only.then == "The job was given up; it was failing attempt 1 of 3."


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_secrets_are_masked_wherever_they_turn_up():
    """In the job's reason, an attempt's, a try's and a note."""
    events = [
        *told(1),
        ev.StepFailed(step="pay", try_=1, reason="with hunter2", will_retry=True, **of(1)),
        ev.AttemptParked(step="pay", why="hunter2", code="needs_code", **of(1)),
        ev.WorkerNoted(name="workspace_rebuilt", data={"reason": "hunter2"}, **of(1)),
    ]
    record = job(JobState.PARKED, Code.NEEDS_CODE, "by hunter2", counters=Counters())
    attempts = [past(1, Code.NEEDS_CODE, "needs_person", reason="by hunter2")]
    found = story(record, attempts, events, mask=lambda text: text.replace("hunter2", "[redacted]"))
    assert "hunter2" not in repr(found)
    assert repr(found).count("[redacted]") == 6
