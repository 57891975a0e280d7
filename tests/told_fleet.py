"""A state directory as a fleet leaves it, made in a moment: jobs that ended in every way, and the events that tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain import events as ev
from core.domain.failure import FAILURES, Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec
from core.domain.retry import Decision
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import Settings

FAILED = (Code.SELECTOR_GONE, Code.SITE_DOWN, Code.STEP_TIMEOUT, Code.LOGIN_LOST, Code.PROXY_REFUSED)
START = 1_790_000_000.0


def ends(number: int) -> tuple[JobEvent, Code | None, str]:
    """Return how the job of this number ends, with what code and why: seven of ten done, the others in all ways there are."""
    if number % 10 < 7:
        return JobEvent.COMPLETED, None, ""
    if number % 10 == 7:
        code = FAILED[number // 10 % len(FAILED)]
        return JobEvent.GIVEN_UP, code, f"checkout.py:41: {FAILURES[code].says.replace('{where}', '')}"
    if number % 20 == 8:
        return JobEvent.QUARANTINED, Code.WORKER_KILLED, "poison: 3 crashes with nothing committed between"
    if number % 20 == 18:
        return JobEvent.PARKED, Code.NEEDS_CODE, "type the code that was sent to the phone"
    return JobEvent.RETRY, Code.RATE_LIMITED, "429 Too Many Requests"


def make_state(settings: Settings, number: int, *, reason: str = "", ended: bool = True) -> Path:
    """Make a queue of so many jobs and its event log; return the queue's path. ``reason`` is that of all that are not done."""
    path = settings.state_dir / "queue.db"
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    queue = SqliteQueue(path)
    run = queue.begin_run(START)
    flow = "/flows/checkout.py"
    specs = [JobSpec(id=f"shop-{n:05}", profile_id=f"shop-{n:05}", flow=flow) for n in range(number)]
    queue.reconcile("q", specs, now=START)
    told: list[ev.Event] = [ev.RunStarted(at=START, run=run, queued=number, max_concurrent=5)]
    for n in range(number):
        at, seconds = START + n, 20.0 + n * 7 % 40
        event, code, why = ends(n)
        why = why and (reason or why)
        claim = queue.claim(at, f"n{n}")
        assert claim is not None
        job = claim.job.spec.id
        of = {"profile_id": job, "job": job, "attempt": 1}
        queue.record_go(f"n{n}", fence=1, user_data_dir=None, now=at)
        queue.record_launch(f"n{n}", now=at)
        done = 4 if code is None else n % 4
        queue.record_steps(f"n{n}", done=done, total=4)
        told += [
            ev.StepCommitted(at=at, step="log in", seconds=seconds / 4, **of),
            ev.StepCommitted(at=at, step="pay", seconds=seconds / 2, **of),
            ev.NetworkUsed(at=at, requests=40, failures=n % 3, received=300_000, sent=20_000, **of),
        ]
        if code is not None and n % 2:
            files = (f"artifacts/{job}/1/page.html",)
            told.append(ev.ArtifactsKept(at=at, step="pay", why="error", files=files, **of))
        retry = at + 3600 if event is JobEvent.RETRY else None
        decision = Decision(event=event, counters=Counters(attempts=1), retry_at=retry, reason=why, code=code)
        outcome = "done" if code is None else "failed"
        queue.finish(f"n{n}", decision, now=at + seconds, seconds=seconds, outcome=outcome)
    if ended:
        told.append(ev.RunEnded(at=START + number + 60, run=run, exit_code=1, counts={}, seconds=number + 60.0))
    queue.close()
    (settings.log_dir / "events.jsonl").write_bytes(b"".join(map(ev.encode, told)))
    return path
