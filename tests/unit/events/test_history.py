"""What the event log knows of attempts that were cut off."""

from __future__ import annotations

import msgspec
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.domain.events import AttemptStarted, StepCommitted, StepsPlanned, StepStarted, encode
from core.domain.model import Announced, AttemptRecord
from core.events.history import JsonlHistory, announced
from core.events.jsonl import JsonlSink
from core.events.recent import newest_first

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


def test_a_clock_that_was_set_hides_nothing():
    """The start of the attempt is found by its fence: set back, its commits are older than it; what was before is not its own."""

    def started(at, fence):
        return AttemptStarted(at=at, profile_id="p", job="p", attempt=1, pid=1, fence=fence)

    record = msgspec.structs.replace(attempt("a", 1, 5000.0), fence=2)
    log = [started(4000.0, 1), planned(4001.0, 1), committed(4002.0, 1, "order")]
    log += [started(5000.0, 2), planned(1400.0, 1), committed(1401.0, 1, "sign up")]
    assert announced(reversed(log), [record]) == {"a": Announced(flags=FLAGS, committed=frozenset({"sign up"}))}
    assert announced(reversed(log[:3]), [record]) == {}


def test_no_log_is_no_history(tmp_path):
    """A fresh state directory has nothing to announce."""
    assert JsonlHistory(tmp_path / "events.jsonl").announced([attempt("a", 1, 0.0)]) == {}


def test_what_was_announced_before_several_rotations_comes_back(tmp_path):
    """An attempt may outlast some parts of the log."""
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path, ManualClock(), max_bytes=1, keep=9)
    for event in (
        planned(10.0, 1),
        committed(11.0, 1, "sign up"),
        committed(12.0, 1, "order"),
        committed(13.0, 9, "order"),
    ):
        sink.emit(event)
    sink.close()
    found = JsonlHistory(path).announced([attempt("a", 1, 9.0)])
    assert found == {"a": Announced(flags=FLAGS, committed=frozenset({"sign up", "order"}))}


def test_only_so_much_of_the_end_is_looked_at(tmp_path):
    """Across parts, the newest first; a line that is cut by the limit is left out."""
    path = tmp_path / "events.jsonl"
    sink = JsonlSink(path, ManualClock(), max_bytes=300, keep=9)
    commits = [committed(float(number), 1, "order") for number in range(10, 20)]
    for event in commits:
        sink.emit(event)
    sink.close()
    line = len(encode(commits[0]))
    assert list(newest_first(path, ("step_committed",))) == commits[::-1]
    assert list(newest_first(path, ("step_committed",), 4 * line)) == commits[:-5:-1]
    assert list(newest_first(path, ("step_committed",), 4 * line - 1)) == commits[:-4:-1]
    assert list(newest_first(path, ("step_started",))) == []


def test_a_log_that_cannot_be_read_costs_announcements_only(tmp_path):
    """It is said, and the run goes on."""
    path = tmp_path / "events.jsonl"
    path.mkdir()
    with capture_logs() as logs:
        assert JsonlHistory(path).announced([attempt("a", 1, 0.0)]) == {}
    assert logs[0]["event"] == "events_not_read" and logs[0]["reason"] == "Is a directory"
