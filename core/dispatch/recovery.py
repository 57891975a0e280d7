"""What an earlier run left behind is ended, recorded and swept before anything of it is started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

from core.domain import events
from core.domain.model import Claim
from core.domain.outcome import Exit
from core.errors import OstlerError, QueueUnavailable

if TYPE_CHECKING:
    from core.dispatch.completion import Completion
    from core.dispatch.off_loop import Blocking
    from core.dispatch.ports import DispatchSettings, Ports
    from core.dispatch.shutdown import Stop
    from core.domain.model import Announced, AttemptRecord, JobRecord

log = structlog.get_logger(__name__)


class Recovery:
    """Ends the attempts that an earlier run did not end."""

    def __init__(
        self, ports: Ports, settings: DispatchSettings, blocking: Blocking, completion: Completion, stop: Stop
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._blocking = blocking
        self._completion = completion
        self._stop = stop

    async def unfinished(self) -> list[tuple[AttemptRecord, Announced | None]]:
        """Return attempts without a recorded end, with what the event log holds of them.

        Raises:
            QueueUnavailable: the queue cannot be read.
        """
        attempts = await self._blocking.queue(self._ports.queue.open_attempts)
        if not attempts:
            return []
        history = await self._blocking.files(self._ports.history.announced, attempts)
        return [(attempt, history.get(attempt.nonce)) for attempt in attempts]

    async def end(self, attempt: AttemptRecord, announced: Announced | None) -> None:
        """Stop what is left of one attempt and put its job back, at no cost.

        Where its process cannot be judged (another host or PID namespace), the profile's kernel lock decides: while it is
        held the job stays with its holder, and we look again. A stop leaves it to the next start.
        """
        while True:
            processes = await self._ports.reaper.reap(attempt, self._settings.orphan_grace)
            if attempt.process is not None and self._ports.reaper.is_alive(attempt.process) is False:
                break  # whoever holds the profile now, it is not this attempt
            holder = await self._blocking.files(self._ports.locks.holder, attempt.profile_id)
            if holder is None:
                break
            log.warning("profile_still_held", profile_id=attempt.profile_id, holder=str(holder))
            with anyio.move_on_after(self._settings.unsettled_interval):
                await self._stop.drain.wait()
                return
        now = self._ports.clock.now()
        if processes:
            self._ports.events.emit(
                events.OrphanStopped(
                    at=now,
                    profile_id=attempt.profile_id,
                    job=attempt.job_id,
                    attempt=attempt.number,
                    processes=processes,
                )
            )
        job = await self._job(attempt.job_id)
        gone = Exit(returncode=None, stopped_by="orchestrator", stop_reason="its orchestrator went away")
        await self._completion.complete(Claim(job=job, attempt=attempt), gone, committed=False, announced=announced)

    async def _job(self, job_id: str) -> JobRecord:
        """Read it; while the queue cannot be read, wait: an attempt whose end nobody records holds its profile up for good.

        An operator who wants to stop now does not wait; the next start ends the attempt.
        """
        while True:
            try:
                return await self._blocking.queue(self._ports.queue.job, job_id)
            except QueueUnavailable as exc:
                log.error("queue_unavailable", job=job_id, reason=str(exc))
                if self._stop.now.is_set():
                    raise
                with anyio.move_on_after(self._settings.unsettled_interval):
                    await self._stop.now.wait()

    async def sweep(self) -> None:
        """Remove half-made copies, and workspaces that no pending job will take over."""
        try:
            wanted = await self._blocking.queue(self._ports.queue.pending_profiles)
            removed = await self._blocking.files(self._ports.workspaces.sweep, wanted.__contains__)
        except OstlerError as exc:
            log.warning("sweep_incomplete", reason=str(exc))
            return
        if removed:
            log.info("workspaces_swept", removed=len(removed), names=removed[:20])
