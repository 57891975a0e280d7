"""What somebody is told of, in which words, and what is not told twice."""

from __future__ import annotations

import msgspec
import pytest

from core.domain import events as ev
from core.domain.admission import PRESSURES
from core.domain.notification import PRESSURE_AGAIN, Notification, Told, notice

STARTED = ev.RunStarted(at=100.0, run=3, queued=2, max_concurrent=2)
OF = {"profile_id": "anna", "job": "j", "attempt": 2}
GO = ev.AttemptStarted(at=101.0, pid=1, fence=1, **OF)
PARKED = ev.AttemptParked(at=102.0, step="log in", why="type the code", code="needs_code", asks=("code",), **OF)
RESUMED = ev.AttemptResumed(at=103.0, step="log in", **OF)


def changed(state: str, **more) -> ev.JobChanged:
    return ev.JobChanged(at=104.0, profile_id="anna", job="j", state=state, attempts=2, **more)


def held(reason: str, at: float) -> ev.StartsHeld:
    return ev.StartsHeld(at=at, reason=reason)


def told(*events: ev.Event) -> list[Notification]:
    state, found = Told(), []
    for event in (STARTED, *events):
        state, one = notice(state, event)
        found += [one] if one is not None else []
    return found


def plain(notification: Notification) -> dict:
    return msgspec.json.decode(msgspec.json.encode(notification))


def test_a_person_who_is_needed_is_told_what_for():
    """With what the step asks, and how it goes on; what does not apply is left out."""
    [one] = told(GO, PARKED)
    assert plain(one) == {
        "v": 1, "id": "3.1", "about": "needs_person", "at": 102.0, "run": 3, "job": "j", "profile_id": "anna",
        "attempt": 2, "step": "log in", "reason": "type the code", "code": "needs_code", "asks": ["code"],
        "do": "ostler ctl resume j",
        "text": "anna waits for a person in log in: type the code. Its browser is open; ostler ctl resume j goes on.",
    }  # fmt: skip


def test_a_person_is_told_once_for_each_time():
    """That the browser was closed in the end is no news; that it is needed again is."""
    assert [one.id for one in told(GO, PARKED, changed("parked"))] == ["3.1"]
    assert [one.at for one in told(GO, PARKED, RESUMED, changed("parked"))] == [102.0, 104.0]
    assert [one.at for one in told(GO, PARKED, GO, changed("parked"))] == [102.0, 104.0]


def test_a_job_in_quarantine_is_told_with_what_to_do():
    """From the table of failures."""
    [one] = told(changed("quarantined", reason="it died", code="worker_killed"))
    assert one.text.startswith("anna is in quarantine: it died. Look at the end of the profile's log")
    assert (one.about, one.job, one.attempt, one.code) == ("quarantined", "j", 2, "worker_killed")
    assert one.text.endswith(one.do)
    [bare] = told(changed("quarantined"))
    assert (bare.text, bare.do) == ("anna is in quarantine.", "")


@pytest.mark.parametrize("state", ["queued", "prepared", "running", "waiting", "done", "failed", "cancelled"])
def test_other_states_are_not_told(state):
    """A failed job is in the last report."""
    assert told(changed(state)) == []


def test_pressure_is_told_and_not_again_for_a_while():
    """Each sort for itself; a pause that the operator asked for is none."""
    [first, other, again] = told(
        held("memory", 200.0),
        held("memory", 200.0 + PRESSURE_AGAIN - 1),
        held("disk space", 300.0),
        held("paused by the operator", 400.0),
        held("memory", 200.0 + PRESSURE_AGAIN),
    )
    assert [one.reason for one in (first, other, again)] == ["memory", "disk space", "memory"]
    assert first.text == "Nothing more is started, for now: memory. What runs goes on."
    assert [len(told(held(reason, 1.0))) for reason in sorted(PRESSURES)] == [1] * len(PRESSURES)


def test_the_end_is_told_with_its_exit_code_and_counts():
    """Also where nothing could be counted any more, and where the run never began."""
    end = ev.RunEnded(at=200.0, run=3, exit_code=1, counts={"done": 2, "failed": 1, "queued": 0}, seconds=9.5)
    [one] = told(end)
    assert one.text == "Run 3 has ended with exit code 1: 2 done, 1 failed."
    assert (
        plain(one).items() >= {"exit_code": 1, "counts": {"done": 2, "failed": 1, "queued": 0}, "seconds": 9.5}.items()
    )
    _, early = notice(Told(), msgspec.structs.replace(end, run=4, counts={}, exit_code=7))
    assert early is not None and (early.id, early.run) == ("4.1", 4)
    assert early.text == "Run 4 has ended with exit code 7: no jobs are known."


def test_a_run_counts_its_own():
    """Numbers go on within a run, and begin again with the next."""
    again = msgspec.structs.replace(STARTED, run=4)
    found = told(changed("quarantined"), changed("quarantined"), again, changed("quarantined"))
    assert [one.id for one in found] == ["3.1", "3.2", "4.1"]
