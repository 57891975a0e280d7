"""What a run looks like now: events folded into one value, for whoever shows it.

The size of a snapshot follows the slots and the jobs that are in trouble, not the queue: of finished jobs only the first
``KEPT_DONE`` are kept, the rest are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from core.domain import events as ev
from core.domain.model import TERMINAL, JobState

if TYPE_CHECKING:
    from core.domain.events import Event

KEPT_DONE = 50
KEPT_EVIDENCE = 3
SAMPLES = 101
"""How many of the latest durations a median is taken from."""

NO_FAILURE = frozenset({"done", "interrupted", "busy", "needs_person"})
"""How attempts end in which nothing went wrong."""
_BUSY = frozenset({JobState.PREPARED, JobState.RUNNING})


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One job, as far as events told.

    Attributes:
        attempts: executions so far, the present one included.
        phase: stage of the worker's pipeline; empty when nothing runs.
        step: step under way, or the one that the last attempt ended in.
        try_: which try of it.
        todo: names of steps this attempt has still to do.
        started: epoch seconds of the present attempt's start, None when none runs.
        step_started: epoch seconds of the present step's start.
        seconds: what earlier attempts of this run took.
        outcome: how the last attempt ended.
        reason: why, for people; empty for done jobs.
        code: what went wrong, as in docs/failures.md; empty if nothing.
        retry_at: epoch seconds, while it waits.
        asks: names of what the step wants to be told, while its browser waits for a person.
    """

    job: str
    profile_id: str
    state: JobState = JobState.QUEUED
    attempts: int = 0
    phase: str = ""
    step: str = ""
    try_: int = 0
    todo: tuple[str, ...] = ()
    steps_done: int = 0
    steps_total: int = 0
    started: float | None = None
    step_started: float | None = None
    seconds: float = 0.0
    outcome: str = ""
    reason: str = ""
    code: str = ""
    retry_at: float | None = None
    asks: tuple[str, ...] = ()


class NetworkTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, those that failed, bytes both ways, and requests whose bytes are not known."""

    requests: int = 0
    failures: int = 0
    bytes: int = 0
    unmeasured: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        run: its number; 0 before it started.
        at: time of the last event, epoch seconds.
        total: jobs this run has or had to do.
        max_concurrent: slots.
        feed: the last feed that was read.
        running: jobs that a worker has in hand, by job ID, in the order they started; among them those that are prepared, and
            those whose browser waits for a person.
        others: jobs that ran and are neither running nor done.
        done: the first ``KEPT_DONE`` that this run finished.
        ended: how many jobs this run brought to each terminal state.
        launched: attempts that were allowed to start their browser.
        errors: attempts that failed, in whatever way.
        batch: number of the latest batch; 0 where jobs start one by one.
        batch_size: of the largest so far.
        batch_claimed: jobs of the latest batch that nothing was heard of yet: they count as queued.
        held: reasons for which nothing is started.
        orphans: attempts of earlier runs that were stopped.
        step_seconds: latest durations by step name, of steps whose body ran.
        job_seconds: latest durations of attempts that finished their job.
        stopping: ``drain`` or ``now`` once a stop was asked for.
        halted: why the run ended early, as ``3 of 40 failed``; empty if it did not by itself.
        exit_code: once the run has ended.
        counts: jobs by state over the whole queue, once the run has ended.
        network: what browsers asked for, and how much travelled.
        evidence: how many times something was kept for people.
        evidence_at: the first ``KEPT_EVIDENCE`` directories it is in, relative to the state directory.
    """

    run: int = 0
    started_at: float | None = None
    at: float = 0.0
    total: int = 0
    max_concurrent: int = 1
    feed: ev.FeedRead | None = None
    running: Mapping[str, JobView] = msgspec.field(default_factory=dict)
    others: Mapping[str, JobView] = msgspec.field(default_factory=dict)
    done: Mapping[str, JobView] = msgspec.field(default_factory=dict)
    ended: Mapping[JobState, int] = msgspec.field(default_factory=dict)
    launched: int = 0
    errors: int = 0
    batch: int = 0
    batch_size: int = 0
    batch_claimed: frozenset[str] = frozenset()
    held: tuple[str, ...] = ()
    orphans: int = 0
    step_seconds: Mapping[str, tuple[float, ...]] = msgspec.field(default_factory=dict)
    job_seconds: tuple[float, ...] = ()
    stopping: str = ""
    halted: str = ""
    exit_code: int | None = None
    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    network: NetworkTotal = NetworkTotal()
    evidence: int = 0
    evidence_at: tuple[str, ...] = ()

    @property
    def finished(self) -> int:
        """How many jobs this run brought to a terminal state."""
        return sum(self.ended.values())

    @property
    def waiting(self) -> int:
        """How many jobs wait for a retry."""
        return self._in_state(JobState.WAITING)

    @property
    def parked(self) -> int:
        """How many jobs wait for a person, with or without their browser."""
        return self._in_state(JobState.PARKED) + self.under_way(JobState.PARKED)

    @property
    def queued(self) -> int:
        """How many jobs have not started, or are queued again."""
        apart = self.waiting + self._in_state(JobState.PARKED) + len(self.running)
        return max(self.total - self.finished - apart, 0)

    @property
    def batches(self) -> int:
        """How many batches there will have been, if none is smaller than the largest so far."""
        later = max(self.queued + self.waiting - len(self.batch_claimed), 0)
        return self.batch + -(-later // max(self.batch_size, 1)) if self.batch else 0

    def under_way(self, state: JobState) -> int:
        """How many jobs that a worker has in hand are prepared, running, or parked with their browser."""
        return sum(view.state is state for view in self.running.values())

    def _in_state(self, state: JobState) -> int:
        return sum(view.state is state for view in self.others.values())


def fold(snapshot: Snapshot, event: Event) -> Snapshot:  # noqa: C901, PLR0911, PLR0912 - one case for each kind of event
    """Return what the run looks like after ``event``; an event that changes nothing shown only moves ``at``."""
    now = msgspec.structs.replace(snapshot, at=event.at)
    match event:
        case ev.RunStarted():
            return Snapshot(
                run=event.run,
                started_at=event.at,
                at=event.at,
                total=event.queued,
                max_concurrent=event.max_concurrent,
                feed=snapshot.feed,
                step_seconds=snapshot.step_seconds,
                job_seconds=snapshot.job_seconds,
            )
        case ev.FeedRead():
            # before a run starts its jobs are counted by RunStarted; a feed that grows during a run adds to it
            more = event.added if now.run and now.exit_code is None else 0
            return msgspec.structs.replace(now, feed=event, total=now.total + more)
        case ev.OrphanStopped():
            return msgspec.structs.replace(now, orphans=now.orphans + 1)
        case ev.AttemptStarted():
            return _attempt_started(now, event)
        case ev.AttemptPrepared():
            return _running(now, event.job, phase="prepared")
        case ev.AttemptLaunched():
            launched = msgspec.structs.replace(now, launched=now.launched + 1)
            return _running(launched, event.job, state=JobState.RUNNING)
        case ev.BatchStarted(batch=batch, jobs=jobs):
            size = max(now.batch_size, len(jobs))
            return msgspec.structs.replace(now, batch=batch, batch_size=size, batch_claimed=frozenset(jobs))
        case ev.PhaseStarted(phase=phase):
            return _running(now, event.job, phase=phase, step="", try_=0, step_started=None)
        case ev.StepsPlanned(done=done, todo=todo):
            return _running(now, event.job, todo=todo, steps_done=len(done), steps_total=len(done) + len(todo))
        case ev.StepStarted(step=step, try_=try_):
            return _running(now, event.job, step=step, try_=try_, step_started=event.at)
        case ev.StepCommitted():
            return _step_committed(now, event)
        case ev.StepFailed(reason=reason):
            return _running(now, event.job, reason=reason)
        case ev.LimitHeld(key=key, reason=reason):
            return _running(now, event.job, reason=f"waits for {key}: {reason}")
        case ev.LimitPassed():
            return _running(now, event.job, reason="")
        case ev.AttemptParked(why=why, code=code, asks=asks):
            return _running(now, event.job, state=JobState.PARKED, reason=why, code=code, asks=asks)
        case ev.AttemptResumed():
            return _running(now, event.job, state=JobState.RUNNING, reason="", code="", asks=())
        case ev.AttemptEnded():
            return _attempt_ended(now, event)
        case ev.JobChanged():
            return _job_changed(now, event)
        case ev.NetworkUsed():
            total = NetworkTotal(
                requests=now.network.requests + event.requests,
                failures=now.network.failures + event.failures,
                bytes=now.network.bytes + event.received + event.sent,
                unmeasured=now.network.unmeasured + event.unmeasured,
            )
            return msgspec.structs.replace(now, network=total)
        case ev.ArtifactsKept(files=files):
            seen = dict.fromkeys((*now.evidence_at, *(file.rpartition("/")[0] for file in files)))
            return msgspec.structs.replace(now, evidence=now.evidence + 1, evidence_at=tuple(seen)[:KEPT_EVIDENCE])
        case ev.RunHalted(reason=reason, at_once=at_once):
            return msgspec.structs.replace(now, halted=reason, stopping="now" if at_once else "drain")
        case ev.LimitChanged(max_concurrent=limit):
            return msgspec.structs.replace(now, max_concurrent=limit)
        case ev.StartsHeld(reason=reason):
            return msgspec.structs.replace(now, held=(*(held for held in now.held if held != reason), reason))
        case ev.StartsResumed(reason=reason):
            return msgspec.structs.replace(now, held=tuple(held for held in now.held if held != reason))
        case ev.StopAsked(how=how):
            return msgspec.structs.replace(now, stopping=how)
        case ev.RunEnded():
            return msgspec.structs.replace(
                now, running={}, held=(), exit_code=event.exit_code, counts=event.counts, seconds=event.seconds
            )
        case _:
            return now


def _running(snapshot: Snapshot, job: str, **changes: object) -> Snapshot:
    """Change the view of a running job; of a job that does not run nothing is known to change."""
    view = snapshot.running.get(job)
    if view is None:
        return snapshot
    changed = msgspec.structs.replace(view, **changes)
    return msgspec.structs.replace(snapshot, running={**snapshot.running, job: changed})


def _known(snapshot: Snapshot, job: str, profile_id: str) -> JobView:
    for views in (snapshot.running, snapshot.others, snapshot.done):
        if job in views:
            return views[job]
    return JobView(job=job, profile_id=profile_id)


def _attempt_started(snapshot: Snapshot, event: ev.AttemptStarted) -> Snapshot:
    before = _known(snapshot, event.job, event.profile_id)
    view = JobView(
        job=event.job,
        profile_id=event.profile_id,
        state=JobState.PREPARED,
        attempts=event.attempt,
        steps_done=before.steps_done,
        steps_total=before.steps_total,
        started=event.at,
        seconds=before.seconds,
    )
    return msgspec.structs.replace(
        _without(snapshot, event.job),
        running={**snapshot.running, event.job: view},
        batch_claimed=snapshot.batch_claimed - {event.job},
    )


def _step_committed(snapshot: Snapshot, event: ev.StepCommitted) -> Snapshot:
    if event.body_ran and not event.recovered:
        durations = (*snapshot.step_seconds.get(event.step, ()), event.seconds)[-SAMPLES:]
        snapshot = msgspec.structs.replace(snapshot, step_seconds={**snapshot.step_seconds, event.step: durations})
    view = snapshot.running.get(event.job)
    if view is None or event.step not in view.todo:
        return snapshot
    todo = tuple(step for step in view.todo if step != event.step)
    return _running(snapshot, event.job, todo=todo, steps_done=view.steps_done + 1, reason="")


def _attempt_ended(snapshot: Snapshot, event: ev.AttemptEnded) -> Snapshot:
    if event.outcome == "done":
        durations = (*snapshot.job_seconds, event.seconds)[-SAMPLES:]
        snapshot = msgspec.structs.replace(snapshot, job_seconds=durations)
    elif event.outcome not in NO_FAILURE:
        snapshot = msgspec.structs.replace(snapshot, errors=snapshot.errors + 1)
    view = _known(snapshot, event.job, event.profile_id)
    ended = msgspec.structs.replace(
        view,
        attempts=max(view.attempts, event.attempt),
        phase="",
        step=event.step or view.step,
        todo=(),
        started=None,
        step_started=None,
        seconds=view.seconds + event.seconds,
        outcome=event.outcome,
        reason=event.reason,
        code=event.code,
        asks=(),
    )
    for name in ("running", "others", "done"):
        views = getattr(snapshot, name)
        if event.job in views:
            return msgspec.structs.replace(snapshot, **{name: {**views, event.job: ended}})
    # an attempt of an earlier run, cut off with its orchestrator, is settled now
    return msgspec.structs.replace(snapshot, others={**snapshot.others, event.job: ended})


def _job_changed(snapshot: Snapshot, event: ev.JobChanged) -> Snapshot:
    view = _known(snapshot, event.job, event.profile_id)
    state = JobState(event.state)
    view = msgspec.structs.replace(
        view,
        state=state,
        attempts=max(event.attempts, view.attempts),
        # the record counts flags only; what was seen of the steps counts those that always run, too
        steps_done=view.steps_done if view.steps_total else event.steps_done,
        steps_total=view.steps_total or event.steps_total,
        reason=event.reason,
        code=event.code,
        retry_at=event.retry_at,
    )
    rest = _without(msgspec.structs.replace(snapshot, batch_claimed=snapshot.batch_claimed - {event.job}), event.job)
    if state in TERMINAL:
        ended = {**rest.ended, state: rest.ended.get(state, 0) + 1}
        rest = msgspec.structs.replace(rest, ended=ended, total=max(rest.total, sum(ended.values())))
    if state in _BUSY:
        return msgspec.structs.replace(rest, running={**rest.running, event.job: view})
    if state is not JobState.DONE:
        return msgspec.structs.replace(rest, others={**rest.others, event.job: view})
    if len(rest.done) < KEPT_DONE:
        return msgspec.structs.replace(rest, done={**rest.done, event.job: view})
    return rest


def _without(snapshot: Snapshot, job: str) -> Snapshot:
    """Take a job out of where it was; one that had ended is asked for again and counts as not ended."""
    for name in ("running", "others", "done"):
        views = getattr(snapshot, name)
        if job in views:
            snapshot = msgspec.structs.replace(
                snapshot, **{name: {key: view for key, view in views.items() if key != job}}
            )
            state = views[job].state
            if state in TERMINAL:
                ended = {**snapshot.ended, state: snapshot.ended.get(state, 1) - 1}
                snapshot = msgspec.structs.replace(snapshot, ended=ended)
    return snapshot
