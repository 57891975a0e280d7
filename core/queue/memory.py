"""A queue that forgets: the fake, under the same laws as the durable one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import TERMINAL, AttemptRecord, Claim, JobRecord, JobState
from core.domain.schedule import RECURRING, next_due
from core.errors import BadInput, Fenced, IllegalTransition, Problem, UnknownJob
from core.queue.following import CANCELLABLE, CLAIMED, GONE, PENDING, RELEASED, Action, fate, is_same, renewed
from core.queue.port import Outlook, PastAttempt, Readiness, Reconciled, Recurred

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from core.domain.failure import Code
    from core.domain.model import JobSpec, ProcessStamp
    from core.domain.retry import Decision


class MemoryStore:
    """What several ``MemoryQueue`` share, as several connections share a file."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRecord] = {}
        self.feeds: dict[str, str] = {}
        self.attempts: dict[str, AttemptRecord] = {}
        self.ended: set[str] = set()
        self.run = 0
        self.added_at: dict[str, float] = {}
        self.past: dict[str, PastAttempt] = {}
        self.changed_by_hand = 0
        self.anchors: dict[str, float] = {}

    def waits_for(self, job: JobRecord) -> list[tuple[str, JobState]]:
        """Return the jobs that a pending one comes after and that are not done, with their states."""
        parents = [self.jobs[job_id] for job_id in job.spec.after if job_id in self.jobs]
        return [(one.spec.id, one.state) for one in parents if one.state is not JobState.DONE]

    def recurs(self, job: JobRecord) -> bool:
        """Whether the job has ended and its next time comes."""
        return job.state in RECURRING and job.spec.every is not None and bool(self.feeds[job.spec.id])

    def next_due(self, job: JobRecord, now: float) -> float | None:
        """Return the next time of a job that is run again and again."""
        return None if job.spec.every is None else next_due(self.anchors.get(job.spec.id, now), job.spec.every, now)


