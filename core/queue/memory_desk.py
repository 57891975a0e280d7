"""The operator's side of the queue that forgets: the fake, under the same laws as the durable one."""

from __future__ import annotations

import fnmatch
import itertools
from typing import TYPE_CHECKING

import msgspec

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import JobRecord, JobState
from core.errors import BadInput, Problem, UnknownJob
from core.queue.following import PENDING
from core.queue.operating import CANCELLED_BY_HAND, feed_after, is_allowed, refuse_others
from core.queue.port import BY_HAND, Added, KeptJob, PastAttempt, Selection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from core.domain.model import JobSpec
    from core.queue.memory import MemoryStore


class MemoryDesk:
    """A ``QueueDesk`` in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def add(self, specs: Iterable[JobSpec], *, now: float) -> Added:
        """See ``QueueDesk``."""
        given = {}
        for spec in specs:
            if spec.id in given:
                expected = "an ID that no other job has"
                raise BadInput([Problem(place=BY_HAND, field="id", expected=expected, found="one given twice")])
            given[spec.id] = spec
        known = []
        for job_id, spec in given.items():
            old = self._store.jobs.get(job_id)
            if old is not None and old.state is not JobState.CANCELLED:
                known.append((job_id, old.state))
                continue
            if old is None:
                job = JobRecord(spec=spec, due_at=spec.not_before, updated_at=now)
                self._store.added_at[job_id] = now
            else:
                state = advance(JOB, old.state, JobEvent.AGAIN)
                job = msgspec.structs.replace(
                    old, spec=spec, state=state, due_at=spec.not_before, reason="", code=None, updated_at=now
                )
            self._store.jobs[job_id] = job
            self._store.feeds[job_id] = BY_HAND
        self._store.changed_by_hand += 1
        return Added(added=len(given) - len(known), known=tuple(known))

    def select(self, selection: Selection, limit: int | None = None) -> Iterator[KeptJob]:
        """See ``QueueDesk``."""
        found = (self.find(job_id) for job_id, job in list(self._store.jobs.items()) if _is_meant(job, selection))
        return itertools.islice(found, limit)

    def count(self, selection: Selection) -> int:
        """See ``QueueDesk``."""
        return sum(_is_meant(job, selection) for job in self._store.jobs.values())

    def find(self, job_id: str) -> KeptJob:
        """See ``QueueDesk``."""
        if job_id not in self._store.jobs:
            raise UnknownJob(job_id)
        job = self._store.jobs[job_id]
        waits_for = sorted(self._store.waits_for(job)) if job.state in PENDING else ()
        return KeptJob(
            job=job, feed=self._store.feeds[job_id], added_at=self._store.added_at[job_id], waits_for=tuple(waits_for)
        )

    def attempts(self, job_id: str) -> list[PastAttempt]:
        """See ``QueueDesk``."""
        of_job = [nonce for nonce, attempt in self._store.attempts.items() if attempt.job_id == job_id]
        return [self._store.past[nonce] for nonce in of_job]

    def known(self, job_ids: Collection[str]) -> set[str]:
        """See ``QueueDesk``."""
        return self._store.jobs.keys() & set(job_ids)

    def again(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """See ``QueueDesk``."""
        jobs = self._chosen(chosen, JobEvent.AGAIN)
        for job in jobs:
            job_id, not_before = job.spec.id, job.spec.not_before
            state = advance(JOB, job.state, JobEvent.AGAIN)
            self._store.feeds[job_id] = feed_after(self._store.feeds[job_id], job.reason)
            self._store.jobs[job_id] = (
                msgspec.structs.replace(job, state=state, due_at=not_before, reason="", code=None, updated_at=now)
                if job.state is JobState.PARKED
                else JobRecord(
                    spec=job.spec, state=state, generation=job.generation + 1, due_at=not_before, updated_at=now
                )
            )
        return self._changed(jobs)

    def cancel(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """See ``QueueDesk``."""
        jobs = self._chosen(chosen, JobEvent.CANCELLED)
        for job in jobs:
            if self._store.recurs(job):
                spec = msgspec.structs.replace(job.spec, every=None)
                self._store.jobs[job.spec.id] = msgspec.structs.replace(job, spec=spec, due_at=None, updated_at=now)
                continue
            state = advance(JOB, job.state, JobEvent.CANCELLED)
            self._store.jobs[job.spec.id] = msgspec.structs.replace(
                job, state=state, reason=CANCELLED_BY_HAND, code=None, due_at=None, updated_at=now
            )
        return self._changed(jobs)

    def close(self) -> None:
        """See ``QueueDesk``."""

    def _chosen(self, chosen: Sequence[str] | Selection, event: JobEvent) -> list[JobRecord]:
        if isinstance(chosen, Selection):
            jobs = [job for job in self._store.jobs.values() if _is_meant(job, chosen)]
            return [job for job in jobs if is_allowed(event, job.state, recurs=self._store.recurs(job))]
        found = {job_id: self._store.jobs.get(job_id) for job_id in chosen}
        refuse_others(
            event,
            [
                (job_id, None if job is None else job.state, job is not None and self._store.recurs(job))
                for job_id, job in found.items()
            ],
        )
        return [job for job in found.values() if job is not None]

    def _changed(self, jobs: Sequence[JobRecord]) -> list[str]:
        self._store.changed_by_hand += 1
        return [job.spec.id for job in jobs]


def _is_meant(job: JobRecord, selection: Selection) -> bool:
    return (
        (not selection.states or job.state in selection.states)
        and (selection.flow is None or f"/{job.spec.flow}".endswith(f"/{selection.flow}"))
        and (selection.profile is None or fnmatch.fnmatchcase(job.spec.profile_id, selection.profile))
        and (selection.reason is None or selection.reason.lower() in job.reason.lower())
        and (selection.codes is None or job.code in selection.codes)
    )
