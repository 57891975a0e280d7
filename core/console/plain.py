"""A run on a pipe: one plain line for each event that matters, how far it is now and then, and the report at the end.

A large run says less: of more than ``LARGE`` jobs only trouble is told one by one, at most ``MOST`` times of each kind.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Self

from core.console.output import LineWriter, PatientStream
from core.console.report import as_lines
from core.console.wording import OUTCOME, about, job_name, one_line, with_code
from core.domain import events as ev
from core.domain.forecast import eta
from core.domain.model import JobState
from core.domain.snapshot import Snapshot, fold

if TYPE_CHECKING:
    from typing import IO

    from core.domain.events import Event

LARGE = 200
MOST = 200
PROGRESS_EVERY = 60.0
"""Seconds between two lines that say how far the run is."""


class PlainConsole:
    """Lines for a pipe, a file, a dumb terminal."""

    def __init__(self, stream: IO[str], earlier: Snapshot | None = None) -> None:
        self._writer = LineWriter(PatientStream(stream))
        self._snapshot = Snapshot() if earlier is None else earlier
        self._said: Counter[str] = Counter()
        self._next_progress: float | None = None

    def emit(self, event: Event) -> None:
        """Say what happened, if it matters."""
        self._snapshot = fold(self._snapshot, event)
        if self._is_told(event) and (text := line_for(event, self._snapshot)) is not None:
            self._say(event, text)
        if self._next_progress is None or isinstance(event, ev.RunStarted):
            self._next_progress = event.at + PROGRESS_EVERY
        elif event.at >= self._next_progress and self._snapshot.exit_code is None:
            self._next_progress = event.at + PROGRESS_EVERY
            self._write(event.at, _progress(self._snapshot, event.at))
        if isinstance(event, ev.RunEnded):
            for line in as_lines(self._snapshot):
                self._writer.write(line)

    def _is_told(self, event: Event) -> bool:
        """Whether it is told by itself: of a small run all is, of a large one only trouble."""
        if self._snapshot.total <= LARGE:
            return True
        match event:
            case ev.AttemptStarted() | ev.StepCommitted() | ev.BatchStarted() | ev.ArtifactsKept():
                return False
            case ev.StepFailed(will_retry=will_retry):
                return not will_retry
            case ev.JobChanged(state=state):
                return state not in (JobState.DONE, JobState.QUEUED, JobState.CANCELLED)
            case _:
                return True

    def _say(self, event: Event, text: str) -> None:
        kind = f"{type(event).__name__} {getattr(event, 'state', '')}"
        self._said[kind] += 1
        if self._snapshot.total <= LARGE or self._said[kind] < MOST:
            self._write(event.at, text)
        elif self._said[kind] == MOST:
            self._write(event.at, f"{text}; more of this kind are in logs/events.jsonl only")

    def _write(self, at: float, text: str) -> None:
        self._writer.write(f"{_clock_time(at)} {text}")

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
            left = eta(snapshot, event.at)
            known = "" if left is None else f"; {about(left)}"
            return f"run {event.run}: {_jobs(event.queued)} to do, {event.max_concurrent} at a time{known}"
        case ev.FeedRead():
            changes = {"new": event.added, "changed": event.updated, "cancelled": event.cancelled, "done": event.done}
            numbers = ", ".join(f"{number} {word}" for word, number in changes.items() if number)
            return f"read {one_line(event.source)}: {numbers or 'nothing new'}"
        case ev.FeedRejected():
            return f"{one_line(event.source)} cannot be used; the last good version stays: {_listed(event.problem)}"
        case ev.OrphanStopped():
            return f"{event.profile_id} was still running from an earlier run; stopped ({event.processes} processes)"
        case ev.AttemptStarted():
            return f"{job_name(event)} started, attempt {event.attempt}"
        case ev.StepCommitted():
            return f"{job_name(event)} {_committed(event)}{_of_total(snapshot, event.job)}"
        case ev.StepFailed():
            then = "; trying again" if event.will_retry else ""
            return f"{job_name(event)} {one_line(event.step)} failed, try {event.try_}: {one_line(event.reason)}{then}"
        case ev.LimitHeld():
            return f"{job_name(event)} waits for {one_line(event.key)}: {event.reason}"
        case ev.ArtifactsKept():
            sensitive = " (sensitive)" if event.sensitive else ""
            return f"{job_name(event)} {one_line(event.step)} left {', '.join(map(one_line, event.files))}{sensitive}"
        case ev.JobChanged():
            return _changed(event)
        case ev.RunHalted():
            return f"halted: {event.reason}; {'stopping now' if event.at_once else 'running jobs may finish'}"
        case ev.BatchStarted():
            return f"batch {event.batch} of ~{max(snapshot.batches, event.batch)}: {_jobs(len(event.jobs))}"
        case ev.AttemptParked():
            asks = f" (asks for {', '.join(map(one_line, event.asks))})" if event.asks else ""
            name = shlex.quote(one_line(event.job))
            return f"{job_name(event)} needs a person: {one_line(event.why)}{asks}; then: ostler ctl resume {name}"
        case ev.AttemptResumed():
            return f"{job_name(event)} goes on with {one_line(event.step)}"
        case ev.StartsHeld():
            return f"nothing is started: {one_line(event.reason)}"
        case ev.StartsResumed():
            still = "" if not snapshot.held else f"; still held: {'; '.join(map(one_line, snapshot.held))}"
            return f"no longer held after {event.seconds:.0f} s: {one_line(event.reason)}{still}"
        case ev.LimitChanged():
            return f"{event.max_concurrent} at a time from now on: {one_line(event.reason)}"
        case ev.StopAsked():
            how = "running jobs may finish; ask again to stop now" if event.how == "drain" else "stopping now"
            return f"stop asked: {how}"
        case _:
            return None


def _progress(snapshot: Snapshot, now: float) -> str:
    """Return how far a run is, in one line."""
    numbers = {
        "running": snapshot.under_way(JobState.RUNNING),
        "prepared": snapshot.under_way(JobState.PREPARED),
        "waiting": snapshot.waiting,
        "need a person": snapshot.parked,
        "errors": snapshot.errors,
    }
    said = "".join(f", {number} {word}" for word, number in numbers.items() if number)
    batch = f", batch {snapshot.batch} of ~{snapshot.batches}" if snapshot.batch else ""
    return f"{snapshot.finished}/{snapshot.total}{said}{batch}; {about(eta(snapshot, now))}"


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
    return f"{job_name(event)} {OUTCOME[state]}{reason}{again}"


def _listed(problems: str) -> str:
    """Return problems that stand on lines of their own as one line."""
    return "; ".join(one_line(problem) for problem in problems.splitlines())


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _clock_time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%H:%M:%S")
