"""The one end of every attempt, however it came: classify, decide, persist, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import structlog

from core.domain import events
from core.domain.lifecycle import SESSION_STATUS
from core.domain.model import TERMINAL, JobState
from core.domain.outcome import Done, classify
from core.domain.retry import decide
from core.errors import OstlerError, ProfileHeld, QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.dispatch.off_loop import Blocking
    from core.dispatch.ports import DispatchSettings, Ports
    from core.dispatch.shutdown import Stop
    from core.domain.model import Announced, Claim, JobRecord
    from core.domain.outcome import Exit, Outcome
    from core.domain.retry import Decision

log = structlog.get_logger(__name__)
_FAILED = frozenset({JobState.FAILED, JobState.QUARANTINED})


class Completion:
    """Ends attempts. Nothing of an attempt's tree lives any more when it is called."""

    def __init__(self, ports: Ports, settings: DispatchSettings, blocking: Blocking, stop: Stop) -> None:
        self._ports = ports
        self._settings = settings
        self._blocking = blocking
        self._stop = stop

    async def complete(
        self, claim: Claim, exit_: Exit, *, committed: bool, announced: Announced | None, idle: float = 0.0
    ) -> tuple[JobRecord, float]:
        """Record how the attempt ended, exactly once; return the job as it now stands, and the seconds the attempt took.

        Args:
            claim: the job and its attempt.
            exit_: what was seen.
            committed: whether the attempt announced a commit.
            announced: what it had planned and announced; a step that the session holds beyond that is announced now.
            idle: seconds of it that it waited for others, and that are not its own.

        Raises:
            Fenced: another orchestrator has taken over.
            QueueUnavailable: it could not be recorded and we are to stop now; the next start records it.
        """
        now = self._ports.clock.now()
        outcome = classify(exit_)
        recovered = await self._blocking.files(self._recovered, claim, announced)
        decision = decide(
            self._settings.retry,
            claim.job.counters,
            outcome,
            committed=committed or bool(recovered),
            now=now,
            jitter=self._ports.clock.jitter(),
            max_attempts=claim.job.spec.max_attempts,
        )
        seconds = max(now - claim.attempt.started_at - idle, 0.0)
        kind = str(type(outcome).__struct_config__.tag)
        job = await self._persist(claim, decision, now=now, seconds=seconds, outcome=kind)
        kept = await self._blocking.files(self._settle, job, decision.reclone)
        if kept is not None:
            self._tell_kept(claim, outcome, kept, now=now)
        self._tell(claim, job, outcome, recovered, now=now, seconds=seconds, kind=kind)
        return job, seconds

    async def _persist(
        self, claim: Claim, decision: Decision, *, now: float, seconds: float, outcome: str
    ) -> JobRecord:
        """Write it down; while the disk cannot take it, wait: nothing else may happen to this job meanwhile.

        An operator who wants to stop now does not wait for the disk.
        """
        while True:
            try:
                return await self._blocking.queue(
                    self._ports.queue.finish,
                    claim.attempt.nonce,
                    decision,
                    now=now,
                    seconds=seconds,
                    outcome=outcome,
                )
            except QueueUnavailable as exc:
                log.error("outcome_not_recorded_yet", job=claim.job.spec.id, reason=str(exc))
                if self._stop.now.is_set():
                    raise
                with anyio.move_on_after(self._settings.unsettled_interval):
                    await self._stop.now.wait()

    def _recovered(self, claim: Claim, announced: Announced | None) -> Sequence[str]:
        """Return planned steps that the session holds and that nobody heard of."""
        if announced is None:
            return ()
        try:
            stored = self._ports.sessions.read(claim.job.spec.profile_id)
        except OstlerError as exc:
            # a damaged session is its own profile's trouble; the attempt's end is recorded all the same
            log.warning("session_not_read", profile_id=claim.job.spec.profile_id, reason=str(exc))
            return ()
        flags = {} if stored is None else stored.value.completion_flags
        late = (step for step in announced.flags if step not in announced.committed)
        return tuple(step for step in late if flags.get(announced.flags[step], False))

    def _settle(self, job: JobRecord, reclone: bool) -> str | None:  # noqa: FBT001 - called in a thread
        """Bring what belongs to the profile in line with the job, if nobody holds it by now.

        Where the next attempt is to start from what was saved last, this one's own copy goes. That of a job that failed for good
        is put aside instead, if that is wanted; returns where it is.
        """
        profile_id = job.spec.profile_id
        kept: str | None = None
        try:
            with self._ports.locks.hold(profile_id, "orchestrator"):
                stored = self._ports.sessions.read(profile_id)
                status = SESSION_STATUS[job.state]
                if stored is not None and stored.value.status != status:
                    repaired = msgspec.structs.replace(stored.value, status=status)
                    self._ports.sessions.write(repaired, fence=stored.fence)
                if self._settings.keep_failed and job.state in _FAILED:
                    kept = self._ports.workspaces.put_aside(profile_id)
                if reclone or job.state in TERMINAL:
                    self._ports.workspaces.discard_profile(profile_id)
        except ProfileHeld as exc:
            log.info("profile_not_settled", profile_id=profile_id, holder=exc.holder)
        except OstlerError as exc:
            # the job's end is recorded; the profile is put right by its next run or the sweep at the next start
            log.warning("profile_not_settled", profile_id=profile_id, reason=str(exc))
        return kept

    def _tell_kept(self, claim: Claim, outcome: Outcome, path: str, *, now: float) -> None:
        spec = claim.job.spec
        self._ports.events.emit(
            events.ArtifactsKept(
                at=now,
                profile_id=spec.profile_id,
                job=spec.id,
                attempt=claim.attempt.number,
                step=getattr(outcome, "step", ""),
                why="keep_failed",
                files=(path,),
                sensitive=True,
            )
        )

    def _tell(
        self,
        claim: Claim,
        job: JobRecord,
        outcome: Outcome,
        recovered: Sequence[str],
        *,
        now: float,
        seconds: float,
        kind: str,
    ) -> None:
        spec = claim.job.spec
        of: dict[str, Any] = {"at": now, "profile_id": spec.profile_id, "job": spec.id, "attempt": claim.attempt.number}
        emit = self._ports.events.emit
        for step in recovered:
            emit(events.StepCommitted(step=step, seconds=0.0, recovered=True, **of))
        where: str = getattr(outcome, "step", "")
        code = "" if isinstance(outcome, Done) else str(outcome.code)
        emit(events.AttemptEnded(outcome=kind, reason=job.reason, step=where, seconds=seconds, code=code, **of))
        emit(changed(job, at=now))


def changed(job: JobRecord, *, at: float) -> events.JobChanged:
    """Return the event that says where a job stands."""
    return events.JobChanged(
        at=at,
        profile_id=job.spec.profile_id,
        job=job.spec.id,
        state=job.state,
        reason=job.reason,
        retry_at=job.due_at if job.state is JobState.WAITING else None,
        steps_done=job.steps_done,
        steps_total=job.steps_total,
        attempts=job.counters.attempts,
        code=str(job.code or ""),
    )
