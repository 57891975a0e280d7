"""The durable queue in one SQLite file: what is asked of it and written into it. How the file is kept: ``database.py``."""

# ruff: noqa: S608 - only our own column names and question marks are put into statements; values are bound

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import TERMINAL, AttemptRecord, Claim, JobState
from core.errors import BadInput, Fenced, IllegalTransition, Problem
from core.queue import lines
from core.queue.database import Database
from core.queue.following import renewed
from core.queue.port import Outlook, Readiness, Reconciled, Recurred
from core.queue.reconciling import Reading, follow, load
from core.queue.records import job_in, open_attempt_in, outlook_in
from core.queue.rows import ANEW, ATTEMPT_COLUMNS, JOB_COLUMNS, attempt_of, job_of, known_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from core.domain.failure import Code
    from core.domain.model import JobRecord, JobSpec, ProcessStamp
    from core.domain.retry import Decision

LATER_LIMIT = 1000
"""``Readiness.later`` is counted up to this for each of the reasons to wait; more makes no difference."""
_PAGE = 500


class SqliteQueue:
    """A ``JobQueue`` in a file. May be used from any thread, by one at a time.

    Args:
        path: the file.
        create: make a new one if there is none.
        read_only: only look, also while another process runs it.

    Raises:
        ForeignDatabase: it is missing, damaged, or not ours; it was not changed.
        NewerSchema: a later version wrote it.
        QueueUnavailable: it cannot be written now.
    """

    def __init__(self, path: Path, *, create: bool = True, read_only: bool = False) -> None:
        self._run = 0
        self._scope: str | None = None
        self._database = Database(path, create=create and not read_only, read_only=read_only)

    def begin_run(self, now: float, feed: str | None = None) -> int:
        """See ``JobQueue``."""
        with self._database.transaction() as connection:
            last = connection.execute("SELECT number, feed FROM runs ORDER BY number DESC LIMIT 1").fetchone()
            number: int = last[0] + 1 if last else 1
            connection.execute("INSERT INTO runs (number, feed, started_at) VALUES (?, ?, ?)", (number, feed, now))
            if (last[1] if last else None) != feed:
                lines.arrange(connection, now, feed)
        self._run, self._scope = number, feed
        return number

    def latest_run(self) -> tuple[int, float] | None:
        """Return number and start (epoch seconds) of the latest run; None if there was none."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT number, started_at FROM runs ORDER BY number DESC LIMIT 1").fetchone()
            return None if found is None else (found[0], found[1])

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
        reading = Reading(feed, now, again, retry_failed, cancel_missing)
        # The feed is read before the queue is locked, into a table that only this connection sees.
        try:
            with self._database.transaction("BEGIN") as connection:
                total = load(connection, specs)
        except sqlite3.IntegrityError as exc:
            problem = Problem(place=feed, field="id", expected="an ID that no other job has", found="one given twice")
            raise BadInput([problem]) from exc
        with self._writing() as connection:
            result, moved = follow(connection, reading, total)
            if moved:
                lines.arrange(connection, now, self._scope)
        with self._database.transaction("BEGIN") as connection:
            connection.execute("DROP TABLE temp.incoming")
        return result

    def resume(self, now: float, *, again: bool = False, retry_failed: Collection[Code] = ()) -> int:
        """See ``JobQueue``."""
        queued = "UPDATE jobs SET state = :after, due_at = not_before, reason = '', code = '', updated_at = :now"
        where = "WHERE state = :before AND (:scope IS NULL OR feed = :scope)"
        statements = [(JobState.PARKED, f"{queued} {where}")]
        states = renewed(again=again, retry_failed=bool(retry_failed))
        chosen = "" if again else " AND code IN (SELECT value FROM json_each(:codes))"
        statements += [(state, f"{queued}, {ANEW} {where} AND feed <> ''{chosen}") for state in states]
        resumed = 0
        with self._writing() as connection:
            for before, statement in statements:
                after = advance(JOB, before, JobEvent.AGAIN)
                codes = msgspec.json.encode(sorted(retry_failed)).decode()
                given = {"before": before, "after": after, "now": now, "scope": self._scope, "codes": codes}
                resumed += connection.execute(statement, given).rowcount
            if resumed:
                lines.arrange(connection, now, self._scope)
        return resumed

    def readiness(self, now: float, limit: int) -> Readiness:
        """See ``JobQueue``. ``later`` is exact up to 1,000 jobs that are not due, and as many that stand behind."""
        with self._database.reading() as connection:
            earliest = connection.execute("SELECT min(due_at) FROM jobs WHERE turn = 0").fetchone()[0]
        if earliest is not None and earliest <= now:
            with self._writing() as connection:
                lines.wake(connection, now, self._scope)
        with self._database.reading() as connection:
            counts = [
                connection.execute(
                    f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE turn = {turn} LIMIT ?)", (most,)
                ).fetchone()[0]
                for turn, most in ((2, limit), (1, LATER_LIMIT), (0, LATER_LIMIT))
            ]
            next_due = connection.execute("SELECT min(due_at) FROM jobs WHERE turn = 0").fetchone()[0]
        return Readiness(ready=counts[0], later=counts[1] + counts[2], next_due=next_due)

    def recur(self, now: float) -> Recurred:
        """See ``JobQueue``. Nothing is locked while there is nothing to do."""
        with self._database.reading() as connection:
            due, too_far = connection.execute(
                "SELECT (SELECT min(due_at) FROM jobs WHERE turn = 4), "
                "EXISTS (SELECT 1 FROM jobs WHERE turn = 4 AND due_at - every > ?)",
                (now + 1,),
            ).fetchone()
        if not too_far and (due is None or due > now):
            return Recurred(next_due=due)
        with self._writing() as connection:
            begun = lines.begin_again(connection, now, self._scope)
            jobs = tuple(job_in(connection, job_id) for job_id in begun)
            due = connection.execute("SELECT min(due_at) FROM jobs WHERE turn = 4").fetchone()[0]
        return Recurred(jobs=jobs, next_due=due)

    def outlook(self) -> Outlook:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            return outlook_in(connection, self._scope)

    def claim(self, now: float, nonce: str) -> Claim | None:
        """See ``JobQueue``."""
        with self._writing() as connection:
            lines.wake(connection, now, self._scope)
            row = connection.execute(
                f"SELECT {JOB_COLUMNS} FROM jobs WHERE turn = 2 ORDER BY priority DESC, seq LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            before = job_of(row)
            state = before.state
            if state is JobState.WAITING:
                state = advance(JOB, state, JobEvent.DUE)
            state = advance(JOB, state, JobEvent.CLAIMED)
            job = msgspec.structs.replace(before, state=state, due_at=None, reason="", code=None, updated_at=now)
            connection.execute(
                "UPDATE jobs SET state = ?, due_at = NULL, reason = '', code = '', turn = NULL, updated_at = ?, "
                "anchor = coalesce(anchor, ?) WHERE seq = ?",
                (state, now, now, row[0]),
            )
            attempt = AttemptRecord(
                nonce=nonce,
                job_id=job.spec.id,
                profile_id=job.spec.profile_id,
                number=job.counters.attempts + 1,
                started_at=now,
            )
            connection.execute(
                "INSERT INTO attempts (nonce, job_id, profile_id, number, run, started_at, generation) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (nonce, attempt.job_id, attempt.profile_id, attempt.number, self._run, now, job.generation),
            )
            return Claim(job=job, attempt=attempt)

    def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
        """See ``JobQueue``."""
        with self._writing() as connection:
            open_attempt_in(connection, nonce, "spawned")
            process = msgspec.json.encode(stamp).decode()
            connection.execute("UPDATE attempts SET process = ? WHERE nonce = ?", (process, nonce))

    def record_go(self, nonce: str, *, fence: int, user_data_dir: str | None, now: float) -> None:
        """See ``JobQueue``."""
        with self._writing() as connection:
            attempt = open_attempt_in(connection, nonce, "told to go")
            if attempt.fence is not None:
                raise IllegalTransition("attempt", "told to go", "told to go")
            connection.execute(
                "UPDATE attempts SET fence = ?, user_data_dir = ? WHERE nonce = ?", (fence, user_data_dir, nonce)
            )
            connection.execute(
                "UPDATE jobs SET attempts = attempts + 1, updated_at = ? WHERE id = ?", (now, attempt.job_id)
            )

    def record_launch(self, nonce: str, *, now: float) -> None:
        """See ``JobQueue``."""
        with self._writing() as connection:
            job = job_in(connection, open_attempt_in(connection, nonce, JobEvent.STARTED).job_id)
            state = advance(JOB, job.state, JobEvent.STARTED)
            connection.execute("UPDATE jobs SET state = ?, updated_at = ? WHERE id = ?", (state, now, job.spec.id))

    def record_waiting(self, nonce: str, *, why: str) -> None:
        """See ``JobQueue``."""
        with self._writing() as connection:
            attempt = open_attempt_in(connection, nonce, "parked")
            connection.execute("UPDATE jobs SET reason = ? WHERE id = ?", (why, attempt.job_id))

    def record_steps(self, nonce: str, *, done: int, total: int) -> None:
        """See ``JobQueue``. Not synced on its own: the next write takes it along."""
        with self._writing(synchronous="NORMAL") as connection:
            connection.execute(
                "UPDATE jobs SET steps_done = ?, steps_total = ? "
                "WHERE id = (SELECT job_id FROM attempts WHERE nonce = ? AND ended_at IS NULL)",
                (done, total, nonce),
            )

    def finish(self, nonce: str, decision: Decision, *, now: float, seconds: float, outcome: str) -> JobRecord:
        """See ``JobQueue``."""
        with self._writing() as connection:
            attempt = open_attempt_in(connection, nonce, decision.event)
            job = job_in(connection, attempt.job_id)
            state = advance(JOB, job.state, decision.event)
            waits = [at for at in (decision.retry_at, job.spec.not_before) if at is not None]
            due_at = max(waits, default=None) if state in {JobState.QUEUED, JobState.WAITING} else None
            turn = None
            if due_at is not None or state in {JobState.QUEUED, JobState.WAITING}:
                turn = 0 if due_at is not None and due_at > now else 1
            connection.execute(
                "UPDATE attempts SET ended_at = ?, seconds = ?, outcome = ?, code = ?, reason = ? WHERE nonce = ?",
                (now, seconds, outcome, decision.code, decision.reason, nonce),
            )
            # `attempts` was counted at the start, which the decision may not have seen
            connection.execute(
                "UPDATE jobs SET state = :state, due_at = :due_at, reason = :reason, code = :code, codes = :codes, "
                "turn = CASE WHEN :scope IS NULL OR feed = :scope THEN :turn END, "
                "attempts = max(attempts, :attempts), failures = :failures, crash_streak = :crash_streak, "
                "busy = :busy, run_seconds = run_seconds + :seconds, updated_at = :now WHERE id = :id",
                {
                    **msgspec.structs.asdict(decision.counters),
                    "state": state,
                    "due_at": due_at,
                    "reason": decision.reason,
                    "code": decision.code or "",
                    "codes": msgspec.json.encode(decision.counters.codes).decode(),
                    "turn": turn,
                    "scope": self._scope,
                    "seconds": seconds,
                    "now": now,
                    "id": job.spec.id,
                },
            )
            lines.settle(connection, job.spec.id, job.spec.profile_id, state, now=now, scope=self._scope)
            return job_in(connection, job.spec.id)

    def open_attempts(self) -> list[AttemptRecord]:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE ended_at IS NULL ORDER BY started_at, rowid"
            )
            return [attempt_of(row) for row in rows]

    def job(self, job_id: str) -> JobRecord:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            return job_in(connection, job_id)

    def known(self, job_ids: Collection[str]) -> set[str]:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            return known_ids(connection, job_ids)

    def jobs(self, states: Iterable[JobState] = ()) -> Iterator[JobRecord]:
        """See ``JobQueue``. Page by page: what changes meanwhile is seen as it is when its page is read."""
        wanted = sorted(set(states))
        # `+` keeps the rows in their order: by the index of states every page would sort all of them
        among = f"+state IN ({', '.join('?' * len(wanted))})" if wanted else "TRUE"
        last = -1
        while True:
            with self._database.reading() as connection:
                page = connection.execute(
                    f"SELECT {JOB_COLUMNS} FROM jobs WHERE seq > ? AND {among} AND (? IS NULL OR feed = ?) "
                    "ORDER BY seq LIMIT ?",
                    (last, *wanted, self._scope, self._scope, _PAGE),
                ).fetchall()
            if not page:
                return
            yield from map(job_of, page)
            last = page[-1][0]

    def counts(self) -> Mapping[JobState, int]:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT state, count(*) FROM jobs WHERE (:scope IS NULL OR feed = :scope) GROUP BY state",
                {"scope": self._scope},
            )
            return {JobState(state): count for state, count in rows}

    def codes(self) -> Mapping[str, int]:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT code, count(*) FROM jobs WHERE code <> '' AND (:scope IS NULL OR feed = :scope) "
                "GROUP BY code ORDER BY 2 DESC, 1",
                {"scope": self._scope},
            )
            return dict(rows)

    def usual_seconds(self, most: int) -> Mapping[str, Sequence[float]]:
        """See ``JobQueue``."""
        found: dict[str, list[float]] = {}
        with self._database.reading() as connection:
            for flow, seconds in connection.execute(
                "SELECT flow, seconds FROM (SELECT flow, seconds, ended_at, attempts.rowid AS place, row_number() OVER "
                "(PARTITION BY flow ORDER BY ended_at DESC, attempts.rowid DESC) AS age FROM attempts "
                "JOIN jobs ON jobs.id = attempts.job_id WHERE outcome = 'done') WHERE age <= ? ORDER BY ended_at, place",
                (most,),
            ):
                found.setdefault(flow, []).append(seconds)
        return found

    def pending_profiles(self) -> set[str]:
        """See ``JobQueue``."""
        open_states = sorted(set(JobState) - TERMINAL)
        marks = ", ".join("?" * len(open_states))
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT DISTINCT profile_id FROM jobs WHERE state IN ({marks})", open_states)
            return {row[0] for row in rows}

    def changes_of_others(self) -> int:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
            return version

    def next_fence(self, profile_id: str) -> int:
        """See ``JobQueue``."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT max(fence) FROM attempts WHERE profile_id = ?", (profile_id,)).fetchone()
            return (row[0] or 0) + 1

    def close(self) -> None:
        """See ``JobQueue``."""
        self._database.close()

    @contextlib.contextmanager
    def _writing(self, synchronous: str = "FULL") -> Iterator[sqlite3.Connection]:
        """Write as the run that this object began; what another run began since refuses it."""
        if synchronous != "FULL":
            with self._database.reading() as connection:
                connection.execute(f"PRAGMA synchronous = {synchronous}")
        try:
            with self._database.transaction() as connection:
                newest = connection.execute("SELECT coalesce(max(number), 0) FROM runs").fetchone()[0]
                if newest != self._run:
                    raise Fenced(str(self._database.path), ours=self._run, newer=newest)
                yield connection
        finally:
            if synchronous != "FULL":
                with self._database.reading() as connection:
                    connection.execute("PRAGMA synchronous = FULL")
