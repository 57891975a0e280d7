"""``orchestrator.py --dry-run``: the plan of a run, made on a copy of the queue; nothing is launched, nothing is written."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.cli import dry_run_shown as shown
from core.clock import SystemClock
from core.domain.lifecycle import JobEvent
from core.domain.rehearsal import rehearse
from core.domain.retry import Decision
from core.queue.feed_order import refuse_unknown
from core.queue.open import open_copy
from core.state.orchestrator_lock import OrchestratorLock
from core.state.sessions import FileSessionStore

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from core.domain.failure import Code
    from core.domain.limits import Limit
    from core.domain.rehearsal import Start
    from core.queue.feed import Feed
    from core.queue.port import JobQueue, Reconciled
    from core.settings import Settings

LOOKED_AT = 200
"""Of how many jobs the sessions are read."""


class Ask(NamedTuple):
    """What the run would be asked for: see ``JobQueue.reconcile``."""

    again: bool
    retry_failed: Collection[Code]


def plan_run(chosen: Settings, queue_file: Path | None, feed: Feed | None, ask: Ask) -> shown.DryRun:
    """Return what a run would do.

    Args:
        chosen: the run's settings.
        queue_file: the durable queue, None where there is none yet.
        feed: read and checked; None for a run that goes on with what the queue holds.
        ask: what else was asked for.

    Raises:
        BadInput: jobs of the feed come after jobs that are nowhere, or the queue is none of ours.
    """
    clock = SystemClock()
    now = clock.now()
    holder = OrchestratorLock(chosen.state_dir, clock).holder()
    with tempfile.TemporaryDirectory(prefix="ostler-") as directory, contextlib.ExitStack() as stack:
        queue = open_copy(queue_file, Path(directory) / "queue.db")
        stack.callback(queue.close)
        if feed is not None:
            refuse_unknown(feed, queue.known)
        queue.begin_run(now, feed=None if feed is None else feed.name)
        changes = _begin(queue, feed, ask, now)
        if holder is None:
            _end_leftovers(queue, now)
        queue.recur(now)
        jobs = list(queue.jobs())
        seen = {job.spec.id for job in jobs}
        outside = queue.known({name for job in jobs for name in job.spec.after} - seen)
        others = {name: queue.job(name).state for name in outside}
        states = dict(queue.counts())
    found = rehearse(jobs, others, now=now, width=chosen.batch_size or chosen.slots)
    return shown.DryRun(
        source=None if feed is None else feed.name,
        holder=None if holder is None else str(holder),
        feed=changes,
        limits=_limits(chosen, {} if feed is None else feed.limits),
        states=states,
        in_hand=[job.spec.id for job in found.in_hand],
        starts=_starts(found.starts, chosen),
        later=[shown.ShownLater(id=one.job.spec.id, at=one.at) for one in found.later],
        held=[shown.ShownHeld(id=held.job.spec.id, waits_for=dict(held.waits_for)) for held in found.held],
    )


def _begin(queue: JobQueue, feed: Feed | None, ask: Ask, now: float) -> Reconciled | None:
    if feed is None:
        queue.resume(now, again=ask.again, retry_failed=ask.retry_failed)
        return None
    return queue.reconcile(feed.name, feed.specs, now=now, again=ask.again, retry_failed=ask.retry_failed)


def _end_leftovers(queue: JobQueue, now: float) -> None:
    """End what an earlier run left, as the next one does first: nobody works on it any more."""
    for attempt in queue.open_attempts():
        counters = queue.job(attempt.job_id).counters
        decision = Decision(event=JobEvent.INTERRUPTED, counters=counters)
        queue.finish(attempt.nonce, decision, now=now, seconds=0.0, outcome="interrupted")


def _limits(chosen: Settings, keys: Mapping[str, Limit]) -> shown.ShownLimits:
    return shown.ShownLimits(
        max_concurrent=chosen.slots,
        batch_size=chosen.batch_size,
        batch_delay=chosen.batch_delay,
        launch_interval=chosen.gate_interval,
        max_attempts=chosen.retry.max_attempts,
        progress_timeout=chosen.progress_timeout,
        timeout=chosen.timeout,
        halt=chosen.halt,
        keys={key: _words(limit) for key, limit in keys.items()},
    )


def _words(limit: Limit) -> str:
    rate = [] if limit.rate is None else [str(limit.rate)]
    return ", ".join(rate if limit.concurrency is None else [*rate, f"{limit.concurrency} at a time"])


def _starts(starts: tuple[Start, ...], chosen: Settings) -> list[shown.ShownStart]:
    sessions = FileSessionStore(chosen.state_dir)
    found = []
    for number, start in enumerate(starts):
        spec, flags = start.job.spec, None
        if number < LOOKED_AT:
            session = sessions.peek(spec.profile_id)
            flags = [] if session is None else sorted(name for name, on in session.completion_flags.items() if on)
        found.append(
            shown.ShownStart(
                id=spec.id, profile_id=spec.profile_id, flow=spec.flow, priority=spec.priority,
                batch=None if chosen.batch_size is None else start.round, attempts=start.job.counters.attempts, flags=flags,
            )
        )  # fmt: skip
    return found
