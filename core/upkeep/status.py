"""How a state directory stands: read from the queue, the kernel's lock and the end of the event log; nothing is written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from core.domain import events as ev
from core.domain.model import Holder, JobState
from core.events.recent import newest_first
from core.process.identity import is_alive
from core.queue.port import Outlook
from core.queue.sqlite import SqliteQueue
from core.state.orchestrator_lock import OrchestratorLock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.clock import Clock
    from core.domain.model import AttemptRecord
    from core.settings import Settings

_KINDS = ("run_started", "run_ended", "phase_started", "step_started")


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A job that holds a slot, or whose run was cut off and not yet put right.

    Attributes:
        attempt: which one of the job's.
        pid: the worker's; null before it is started.
        alive: whether that very process lives; null where this host cannot tell.
        phase: stage of the worker's pipeline; empty if none was announced.
        step: the step under way; empty outside of steps.
        started_at: epoch seconds.
        steps_done: flags of the job's flow that are committed.
        steps_total: flags that it has.
    """

    profile_id: str
    job: str
    attempt: int
    pid: int | None
    alive: bool | None
    phase: str
    step: str
    started_at: float
    steps_done: int
    steps_total: int


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """The latest run: that it began, from the queue; how it ended, as far as the event log shows it.

    Attributes:
        number: which run.
        started_at: epoch seconds.
        ended_at: epoch seconds; null while it runs, and if it was cut off.
        exit_code: as the orchestrator returned it; null as above.
        counts: jobs by state at its end.
    """

    number: int
    started_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    counts: dict[str, int] = {}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a state directory stands.

    Attributes:
        at: when this was seen, epoch seconds.
        orchestrator: who holds the state directory; null for nobody.
        jobs: how many jobs are in each state; states without jobs are left out.
        codes: how many jobs have a latest attempt that ended by each code of docs/failures.md, the most frequent first.
        last_run: null before the first one.
        held: how many jobs wait for others that are not done.
        again_at: when the next of those that run again and again is due, epoch seconds; null for none.
        problems: what could not be looked at, and why; what it would have said is missing.
    """

    state_dir: str
    at: float
    orchestrator: Holder | None
    jobs: dict[JobState, int]
    codes: dict[str, int]
    running: tuple[Running, ...]
    last_run: LastRun | None
    problems: tuple[str, ...] = ()
    held: int = 0
    again_at: float | None = None


def read_status(settings: Settings, clock: Clock) -> Status:
    """Return how it stands.

    Raises:
        ForeignDatabase, NewerSchema, QueueUnavailable: the queue cannot be read.
    """
    holder = OrchestratorLock(settings.state_dir, clock).holder()
    path = settings.state_dir / "queue.db"
    counts: dict[JobState, int] = {}
    codes: dict[str, int] = {}
    attempts: list[AttemptRecord] = []
    steps: dict[str, tuple[int, int]] = {}
    begun: tuple[int, float] | None = None
    outlook = Outlook()
    if path.exists():
        queue = SqliteQueue(path, read_only=True)
        try:
            counts = {state: number for state, number in queue.counts().items() if number}
            codes = dict(queue.codes())
            attempts = queue.open_attempts()
            begun = queue.latest_run()
            outlook = queue.outlook()
            for attempt in attempts:
                job = queue.job(attempt.job_id)
                steps[attempt.nonce] = (job.steps_done, job.steps_total)
        finally:
            queue.close()
    places: dict[str, tuple[str, str]] = {}
    last_run: LastRun | None = None
    problems: tuple[str, ...] = ()
    log = settings.log_dir / "events.jsonl"
    try:
        places, last_run = _from_events(log, attempts)
    except OSError as exc:
        problems = (f"{log} cannot be read: {exc.strerror}",)
    if begun is not None and (last_run is None or last_run.number < begun[0]):
        # with --watch a run may outlast the events of its start
        last_run = LastRun(number=begun[0], started_at=begun[1])
    return Status(
        state_dir=str(settings.state_dir),
        at=clock.now(),
        orchestrator=holder,
        jobs=counts,
        codes=codes,
        running=tuple(
            _running(attempt, places.get(attempt.nonce, ("", "")), steps[attempt.nonce]) for attempt in attempts
        ),
        last_run=last_run,
        problems=problems,
        held=outlook.held,
        again_at=outlook.again_at,
    )


def _running(attempt: AttemptRecord, place: tuple[str, str], steps: tuple[int, int]) -> Running:
    process = attempt.process
    return Running(
        profile_id=attempt.profile_id,
        job=attempt.job_id,
        attempt=attempt.number,
        pid=None if process is None else process.pid,
        alive=None if process is None else is_alive(process),
        phase=place[0],
        step=place[1],
        started_at=attempt.started_at,
        steps_done=steps[0],
        steps_total=steps[1],
    )


def _from_events(path: Path, attempts: Sequence[AttemptRecord]) -> tuple[dict[str, tuple[str, str]], LastRun | None]:
    """Return phase and step of each attempt by nonce, and the last run: from the newest event back, until all is known."""
    open_ = {(attempt.job_id, attempt.number): attempt for attempt in attempts}
    places: dict[str, tuple[str, str]] = {}
    steps: dict[str, str] = {}
    run: LastRun | None = None
    with contextlib.closing(newest_first(path, _KINDS)) as events:
        for event in events:
            match event:
                case ev.StepStarted() | ev.PhaseStarted():
                    attempt = open_.get((event.job, event.attempt))
                    if attempt is None or attempt.nonce in places or event.at < attempt.started_at:
                        continue
                    if isinstance(event, ev.StepStarted):
                        steps.setdefault(attempt.nonce, event.step)
                    else:
                        places[attempt.nonce] = (event.phase, steps.get(attempt.nonce, ""))
                case ev.RunEnded() if run is None:
                    run = LastRun(
                        number=event.run, started_at=event.at - event.seconds, ended_at=event.at,
                        exit_code=event.exit_code, counts=event.counts,
                    )  # fmt: skip
                case ev.RunStarted() if run is None:
                    run = LastRun(number=event.run, started_at=event.at)
                case _:
                    pass
            if run is not None and len(places) == len(open_):
                break
    return {**{nonce: ("steps", step) for nonce, step in steps.items()}, **places}, run
