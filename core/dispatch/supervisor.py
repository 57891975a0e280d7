"""One attempt: start the worker, listen, watch its deadlines, stop it if need be, and say what was seen of its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import structlog

from core.dispatch.attempt import Attempt
from core.dispatch.handle import Handles
from core.dispatch.limiting import LimitWatcher
from core.dispatch.passes import Passes
from core.domain import events
from core.domain.messages import Dismiss, Go, Hello, Launch, Ready, Resume, SecretLearnt, Yield
from core.domain.messages import Stop as StopMessage
from core.domain.outcome import Exit
from core.errors import ControlLost, Fenced, QueueUnavailable, SpawnFailed
from core.process.port import WorkerCommand
from core.redaction import Redactor, proxy_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from core.dispatch.handle import Handle
    from core.dispatch.off_loop import Blocking
    from core.dispatch.ports import DispatchSettings, Ports
    from core.dispatch.shutdown import Stop
    from core.dispatch.turn import Turn
    from core.dispatch.turnstiles import Turnstiles
    from core.dispatch.usual_time import UsualTime
    from core.domain.messages import Up
    from core.domain.model import Claim
    from core.process.port import Child

log = structlog.get_logger(__name__)

_LOOK = 1.0
"""Seconds between two looks at the deadline."""
_FROZEN = 2.0
"""A look that comes so many seconds late tells of a freeze; a busy host is not so late."""


class Supervisor:
    """Runs one claim to its end. What it returns is what was seen; what follows from it is decided elsewhere.

    Attributes:
        handles: the attempts that are supervised now.
    """

    def __init__(
        self,
        ports: Ports,
        settings: DispatchSettings,
        blocking: Blocking,
        stop: Stop,
        *,
        usual: UsualTime,
        turnstiles: Turnstiles,
        changed: Callable[[], None],
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._blocking = blocking
        self._stop = stop
        self._usual = usual
        self._turnstiles = turnstiles
        self._changed = changed
        self.handles = Handles()

    def obey(self) -> None:
        """Pass on what the operator wants: an end of all, or first of those that have not been launched."""
        for handle in self.handles:
            self._obey(handle)

    def dismiss(self) -> None:
        """Wait for no person any more."""
        for handle in self.handles.parked:
            handle.dismiss()

    async def run(self, claim: Claim, turn: Turn) -> tuple[Attempt, Exit]:
        """Supervise; return the attempt as far as it came and how it ended, with nothing of its tree left.

        Args:
            claim: the job and its attempt.
            turn: how it gets a slot and through the gate, once it is prepared.
        """
        with self.handles.listed(claim, turn) as handle:
            self._obey(handle)
            return await self._run(handle)

    def _obey(self, handle: Handle) -> None:
        if self._stop.now.is_set():
            handle.stop("operator", self._stop.why)
        elif self._stop.drain.is_set() and not handle.launched:
            handle.stop("operator", "stopped before its launch")
        elif self._stop.drain.is_set() and handle.parked is not None:
            handle.dismiss()

    async def _run(self, handle: Handle) -> tuple[Attempt, Exit]:
        claim = handle.claim
        spec = claim.job.spec
        redactor = Redactor([password] if spec.proxy and (password := proxy_password(spec.proxy)) else [])
        started = self._ports.clock.monotonic()
        usual = partial(self._usual.limit, spec.flow)
        attempt = Attempt(claim, self._settings.limits, started=started, redact=redactor.text, usual=usual)
        if handle.asked.is_set():
            return attempt, Exit(returncode=None, stopped_by=handle.by, stop_reason=handle.reason)
        try:
            child = await self._ports.launcher.spawn(
                WorkerCommand(
                    profile_id=spec.profile_id, nonce=claim.attempt.nonce, job_id=spec.id, number=claim.attempt.number
                ),
                redactor,
            )
        except SpawnFailed as exc:
            return attempt, Exit(returncode=None, spawn_error=str(exc))
        handle.stamp = child.stamp
        watcher = LimitWatcher(attempt, handle, self._ports.clock, self._ports.events.emit)
        with Passes(self._turnstiles, child.send, watcher) as passes:
            try:
                await self._watch_over(child, attempt, redactor, handle, passes)
                returncode = await child.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._clear(child, attempt)
        by, reason = handle.stopped or (None, "")
        return attempt, Exit(
            returncode=returncode,
            reported=attempt.reported,
            stopped_by=by,
            stop_reason=reason,
            last_step=attempt.step,
            out_of_memory=child.out_of_memory,
        )

    async def _watch_over(
        self, child: Child, attempt: Attempt, redactor: Redactor, handle: Handle, passes: Passes
    ) -> None:
        """Listen until the worker's side is closed; the handle says who stopped it and why, if anybody did."""
        ended = anyio.Event()

        async def guard() -> None:
            handle.stopped = await self._reason_to_stop(attempt, handle)
            await self._stop_ladder(child, attempt, handle.stopped[1], ended)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(guard)
                tasks.start_soon(self._pass_on, child, handle)
                answer = partial(self._answer, tasks, child, attempt, handle)
                await self._converse(child, attempt, redactor, answer, lambda said: passes.hear(said, tasks))
                await child.wait()
                ended.set()
                tasks.cancel_scope.cancel()
        except ExceptionGroup as failures:
            # a few tasks, no group inside: what is at stake most comes first
            raise (failures.subgroup(Fenced) or failures).exceptions[0] from failures

    async def _converse(
        self,
        child: Child,
        attempt: Attempt,
        redactor: Redactor,
        answer: Callable[[events.Event], None],
        limits: Callable[[Up], bool],
    ) -> None:
        record, clock = attempt.claim.attempt, self._ports.clock
        await self._blocking.queue(self._ports.queue.record_process, record.nonce, child.stamp)
        try:
            await child.send(
                Hello(
                    job=attempt.claim.job.spec,
                    attempt=record.number,
                    nonce=record.nonce,
                    settings=self._settings.worker,
                )
            )
            while (message := await child.receive()) is not None:
                if limits(message):
                    continue
                if isinstance(message, SecretLearnt):
                    redactor.add(message.value)
                announced = attempt.take(message, monotonic=clock.monotonic(), at=clock.now())
                if isinstance(message, Ready):
                    await self._let_go(child, attempt, message)
                for event in announced:
                    self._ports.events.emit(event)
                    answer(event)
                if any(isinstance(event, (events.StepCommitted, events.StepsPlanned)) for event in announced):
                    await self._count_steps(attempt)
        except ControlLost:
            log.info("worker_hung_up", job=record.job_id, attempt=record.number)

    async def _count_steps(self, attempt: Attempt) -> None:
        nonce = attempt.claim.attempt.nonce
        try:
            await self._blocking.queue(
                self._ports.queue.record_steps, nonce, done=len(attempt.done), total=attempt.steps_total
            )
        except QueueUnavailable as exc:
            # only a number to be shown: no reason to end a worker that goes on
            log.warning("steps_not_recorded", job=attempt.claim.job.spec.id, reason=str(exc))

    async def _let_go(self, child: Child, attempt: Attempt, ready: Ready) -> None:
        record, now = attempt.claim.attempt, self._ports.clock.now()
        await self._blocking.queue(
            self._ports.queue.record_go, record.nonce, fence=ready.fence, user_data_dir=ready.user_data_dir, now=now
        )
        self._ports.events.emit(
            events.AttemptStarted(
                at=now,
                profile_id=record.profile_id,
                job=record.job_id,
                attempt=record.number,
                pid=child.stamp.pid,
                fence=ready.fence,
            )
        )
        await child.send(Go())

    def _answer(self, tasks: TaskGroup, child: Child, attempt: Attempt, handle: Handle, event: events.Event) -> None:
        """Do in a task of its own what has to wait for something: the worker is listened to meanwhile."""
        if isinstance(event, events.AttemptPrepared):
            tasks.start_soon(self._launch, child, attempt, handle)
        if isinstance(event, events.AttemptParked):
            tasks.start_soon(self._hand_off, child, attempt, handle, event)

    async def _pass_on(self, child: Child, handle: Handle) -> None:
        await handle.yields.wait()
        try:
            await child.send(Yield(reason=handle.yields_to))
        except ControlLost:
            log.info("worker_gone_before_yield", job=handle.claim.job.spec.id)

    async def _hand_off(self, child: Child, attempt: Attempt, handle: Handle, parked: events.AttemptParked) -> None:
        """A parked attempt has no slot and no limit, until a person is done, or is not waited for any more."""
        handle.park(parked)
        handle.turn.slot.give_up()
        if self._stop.drain.is_set() or len(self.handles.parked) > self._settings.max_parked:
            handle.dismiss()
        try:
            await self._note_waiting(attempt, parked.why)
            self._changed()
            await handle.decided.wait()
            if handle.answers is None:
                attempt.dismiss(self._ports.clock.monotonic())
                await child.send(Dismiss())
                return
            await handle.turn.slot.take()
            await self._note_waiting(attempt, "")
            attempt.resume(self._ports.clock.monotonic())
            handle.parked = None
            self._ports.events.emit(
                events.AttemptResumed(
                    at=self._ports.clock.now(),
                    profile_id=parked.profile_id,
                    job=parked.job,
                    attempt=parked.attempt,
                    step=parked.step,
                )
            )
            self._changed()
            await child.send(Resume(answers=handle.answers))
        except ControlLost:
            log.info("worker_gone_while_parked", job=parked.job)

    async def _note_waiting(self, attempt: Attempt, why: str) -> None:
        try:
            await self._blocking.queue(self._ports.queue.record_waiting, attempt.claim.attempt.nonce, why=why)
        except QueueUnavailable as exc:
            # only a text to be shown: no reason to close the browser that a person works in
            log.warning("waiting_not_recorded", job=attempt.claim.job.spec.id, reason=str(exc))

    async def _launch(self, child: Child, attempt: Attempt, handle: Handle) -> None:
        """Give a prepared attempt its turn; one that gets none any more is sent away."""
        turn = handle.turn
        if not await turn.come():
            handle.stop("operator", "stopped before its launch")
            return
        handle.launched = True
        await self._blocking.queue(
            self._ports.queue.record_launch, attempt.claim.attempt.nonce, now=self._ports.clock.now()
        )
        attempt.launch(self._ports.clock.monotonic())
        record = attempt.claim.attempt
        self._ports.events.emit(
            events.AttemptLaunched(
                at=self._ports.clock.now(),
                profile_id=record.profile_id,
                job=record.job_id,
                attempt=record.number,
                batch=None if turn.batch is None else turn.batch.number,
            )
        )
        turn.launch(record.job_id)
        # it may have been the last of its batch
        self._changed()
        try:
            await child.send(Launch())
        except ControlLost:
            log.info("worker_gone_before_launch", job=attempt.claim.job.spec.id)

    async def _reason_to_stop(self, attempt: Attempt, handle: Handle) -> tuple[str, str]:
        """Wait until there is one; progress moves the deadline while we wait.

        A wait that took much longer than it should was no fault of the worker: we were frozen (``^Z``, a suspended host), and
        what it has said meanwhile is still to be read.
        """
        clock = self._ports.clock
        while True:
            deadline, why = attempt.overdue_at()
            before = clock.monotonic()
            if deadline <= before:
                return "timeout", why
            pause = min(deadline - before, _LOOK)
            with anyio.move_on_after(pause):
                await handle.asked.wait()
                return handle.by, handle.reason
            lost = clock.monotonic() - before - pause
            if lost > _FROZEN:
                log.warning("orchestrator_was_frozen", job=attempt.claim.job.spec.id, seconds=round(lost, 1))
                attempt.forgive(lost)

    async def _stop_ladder(self, child: Child, attempt: Attempt, reason: str, ended: anyio.Event) -> None:
        """Ask, wait, kill the tree."""
        grace = self._settings.stop_grace
        log.info("stopping_worker", job=attempt.claim.job.spec.id, reason=reason)
        with anyio.move_on_after(1):
            try:
                await child.send(StopMessage(reason=reason, grace=grace))
            except ControlLost:
                log.debug("worker_already_gone", job=attempt.claim.job.spec.id)
        child.terminate()
        with anyio.move_on_after(grace):
            await ended.wait()
            return
        killed = await child.kill_tree(_user_data_dir(attempt))
        log.warning("worker_killed", job=attempt.claim.job.spec.id, reason=reason, processes=killed)

    async def _clear(self, child: Child, attempt: Attempt) -> None:
        """Leave nothing: a browser that outlived its worker gets the time to write its cookies, then it is killed."""
        ready = attempt.ready
        record = attempt.claim.attempt
        known = type(record)(
            nonce=record.nonce,
            job_id=record.job_id,
            profile_id=record.profile_id,
            number=record.number,
            started_at=record.started_at,
            fence=None if ready is None else ready.fence,
            process=child.stamp,
            user_data_dir=_user_data_dir(attempt),
        )
        try:
            left = await self._ports.reaper.reap(known, self._settings.orphan_grace)
            if left:
                log.warning("tree_outlived_worker", job=record.job_id, processes=left)
        finally:
            await child.close()


def _user_data_dir(attempt: Attempt) -> str | None:
    return None if attempt.ready is None else attempt.ready.user_data_dir
