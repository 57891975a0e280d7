"""The seven events of a launch panel, made from the catalogue."""

from __future__ import annotations

import typing
from itertools import pairwise

import msgspec
import pytest

from core.domain import events as ev
from core.domain.launch_events import (
    MADE_FROM,
    LaunchBatchCompleted,
    LaunchBatchStarted,
    LaunchCompleted,
    LaunchEvent,
    LaunchProgress,
    ProfileError,
    ProfilesFetched,
    ProfileStatusChanged,
    decode,
    encode,
)
from core.domain.launch_fold import Launch, tell
from core.domain.lifecycle import ATTEMPT

START = 1_700_000_000.0
FEED = ev.FeedRead(at=START, source="q.json", added=2, updated=1, unchanged=3, done=4, cancelled=5, resumed=1, failed=1)
RUN = ev.RunStarted(at=START, run=1, queued=2, max_concurrent=2)
BATCH = ev.BatchStarted(at=START, batch=1, jobs=("j", "k"), profiles=("a", "b"))
BATCH_DONE = ev.BatchCompleted(at=START + 1, batch=1, launched=1, failed=1, seconds=1.25, next_at=START + 3)
END = ev.RunEnded(at=START + 9, run=1, exit_code=1, counts={"done": 1, "failed": 1}, seconds=9.0)


def of(job: str = "j") -> dict:
    return {"at": START, "profile_id": "a", "job": job, "attempt": 1}


def ended(outcome: str, **more) -> ev.AttemptEnded:
    return ev.AttemptEnded(outcome=outcome, reason=more.pop("reason", ""), step="login", seconds=1.0, **more, **of())


def phase(name: str) -> ev.PhaseStarted:
    return ev.PhaseStarted(phase=name, **of())


GO = ev.AttemptStarted(pid=1, fence=1, **of())
BROWSER = ev.BrowserLaunched(browser="Chromium", version="156", pid=2, **of())
CLOSED = ev.BrowserClosed(**of())
PARKED = ev.AttemptParked(step="login", why="type the code", code="needs_code", **of())
RESUMED = ev.AttemptResumed(step="login", **of())
READY = (GO, phase("restore"), phase("launch"), BROWSER)


def told(*events: ev.Event) -> list[LaunchEvent]:
    launch, found = Launch(), []
    for event in events:
        launch, more = tell(launch, event)
        found += more
    return found


def statuses(*events: ev.Event) -> list[str]:
    return [event.status for event in told(*events) if isinstance(event, ProfileStatusChanged)]


@pytest.mark.parametrize(
    ("events", "passed"),
    [
        ((*READY, phase("save"), CLOSED, ended("done")), "initializing launching connecting ready stopping stopped closed"),
        ((GO, ended("done")), "initializing stopping stopped closed"),
        ((GO, ended("failed")), "initializing error cleanup"),
        ((*READY, ended("crashed")), "initializing launching connecting ready error cleanup"),
        (
            (*READY, PARKED, RESUMED, ended("interrupted")),
            "initializing launching connecting ready parked ready stopping stopped closed",
        ),
        ((*READY, PARKED, ended("needs_person")), "initializing launching connecting ready parked stopping stopped closed"),
        # a relaunch for a snapshot moves nothing, and neither does what fails after the browser is closed
        ((*READY, CLOSED, BROWSER, phase("save"), CLOSED, ended("failed")),
         "initializing launching connecting ready stopping stopped closed"),
        # where its beginning is no longer in the log
        ((BROWSER, ended("done")), ""),
        # cut off with its orchestrator, settled by the next one, and tried again
        ((*READY, RUN, ended("interrupted"), GO), "initializing launching connecting ready stopping stopped closed initializing"),
    ],
)  # fmt: skip
def test_statuses_follow_the_status_flow(events, passed):
    """As the table draws it, whatever the worker says out of turn."""
    found = statuses(*events)
    assert " ".join(found) == passed
    for before, after in pairwise(found):
        assert after in ATTEMPT[before].values() or not ATTEMPT[before]


def test_a_status_says_whose_it_is_and_why():
    """With the seed's fields."""
    found = told(*READY, ev.StepStarted(step="login", try_=1, **of()), PARKED, ended("interrupted", reason="stopped"))
    lines = [msgspec.json.decode(encode(event)) for event in found]
    assert lines[0] == {
        "type": "event:profile-status-changed", "profileId": "a", "jobId": "j", "attempt": 1, "status": "initializing",
        "message": "attempt 1", "phase": None, "timestamp": "2023-11-14T22:13:20.000Z", "v": 1,
    }  # fmt: skip
    assert [(line["message"], line["phase"]) for line in lines[1:]] == [
        ("attempt 1", "launch"),
        ("Chromium 156", "launch"),
        ("Chromium 156", "launch"),
        ("type the code", "login"),
        *[("stopped", "login")] * 3,
    ]


