"""What Ostler needs from a durable queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from core.domain.model import AttemptRecord, Claim, JobRecord, JobSpec, JobState, ProcessStamp
    from core.domain.retry import Decision


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
        later: queued or waiting, but not claimable now (not due, or their profile is busy in this run).
        next_due: epoch seconds of the earliest that only waits for time; None if there is none.
    """

    ready: int
    later: int
    next_due: float | None


class JobQueue(Protocol):
    """The durable queue and run registry.

    Calls are synchronous and may wait for the disk: engines call them in a thread, one at a time. Laws:

    - What a call has returned survives kill -9 and a power cut.
    - A claim is exclusive across processes; two jobs of one profile are never claimed at once.
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
        retry_failed: bool = False,
        cancel_missing: bool = True,
    ) -> Reconciled:
        """Make the queue follow a feed; ``feed`` names it, so that only its own jobs are cancelled when they go.

        Jobs are compared by ``id`` and ``revision``. Prepared and running jobs are left alone. ``again`` queues terminal
        ones anew as a new generation with fresh counters; ``retry_failed`` does so for failed and quarantined ones.
        Parked ones are queued again. What ended (but for cancelled ones) and is gone from the feed no longer belongs to it.
        """
        ...

    def resume(self, now: float, *, again: bool = False, retry_failed: bool = False) -> int:
        """Queue parked jobs again, for a run without a feed; return how many.

        ``again`` and ``retry_failed`` as in ``reconcile``, for jobs that a feed still names; cancelled ones stay cancelled.
        """
        ...

    def readiness(self, now: float, limit: int) -> Readiness:
        """Say what could start."""
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
        """Note the fence and the browser's directory: the job is running."""
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

    def jobs(self, states: Iterable[JobState] = ()) -> Iterator[JobRecord]:
        """Iterate over jobs in queue order, of these states or all, without holding them all in memory."""
        ...

    def counts(self) -> Mapping[JobState, int]:
        """Return how many jobs are in each state; states without jobs may be absent."""
        ...

    def pending_profiles(self) -> set[str]:
        """Return profiles with a job that is not terminal."""
        ...

    def next_fence(self, profile_id: str) -> int:
        """Return a number higher than any fence recorded for this profile."""
        ...

    def close(self) -> None:
        """Release the file; the object is not used again."""
        ...
