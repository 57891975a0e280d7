"""What Ostler needs from a durable queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from core.domain.failure import Code
from core.domain.model import JobRecord, JobState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from core.domain.model import AttemptRecord, Claim, JobSpec, ProcessStamp
    from core.domain.retry import Decision

BY_HAND = "added by hand"
"""The feed of jobs that an operator added: no file of that name is ever read, so nothing cancels them."""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a feed changed, in numbers of jobs.

    Attributes:
        added: new.
        updated: known, not done, and changed.
        unchanged: known, not terminal, and the same.
        done: known and done with the same revision or another: skipped, and said.
        cancelled: pending, and gone from the feed.
        resumed: parked before, queued again.
        failed: known and failed or quarantined before: left alone unless asked for again.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    done: int = 0
    cancelled: int = 0
    resumed: int = 0
    failed: int = 0


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What could start: jobs that are due and whose profile no other claimed job uses.

    Attributes:
        ready: claimable now, counted up to ``limit`` of the call.
        later: queued or waiting, but not claimable now (not due, or their profile is busy in this run); those that wait for
            other jobs to be done are not counted: what they wait for is, or they do not run.
        next_due: epoch seconds of the earliest that only waits for time; None if there is none.
    """

    ready: int
    later: int
    next_due: float | None


class Recurred(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that run again and again: those that were queued again, and when (epoch seconds) the next of the others is due."""

    jobs: tuple[JobRecord, ...] = ()
    next_due: float | None = None


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to come, beside what could start.

    Attributes:
        held: how many jobs wait for others that are not done.
        again_at: epoch seconds at which the next of those that run again and again is due, and may have been; None for none.
    """

    held: int = 0
    again_at: float | None = None


class JobQueue(Protocol):
    """The durable queue and run registry.

    Calls are synchronous and may wait for the disk: engines call them in a thread, one at a time. Laws:

    - What a call has returned survives kill -9 and a power cut.
    - A claim is exclusive across processes; two jobs of one profile are never claimed at once.
    - A job is not claimed while one that it comes ``after`` is known and not done.
    - A job with ``every`` that is done or failed has its next time as ``due_at``; ``recur`` alone queues it again.
    - ``begin_run`` gives a higher run number than any before; every later write of an older run raises ``Fenced`` and
      changes nothing.
    - Every change of a job's state goes through ``core.domain.lifecycle.advance``; an illegal one raises.
    - ``finish`` is recorded once: a second one for the same attempt raises ``IllegalTransition`` or ``UnknownJob``.
    - ``reconcile`` is one transaction: all of the feed or nothing. A job belongs to the feed that named it last.
    - While the file cannot be written (disk full, I/O error, locked too long) calls raise ``QueueUnavailable`` and change
      nothing; they work again once it can.
    """

    def begin_run(self, now: float, feed: str | None = None) -> int:
        """Become the one orchestrator run that may write; return its number.

        With ``feed``, this run's ``claim``, ``readiness``, ``counts`` and ``jobs`` see only jobs whose latest feed it is;
        without, all. ``open_attempts``, ``pending_profiles`` and what is keyed by ID are never limited.
        """
        ...

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
        """Make the queue follow a feed; ``feed`` names it, so that only its own jobs are cancelled when they go.

        Jobs are compared by ``id`` and ``revision``. Prepared and running jobs are left alone. ``again`` queues terminal
        ones anew as a new generation with fresh counters; ``retry_failed`` does so for failed and quarantined ones with one of
        these codes.
        Parked ones are queued again. What ended (but for cancelled ones) and is gone from the feed no longer belongs to it.
        """
        ...

    def resume(self, now: float, *, again: bool = False, retry_failed: Collection[Code] = ()) -> int:
        """Queue parked jobs again, for a run without a feed; return how many.

        ``again`` and ``retry_failed`` as in ``reconcile``, for jobs that a feed still names; cancelled ones stay cancelled.
        """
        ...

    def readiness(self, now: float, limit: int) -> Readiness:
        """Say what could start."""
        ...

    def recur(self, now: float) -> Recurred:
        """Queue again, as a new generation, each job that ended and whose next time has come: once, however many were missed.

        A time that a clock which was put back has moved out of reach is brought near again.
        """
        ...

    def outlook(self) -> Outlook:
        """Say what is left to come."""
        ...

    def claim(self, now: float, nonce: str) -> Claim | None:
        """Take the next job (priority, then the order they came in), record its attempt under ``nonce``, and return both.

        The registry row is durable when this returns. None: nothing is ready.
        """
        ...

    def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
        """Note which process the attempt is, as soon as it is spawned."""
        ...

    def record_go(self, nonce: str, *, fence: int, user_data_dir: str | None, now: float) -> None:
        """Note the fence and the browser's directory, and count the attempt: the worker may prepare."""
        ...

    def record_launch(self, nonce: str, *, now: float) -> None:
        """Note that the attempt may start its browser: the job is running."""
        ...

    def record_waiting(self, nonce: str, *, why: str) -> None:
        """Note, as the job's reason, what a person has to do before its attempt goes on; empty once it does."""
        ...

    def record_steps(self, nonce: str, *, done: int, total: int) -> None:
        """Note how far the job has come. May be lost in a crash: the session is the truth."""
        ...

    def finish(self, nonce: str, decision: Decision, *, now: float, seconds: float, outcome: str) -> JobRecord:
        """Record the attempt's end and the job's new state in one transaction; return the job."""
        ...

    def open_attempts(self) -> list[AttemptRecord]:
        """Return attempts with no recorded end, of any run: at the start, what an earlier one left."""
        ...

    def job(self, job_id: str) -> JobRecord:
        """Return one job.

        Raises:
            UnknownJob: there is none.
        """
        ...

    def known(self, job_ids: Collection[str]) -> set[str]:
        """Return those of these IDs that are a job's, of any feed."""
        ...

    def jobs(self, states: Iterable[JobState] = ()) -> Iterator[JobRecord]:
        """Iterate over jobs in queue order, of these states or all, without holding them all in memory."""
        ...

    def counts(self) -> Mapping[JobState, int]:
        """Return how many jobs are in each state; states without jobs may be absent."""
        ...

    def codes(self) -> Mapping[str, int]:
        """Return how many jobs have each code, the most frequent first: those whose latest attempt did not end well."""
        ...

    def usual_seconds(self, most: int) -> Mapping[str, Sequence[float]]:
        """Return what attempts took that ended well, by flow: the latest of each, at most ``most``, oldest first."""
        ...

    def pending_profiles(self) -> set[str]:
        """Return profiles with a job that is not terminal."""
        ...

    def changes_of_others(self) -> int:
        """Return a number that is another one after somebody else, as an operator, has changed the queue. Cheap."""
        ...

    def next_fence(self, profile_id: str) -> int:
        """Return a number higher than any fence recorded for this profile."""
        ...

    def close(self) -> None:
        """Release the file; the object is not used again."""
        ...


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are meant: those that fit all of what is said.

    Attributes:
        states: one of these; empty for any.
        flow: path of the flow, or the name of its file.
        profile: pattern of the profile's ID, with ``*``, ``?`` and ``[…]``.
        reason: text that the reason contains, whatever the case of its letters.
        codes: one of these; None for any, and for none.
    """

    states: frozenset[JobState] = frozenset()
    flow: str | None = None
    profile: str | None = None
    reason: str | None = None
    codes: frozenset[Code] | None = None


class KeptJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job, the feed that named it last (empty: none any more), when it came in, and which jobs it waits for, as they stand."""

    job: JobRecord
    feed: str
    added_at: float
    waits_for: tuple[tuple[str, JobState], ...] = ()


class PastAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as the registry keeps it for people.

    Attributes:
        number: of the attempt within the job's generation.
        run: the orchestrator's number.
        started_at: when it was claimed, epoch seconds.
        ended_at: when its end was recorded; None while it goes on.
        seconds: how long it took.
        outcome: how it ended.
        fence: the profile's number for it; None if it never got so far.
        generation: of the job; None where an earlier version did not note it.
        code: what went wrong; None if nothing, or not noted.
        reason: why, redacted.
    """

    number: int
    run: int
    started_at: float
    ended_at: float | None = None
    seconds: float | None = None
    outcome: str | None = None
    fence: int | None = None
    generation: int | None = None
    code: Code | None = None
    reason: str = ""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What adding jobs did: how many are new in line, and which were known (ID and state) and left as they are."""

    added: int
    known: tuple[tuple[str, JobState], ...] = ()


class QueueDesk(Protocol):
    """The durable queue as an operator uses it, while a run may be under way. Laws:

    - It is no run and begins none: the run that is under way is not fenced, and finds what was changed.
    - A claimed job, its attempts and its profile's turn are never changed: they are the run's.
    - Each call is one transaction: all of it, or nothing.
    - Every change of a job's state goes through ``core.domain.lifecycle.advance``.
    - While the file cannot be written calls raise ``QueueUnavailable`` and change nothing.
    """

    def add(self, specs: Iterable[JobSpec], *, now: float) -> Added:
        """Add jobs under the feed ``BY_HAND``; cancelled ones are queued again, other known ones left as they are.

        Raises:
            BadInput: two of them have the same ID.
        """
        ...

    def select(self, selection: Selection, limit: int | None = None) -> Iterator[KeptJob]:
        """Iterate over jobs in queue order, at most ``limit`` of them."""
        ...

    def count(self, selection: Selection) -> int:
        """Return how many jobs are meant."""
        ...

    def find(self, job_id: str) -> KeptJob:
        """Return one job.

        Raises:
            UnknownJob: there is none.
        """
        ...

    def attempts(self, job_id: str) -> list[PastAttempt]:
        """Return all attempts of a job, of all its generations, oldest first."""
        ...

    def known(self, job_ids: Collection[str]) -> set[str]:
        """Return those of these IDs that are a job's."""
        ...

    def again(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """Queue jobs that ended as a new generation, and parked ones to go on; return their IDs.

        Of a selection those for which it is not legal are left out. What no feed names any more is ``BY_HAND`` then.

        Raises:
            JobsRefused: for some of these IDs it is not legal, or there is no such job.
        """
        ...

    def cancel(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """Cancel jobs that are queued, waiting or parked; return their IDs. One that ended and has a next time just has none.

        Of a selection those for which it is not legal are left out.

        Raises:
            JobsRefused: for some of these IDs it is not legal, or there is no such job.
        """
        ...

    def close(self) -> None:
        """Release the file; the object is not used again."""
        ...
