"""Reports at the end of a run, however it ends."""

from __future__ import annotations

import json

import pytest

from core.cli.run_outputs import Outputs, job_log_of, reports_of
from core.clock import ManualClock
from core.errors import DurableWriteFailed, HostFailed
from core.queue.sqlite import SqliteQueue
from core.settings import Settings
from core.upkeep.run_report import Asked, Kind
from tests.told_fleet import START, make_state


@pytest.fixture
def settings(state_dir, log_dir) -> Settings:
    return Settings(state_dir=state_dir, log_dir=log_dir)


def test_a_run_that_ends_by_an_error_has_its_reports(settings, tmp_path):
    """The error stays what it is, also where one of the reports cannot be written; the others are."""
    path = make_state(settings, 10)
    queue = SqliteQueue(path)
    asked = (Asked(Kind.JSON, tmp_path / "gone" / "r.json"), Asked(Kind.JSON, tmp_path / "r.json"))
    outputs = Outputs(reports=asked)
    with pytest.raises(HostFailed, match="no more"), reports_of(outputs, queue, path, settings, ManualClock(START)):
        raise HostFailed("no more")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["counts"]["done"] == 7
    queue.close()


def test_a_report_that_cannot_be_written_is_an_error_of_its_own(settings, tmp_path):
    """Where nothing else went wrong: who asked for it counts on it."""
    path = make_state(settings, 1)
    queue = SqliteQueue(path)
    outputs = Outputs(reports=(Asked(Kind.HTML, tmp_path / "gone" / "r.html"),))
    with (
        pytest.raises(DurableWriteFailed, match="gone"),
        reports_of(outputs, queue, path, settings, ManualClock(START)),
    ):
        pass
    queue.close()


def test_a_report_has_the_jobs_of_its_run_only(settings, tmp_path):
    """Those of another feed stand in the same queue."""
    path = make_state(settings, 3)
    queue = SqliteQueue(path)
    queue.begin_run(START, feed="another")
    outputs = Outputs(reports=(Asked(Kind.JSON, tmp_path / "r.json"),))
    with reports_of(outputs, queue, path, settings, ManualClock(START)):
        pass
    queue.close()
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["jobs"] == []


def test_a_job_log_that_cannot_be_opened_is_named(settings, tmp_path):
    """It was looked at before; somebody was faster."""
    path = make_state(settings, 1)
    (tmp_path / "log").mkdir()
    with pytest.raises(DurableWriteFailed, match="log"), job_log_of(Outputs(job_log=tmp_path / "log"), path):
        pass
    with job_log_of(Outputs(), path) as none:
        assert none == []
