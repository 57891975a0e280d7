"""The orchestrator's side of one execution, message by message."""

from __future__ import annotations

import msgspec
import pytest

from core.dispatch.attempt import Attempt, AttemptLimits
from core.domain import events, messages
from core.domain.failure import Code
from core.domain.lifecycle import AttemptState
from core.domain.model import AttemptRecord, Claim, HostTraffic, JobRecord, JobSpec, ProcessStamp
from core.domain.outcome import Done

STAMP = ProcessStamp(host="here", pid=7, started=1.0)
READY = messages.Ready(fence=3, process=STAMP, user_data_dir="/w/p-3/user-data")


@pytest.fixture
def attempt() -> Attempt:
    spec = JobSpec(id="j", profile_id="p", flow="/f.py")
    record = AttemptRecord(nonce="n", job_id="j", profile_id="p", number=2, started_at=0.0)
    limits = AttemptLimits(start=5, progress=30, hard=100)
    return Attempt(
        Claim(job=JobRecord(spec=spec), attempt=record),
        limits,
        started=0.0,
        redact=lambda text: text.replace("secret", "[redacted]"),
    )


def take(attempt: Attempt, message: messages.Up, monotonic: float = 1.0) -> list[events.Event]:
    return attempt.take(message, monotonic=monotonic, at=1000.0 + monotonic)


def test_what_was_kept_and_asked_for_is_announced(attempt: Attempt) -> None:
    """Field by field, with job and attempt; neither counts as progress."""
    overdue = attempt.overdue_at()
    kept = messages.Kept(step="s", why="trace", files=("artifacts/p/2/a",), sensitive=True)
    host = HostTraffic(host="a.example", requests=2, failures=1, received=3, sent=4)
    used = messages.Network(
        requests=2, failures=1, received=3, sent=4, unmeasured=0, proxy="proxy:3128", hosts=(host,), more_hosts=0
    )
    [first], [second] = take(attempt, kept, 9.0), take(attempt, used, 9.0)
    assert first == events.ArtifactsKept(
        at=1009.0, profile_id="p", job="j", attempt=2, step="s", why="trace", files=("artifacts/p/2/a",), sensitive=True
    )
    assert isinstance(second, events.NetworkUsed)
    assert msgspec.structs.asdict(second).items() >= msgspec.structs.asdict(used).items()
    assert attempt.overdue_at() == overdue


def test_status_follows_the_pipeline_of_a_browser_flow(attempt: Attempt) -> None:
    """From the handshake to the closed browser, the status is the seeds' flow."""
    seen = [attempt.state]
    for message in (
        READY,
        messages.Phase(name="restore"),
        messages.Phase(name="launch"),
        messages.BrowserStarted(name="Chromium", version="1", pid=9),
        messages.Phase(name="save"),
        messages.BrowserClosed(),
    ):
        take(attempt, message)
        seen.append(attempt.state)
    assert seen == [
        AttemptState.INITIALIZING,
        AttemptState.INITIALIZING,
        AttemptState.INITIALIZING,
        AttemptState.LAUNCHING,
        AttemptState.READY,
        AttemptState.STOPPING,
        AttemptState.STOPPED,
    ]


def test_a_relaunch_out_of_turn_leaves_the_status_alone(attempt: Attempt) -> None:
    """A browser that starts twice (a snapshot) is announced twice and does not break the machine."""
    started = messages.BrowserStarted(name="Chromium", version="1", pid=9)
    take(attempt, messages.Phase(name="launch"))
    take(attempt, started)
    assert take(attempt, started) == [
        events.BrowserLaunched(at=1001.0, profile_id="p", job="j", attempt=2, browser="Chromium", version="1", pid=9)
    ]
    assert attempt.state is AttemptState.READY


def test_every_fact_of_a_step_becomes_an_event(attempt: Attempt) -> None:
    """Planned, started, failed with its reason redacted, committed: each is announced with its place."""
    planned = take(attempt, messages.Planned(done=("a",), todo=("b", "c"), flags={"b": "b_done"}))
    started = take(attempt, messages.StepStarted(step="b", try_=1, limit=60))
    problem = messages.StepProblem(step="b", try_=1, reason="typed secret", will_retry=True, code=Code.SELECTOR_GONE)
    failed = take(attempt, problem)
    done = take(attempt, messages.StepCommitted(step="b", flag="b_done", seconds=2.0, body_ran=False))
    of = {"at": 1001.0, "profile_id": "p", "job": "j", "attempt": 2}
    assert planned == [events.StepsPlanned(done=("a",), todo=("b", "c"), flags={"b": "b_done"}, **of)]
    assert started == [events.StepStarted(step="b", try_=1, **of)]
    told = {"reason": "typed [redacted]", "code": "selector_gone"}
    assert failed == [events.StepFailed(step="b", try_=1, will_retry=True, **told, **of)]
    assert done == [events.StepCommitted(step="b", seconds=2.0, body_ran=False, **of)]
    assert (attempt.committed, attempt.done, attempt.steps_total) == (1, {"a", "b"}, 3)


