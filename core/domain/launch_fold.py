"""Makes what a launch panel subscribes to from the events of a log: a fold, so that the same log gives the same seven."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from core.domain import events as ev
from core.domain.failure import code_named
from core.domain.forecast import eta
from core.domain.launch_events import (
    LaunchBatchCompleted,
    LaunchBatchStarted,
    LaunchCompleted,
    LaunchError,
    LaunchEvent,
    LaunchProgress,
    ProfileError,
    ProfilesFetched,
    ProfileStatusChanged,
)
from core.domain.lifecycle import ATTEMPT, AttemptEvent, AttemptState, advance
from core.domain.model import JobState
from core.domain.policy import classified
from core.domain.snapshot import Snapshot, fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.domain.events import Event

_MS = 1000
_LATEST = 253_402_300_799.0
"""The last second of the year 9999."""
_NO_ERROR = frozenset({"done", "interrupted", "busy"})
"""Outcomes of attempts that nothing went wrong in."""
_IN_ORDER = _NO_ERROR | {"needs_person"}
"""Outcomes of attempts whose browser was closed, not cleaned up after."""
_COUNTED = frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED, JobState.PARKED})


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be remembered from one event to the next.

    Attributes:
        snapshot: the run.
        statuses: where each attempt under way stands, by job ID.
        batch: profiles of the latest batch.
    """

    snapshot: Snapshot = Snapshot()
    statuses: Mapping[str, AttemptState] = msgspec.field(default_factory=dict)
    batch: tuple[str, ...] = ()


def tell(launch: Launch, event: Event) -> tuple[Launch, list[LaunchEvent]]:
    """Return what is to be remembered after ``event``, and what it means for a launch panel, in this order."""
    launch = msgspec.structs.replace(launch, snapshot=fold(launch.snapshot, event))
    found: list[LaunchEvent] = []
    if isinstance(event, ev.RunStarted):
        launch = msgspec.structs.replace(launch, batch=())
    if isinstance(event, ev.BatchStarted):
        launch = msgspec.structs.replace(launch, batch=event.profiles)
    moves = _moves(event)
    if moves and isinstance(event, _OfAttempt):
        before = AttemptState.IDLE if isinstance(event, ev.AttemptStarted) else launch.statuses.get(event.job)
        passed = [] if before is None else list(_passed(before, moves))
        found += [_status(event, status, launch.snapshot) for status in passed]
        statuses = {job: status for job, status in launch.statuses.items() if job != event.job}
        if before is not None and not isinstance(event, ev.AttemptEnded):
            statuses[event.job] = passed[-1] if passed else before
        launch = msgspec.structs.replace(launch, statuses=statuses)
    if isinstance(event, ev.AttemptEnded) and event.outcome not in _NO_ERROR:
        found.append(_error(event))
    return launch, [*found, *_of_run(launch, event)]


_OfAttempt = (
    ev.AttemptStarted
    | ev.AttemptEnded
    | ev.PhaseStarted
    | ev.BrowserLaunched
    | ev.BrowserClosed
    | ev.AttemptParked
    | ev.AttemptResumed
)
_A = AttemptEvent


def _moves(event: Event) -> tuple[AttemptEvent, ...]:  # noqa: PLR0911 - one case for each kind that moves
    """Return what the event is in the status flow; what is not possible in the present status moves nothing."""
    match event:
        case ev.AttemptStarted():
            return (_A.INITIALIZE,)
        case ev.PhaseStarted(phase="launch"):
            return (_A.INITIALIZED,)
        case ev.PhaseStarted(phase="save"):
            return (_A.STOP,)
        case ev.BrowserLaunched():
            return (_A.BROWSER_STARTED, _A.CONNECTED)
        case ev.BrowserClosed():
            return (_A.STOPPED,)
        case ev.AttemptParked():
            return (_A.NEEDS_PERSON,)
        case ev.AttemptResumed():
            return (_A.RESUMED,)
        case ev.AttemptEnded() if event.outcome in _IN_ORDER:
            return (_A.STOP, _A.STOPPED, _A.CLOSE)
        case ev.AttemptEnded():
            return (_A.FAILED, _A.CLEAN_UP, _A.CLOSE)
        case _:
            return ()


