"""A run on a pipe: one plain line for each event that matters, and the report at the end."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Self

from core.console.output import LineWriter, PatientStream
from core.console.report import as_lines
from core.console.wording import OUTCOME, one_line, with_code
from core.domain import events as ev
from core.domain.model import JobState
from core.domain.snapshot import Snapshot, fold

if TYPE_CHECKING:
    from typing import IO

    from core.domain.events import Event


class PlainConsole:
    """Lines for a pipe, a file, a dumb terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._writer = LineWriter(PatientStream(stream))
        self._snapshot = Snapshot()

    def emit(self, event: Event) -> None:
        """Say what happened, if it matters."""
        self._snapshot = fold(self._snapshot, event)
        if (text := line_for(event, self._snapshot)) is not None:
            self._writer.write(f"{_clock_time(event.at)} {text}")
        if isinstance(event, ev.RunEnded):
            for line in as_lines(self._snapshot):
                self._writer.write(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait until what was said is written."""
        self._writer.close()


def line_for(event: Event, snapshot: Snapshot) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one case for each kind of event
    """Return what to say about ``event``, after which the run is ``snapshot``; None for nothing."""
    match event:
        case ev.RunStarted() if event.queued:
            return f"run {event.run}: {_jobs(event.queued)} to do, {event.max_concurrent} at a time"
        case ev.FeedRead():
            changes = {"new": event.added, "changed": event.updated, "cancelled": event.cancelled, "done": event.done}
            numbers = ", ".join(f"{number} {word}" for word, number in changes.items() if number)
            return f"read {one_line(event.source)}: {numbers or 'nothing new'}"
        case ev.FeedRejected():
            return f"{one_line(event.source)} cannot be used; the last good version stays: {one_line(event.problem)}"
        case ev.OrphanStopped():
            return f"{event.profile_id} was still running from an earlier run; stopped ({event.processes} processes)"
        case ev.AttemptStarted():
            return f"{event.profile_id} started, attempt {event.attempt}"
        case ev.StepCommitted():
            return f"{event.profile_id} {_committed(event)}{_of_total(snapshot, event.job)}"
        case ev.StepFailed():
            then = "; trying again" if event.will_retry else ""
            return f"{event.profile_id} {one_line(event.step)} failed, try {event.try_}: {one_line(event.reason)}{then}"
        case ev.LimitHeld():
            return f"{event.profile_id} waits for {one_line(event.key)}: {event.reason}"
        case ev.ArtifactsKept():
            sensitive = " (sensitive)" if event.sensitive else ""
            return f"{event.profile_id} {one_line(event.step)} left {', '.join(map(one_line, event.files))}{sensitive}"
        case ev.JobChanged():
            return _changed(event)
        case ev.RunHalted():
            return f"halted: {event.reason}; {'stopping now' if event.at_once else 'running jobs may finish'}"
        case ev.StopAsked():
            how = "running jobs may finish; ask again to stop now" if event.how == "drain" else "stopping now"
            return f"stop asked: {how}"
        case _:
            return None


def _committed(event: ev.StepCommitted) -> str:
    step = one_line(event.step)
    if event.recovered:
        return f"{step} was done before the interruption"
    if not event.body_ran:
        return f"{step} was already true"
    return f"{step} done in {event.seconds:.1f} s"


def _of_total(snapshot: Snapshot, job: str) -> str:
    view = snapshot.running.get(job)
    return f" ({view.steps_done}/{view.steps_total})" if view is not None and view.steps_total else ""


def _changed(event: ev.JobChanged) -> str | None:
    state = JobState(event.state)
    if state in (JobState.PREPARED, JobState.RUNNING):
        return None
    reason = f": {with_code(event.code, event.reason)}" if event.reason else ""
    again = ""
    if state is JobState.WAITING and event.retry_at is not None:
        again = f"; again in {max(event.retry_at - event.at, 0):.0f} s"
    return f"{event.profile_id} {OUTCOME[state]}{reason}{again}"


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _clock_time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%H:%M:%S")