def test_a_step_without_a_flag_commits_nothing(attempt: Attempt) -> None:
    """An always-step is done like the others but does not count as a commit."""
    take(attempt, messages.Planned(done=(), todo=("log_in", "b"), flags={"b": "b"}))
    take(attempt, messages.StepCommitted(step="log_in", flag=None, seconds=1.0))
    assert (attempt.committed, attempt.done) == (0, {"log_in"})


def test_progress_moves_the_deadline_and_a_heartbeat_does_not(attempt: Attempt) -> None:
    """Only progress feeds the timeout; the step's own limit counts where it is longer."""
    assert attempt.overdue_at() == (5.0, "no progress in start")
    take(attempt, READY, 1.0)
    assert attempt.overdue_at()[0] == 31.0
    take(attempt, messages.StepStarted(step="b", try_=1, limit=45), 10.0)
    assert attempt.overdue_at() == (55.0, "no progress in b")
    take(attempt, messages.Heartbeat(), 20.0)
    assert attempt.overdue_at()[0] == 55.0
    take(attempt, messages.Progress(), 20.0)
    assert attempt.overdue_at()[0] == 65.0


def test_the_hard_limit_holds_against_all_progress(attempt: Attempt) -> None:
    """However lively, an attempt ends at its hard limit."""
    take(attempt, messages.StepStarted(step="b", try_=1, limit=500), 10.0)
    assert attempt.overdue_at() == (100.0, "hard limit of 100 s reached in b")


def test_a_job_may_have_a_hard_limit_of_its_own(attempt: Attempt) -> None:
    """A job's ``timeout`` takes the place of the run's."""
    spec = msgspec.structs.replace(attempt.claim.job.spec, timeout=7.0)
    claim = msgspec.structs.replace(attempt.claim, job=msgspec.structs.replace(attempt.claim.job, spec=spec))
    own = Attempt(claim, AttemptLimits(start=5, progress=30, hard=100), started=0.0, redact=str)
    take(own, messages.StepStarted(step="b", try_=1, limit=500), 1.0)
    assert own.overdue_at() == (7.0, "hard limit of 7 s reached in b")


def test_the_last_word_is_kept_and_secrets_are_not_announced(attempt: Attempt) -> None:
    """``Finished`` is what the worker says of its end; a learnt secret makes no event."""
    assert take(attempt, messages.SecretLearnt(value="hunter22")) == []
    assert take(attempt, messages.Finished(outcome=Done())) == []
    assert attempt.reported == Done()
    note = take(attempt, messages.Note(name="workspace_rebuilt", data={"files": 3}))
    assert [type(event) for event in note] == [events.WorkerNoted]
    assert "j#2" in repr(attempt)


def test_time_in_which_nobody_listened_is_forgiven(attempt: Attempt) -> None:
    """A freeze of the orchestrator moves the deadlines, hard limit included."""
    take(attempt, messages.StepStarted(step="b", try_=1, limit=500), 10.0)
    attempt.forgive(50.0)
    assert attempt.overdue_at()[0] == 150.0


def test_what_was_kept_and_what_the_network_carried_are_told(attempt: Attempt) -> None:
    """Evidence and the network account become events of their own."""
    kept = take(attempt, messages.Kept(step="b", why="failed", files=("artifacts/p/2/page.html",), sensitive=False))
    account = messages.Network(
        requests=1, failures=0, received=10, sent=5, unmeasured=0, proxy=None, hosts=(), more_hosts=0
    )
    carried = take(attempt, account)
    assert [type(event) for event in (*kept, *carried)] == [events.ArtifactsKept, events.NetworkUsed]


def test_waiting_to_be_launched_is_nobodys_fault(attempt: Attempt) -> None:
    """While it waits nothing is overdue, and afterwards the wait does not count; a second word moves nothing."""
    take(attempt, READY, 1.0)
    [said] = take(attempt, messages.Prepared(), 2.0)
    assert isinstance(said, events.AttemptPrepared)
    assert attempt.overdue_at() == (float("inf"), "waits, and not for itself")
    attempt.launch(502.0)
    assert attempt.overdue_at() == (532.0, "no progress in start")
    assert take(attempt, messages.Prepared(), 503.0) == []
    take(attempt, messages.Progress(), 590.0)
    assert attempt.overdue_at() == (600.0, "hard limit of 100 s reached in start")


def test_a_worker_that_is_launched_unasked_has_its_limit(attempt: Attempt) -> None:
    """Only what was waited is forgiven."""
    attempt.launch(40.0)
    assert attempt.overdue_at() == (70.0, "no progress in start")


def test_no_time_passes_while_it_waits_for_others(attempt: Attempt) -> None:
    """For several at once until the last of them; what was under way has its own limit again, and all of it."""
    take(attempt, messages.StepStarted(step="b", try_=1, limit=50), 10.0)
    attempt.pause(1, 20.0)
    attempt.pause(2, 25.0)
    attempt.go_on(1, 30.0)
    assert attempt.overdue_at()[0] == float("inf")
    assert attempt.idle(40.0) == 20.0
    attempt.go_on(2, 60.0)
    attempt.go_on(3, 60.0)
    assert attempt.idle(90.0) == 40.0
    assert attempt.overdue_at() == (110.0, "no progress in b")
    take(attempt, messages.StepStarted(step="c", try_=1, limit=500), 70.0)
    assert attempt.overdue_at() == (140.0, "hard limit of 100 s reached in c")
