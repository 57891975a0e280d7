"""What earlier runs took, read from the end of the event log."""

from __future__ import annotations

from core.domain import events as ev
from core.domain.snapshot import SAMPLES
from core.events.pace import earlier_pace


def committed(step: str, seconds: float, job: str = "a", **more) -> ev.StepCommitted:
    return ev.StepCommitted(at=1.0, profile_id=job, job=job, attempt=1, step=step, seconds=seconds, **more)


def ended(outcome: str, seconds: float, job: str = "a") -> ev.AttemptEnded:
    return ev.AttemptEnded(
        at=1.0, profile_id=job, job=job, attempt=1, outcome=outcome, reason="", step="", seconds=seconds
    )


def test_durations_of_jobs_of_the_same_flows_are_known(tmp_path):
    """In their order; not of other jobs, of attempts that failed, or of steps whose body did not run."""
    log = tmp_path / "events.jsonl"
    events = [
        committed("log in", 2.0),
        committed("log in", 4.0),
        committed("log in", 9.0, job="other"),
        committed("order", 0.0, body_ran=False),
        committed("order", 0.1, recovered=True),
        ev.StepFailed(at=1.0, profile_id="a", job="a", attempt=1, step="step_committed", try_=1, reason="", will_retry=False),
        ended("done", 7.0),
        ended("failed", 1.0),
        ended("done", 8.0),
        ended("done", 1.0, job="other"),
    ]  # fmt: skip
    log.write_bytes(b"".join(map(ev.encode, events)))
    asked: list[str] = []
    found = earlier_pace(log, lambda job: not asked.append(job) and job == "a")
    assert (found.step_seconds, found.job_seconds, found.run) == ({"log in": (2.0, 4.0)}, (7.0, 8.0), 0)
    assert sorted(asked) == ["a", "other"], "each job is looked up once"


def test_only_so_many_of_each_are_kept(tmp_path):
    """The latest ones."""
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"".join(ev.encode(ended("done", float(number))) for number in range(SAMPLES + 5)))
    assert earlier_pace(log, lambda _: True).job_seconds == tuple(map(float, range(5, SAMPLES + 5)))


def test_a_log_that_is_not_there_or_cannot_be_read_knows_nothing(tmp_path):
    """A first run has none; a directory in its place is said in the log and stops nobody."""
    (tmp_path / "directory").mkdir()
    for name in ("missing", "directory"):
        found = earlier_pace(tmp_path / name, lambda _: True)
        assert (found.step_seconds, found.job_seconds) == ({}, ())
