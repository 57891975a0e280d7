"""A queue that the first version wrote: brought up to date when it is opened, all of it or nothing."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.domain.failure import Code
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobState
from core.domain.retry import Decision
from core.errors import ForeignDatabase, QueueUnavailable
from core.queue import migrating
from core.queue.desk import SqliteDesk
from core.queue.header import SCHEMA, check_header
from core.queue.port import PastAttempt
from core.queue.sqlite import SqliteQueue

FIRST = Path(__file__).with_name("queue_schema_1.sql")
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A queue of schema 1 with a job in each state, and an attempt that was cut off."""
    path = tmp_path / "queue.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text("utf-8"))
        connection.execute("PRAGMA journal_mode = WAL")
        for number, state in enumerate(JobState):
            connection.execute(
                "INSERT INTO jobs (id, profile_id, flow, params, priority, revision, feed, state, reason, failures, "
                "added_at, updated_at) VALUES (?, ?, '/f.py', '{}', 0, 'r', 'q', ?, ?, 1, 1, 1)",
                (str(state), f"p{number}", state, "why" if state is JobState.FAILED else ""),
            )
        connection.execute(
            "INSERT INTO attempts (nonce, job_id, profile_id, number, run, started_at, ended_at, seconds, outcome) "
            "VALUES ('n0', 'failed', 'p7', 1, 1, 1, 2, 1, 'failed')"
        )
        connection.execute(
            "INSERT INTO attempts (nonce, job_id, profile_id, number, run, started_at) "
            "VALUES ('n1', 'running', 'p2', 1, 1, 1)"
        )
        connection.commit()
    path.chmod(0o600)
    return path


def columns(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Name, type, null and default of each table's columns, and the indexes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = {
            table: {row[1:5] for row in connection.execute(f"PRAGMA table_info({table})")}
            for table in ("jobs", "runs", "attempts")
        }
        indexes = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    return {**tables, "indexes": {(name,) for name in indexes}, "version": {(version,)}}


def test_the_steps_lead_to_the_schema(old: Path, tmp_path: Path) -> None:
    """An old file that was brought up to date and a new one have the same columns and indexes."""
    assert max(migrating.STEPS) == SCHEMA
    SqliteQueue(old).close()
    SqliteQueue(tmp_path / "new.db").close()
    assert columns(old) == columns(tmp_path / "new.db")


def test_nothing_is_lost(old: Path) -> None:
    """Jobs, counters, attempts and their order; what failed before has a code that it can be chosen by."""
    queue = SqliteQueue(old)
    jobs = {job.spec.id: job for job in queue.jobs()}
    assert list(jobs) == list(JobState)
    assert {name: job.code for name, job in jobs.items() if job.code is not None} == {
        "waiting": Code.UNKNOWN, "failed": Code.UNKNOWN, "quarantined": Code.UNKNOWN, "parked": Code.NEEDS_PERSON,
    }  # fmt: skip
    assert (jobs["failed"].reason, jobs["failed"].counters) == ("why", Counters(failures=1))
    assert [attempt.nonce for attempt in queue.open_attempts()] == ["n1"]
    queue.begin_run(5.0)
    decision = Decision(event=JobEvent.RETRY, counters=Counters(), retry_at=9.0, reason="r", code=Code.SITE_DOWN)
    assert queue.finish("n1", decision, now=6.0, seconds=1.0, outcome="failed").code is Code.SITE_DOWN
    queue.close()
    desk = SqliteDesk(old)
    assert desk.attempts("failed") == [
        PastAttempt(number=1, run=1, started_at=1.0, ended_at=2.0, seconds=1.0, outcome="failed")
    ]
    desk.close()


def test_a_look_brings_it_up_to_date_as_well(old: Path) -> None:
    """`ostler status` on an old queue is the first to open it, and shows it."""
    (old.parent / "logs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "core.cli.main", "status", "--state-dir", old.parent, "--log-dir", old.parent / "logs"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 failed, 1 quarantined" in done.stdout
    assert check_header(old) == SCHEMA


def test_whoever_has_it_open_goes_on(old: Path) -> None:
    """The version that wrote it may run meanwhile: what it writes is read, and what it does not know is its default."""
    running = sqlite3.connect(old, isolation_level=None)
    running.execute("SELECT count(*) FROM jobs").fetchone()
    queue = SqliteQueue(old)
    running.execute("UPDATE jobs SET state = 'failed', reason = 'later' WHERE id = 'queued'")
    running.execute(
        "INSERT INTO attempts (nonce, job_id, profile_id, number, run, started_at) VALUES ('n2', 'queued', 'p0', 1, 1, 1)"
    )
    running.close()
    assert (queue.job("queued").state, queue.job("queued").reason) == (JobState.FAILED, "later")
    assert [attempt.nonce for attempt in queue.open_attempts()] == ["n1", "n2"]
    queue.close()


def test_two_that_open_it_at_once_do_it_once(old: Path, tmp_path: Path) -> None:
    """Each looks again once it holds the file: no step is taken twice."""
    copy = tmp_path / "copy.db"
    shutil.copy(old, copy)
    code = "import sys; from pathlib import Path; from core.queue.sqlite import SqliteQueue as Q; Q(Path(sys.argv[1])).close()"
    children = [subprocess.Popen([sys.executable, "-c", code, copy], cwd=CHECKOUT) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    assert check_header(copy) == SCHEMA


def test_a_step_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went before it: the file is the old one, and the next try begins anew."""
    before = columns(old)
    broken = {2: (*migrating.STEPS[2], "ALTER TABLE nowhere ADD COLUMN x")}
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "STEPS", broken)
        with pytest.raises(QueueUnavailable, match="nowhere"):
            SqliteQueue(old)
    assert columns(old) == before
    SqliteQueue(old).close()
    assert check_header(old) == SCHEMA


def test_what_no_version_wrote_is_refused(old: Path) -> None:
    """A schema below the first is somebody else's."""
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(ForeignDatabase, match="which no version of Ostler wrote"):
        SqliteQueue(old)