def _passed(status: AttemptState, moves: tuple[AttemptEvent, ...]) -> Iterator[AttemptState]:
    for move in moves:
        if move in ATTEMPT[status]:
            status = advance(ATTEMPT, status, move)
            yield status


def _status(event: _OfAttempt, status: AttemptState, snapshot: Snapshot) -> ProfileStatusChanged:
    view = snapshot.running.get(event.job)
    place = "" if view is None else view.step or view.phase
    match event:
        case ev.AttemptParked():
            message = event.why
        case ev.AttemptEnded():
            place, message = event.step, event.reason or event.outcome
        case ev.BrowserLaunched():
            message = f"{event.browser} {event.version}"
        case _:
            message = f"attempt {event.attempt}"
    return ProfileStatusChanged(
        timestamp=_time(event.at),
        profile_id=event.profile_id,
        job_id=event.job,
        attempt=event.attempt,
        status=status,
        message=message,
        phase=place or None,
    )


def _error(event: ev.AttemptEnded) -> ProfileError:
    code = code_named(event.code) or code_named("unknown")
    assert code is not None  # noqa: S101 - it has a name
    error = classified(code, event.reason, step=event.step, profile_id=event.profile_id)
    told = {name: getattr(error, name) for name in LaunchError.__struct_fields__}
    return ProfileError(
        timestamp=_time(event.at),
        profile_id=event.profile_id,
        job_id=event.job,
        attempt=event.attempt,
        message=error.user_message,
        error=LaunchError(**told),
        phase=event.step or None,
    )


def _of_run(launch: Launch, event: Event) -> list[LaunchEvent]:  # noqa: PLR0911 - one case for each kind
    """Return what concerns the whole run: counts as they are after the event."""
    snapshot, time = launch.snapshot, _time(event.at)
    match event:
        case ev.FeedRead():
            known = event.updated + event.unchanged + event.done + event.resumed + event.failed
            return [
                ProfilesFetched(
                    timestamp=time, source=event.source, total=event.added + known, added=event.added, updated=event.updated,
                    done=event.done, cancelled=event.cancelled,
                )
            ]  # fmt: skip
        case ev.BatchStarted(batch=number, profiles=profiles):
            return [
                LaunchBatchStarted(
                    timestamp=time, batch_number=number, batch_size=len(profiles), profile_ids=profiles
                )
            ]  # fmt: skip
        case ev.BatchCompleted():
            return [
                LaunchBatchCompleted(
                    timestamp=time, batch_number=event.batch, launched=event.launched, errors=event.failed,
                    duration=_milliseconds(event.seconds), next_batch_at=_time(event.next_at),
                )
            ]  # fmt: skip
        case ev.AttemptLaunched():
            return [_progress(launch, event.at)]
        case ev.JobChanged(state=state) if state in _COUNTED:
            return [_progress(launch, event.at)]
        case ev.RunEnded():
            return [
                LaunchCompleted(
                    timestamp=time, total=snapshot.total, launched=snapshot.launched, errors=_errors(snapshot),
                    duration=_milliseconds(event.seconds), exit_code=event.exit_code, counts=event.counts,
                )
            ]  # fmt: skip
        case _:
            return []


def _progress(launch: Launch, at: float) -> LaunchProgress:
    snapshot = launch.snapshot
    left = eta(snapshot, at)
    running = tuple(view.profile_id for view in snapshot.running.values())
    return LaunchProgress(
        timestamp=_time(at),
        current=snapshot.finished,
        total=snapshot.total,
        launched=snapshot.launched,
        errors=_errors(snapshot),
        current_batch=launch.batch if snapshot.batch else running,
        batch_number=snapshot.batch,
        estimated_time_remaining=None if left is None else _milliseconds(left.likely),
    )


def _errors(snapshot: Snapshot) -> int:
    return sum(snapshot.ended.get(state, 0) for state in (JobState.FAILED, JobState.QUARANTINED))


def _milliseconds(seconds: float) -> int:
    """Return a duration as a panel has it; what no run can have taken is cut off."""
    return round(min(max(0.0, seconds), _LATEST) * _MS)


def _time(at: float) -> str:
    """Return a time as JavaScript's ``toISOString`` has it."""
    at = min(max(at, 0.0), _LATEST)
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
