"""What ``ostler queue`` prints: records for ``--json``, whose schemas are in docs/schemas, and tables for people."""

from __future__ import annotations

from typing import Any

import msgspec

from core.cli.printing import columns
from core.cli.stores import masked
from core.console.wording import moment, one_line
from core.domain.failure import Code
from core.domain.model import JobState
from core.domain.schedule import RECURRING, waits_text
from core.queue.port import KeptJob, PastAttempt
from core.redaction import Redactor, mask_url, proxy_password

_WIDTH = 80


class ShownJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job, without secrets. Times are epoch seconds, durations seconds.

    Attributes:
        state: where it stands.
        feed: the feed that named it last; empty if none does any more.
        due_at: not before this, where it is queued or waiting; when it is run again, where it ended and has `every`.
        reason: why it is where it is, if there is more to say.
        after: jobs that must be done before it starts.
        every: seconds from one start to the next.
        waits_for: those of ``after`` that are not done, with their states, where it is queued or waiting.
        code: what went wrong, as in docs/failures.md; null if nothing.
        codes: how many attempts ended by each code.
        generation: raised by one whenever it is asked for again after its end.
        attempts: executions of this generation.
        failures: those that count against ``max_attempts``.
        crash_streak: consecutive crashes with nothing committed between.
    """

    id: str
    profile_id: str
    state: JobState
    flow: str
    params: dict[str, Any]
    priority: int
    not_before: float | None
    timeout: float | None
    max_attempts: int | None
    template: str | None
    device: str | None
    proxy: str | None
    after: tuple[str, ...]
    every: float | None
    waits_for: dict[str, JobState]
    feed: str
    due_at: float | None
    reason: str
    code: Code | None
    codes: dict[Code, int]
    generation: int
    attempts: int
    failures: int
    crash_streak: int
    steps_done: int
    steps_total: int
    run_seconds: float
    added_at: float
    updated_at: float


class ShownJobs(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler queue list --json``: the jobs shown, and how many there are of this selection."""

    jobs: list[ShownJob]
    total: int


class ShownHistory(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler queue show --json``: a job and all of its attempts, oldest first."""

    job: ShownJob
    history: list[PastAttempt]


class KnownJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was there already."""

    id: str
    state: JobState


class ShownAdded(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler queue add --json``: how many were added, and which were known and left as they are."""

    added: int
    known: list[KnownJob]


class ShownChange(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler queue retry --json`` and ``cancel --json``: the jobs that were changed."""

    changed: list[str]


def without_secrets(kept: KeptJob) -> ShownJob:
    """Return a job for showing: the proxy's password is masked wherever it stands."""
    job, spec, redactor = kept.job, kept.job.spec, _redactor(kept)
    plain = msgspec.structs.asdict(spec) | {
        "proxy": None if spec.proxy is None else mask_url(spec.proxy),
        "params": masked("params", spec.params, redactor),
    }
    return ShownJob(
        **plain,
        state=job.state,
        feed=kept.feed,
        due_at=job.due_at,
        waits_for=dict(kept.waits_for),
        reason=redactor.text(job.reason),
        code=job.code,
        codes=job.counters.codes,
        generation=job.generation,
        attempts=job.counters.attempts,
        failures=job.counters.failures,
        crash_streak=job.counters.crash_streak,
        steps_done=job.steps_done,
        steps_total=job.steps_total,
        run_seconds=job.run_seconds,
        added_at=kept.added_at,
        updated_at=job.updated_at,
    )


def with_history(kept: KeptJob, attempts: list[PastAttempt]) -> ShownHistory:
    """Return a job and its attempts for showing, without secrets."""
    redactor = _redactor(kept)
    history = [msgspec.structs.replace(one, reason=redactor.text(one.reason)) for one in attempts]
    return ShownHistory(job=without_secrets(kept), history=history)


def _redactor(kept: KeptJob) -> Redactor:
    proxy = kept.job.spec.proxy
    password = proxy_password(proxy) if proxy is not None else None
    return Redactor([password] if password else [])


def jobs_table(jobs: list[ShownJob], total: int) -> list[str]:
    """Return the lines of ``ostler queue list``."""
    if not jobs:
        return ["no jobs" if not total else f"none of {total} shown"]
    head = ("JOB", "PROFILE", "STATE", "TRY", "STEPS", "FLOW", "CODE", "REASON")
    rows = [
        (
            job.id,
            job.profile_id,
            str(job.state),
            str(job.attempts),
            f"{job.steps_done}/{job.steps_total}" if job.steps_total else "-",
            job.flow.rpartition("/")[2],
            str(job.code or "-"),
            _shortened(waits_text(job.waits_for.items()) or job.reason or _again(job)),
        )
        for job in jobs
    ]
    lines = columns([head, *rows])
    if total > len(jobs):
        lines.append(f"… and {total - len(jobs)} more: --limit 0 shows all")
    return lines


def history_table(shown: ShownHistory) -> list[str]:
    """Return the lines of ``ostler queue show``."""
    lines = []
    for name in ShownJob.__struct_fields__:
        value = getattr(shown.job, name)
        if name.endswith("_at") or name == "not_before":
            value = moment(value)
        elif isinstance(value, tuple):
            value = ", ".join(value)
        elif isinstance(value, float):
            value = f"{round(value, 1):.12g} s"
        elif name == "waits_for":
            value = waits_text(value.items()).removeprefix("waits for ")
        elif isinstance(value, dict):
            value = msgspec.json.encode(value).decode()
        lines.append(f"{name:<14}{'-' if value is None or value == '' else one_line(str(value))}")
    if not shown.history:
        return [*lines, "attempts      none yet"]
    head = ("TRY", "RUN", "STARTED", "ENDED", "SECONDS", "OUTCOME", "CODE")
    rows = [
        (
            str(one.number),
            str(one.run),
            moment(one.started_at),
            moment(one.ended_at),
            "-" if one.seconds is None else f"{one.seconds:.1f}",
            one.outcome or "-",
            str(one.code or "-"),
        )
        for one in shown.history
    ]
    return [*lines, "", *columns([head, *rows])]


def _again(job: ShownJob) -> str:
    """Say when a job that ended is run again, if it is."""
    ended = job.state in RECURRING and job.every is not None and job.due_at is not None
    return f"again at {moment(job.due_at)}" if ended else ""


def _shortened(text: str) -> str:
    clean = one_line(text)
    return clean if len(clean) <= _WIDTH else f"{clean[: _WIDTH - 1]}…"
