"""One attempt: start the worker, listen, watch its deadlines, stop it if need be, and say what was seen of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

from core.dispatch.attempt import Attempt
from core.domain import events
from core.domain.messages import Go, Hello, Ready, SecretLearnt
from core.domain.messages import Stop as StopMessage
from core.domain.outcome import Exit
from core.errors import ControlLost, Fenced, QueueUnavailable, SpawnFailed
from core.process.port import WorkerCommand
from core.redaction import Redactor, proxy_password

if TYPE_CHECKING:
    from core.dispatch.off_loop import Blocking
    from core.dispatch.ports import DispatchSettings, Ports
    from core.dispatch.shutdown import Stop
    from core.domain.model import Claim
    from core.process.port import Child

log = structlog.get_logger(__name__)

_LOOK = 1.0
"""Seconds between two looks at the deadline."""
_FROZEN = 2.0
"""A look that comes so many seconds late tells of a freeze; a busy host is not so late."""


class Supervisor:
    """Runs one claim to its end. What it returns is what was seen; what follows from it is decided elsewhere."""

    def __init__(self, ports: Ports, settings: DispatchSettings, blocking: Blocking, stop: Stop) -> None:
        self._ports = ports
        self._settings = settings
        self._blocking = blocking
        self._stop = stop

    async def run(self, claim: Claim) -> tuple[Attempt, Exit]:
        """Supervise; return the attempt as far as it came and how it ended, with nothing of its tree left."""
        spec = claim.job.spec
        redactor = Redactor([password] if spec.proxy and (password := proxy_password(spec.proxy)) else [])
        started = self._ports.clock.monotonic()
        attempt = Attempt(claim, self._settings.limits, started=started, redact=redactor.text)
        try:
            child = await self._ports.launcher.spawn(
                WorkerCommand(
                    profile_id=spec.profile_id, nonce=claim.attempt.nonce, job_id=spec.id, number=claim.attempt.number
                ),
                redactor,
            )
        except SpawnFailed as exc:
            return attempt, Exit(returncode=None, spawn_error=str(exc))
        try:
            stopped = await self._watch_over(child, attempt, redactor)
            returncode = await child.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._clear(child, attempt)
        by, reason = stopped or (None, "")
        return attempt, Exit(
            returncode=returncode,
            reported=attempt.reported,
            stopped_by=by,
            stop_reason=reason,
            last_step=attempt.step,
        )

    async def _watch_over(self, child: Child, attempt: Attempt, redactor: Redactor) -> tuple[str, str] | None:
        """Listen until the worker's side is closed; return who stopped it and why, if anybody did."""
        stopped: list[tuple[str, str]] = []
        ended = anyio.Event()

        async def guard() -> None:
            stopped.append(await self._reason_to_stop(attempt))
            await self._stop_ladder(child, attempt, stopped[0][1], ended)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(guard)
                await self._converse(child, attempt, redactor)
                await child.wait()
                ended.set()
                tasks.cancel_scope.cancel()
        except ExceptionGroup as failures:
            # two tasks, no group inside: what is at stake most comes first
            raise (failures.subgroup(Fenced) or failures).exceptions[0] from failures
        return stopped[0] if stopped else None

    async def _converse(self, child: Child, attempt: Attempt, redactor: Redactor) -> None:
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
                if isinstance(message, SecretLearnt):
                    redactor.add(message.value)
                announced = attempt.take(message, monotonic=clock.monotonic(), at=clock.now())
                if isinstance(message, Ready):
                    await self._let_go(child, attempt, message)
                for event in announced:
                    self._ports.events.emit(event)
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

    async def _reason_to_stop(self, attempt: Attempt) -> tuple[str, str]:
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
                await self._stop.now.wait()
                return "operator", "stopped by the operator"
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
        left = await self._ports.reaper.reap(known, self._settings.orphan_grace)
        if left:
            log.warning("tree_outlived_worker", job=record.job_id, processes=left)
        await child.close()


def _user_data_dir(attempt: Attempt) -> str | None:
    return None if attempt.ready is None else attempt.ready.user_data_dir