@pytest.mark.parametrize(
    ("outcome", "code", "type_", "retryable"),
    [
        ("failed", "site_down", "network", True),
        ("needs_person", "captcha_asked", "authentication", False),
        ("failed", "of_another_version", "unknown", True),
        ("failed", "", "unknown", True),
    ],
)
def test_an_error_is_classified(outcome, code, type_, retryable):
    """By the table of failures, also where the log is of before there were codes."""
    [error] = [one for one in told(GO, ended(outcome, code=code, reason="why")) if isinstance(one, ProfileError)]
    assert (error.error.type, error.error.retryable, error.error.technical_message) == (type_, retryable, "why")
    assert error.phase == "login" and error.message == error.error.user_message


@pytest.mark.parametrize("outcome", ["done", "interrupted", "busy"])
def test_what_is_no_failure_is_no_error(outcome):
    """A profile that another holds, and a stop, cost nothing."""
    assert not any(isinstance(event, ProfileError) for event in told(GO, ended(outcome)))


def test_a_run_in_batches_is_told_from_beginning_to_end():
    """Counts are those after each event; without batches the running profiles are named."""
    launched = ev.AttemptLaunched(batch=1, **of())
    changed = ev.JobChanged(at=START + 2, profile_id="a", job="j", state="failed")
    waiting = ev.JobChanged(at=START + 2, profile_id="b", job="k", state="waiting", retry_at=START + 3)
    found = told(FEED, RUN, BATCH, GO, launched, BATCH_DONE, waiting, changed, END)
    found = [event for event in found if not isinstance(event, ProfileStatusChanged)]
    time = "2023-11-14T22:13:20.000Z"
    assert found == [
        ProfilesFetched(timestamp=time, source="q.json", total=12, added=2, updated=1, done=4, cancelled=5),
        LaunchBatchStarted(timestamp=time, batch_number=1, batch_size=2, profile_ids=("a", "b")),
        LaunchProgress(
            timestamp=time, current=0, total=2, launched=1, errors=0, current_batch=("a", "b"), batch_number=1,
        ),
        LaunchBatchCompleted(
            timestamp="2023-11-14T22:13:21.000Z", batch_number=1, launched=1, errors=1, duration=1250,
            next_batch_at="2023-11-14T22:13:23.000Z",
        ),
        LaunchProgress(
            timestamp="2023-11-14T22:13:22.000Z", current=1, total=2, launched=1, errors=1, current_batch=("a", "b"),
            batch_number=1,
        ),
        LaunchCompleted(
            timestamp="2023-11-14T22:13:29.000Z", total=2, launched=1, errors=1, duration=9000, exit_code=1,
            counts={"done": 1, "failed": 1},
        ),
    ]  # fmt: skip
    again = told(RUN, BATCH, RUN, GO, ev.AttemptLaunched(**of()))
    assert (again[-1].current_batch, again[-1].batch_number) == (("a",), 0)


def test_what_is_left_is_in_milliseconds():
    """Once something is known of how long things take."""
    done = ev.AttemptEnded(outcome="done", reason="", step="", seconds=4.0, **of())
    changed = ev.JobChanged(at=START, profile_id="a", job="j", state="done")
    found = told(RUN, GO, done, changed)
    assert found[-1].estimated_time_remaining == 4000


def test_the_table_of_sources_is_right():
    """Each of the seven is made from the kinds that the documentation names, and from no other."""
    assert set(MADE_FROM) == set(typing.get_args(LaunchEvent))
    log = (FEED, RUN, BATCH, *READY, ev.AttemptLaunched(batch=1, **of()), PARKED, RESUMED, BATCH_DONE, phase("save"),
           CLOSED, ended("failed"), ev.JobChanged(at=START, profile_id="a", job="j", state="done"), END)  # fmt: skip
    seen: dict[type, set[type]] = {}
    launch = Launch()
    for event in log:
        launch, found = tell(launch, event)
        for one in found:
            seen.setdefault(type(one), set()).add(type(event))
    assert seen == {kind: set(sources) for kind, sources in MADE_FROM.items()}


def test_they_are_checked_when_they_are_made_and_when_they_are_read():
    """A wrong type is named by the seed's name of the field."""
    [event] = told(FEED)
    assert decode(encode(event)) == event
    with pytest.raises(msgspec.ValidationError, match="total"):
        encode(msgspec.structs.replace(event, total="many"))
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"type":"event:other"}')


@pytest.mark.parametrize("at", [-1e300, 1e300])
def test_a_time_that_no_calendar_has_is_no_error(at):
    """A log may be anybody's."""
    [event] = told(msgspec.structs.replace(FEED, at=at))
    assert event.timestamp in ("1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")


def test_a_duration_that_no_run_has_is_no_error():
    """Whoever wrote it into the log: a panel goes on."""
    ended = ev.RunEnded(at=1.0, run=1, exit_code=0, counts={}, seconds=1e308)
    _, [completed] = tell(Launch(), ended)
    assert completed.duration > 10**13