class MemoryQueue:
    """A ``JobQueue`` in memory."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self._store = MemoryStore() if store is None else store
        self._run = 0
        self._scope: str | None = None

    def begin_run(self, now: float, feed: str | None = None) -> int:  # noqa: ARG002 - nobody reads when
        """See ``JobQueue``."""
        self._store.run += 1
        self._run, self._scope = self._store.run, feed
        return self._run

    def reconcile(
        self,
        feed: str,
        specs: Iterable[JobSpec],
        *,
        now: float,
        again: bool = False,
        retry_failed: Collection[Code] = (),
        cancel_missing: bool = True,
    ) -> Reconciled:
        """See ``JobQueue``.

        Raises:
            BadInput: two jobs of the feed have the same ID.
        """
        incoming: dict[str, JobSpec] = {}
        for spec in specs:
            if spec.id in incoming:
                problem = Problem(
                    place=feed, field="id", expected="an ID that no other job has", found="one given twice"
                )
                raise BadInput([problem])
            incoming[spec.id] = spec
        self._check_run()
        counted = dict.fromkeys(Reconciled.__struct_fields__, 0)
        for spec in incoming.values():
            known = self._store.jobs.get(spec.id)
            self._store.feeds[spec.id] = feed
            if known is None:
                counted["added"] += 1
                self._store.jobs[spec.id] = JobRecord(spec=spec, due_at=spec.not_before, updated_at=now)
                self._store.added_at[spec.id] = now
                continue
            decided = fate(
                known.state, same=is_same(known.spec, spec), again=again, retry=known.code in retry_failed,
                recurs=known.spec.every is not None or spec.every is not None,
            )  # fmt: skip
            counted[decided.counted] += 1
            if decided.action is not Action.KEEP:
                moved = msgspec.structs.replace(known, spec=spec, state=decided.state, updated_at=now)
                if moved.state in RECURRING:
                    due_at = known.due_at if known.spec.every == spec.every else self._store.next_due(moved, now)
                    self._store.jobs[spec.id] = msgspec.structs.replace(moved, due_at=due_at)
                else:
                    self._store.jobs[spec.id] = _as_decided(moved, decided.action)
        if cancel_missing:
            gone = [
                job for job_id, job in self._store.jobs.items()
                if job_id not in incoming and self._store.feeds[job_id] == feed
            ]  # fmt: skip
            counted["cancelled"] = self._let_go(gone, now)
        return msgspec.convert(counted, Reconciled)

    def _let_go(self, gone: Iterable[JobRecord], now: float) -> int:
        """Cancel what is pending, and make what ended nobody's; return how many were cancelled."""
        cancelled = 0
        for job in gone:
            if job.state in CANCELLABLE:
                cancelled += 1
                state = advance(JOB, job.state, JobEvent.CANCELLED)
                self._put(job, state=state, reason=GONE, code=None, due_at=None, updated_at=now)
            elif job.state in RELEASED:
                self._store.feeds[job.spec.id] = ""
        return cancelled

    def resume(self, now: float, *, again: bool = False, retry_failed: Collection[Code] = ()) -> int:
        """See ``JobQueue``."""
        self._check_run()
        states = renewed(again=again, retry_failed=bool(retry_failed))
        ended = [job for job in self.jobs(states) if self._store.feeds[job.spec.id]] if states else []
        anew = [job for job in ended if again or job.code in retry_failed]
        parked = list(self.jobs([JobState.PARKED]))
        for action, jobs in ((Action.REQUEUE, parked), (Action.RENEW, anew)):
            for job in jobs:
                moved = msgspec.structs.replace(job, state=advance(JOB, job.state, JobEvent.AGAIN), updated_at=now)
                self._store.jobs[job.spec.id] = _as_decided(moved, action)
        return len(parked) + len(anew)

    def readiness(self, now: float, limit: int) -> Readiness:
        """See ``JobQueue``."""
        pending = [job for job in self.jobs(PENDING) if not self._store.waits_for(job)]
        ready = len(self._line(now))
        asleep = [job.due_at for job in pending if job.due_at is not None and job.due_at > now]
        return Readiness(ready=min(ready, limit), later=len(pending) - ready, next_due=min(asleep, default=None))

    def recur(self, now: float) -> Recurred:
        """See ``JobQueue``."""
        self._check_run()
        begun = []
        for job in [job for job in self.jobs(RECURRING) if self._store.recurs(job)]:
            due_at, every = job.due_at or now, job.spec.every or 0.0
            if due_at - every > now + 1:
                self._put(job, due_at=self._store.next_due(job, now))
            elif due_at <= now:
                self._store.anchors[job.spec.id] = due_at
                state = advance(JOB, job.state, JobEvent.AGAIN)
                again = JobRecord(spec=job.spec, state=state, generation=job.generation + 1, updated_at=now)
                self._store.jobs[job.spec.id] = again
                begun.append((due_at, again))
        ordered = sorted(begun, key=lambda one: one[0])
        return Recurred(jobs=tuple(job for _, job in ordered), next_due=self.outlook().again_at)

    def outlook(self) -> Outlook:
        """See ``JobQueue``."""
        times = [job.due_at for job in self.jobs(RECURRING) if self._store.recurs(job) and job.due_at is not None]
        return Outlook(
            held=sum(map(bool, map(self._store.waits_for, self.jobs(PENDING)))), again_at=min(times, default=None)
        )

    def claim(self, now: float, nonce: str) -> Claim | None:
        """See ``JobQueue``."""
        self._check_run()
        line = self._line(now)
        if not line:
            return None
        job = min(line, key=lambda job: -job.spec.priority)  # the first of equals
        state = advance(JOB, job.state, JobEvent.DUE) if job.state is JobState.WAITING else job.state
        job = self._put(
            job, state=advance(JOB, state, JobEvent.CLAIMED), due_at=None, reason="", code=None, updated_at=now
        )
        self._store.anchors.setdefault(job.spec.id, now)
        attempt = AttemptRecord(
            nonce=nonce,
            job_id=job.spec.id,
            profile_id=job.spec.profile_id,
            number=job.counters.attempts + 1,
            started_at=now,
        )
        self._store.attempts[nonce] = attempt
        self._store.past[nonce] = PastAttempt(
            number=attempt.number, run=self._run, started_at=now, generation=job.generation
        )
        return Claim(job=job, attempt=attempt)

    def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
        """See ``JobQueue``."""
        self._check_run()
        attempt = self._open_attempt(nonce, "spawned")
        self._store.attempts[nonce] = msgspec.structs.replace(attempt, process=stamp)

    def record_go(self, nonce: str, *, fence: int, user_data_dir: str | None, now: float) -> None:
        """See ``JobQueue``."""
        self._check_run()
        attempt = self._open_attempt(nonce, "told to go")
        if attempt.fence is not None:
            raise IllegalTransition("attempt", "told to go", "told to go")
        job = self.job(attempt.job_id)
        counters = msgspec.structs.replace(job.counters, attempts=job.counters.attempts + 1)
        self._store.attempts[nonce] = msgspec.structs.replace(attempt, fence=fence, user_data_dir=user_data_dir)
        self._store.past[nonce] = msgspec.structs.replace(self._store.past[nonce], fence=fence)
        self._put(job, counters=counters, updated_at=now)

    def record_launch(self, nonce: str, *, now: float) -> None:
        """See ``JobQueue``."""
        self._check_run()
        job = self.job(self._open_attempt(nonce, JobEvent.STARTED).job_id)
        self._put(job, state=advance(JOB, job.state, JobEvent.STARTED), updated_at=now)

    def record_waiting(self, nonce: str, *, why: str) -> None:
        """See ``JobQueue``."""
        self._check_run()
        self._put(self.job(self._open_attempt(nonce, "parked").job_id), reason=why)

    def record_steps(self, nonce: str, *, done: int, total: int) -> None:
        """See ``JobQueue``."""
        self._check_run()
        if nonce in self._store.attempts and nonce not in self._store.ended:
            self._put(self.job(self._store.attempts[nonce].job_id), steps_done=done, steps_total=total)

    def finish(self, nonce: str, decision: Decision, *, now: float, seconds: float, outcome: str) -> JobRecord:
        """See ``JobQueue``."""
        self._check_run()
        job = self.job(self._open_attempt(nonce, decision.event).job_id)
        state = advance(JOB, job.state, decision.event)
        waits = [at for at in (decision.retry_at, job.spec.not_before) if at is not None]
        self._store.ended.add(nonce)
        self._store.past[nonce] = msgspec.structs.replace(
            self._store.past[nonce], ended_at=now, seconds=seconds, outcome=outcome, code=decision.code,
            reason=decision.reason,
        )  # fmt: skip
        due_at = max(waits, default=None) if state in PENDING else None
        if state in RECURRING:
            due_at = self._store.next_due(job, now)
        return self._put(
            job,
            state=state,
            due_at=due_at,
            reason=decision.reason,
            code=decision.code,
            # `attempts` was counted at the start, which the decision may not have seen
            counters=msgspec.structs.replace(
                decision.counters, attempts=max(job.counters.attempts, decision.counters.attempts)
            ),
            run_seconds=job.run_seconds + seconds,
            updated_at=now,
        )

    def open_attempts(self) -> list[AttemptRecord]:
        """See ``JobQueue``."""
        return [attempt for nonce, attempt in self._store.attempts.items() if nonce not in self._store.ended]

    def job(self, job_id: str) -> JobRecord:
        """See ``JobQueue``."""
        try:
            return self._store.jobs[job_id]
        except KeyError:
            raise UnknownJob(job_id) from None

    def known(self, job_ids: Collection[str]) -> set[str]:
        """See ``JobQueue``."""
        return self._store.jobs.keys() & set(job_ids)

    def jobs(self, states: Iterable[JobState] = ()) -> Iterator[JobRecord]:
        """See ``JobQueue``."""
        wanted = frozenset(states) or frozenset(JobState)
        for job_id in list(self._store.jobs):
            job = self._store.jobs[job_id]
            if job.state in wanted and (self._scope is None or self._store.feeds[job_id] == self._scope):
                yield job

    def counts(self) -> Mapping[JobState, int]:
        """See ``JobQueue``."""
        counts: dict[JobState, int] = {}
        for job in self.jobs():
            counts[job.state] = counts.get(job.state, 0) + 1
        return counts

    def codes(self) -> Mapping[str, int]:
        """See ``JobQueue``."""
        counts = Counter(str(job.code) for job in self.jobs() if job.code is not None)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def usual_seconds(self, most: int) -> Mapping[str, Sequence[float]]:
        """See ``JobQueue``."""
        found: dict[str, list[float]] = {}
        well = [(one.ended_at, nonce, one.seconds) for nonce, one in self._store.past.items() if one.outcome == "done"]
        for _, nonce, seconds in sorted(well, key=lambda one: one[0] or 0.0):
            flow = self.job(self._store.attempts[nonce].job_id).spec.flow
            found.setdefault(flow, []).append(seconds or 0.0)
        return {flow: seconds[-most:] for flow, seconds in found.items()}

    def pending_profiles(self) -> set[str]:
        """See ``JobQueue``."""
        return {job.spec.profile_id for job in self._store.jobs.values() if job.state not in TERMINAL}

    def changes_of_others(self) -> int:
        """See ``JobQueue``."""
        return self._store.changed_by_hand

    def next_fence(self, profile_id: str) -> int:
        """See ``JobQueue``."""
        fences = [attempt.fence or 0 for attempt in self._store.attempts.values() if attempt.profile_id == profile_id]
        return max(fences, default=0) + 1

    def close(self) -> None:
        """See ``JobQueue``."""

    def _check_run(self) -> None:
        if self._store.run != self._run:
            raise Fenced("the queue", ours=self._run, newer=self._store.run)

    def _line(self, now: float) -> list[JobRecord]:
        """Return the next job of each profile that is not in use, in the order they came in."""
        busy = {job.spec.profile_id for job in self._store.jobs.values() if job.state in CLAIMED}
        line: dict[str, JobRecord] = {}
        for job in self.jobs(PENDING):
            profile_id = job.spec.profile_id
            due = job.due_at is None or job.due_at <= now
            if due and profile_id not in busy and not self._store.waits_for(job):
                first = line.setdefault(profile_id, job)
                if job.spec.priority > first.spec.priority:
                    line[profile_id] = job
        order = {job_id: index for index, job_id in enumerate(self._store.jobs)}
        return sorted(line.values(), key=lambda job: order[job.spec.id])

    def _open_attempt(self, nonce: str, event: str) -> AttemptRecord:
        if nonce not in self._store.attempts:
            raise UnknownJob(nonce)
        if nonce in self._store.ended:
            raise IllegalTransition("attempt", "ended", event)
        return self._store.attempts[nonce]

    def _put(self, job: JobRecord, **changes: object) -> JobRecord:
        changed = msgspec.structs.replace(job, **changes)
        self._store.jobs[job.spec.id] = changed
        return changed


def _as_decided(job: JobRecord, action: Action) -> JobRecord:
    """Return the job, which has its new specification and state, with what else the action changes."""
    not_before = job.spec.not_before
    if action is Action.UPDATE:
        if job.state is JobState.WAITING and job.due_at is not None:
            not_before = job.due_at if not_before is None else max(job.due_at, not_before)
        return msgspec.structs.replace(job, due_at=not_before)
    if action is Action.REQUEUE:
        return msgspec.structs.replace(job, due_at=not_before, reason="", code=None)
    return JobRecord(
        spec=job.spec, state=job.state, generation=job.generation + 1, due_at=not_before, updated_at=job.updated_at
    )
