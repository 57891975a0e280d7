"""All that the log holds of one job, from all of its parts, in order."""

from __future__ import annotations

import pytest

from core.domain import events as ev
from core.events.of_job import events_of_job


def changed(job: str, at: float, reason: str = "") -> ev.JobChanged:
    return ev.JobChanged(at=at, profile_id=job, job=job, state="waiting", reason=reason)


def test_all_parts_are_read_in_order(tmp_path):
    """The oldest part first; other jobs, whose text may name this one, torn lines and unknown kinds are left out."""
    log = tmp_path / "events.jsonl"
    assert events_of_job(log, "anna") == []
    (tmp_path / "events.jsonl.2").write_bytes(ev.encode(changed("anna", 1)) + ev.encode(changed("anna2", 1)))
    (tmp_path / "events.jsonl.1").write_bytes(
        ev.encode(changed("bert", 2, '"job":"anna"'))
        + b'{"type":"of_tomorrow","at":1,"job":"anna"}\n'
        + ev.encode(changed("anna", 3))
    )
    batch = ev.BatchStarted(at=3.5, batch=1, jobs=("anna",), profiles=("anna",))
    log.write_bytes(ev.encode(batch) + ev.encode(changed("anna", 4)) + ev.encode(changed("anna", 5))[:-20])
    assert [event.at for event in events_of_job(log, "anna")] == [1, 3, 4]


def test_a_log_that_is_no_file_is_an_error(tmp_path):
    """Whoever asks says so."""
    with pytest.raises(OSError, match="directory"):
        events_of_job(tmp_path, "anna")
