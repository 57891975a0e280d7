"""The durable queue with real files and real processes."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec, JobState
from core.domain.retry import Decision
from core.errors import ForeignDatabase, NewerSchema, QueueUnavailable
from core.queue.header import APPLICATION_ID, SCHEMA
from core.queue.open import SourceKind, open_queue, open_source
from core.queue.port import Readiness, Reconciled
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLAIMER = Path(__file__).parents[1] / "children" / "queue_claimer.py"
MANY = 100_000


def job(name: str, **fields: object) -> JobSpec:
    return JobSpec(id=name, profile_id=name, flow="/flows/flow.py", **fields)  # type: ignore[arg-type]


def start(path: Path, name: str, mode: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, CLAIMER, path, name, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CLAIMER.parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_claims_are_exclusive_across_processes(tmp_path):
    """Eight processes at once get 300 jobs, each exactly one of them."""
    path = tmp_path / "queue.db"
    queue = SqliteQueue(path)
    queue.reconcile("f", (job(f"p{n}") for n in range(300)), now=1.0)
    children = [start(path, f"c{n}", "all") for n in range(8)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    claimed = [line for child in children for line in child.communicate(timeout=60)[0].split()]
    assert [child.returncode for child in children] == [0] * 8
    assert sorted(claimed) == sorted(f"p{n}" for n in range(300))
    assert len(queue.open_attempts()) == 300
    queue.close()


def test_a_killed_claimer_leaves_its_row(tmp_path):
    """After SIGKILL of the process that claimed, the registry names the attempt, and a new run takes the job back."""
    path = tmp_path / "queue.db"
    queue = SqliteQueue(path)
    queue.reconcile("f", [job("a")], now=1.0)
    child = start(path, "victim", "hold")
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    assert child.stdout.readline() == "a\n"
    child.kill()
    child.wait(10)
    child.stdin.close()
    child.stdout.close()
    queue.close()
    reopened = SqliteQueue(path)
    reopened.begin_run(2.0)
    (left,) = reopened.open_attempts()
    assert (left.nonce, left.job_id) == ("victim-0", "a")
    reopened.finish(
        left.nonce, Decision(event=JobEvent.INTERRUPTED, counters=Counters()), now=3.0, seconds=0, outcome="interrupted"
    )
    claim = reopened.claim(4.0, "n")
    assert claim is not None
    assert claim.attempt.number == 1
    reopened.close()


def test_durability_settings(tmp_path):
    """WAL, full sync and foreign keys are on; the files are for their owner only; the header says whose they are."""
    path = tmp_path / "queue.db"
    before = os.umask(0)
    try:
        queue = SqliteQueue(path)
        queue.begin_run(1.0)
    finally:
        os.umask(before)
    read = {name: queue._database._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in (
        "journal_mode", "synchronous", "foreign_keys", "application_id", "user_version",
    )}  # fmt: skip
    assert read == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "application_id": APPLICATION_ID,
        "user_version": SCHEMA,
    }  # fmt: skip
    assert {entry.name: oct(entry.stat().st_mode & 0o777) for entry in tmp_path.iterdir()} == dict.fromkeys(
        ("queue.db", "queue.db-wal", "queue.db-shm"), "0o600"
    )
    queue.reconcile("f", [job("a")], now=1.0)
    queue.claim(1.0, "n")
    queue.record_steps("n", done=1, total=2)
    assert queue._database._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    queue.close()


def test_wide_modes_are_narrowed(tmp_path):
    """A queue whose file others may read is closed to them when it is opened."""
    path = tmp_path / "queue.db"
    SqliteQueue(path).close()
    path.chmod(0o644)
    SqliteQueue(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def a_queue(path: Path) -> None:
    queue = SqliteQueue(path)
    queue.begin_run(1.0)
    queue.reconcile("f", (job(f"p{n}", params={"text": "x" * 200}) for n in range(200)), now=1.0)
    queue.close()


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE jobs (id TEXT)")
    connection.close()


def newer(path: Path) -> None:
    a_queue(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def torn(path: Path) -> None:
    a_queue(path)
    with path.open("r+b") as file:
        for page in range(3, 20):
            file.seek(page * 4096)
            file.write(b"\xaa" * 2048)


def cut_short(path: Path) -> None:
    a_queue(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def without_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; CREATE TABLE other (x);"
    )
    connection.close()


def read_only(path: Path) -> None:
    a_queue(path)
    path.chmod(0o400)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (foreign, ForeignDatabase, "not a queue of Ostler"),
        (newer, NewerSchema, f"has schema {SCHEMA + 1}; this version knows {SCHEMA}"),
        (torn, ForeignDatabase, "it is damaged"),
        (cut_short, ForeignDatabase, "it is damaged.*Move .*away and run the same command again"),
        (without_tables, ForeignDatabase, "it has no table 'attempts'"),
        (read_only, ForeignDatabase, "it is read-only"),
        (lambda path: path.write_bytes(b""), ForeignDatabase, "it is empty, not a queue"),
        (lambda path: path.write_text('["a"]'), ForeignDatabase, "it is no SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), ForeignDatabase, "it is no SQLite database"),
    ],
)
def test_what_is_not_ours_is_refused_and_unchanged(tmp_path, make: Callable[[Path], object], error, says):
    """A file that is no healthy queue of this version is refused with the reason, byte by byte as it was."""
    path = tmp_path / "queue.db"
    make(path)
    before = (path.read_bytes(), path.stat().st_mode)
    with pytest.raises(error, match=says):
        open_queue(path, create=True)
    assert (path.read_bytes(), path.stat().st_mode) == before


def test_missing_files_and_directories_are_refused(tmp_path):
    """A queue that the user names must exist, and a directory is none."""
    with pytest.raises(ForeignDatabase, match="No such file"):
        open_queue(tmp_path / "gone.db")
    with pytest.raises(ForeignDatabase, match="it is a directory"):
        open_queue(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sources_are_told_apart_by_content(tmp_path):
    """A database is known by its first bytes, whatever its name; what looks like a feed is one."""
    SqliteQueue(tmp_path / "anything").close()
    (tmp_path / "queue.json").write_text('["a"]')
    kinds = {name: open_source(name, tmp_path).kind for name in ("anything", "queue.json", "-", "gone.db", "gone.json")}
    assert kinds == {
        "anything": SourceKind.QUEUE, "queue.json": SourceKind.FEED, "-": SourceKind.FEED, "gone.db": SourceKind.QUEUE,
        "gone.json": SourceKind.FEED,
    }  # fmt: skip
    named = open_source("anything", tmp_path).path
    assert named == tmp_path / "anything"
    open_queue(named).close()


def test_a_locked_file_is_unavailable_until_it_is_free(tmp_path, monkeypatch):
    """While another process writes for too long, calls say so and change nothing; afterwards they work."""
    monkeypatch.setattr("core.queue.database.LOCK_TIMEOUT", 0.05)
    path = tmp_path / "queue.db"
    queue = SqliteQueue(path)
    queue.reconcile("f", [job("a")], now=1.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueueUnavailable, match="locked"):
        queue.claim(1.0, "n")
    other.execute("ROLLBACK")
    other.close()
    assert queue.claim(1.0, "n") is not None
    queue.close()


def test_a_full_disk_changes_nothing(tmp_path):
    """When the file cannot grow, reconciling raises and leaves the queue as it was; with room it works."""
    queue = SqliteQueue(tmp_path / "queue.db")
    queue.reconcile("f", [job("a")], now=1.0)
    pages = queue._database._connection.execute("PRAGMA page_count").fetchone()[0]
    queue._database._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [job("a"), *(job(f"p{n}", params={"text": "x" * 500}) for n in range(500))]
    with pytest.raises(QueueUnavailable, match="full"):
        queue.reconcile("f", many, now=2.0)
    assert [record.spec.id for record in queue.jobs()] == ["a"]
    queue._database._connection.execute("PRAGMA max_page_count = 1000000")
    assert queue.reconcile("f", many, now=2.0) == Reconciled(added=500, unchanged=1)
    queue.close()


def test_it_may_be_called_from_another_thread(tmp_path):
    """A queue opened in one thread is used in another."""
    queue = SqliteQueue(tmp_path / "queue.db")
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(queue.begin_run(1.0)))
    thread.start()
    thread.join(10)
    assert results == [1]
    queue.close()


def test_a_half_made_queue_never_stands_under_its_name(tmp_path, monkeypatch):
    """When creation fails, no file is left, neither the queue nor its temporary."""
    monkeypatch.setattr("core.queue.database._SCHEMA", tmp_path / "gone.sql")
    with pytest.raises(QueueUnavailable):
        SqliteQueue(tmp_path / "queue.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def roomy_path() -> Iterator[Path]:
    """A file on the disk the checkout is on, not in a memory that a temporary directory may be."""
    root = Path(__file__).parents[2] / "state" / "test-queue"
    root.mkdir(parents=True, exist_ok=True)
    yield root / "queue.db"
    shutil.rmtree(root)


def test_a_hundred_thousand_jobs(roomy_path):
    """Reconcile, claim and readiness stay quick and small at 100,000 jobs (bounds at several times what they take)."""

    def specs(shift: int = 0) -> Iterator[JobSpec]:
        for n in range(MANY):
            yield job(f"profile{n:06}", params={"n": n + shift})

    queue = SqliteQueue(roomy_path)
    queue.begin_run(1.0)
    gc.collect()
    process = psutil.Process()
    resident = process.memory_info().rss

    spent = time.process_time()
    assert queue.reconcile("f", specs(), now=2.0) == Reconciled(added=MANY)
    assert time.process_time() - spent < 8
    assert queue.reconcile("f", specs(), now=3.0) == Reconciled(unchanged=MANY)

    spent = time.process_time()
    assert queue.claim(4.0, "first") is not None
    assert time.process_time() - spent < 0.05
    spent = time.process_time()
    for n in range(100):
        assert queue.claim(4.0, f"n{n}") is not None
        assert queue.readiness(4.0, 5) == Readiness(ready=5, later=0, next_due=None)
    assert time.process_time() - spent < 1
    assert dict(queue.counts()) == {JobState.PREPARED: 101, JobState.QUEUED: MANY - 101}
    assert process.memory_info().rss - resident < 60 * 1024 * 1024
    queue.close()


def test_the_queries_of_the_hot_path_use_their_indexes(tmp_path):
    """Neither claim nor readiness scans the table of jobs."""
    queue = SqliteQueue(tmp_path / "queue.db")
    queue.begin_run(1.0)
    jobs = [job("a", every=10.0), job("b", not_before=5.0), job("c", after=("a",), not_before=99.0)]
    queue.reconcile("f", jobs, now=1.0)
    ran: list[str] = []
    queue._database._connection.set_trace_callback(ran.append)
    queue.readiness(1.0, 5)
    queue.readiness(6.0, 5)
    queue.claim(6.0, "n")
    queue.record_go("n", fence=1, user_data_dir=None, now=6.0)
    queue.finish("n", Decision(event=JobEvent.COMPLETED, counters=Counters()), now=7.0, seconds=1, outcome="done")
    assert queue.recur(7.0).next_due == 16.0
    assert len(queue.recur(16.0).jobs) == 1
    queue._database._connection.set_trace_callback(None)
    plans = [
        row[3]
        for sql in ran
        # a job that is waited for and begins again puts all in line anew, as an edit does
        if sql.startswith(("SELECT", "UPDATE")) or "UPDATE jobs" in sql[:80]
        if "row_number()" not in sql and "turn IS NOT NULL AND" not in sql
        for row in queue._database._connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]
    assert len(plans) > 10
    assert [plan for plan in plans if plan.startswith("SCAN jobs") and "INDEX" not in plan] == []
    assert [plan for plan in plans if "INDEX jobs_state" in plan] == []
    assert [plan for plan in plans if "TEMP B-TREE FOR ORDER BY" in plan] == []
    queue.close()
