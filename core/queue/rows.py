"""How jobs and attempts are written in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.failure import Code, code_named
from core.domain.model import AttemptRecord, Counters, JobRecord, JobSpec, JobState, ProcessStamp, revision

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from core.queue.reconciling import Statements

JOB_COLUMNS = (
    "seq, id, profile_id, flow, params, priority, not_before, timeout, max_attempts, template, device, proxy, state, "
    "attempts, failures, crash_streak, busy, generation, due_at, reason, steps_done, steps_total, run_seconds, updated_at, "
    "code, codes, after, every"
)
ANEW = (
    "generation = generation + 1, attempts = 0, failures = 0, crash_streak = 0, busy = 0, code = '', codes = '{}', "
    "steps_done = 0, steps_total = 0, run_seconds = 0"
)
"""What a new generation of a job starts with."""
ATTEMPT_COLUMNS = "nonce, job_id, profile_id, number, started_at, fence, process, user_data_dir"


def spec_row(spec: JobSpec) -> tuple[Any, ...]:
    """Return a specification as ``incoming`` has it."""
    return (
        spec.id,
        spec.profile_id,
        spec.flow,
        msgspec.json.encode(spec.params).decode(),
        spec.priority,
        spec.not_before,
        spec.timeout,
        spec.max_attempts,
        spec.template,
        spec.device,
        spec.proxy,
        msgspec.json.encode(spec.after).decode(),
        spec.every,
        revision(spec),
    )


def job_of(row: Sequence[Any]) -> JobRecord:
    """Return the job in a row of ``JOB_COLUMNS``."""
    _, id_, profile_id, flow, params, priority, not_before, timeout, most, template, device, proxy, state, *rest = row
    attempts, failures, crash_streak, busy, generation, due_at, reason, done, total, seconds, updated_at, *late = rest
    code, codes, after, every = late
    spec = JobSpec(
        id=id_,
        profile_id=profile_id,
        flow=flow,
        params=msgspec.json.decode(params),
        priority=priority,
        not_before=not_before,
        timeout=timeout,
        max_attempts=most,
        template=template,
        device=device,
        proxy=proxy,
        after=msgspec.json.decode(after, type=tuple[str, ...]),
        every=every,
    )
    return JobRecord(
        spec=spec,
        state=JobState(state),
        counters=Counters(
            attempts=attempts, failures=failures, crash_streak=crash_streak, busy=busy, codes=counts_of(codes)
        ),
        generation=generation,
        due_at=due_at,
        reason=reason,
        code=code_named(code),
        steps_done=done,
        steps_total=total,
        run_seconds=seconds,
        updated_at=updated_at,
    )


def counts_of(text: str) -> dict[Code, int]:
    """Return how many attempts ended by each code; codes that only another version knows count together."""
    counts: dict[Code, int] = {}
    for name, number in msgspec.json.decode(text, type=dict[str, int]).items():
        code = code_named(name) or Code.UNKNOWN
        counts[code] = counts.get(code, 0) + number
    return counts


def known_ids(connection: Statements, job_ids: Collection[str]) -> set[str]:
    """Return those of the IDs that are a job's."""
    given = msgspec.json.encode(list(job_ids)).decode()
    rows = connection.execute("SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (given,))
    return {row[0] for row in rows}


def attempt_of(row: Sequence[Any]) -> AttemptRecord:
    """Return the attempt in a row of ``ATTEMPT_COLUMNS``."""
    nonce, job_id, profile_id, number, started_at, fence, process, user_data_dir = row
    return AttemptRecord(
        nonce=nonce,
        job_id=job_id,
        profile_id=profile_id,
        number=number,
        started_at=started_at,
        fence=fence,
        process=None if process is None else msgspec.json.decode(process, type=ProcessStamp),
        user_data_dir=user_data_dir,
    )
