"""What the event log knows of attempts that were cut off."""

from __future__ import annotations

from core.clock import ManualClock
from core.domain.events import StepCommitted, StepsPlanned, StepStarted
from core.domain.model import Announced, AttemptRecord
from core.events.history import JsonlHistory
from core.events.jsonl import JsonlSink

FLAGS = {"sign up": "mail_created", "order": "order_placed"}


def planned(at: float, number: int) -> StepsPlanned:
    return StepsPlanned(at=at, profile_id="p", job="p", attempt=number, done=(), todo=("log in", *FLAGS), flags=FLAGS)


def committed(at: float, number: int, step: str) -> StepCommitted:
    return StepCommitted(at=at, profile_id="p", job="p", attempt=number, step=step, seconds=1.0)


def attempt(nonce: str, number: int, started_at: float) -> AttemptRecord:
    return AttemptRecord(nonce=nonce, job_id="p", profile_id="p", number=number, started_at=started_at)


def test_plans_and_commits_come_back_by_nonce_across_a_rotation(tmp_path):
    """An attempt is known by its plan; what an earlier generation with the same number did is not its own."""
    path = tmp_path / "events.jsonl"
    first = JsonlSink(path, ManualClock())
    first.emit(planned(10.0, 1))
    first.emit(committed(11.0, 1, "order"))
    first.emit(planned(20.0, 1))
    first.emit(StepStarted(at=20.5, profile_id="p", job="p", attempt=1, step="sign up", try_=1))
    first.close()
    second = JsonlSink(path, ManualClock(), max_bytes=1)
    second.emit(committed(21.0, 1, "sign up"))
    second.emit(committed(22.0, 2, "order"))
    second.close()
    history = JsonlHistory(path)
    found = history.announced([attempt("a", 1, 15.0), attempt("b", 2, 15.0), attempt("c", 3, 15.0)])
    assert found == {"a": Announced(flags=FLAGS, committed=frozenset({"sign up"}))}


def test_no_log_is_no_history(tmp_path):
    """A fresh state directory has nothing to announce."""
    assert JsonlHistory(tmp_path / "events.jsonl").announced([attempt("a", 1, 0.0)]) == {}
