"""The operator's side of the queue's SQLite file: transactions of its own on jobs that nobody has claimed."""

# ruff: noqa: S608 - only our own column names and question marks are put into statements; values are bound

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.failure import code_named
from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import JobState
from core.errors import BadInput, Problem, UnknownJob
from core.queue import lines
from core.queue.database import Database
from core.queue.operating import CANCELLED_BY_HAND, feed_after, is_allowed, refuse_others
from core.queue.port import BY_HAND, Added, KeptJob, PastAttempt, Selection
from core.queue.reconciling import Reading, follow, load
from core.queue.rows import ANEW, JOB_COLUMNS, job_of, known_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from core.domain.model import JobSpec
    from core.queue.reconciling import Statements

_PAGE = 500
_WAITS_FOR = (
    "CASE WHEN after <> '[]' AND state IN ('queued', 'waiting') THEN (SELECT json_group_array(json_array(first.id, first.state)) "
    "FROM afters JOIN jobs AS first ON first.id = afters.parent "
    "WHERE afters.job_id = jobs.id AND first.state <> 'done') END"
)


class SqliteDesk:
    """A ``QueueDesk`` on a file.

    Args:
        path: the file.
        create: make a new one if there is none.
        read_only: only look.

    Raises:
        ForeignDatabase: it is missing, damaged, or not ours; it was not changed.
        NewerSchema: a later version wrote it.
        QueueUnavailable: it cannot be written now.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        self._database = Database(path, create=create, read_only=read_only)

    def add(self, specs: Iterable[JobSpec], *, now: float) -> Added:
        """See ``QueueDesk``."""
        given = list(specs)
        if len({spec.id for spec in given}) != len(given):
            problem = Problem(
                place=BY_HAND, field="id", expected="an ID that no other job has", found="one given twice"
            )
            raise BadInput([problem])
        with self._database.transaction() as connection:
            load(connection, given)
            known = connection.execute(
                "SELECT jobs.id, jobs.state FROM temp.incoming AS new JOIN jobs ON jobs.id = new.id "
                "WHERE jobs.state <> ? ORDER BY new.position",
                (JobState.CANCELLED,),
            ).fetchall()
            connection.execute(
                "DELETE FROM temp.incoming WHERE id IN (SELECT id FROM jobs WHERE state <> ?)", (JobState.CANCELLED,)
            )
            reading = Reading(BY_HAND, now, again=False, retry_failed=(), cancel_missing=False)
            result, _ = follow(connection, reading, len(given) - len(known))
            _arrange(connection, now)
            connection.execute("DROP TABLE temp.incoming")
        return Added(added=result.added, known=tuple((job_id, JobState(state)) for job_id, state in known))

    def select(self, selection: Selection, limit: int | None = None) -> Iterator[KeptJob]:
        """See ``QueueDesk``. Page by page: what changes meanwhile is seen as it is when its page is read."""
        where, values = _condition(selection)
        last, left = -1, limit
        while left is None or left > 0:
            most = _PAGE if left is None else min(left, _PAGE)
            with self._database.reading() as connection:
                page = connection.execute(
                    f"SELECT {JOB_COLUMNS}, feed, added_at, {_WAITS_FOR} FROM jobs WHERE seq > ? AND {where} ORDER BY seq LIMIT ?",
                    (last, *values, most),
                ).fetchall()
            yield from map(_kept, page)
            if len(page) < most:
                return
            last, left = page[-1][0], None if left is None else left - len(page)

    def count(self, selection: Selection) -> int:
        """See ``QueueDesk``."""
        where, values = _condition(selection)
        with self._database.reading() as connection:
            number: int = connection.execute(f"SELECT count(*) FROM jobs WHERE {where}", values).fetchone()[0]
            return number

    def find(self, job_id: str) -> KeptJob:
        """See ``QueueDesk``."""
        with self._database.reading() as connection:
            row = connection.execute(
                f"SELECT {JOB_COLUMNS}, feed, added_at, {_WAITS_FOR} FROM jobs WHERE id = ?", (job_id,)
            ).fetchone()
        if row is None:
            raise UnknownJob(job_id)
        return _kept(row)

    def attempts(self, job_id: str) -> list[PastAttempt]:
        """See ``QueueDesk``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, run, started_at, ended_at, seconds, outcome, fence, generation, code, reason FROM attempts "
                "WHERE job_id = ? ORDER BY started_at, rowid",
                (job_id,),
            ).fetchall()
        return [_past(row) for row in rows]

    def known(self, job_ids: Collection[str]) -> set[str]:
        """See ``QueueDesk``."""
        with self._database.reading() as connection:
            return known_ids(connection, job_ids)

    def again(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """See ``QueueDesk``."""
        with self._database.transaction() as connection:
            jobs = _chosen(connection, chosen, JobEvent.AGAIN)
            for job_id, state, feed, reason, _ in jobs:
                anew = "" if state is JobState.PARKED else f"{ANEW}, "
                connection.execute(
                    f"UPDATE jobs SET {anew}state = ?, due_at = not_before, reason = '', code = '', feed = ?, updated_at = ? "
                    "WHERE id = ?",
                    (advance(JOB, state, JobEvent.AGAIN), feed_after(feed, reason), now, job_id),
                )
            _arrange(connection, now)
        return [job[0] for job in jobs]

    def cancel(self, chosen: Sequence[str] | Selection, *, now: float) -> list[str]:
        """See ``QueueDesk``."""
        with self._database.transaction() as connection:
            jobs = _chosen(connection, chosen, JobEvent.CANCELLED)
            for job_id, state, _, _, recurs in jobs:
                if recurs:
                    connection.execute(
                        "UPDATE jobs SET every = NULL, due_at = NULL, updated_at = ? WHERE id = ?", (now, job_id)
                    )
                    continue
                connection.execute(
                    "UPDATE jobs SET state = ?, reason = ?, code = '', due_at = NULL, updated_at = ? WHERE id = ?",
                    (advance(JOB, state, JobEvent.CANCELLED), CANCELLED_BY_HAND, now, job_id),
                )
            _arrange(connection, now)
        return [job[0] for job in jobs]

    def close(self) -> None:
        """See ``QueueDesk``."""
        self._database.close()


def _arrange(connection: Statements, now: float) -> None:
    """Put all pending jobs in line, as the latest run sees them."""
    latest = next(iter(connection.execute("SELECT feed FROM runs ORDER BY number DESC LIMIT 1")), None)
    lines.arrange(connection, now, None if latest is None else latest[0])


def _chosen(
    connection: Statements, chosen: Sequence[str] | Selection, event: JobEvent
) -> list[tuple[str, JobState, str, str, bool]]:
    """Return ID, state, feed and reason of the jobs that are meant, each once, and whether it has ended and recurs."""
    recurs = "every IS NOT NULL AND feed <> '' AND state IN ('done', 'failed')"
    columns = f"SELECT id, state, feed, reason, {recurs} FROM jobs WHERE"
    if isinstance(chosen, Selection):
        where, values = _condition(chosen)
        rows = [_choice(row) for row in connection.execute(f"{columns} {where}", values)]
        return [row for row in rows if is_allowed(event, row[1], recurs=row[4])]
    found: dict[str, Any] = {}
    for job_id in chosen:
        found[job_id] = next(iter(connection.execute(f"{columns} id = ?", (job_id,))), None)
    refuse_others(
        event,
        [
            (job_id, None, False) if row is None else (job_id, JobState(row[1]), bool(row[4]))
            for job_id, row in found.items()
        ],
    )
    return [_choice(row) for row in found.values()]


def _choice(row: Sequence[Any]) -> tuple[str, JobState, str, str, bool]:
    return row[0], JobState(row[1]), row[2], row[3], bool(row[4])


def _condition(selection: Selection) -> tuple[str, list[Any]]:
    """Return a condition and the values of its question marks."""
    parts: list[str] = ["TRUE"]
    values: list[Any] = []
    if selection.states:
        parts.append(f"+state IN ({', '.join('?' * len(selection.states))})")
        values += sorted(selection.states)
    if selection.flow is not None:
        parts.append("(flow = ? OR substr(flow, -length(?)) = ?)")
        values += [selection.flow, f"/{selection.flow}", f"/{selection.flow}"]
    if selection.profile is not None:
        parts.append("profile_id GLOB ?")
        values.append(selection.profile.replace("[!", "[^"))
    if selection.codes is not None:
        parts.append("code IN (SELECT value FROM json_each(?))")
        values.append(msgspec.json.encode(sorted(selection.codes)).decode())
    if selection.reason is not None:
        parts.append("instr(lower(reason), lower(?)) > 0")
        values.append(selection.reason)
    return " AND ".join(parts), values


def _past(row: Sequence[Any]) -> PastAttempt:
    fields = dict(zip(PastAttempt.__struct_fields__, row, strict=True))
    return PastAttempt(**fields | {"code": code_named(fields["code"] or ""), "reason": fields["reason"] or ""})


def _kept(row: Sequence[Any]) -> KeptJob:
    *job, feed, added_at, waits_for = row
    parents = msgspec.json.decode(waits_for, type=tuple[tuple[str, JobState], ...]) if waits_for else ()
    return KeptJob(job=job_of(job), feed=feed, added_at=added_at, waits_for=parents)
