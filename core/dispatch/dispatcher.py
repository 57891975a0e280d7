"""The loop: look, plan, act. One planning function is asked after every change.

Each job is a task. It owns a seat among the slots, and one among those that prepare: first prepared, then launched through
the gate. Without batches it holds its slot before it claims, so that nothing is claimed that could not run; the jobs of a
batch are claimed and prepared first, and take a slot when it is their turn.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import structlog

from core.dispatch.admission import LaunchGate, Slots
from core.dispatch.batches import Batches
from core.dispatch.completion import Completion, changed
from core.dispatch.edits import Edits
from core.dispatch.halting import Halting
from core.dispatch.pressure import Pressure
from core.dispatch.recovery import Recovery
from core.dispatch.shutdown import Stop, obey_signals
from core.dispatch.steering import Steering
from core.dispatch.supervisor import Supervisor
from core.dispatch.turn import take_turn
from core.dispatch.turnstiles import Turnstiles
from core.dispatch.usual_time import UsualTime
from core.domain import events
from core.domain.model import Announced, JobState
from core.domain.outcome import Done, Exit, ExitCode, HostFault, classify, worst
from core.domain.planning import FleetView, Plan, plan
from core.errors import Fenced, OstlerError, QueueUnavailable
from core.queue.port import Recurred

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from anyio.abc import TaskGroup

    from core.dispatch.attempt import Attempt
    from core.dispatch.batches import Batch
    from core.dispatch.ports import DispatchSettings, Ports
    from core.dispatch.turn import Turn
    from core.domain.model import AttemptRecord, Claim

log = structlog.get_logger(__name__)

_VERDICTS = {
    JobState.FAILED: ExitCode.FAILED,
    JobState.QUARANTINED: ExitCode.QUARANTINED,
    JobState.PARKED: ExitCode.NEEDS_PERSON,
}
_LONGEST_WAIT = 30.0
"""Seconds after which we look again, whatever was planned: the clock may have been set forward meanwhile."""
_LEFT_OVER = (JobState.QUEUED, JobState.PREPARED, JobState.RUNNING, JobState.WAITING)


class Dispatcher:
    """Runs a queue to its end, or to the operator's.

    Attributes:
        steering: what may be done to the run while it is under way.
    """

    def __init__(self, ports: Ports, settings: DispatchSettings, stop: Stop) -> None:
        self._ports = ports
        self._settings = settings
        self._stop = stop
        self._blocking = ports.blocking
        self._slots = Slots(settings.max_concurrent)
        self._preparing = Slots(settings.max_preparing)
        self._gate = LaunchGate(settings.gate_interval, ports.clock)
        self._usual = UsualTime(settings.limits)
        self._turnstiles = Turnstiles(ports.limits, ports.clock, record=ports.limit_record, files=self._blocking.files)
        self._halting = Halting(settings.halt, stop, ports.clock, self._emit)
        self._supervisor = Supervisor(
            ports, settings, self._blocking, stop,
            usual=self._usual, turnstiles=self._turnstiles, changed=self._change_seen,
        )  # fmt: skip
        self._completion = Completion(ports, settings, self._blocking, stop)
        self._recovery = Recovery(ports, settings, self._blocking, self._completion, stop)
        self._edits = Edits(ports, settings, self._blocking, changed=self._edit_seen, overtaken=self._yield_to_newer)
        self._batches: Batches | None = None
        if settings.batch_size is not None:
            self._batches = Batches(settings.batch_size, settings.batch_delay, ports.clock, self._emit)
        self._change = anyio.Event()
        self._busy = 0
        self._unclaimed = 0
        self._host_faults = 0
        self._idle_since: float | None = None
        self._looked = False
        self._verdict: ExitCode | None = None
        self.steering = Steering(
            slots=self._slots,
            gate=self._gate,
            handles=self._supervisor.handles,
            stop=stop,
            clock=ports.clock,
            emit=self._emit,
            changed=self._change_seen,
        )
        self._pressure: Pressure | None = None
        if ports.meter is not None:
            self._pressure = Pressure(
                meter=ports.meter,
                policy=settings.admission,
                steering=self.steering,
                handles=self._supervisor.handles,
                files=self._blocking.files,
                clock=ports.clock,
            )
            self._gate.passed = self._pressure.count_launch

    async def run(self, run: int) -> ExitCode:
        """Run until nothing is left or a stop was obeyed; return the exit code.

        Args:
            run: this orchestrator's number, from ``JobQueue.begin_run``.

        Raises:
            OstlerError: the run cannot go on (its queue is damaged, or cannot be read at the start or the end).
        """
        try:
            return await self._run(run)
        except ExceptionGroup as failures:
            known: Exception = failures
            while isinstance(known, ExceptionGroup) and (inner := known.subgroup(OstlerError)) is not None:
                known = inner.exceptions[0]
            if known is failures:
                raise
            raise known from failures

    async def _run(self, run: int) -> ExitCode:
        started = self._ports.clock.monotonic()
        counts = await self._blocking.queue(self._ports.queue.counts)
        self._emit(
            events.RunStarted(
                at=self._ports.clock.now(),
                run=run,
                queued=sum(counts.get(state, 0) for state in _LEFT_OVER),
                max_concurrent=self._settings.max_concurrent,
            )
        )
        seen = await self._blocking.queue(self._ports.queue.changes_of_others)
        await self._usual.learn(self._ports.queue, self._blocking)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._edits.notice_others, seen)
            tasks.start_soon(obey_signals, self._stop, self._hear)
            tasks.start_soon(self._obey)
            for attempt, announced in await self._recovery.unfinished():
                self._busy += 1
                tasks.start_soon(self._recover, attempt, announced)
            tasks.start_soon(self._recovery.sweep)
            if self._ports.left is not None:
                tasks.start_soon(self._edits.pass_on, self._ports.left)
            if self._ports.follower is not None and self._settings.watch:
                tasks.start_soon(self._edits.follow, self._ports.follower)
            if self._pressure is not None:
                await tasks.start(self._pressure.watch)
            if self._ports.commands is not None:
                tasks.start_soon(self._ports.commands.serve, self.steering.obey)
            if self._ports.attendant is not None:
                tasks.start_soon(self._ports.attendant.attend)
            while not (step := await self._plan()).finished:
                if step.dismiss:
                    self._supervisor.dismiss()
                await self._begin(step.start, tasks)
                await self._wait_for_change(step)
            tasks.cancel_scope.cancel()
        counts = await self._blocking.queue(self._ports.queue.counts)
        code = self._exit_code(counts)
        self._emit(
            events.RunEnded(
                at=self._ports.clock.now(),
                run=run,
                exit_code=code,
                counts={str(state): number for state, number in counts.items()},
                seconds=self._ports.clock.monotonic() - started,
            )
        )
        return code

    # --- looking and planning ----------------------------------------------------------------------------------------

    async def _plan(self) -> Plan:
        self._change = anyio.Event()
        now = self._ports.clock.now()
        recurred = Recurred()
        try:
            # without --watch once: what came due since the last run
            if self._settings.watch or not self._looked:
                found = await self._blocking.queue(self._ports.queue.recur, now)
                recurred = found if self._settings.watch else Recurred(jobs=found.jobs)
                self._looked = True
                # told at once: what is looked up next may fail, and these are not found again
                for job in recurred.jobs:
                    self._emit(changed(job, at=now))
            readiness = await self._blocking.queue(
                self._ports.queue.readiness,
                now,
                max(self._slots.limit, self._settings.batch_size or 0) + self._unclaimed,
            )
        except QueueUnavailable as exc:
            log.error("queue_unavailable", reason=str(exc))
            over = self._stop.drain.is_set() and self._busy == 0
            return Plan(wake_at=now + self._settings.unsettled_interval, finished=over)
        except Fenced as exc:
            if self._verdict is not ExitCode.HOLDER_ALIVE:
                self._yield_to_newer(exc)
            return Plan(finished=self._busy == 0)
        waits = [at for at in (readiness.next_due, recurred.next_due) if at is not None]
        view = FleetView(
            running=self._busy,
            limit=self._slots.limit,
            ready=max(readiness.ready - self._unclaimed, 0),
            later=readiness.later,
            next_due=min(waits, default=None),
            stopping=self._stop.drain.is_set(),
            watching=self._settings.watch,
            held=bool(self._gate.held),
            parked=len(self._supervisor.handles.parked),
            idle_since=self._idle_since,
            wait_parked=self._settings.wait_parked,
            batch=None if self._batches is None else self._batches.view,
        )
        # a clock that was set back makes nobody wait longer
        self._idle_since = min(self._idle_since or now, now) if view.is_idle else None
        return plan(view, now)

    def _change_seen(self) -> None:
        self._change.set()

    def _edit_seen(self) -> None:
        self._turnstiles.look_again()
        self._change.set()

    async def _wait_for_change(self, step: Plan) -> None:
        if step.start:
            return
        timeout = (
            None if step.wake_at is None else min(max(step.wake_at - self._ports.clock.now(), 0.01), _LONGEST_WAIT)
        )
        with anyio.move_on_after(timeout):
            await self._change.wait()

    # --- acting ------------------------------------------------------------------------------------------------------

    async def _begin(self, number: int, tasks: TaskGroup) -> None:
        """Start so many jobs: as soon as each has its slot, or as the next batch."""
        if self._batches is None:
            for _ in range(number):
                self._busy += 1
                self._unclaimed += 1
                tasks.start_soon(self._use_slot)
            return
        claims: list[Claim] = []
        try:
            while len(claims) < number and (claim := await self._claim()) is not None:
                claims.append(claim)
        except Fenced as exc:
            self._yield_to_newer(exc)
            return
        if claims:
            batch = self._batches.begin(claims)
            for claim in claims:
                self._busy += 1
                tasks.start_soon(self._join, claim, batch)

    async def _use_slot(self) -> None:
        """Take a slot, then a job: nothing is claimed that could not go on."""
        async with self._task(), take_turn(self._slots, self._preparing, self._gate, None) as turn:
            try:
                await turn.slot.take()
                await turn.permit.take()
                claim = await self._claim()
            finally:
                self._unclaimed -= 1
            if claim is not None:
                await self._execute(claim, turn)

    async def _join(self, claim: Claim, batch: Batch) -> None:
        """Prepare a job of a batch, and take a slot when it is its turn."""
        async with self._task(), take_turn(self._slots, self._preparing, self._gate, batch) as turn:
            try:
                await turn.permit.take()
                await self._execute(claim, turn)
            finally:
                batch.settle(claim.job.spec.id)

    async def _claim(self) -> Claim | None:
        """Take the next job; None if there is to be no more, another took what was ready, or it could not be written down."""
        if self._stop.drain.is_set():
            return None
        try:
            return await self._blocking.queue(self._ports.queue.claim, self._ports.clock.now(), self._ports.nonce())
        except QueueUnavailable as exc:
            log.error("queue_unavailable", reason=str(exc))
            with anyio.move_on_after(self._settings.unsettled_interval):
                await self._stop.drain.wait()
            return None

    async def _execute(self, claim: Claim, turn: Turn) -> None:
        """Run one claim to its recorded end, whatever happens on the way."""
        attempt: Attempt | None = None
        try:
            attempt, exit_ = await self._supervisor.run(claim, turn)
        except Fenced:
            raise
        except QueueUnavailable as exc:
            log.error("queue_unavailable", job=claim.job.spec.id, reason=str(exc))
            exit_ = Exit(returncode=None, spawn_error=str(exc))
        except Exception as exc:  # the bulkhead: a bug in supervising one profile must not end the others
            log.exception("supervision_failed", job=claim.job.spec.id)
            exit_ = Exit(returncode=None, spawn_error=f"supervision failed: {type(exc).__name__}")
        self._count_host_faults(exit_)
        announced = None
        committed = False
        idle = 0.0
        if attempt is not None:
            announced = Announced(flags=attempt.flags, committed=frozenset(attempt.done))
            committed = attempt.committed > 0
            idle = attempt.idle(self._ports.clock.monotonic())
        with anyio.CancelScope(shield=True):
            job, seconds = await self._completion.complete(
                claim, exit_, committed=committed, announced=announced, idle=idle
            )
        if isinstance(classify(exit_), Done):
            self._usual.add(claim.job.spec.flow, seconds)
        self._halting.count(job.state)

    async def _recover(self, attempt: AttemptRecord, announced: Announced | None) -> None:
        """A dying attempt of an earlier run holds a slot until it is gone."""
        async with self._task(), self._slots.take():
            await self._recovery.end(attempt, announced)

    @asynccontextmanager
    async def _task(self) -> AsyncIterator[None]:
        """Around everything that one job's task does; its end is a change."""
        try:
            yield
        except Fenced as exc:
            self._yield_to_newer(exc)
        except QueueUnavailable:
            self._verdict = ExitCode.HOST_FAULT  # and said already
        finally:
            self._busy -= 1
            self._change.set()

    async def _obey(self) -> None:
        """Pass a stop on to what waits and what runs."""
        await self._stop.drain.wait()
        self._gate.close()
        self._supervisor.obey()
        await self._stop.now.wait()
        self._supervisor.obey()

    # --- ends --------------------------------------------------------------------------------------------------------

    def _hear(self, how: str) -> None:
        log.info("stop_asked", how=how)
        self._emit(events.StopAsked(at=self._ports.clock.now(), how=how))
        self._change.set()

    def _yield_to_newer(self, exc: Fenced) -> None:
        log.error("another_orchestrator_took_over", reason=str(exc))
        self._verdict = ExitCode.HOLDER_ALIVE
        self._stop.at_once()
        self._change.set()

    def _count_host_faults(self, exit_: Exit) -> None:
        """When nothing but host faults come back, the host is to be mended first: stop starting."""
        if not isinstance(classify(exit_), HostFault):
            self._host_faults = 0
            return
        self._host_faults += 1
        if self._host_faults >= self._settings.host_fault_limit:
            log.error("host_faults_only", count=self._host_faults)
            self._verdict = ExitCode.HOST_FAULT
            self._stop.drain.set()

    def _exit_code(self, counts: Mapping[JobState, int]) -> ExitCode:
        codes = {code for state, code in _VERDICTS.items() if counts.get(state, 0)}
        if self._verdict is not None:
            codes.add(self._verdict)
        if any(counts.get(state, 0) for state in _LEFT_OVER):
            if not self._stop.drain.is_set() and not codes:
                # nobody asked for an end, so these come after jobs that are not done and will not be
                codes.add(ExitCode.FAILED)
            elif self._stop.drain.is_set() and not self._halting.is_due:
                codes.add(ExitCode.INTERRUPTED)
        return worst(codes)

    def _emit(self, event: events.Event) -> None:
        self._ports.events.emit(event)
