"""What ``orchestrator.py --dry-run`` prints: a record for ``--json``, whose schema is in docs/schemas, and lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.cli.printing import fitted
from core.console.wording import moment, one_line, said
from core.domain.model import JobState
from core.domain.schedule import waits_text
from core.queue.port import Reconciled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 80
SHOWN = 40
"""How many jobs of each kind people see."""


class ShownLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds the run back. Durations are seconds.

    Attributes:
        max_concurrent: browsers at a time; with ``--max-concurrent auto`` at most.
        batch_size: jobs of a batch; null where they start one by one.
        batch_delay: between two batches.
        launch_interval: between two starts of a browser.
        max_attempts: failing attempts that a job may have, if it does not say itself.
        progress_timeout: after which an attempt without progress is stopped.
        timeout: hard limit of one attempt; a percentage is one of the usual time.
        halt: the rule by which the run ends early; null for none.
        keys: what the feed limits by key, as `5/min` and `2 at a time`; empty for a run without one.
    """

    max_concurrent: int
    batch_size: int | None
    batch_delay: float
    launch_interval: float
    max_attempts: int
    progress_timeout: float
    timeout: float | str
    halt: str | None
    keys: dict[str, str]


class ShownStart(msgspec.Struct, frozen=True, kw_only=True):
    """A job that would start.

    Attributes:
        batch: number of its batch; null where there are none.
        attempts: that it had already.
        flags: facts about its profile that steps are not run for; null where nobody looked, of the first 200 jobs somebody did.
    """

    id: str
    profile_id: str
    flow: str
    priority: int
    batch: int | None
    attempts: int
    flags: list[str] | None


class ShownLater(msgspec.Struct, frozen=True, kw_only=True):
    """A job that would not start before a moment, in epoch seconds."""

    id: str
    at: float


class ShownHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A job that would not start, and the jobs that it waits for, as they stand."""

    id: str
    waits_for: dict[str, JobState]


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """``orchestrator.py --dry-run --json``: what the same command would do without it, if every job ended well.

    Attributes:
        source: the feed; null for a run without one.
        holder: who works on the state directory now; null if nobody does.
        feed: what reading the feed would change, in numbers of jobs; null for a run without one.
        states: how many jobs would be in which state before the first one starts.
        in_hand: jobs that the holder runs now.
        starts: in order.
        later: the earliest first.
        held: in queue order.
    """

    source: str | None
    holder: str | None
    feed: Reconciled | None
    limits: ShownLimits
    states: dict[JobState, int]
    in_hand: list[str]
    starts: list[ShownStart]
    later: list[ShownLater]
    held: list[ShownHeld]


def lines_of(plan: DryRun) -> list[str]:
    """Return the lines for people, none longer than 80 characters but for names that are."""
    lines = [f"dry run of {one_line(plan.source)}" if plan.source else "dry run, without a queue file"]
    if plan.holder is not None:
        lines.append(f"held now by {one_line(plan.holder)}: only what it does not have in hand is planned")
    if plan.feed is not None:
        numbers = [(plan.feed.added, "new"), (plan.feed.updated, "changed"), (plan.feed.resumed, "resumed"),
                   (plan.feed.cancelled, "no longer named, cancelled")]  # fmt: skip
        lines.append(_listed(numbers) or "nothing new in it")
    lines += _limits(plan.limits)
    lines += _starts(plan.starts)
    rows = [("JOB", "NOT BEFORE"), *((job.id, moment(job.at)) for job in plan.later[:SHOWN])]
    lines += _table("would start later", len(plan.later), rows)
    rows = [("JOB", "WHY"), *((job.id, waits_text(job.waits_for.items())) for job in plan.held[:SHOWN])]
    lines += _table("would not start", len(plan.held), rows)
    if plan.in_hand:
        lines.append(f"in hand now: {len(plan.in_hand)}")
    ended = {state: plan.states.get(state, 0) for state in JobState if state in _LEFT_ALONE}
    if any(ended.values()):
        lines.append(f"left as they are: {said(ended)}")
    if plan.states.get(JobState.FAILED) or plan.states.get(JobState.QUARANTINED):
        lines.append("--retry-failed would run those again that failed or are quarantined")
    return [*lines, "nothing was launched, nothing was written"]


_LEFT_ALONE = (JobState.DONE, JobState.FAILED, JobState.QUARANTINED, JobState.PARKED, JobState.CANCELLED)


def _limits(limits: ShownLimits) -> list[str]:
    parts = [f"{limits.max_concurrent} at a time"]
    if limits.batch_size is not None:
        parts.append(f"batches of {limits.batch_size}, {limits.batch_delay:g} s between them")
    parts.append(f"{limits.launch_interval:g} s between two starts")
    parts.append(f"{limits.max_attempts} attempts")
    parts.append(f"stopped after {limits.progress_timeout:g} s without progress")
    hard = limits.timeout if isinstance(limits.timeout, str) else f"{limits.timeout:g} s"
    parts.append(f"after {hard}{' of the usual time' if hard is limits.timeout else ''} in any case")
    if limits.halt is not None:
        parts.append(f"halt {limits.halt}")
    parts += [f"{key}: {limit}" for key, limit in limits.keys.items()]
    return _wrapped("limits: ", parts)


def _wrapped(head: str, parts: Iterable[str]) -> list[str]:
    lines = [head]
    for part in parts:
        joint = "" if lines[-1] in {head, " " * len(head)} else ", "
        if joint and len(lines[-1]) + len(joint) + len(part) > WIDTH - 1:
            lines[-1] += ","
            lines.append(" " * len(head))
            joint = ""
        lines[-1] += joint + part
    return lines


def _starts(starts: Sequence[ShownStart]) -> list[str]:
    batched = any(job.batch is not None for job in starts)
    head = (*(("BATCH",) if batched else ()), "JOB", "PROFILE", "FLOW", "PRIORITY", "TRIED", "DONE")
    rows = [
        (
            *((str(job.batch),) if batched else ()),
            job.id,
            job.profile_id if job.profile_id != job.id else "-",
            job.flow.rpartition("/")[2],
            str(job.priority),
            str(job.attempts),
            ", ".join(job.flags or ()) or "-",
        )
        for job in starts[:SHOWN]
    ]
    title = "would start, in this order"
    if batched:
        title += f", in {starts[-1].batch} batches"
    return _table(title, len(starts), [head, *rows])


def _table(title: str, number: int, rows: Sequence[Sequence[str]]) -> list[str]:
    if not number:
        return []
    lines = [f"{title}: {number}"]
    lines += [f"  {line}" for row in fitted(rows, WIDTH - 2) for line in row]
    if number > SHOWN:
        lines.append(f"  … and {number - SHOWN} more; --json shows all")
    return lines


def _listed(numbers: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number} {word}" for number, word in numbers if number)
