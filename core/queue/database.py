"""A queue's SQLite file: made, checked, opened, locked and left. WAL and ``synchronous=FULL``, so that what was acknowledged
survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from core import durable
from core.domain.schedule import next_due
from core.errors import DamagedDatabase, ForeignDatabase, QueueUnavailable
from core.queue.header import SCHEMA, check_header
from core.queue.migrating import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process's write."""
_SCHEMA = Path(__file__).with_name("schema.sql")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """One connection. May be used from any thread, by one at a time; SQLite's errors come out as ours.

    Args:
        path: the file.
        create: make a new one if there is none.
        read_only: only look; whoever works with it is not disturbed, and may go on at the same time.

    Raises:
        ForeignDatabase: it is missing, damaged, or not ours; it was not changed.
        NewerSchema: a later version wrote it.
        QueueUnavailable: it cannot be written now.
    """

    def __init__(self, path: Path, *, create: bool, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _translated(self.path):
            if create and not path.exists():
                _create(path)
            version = check_header(path)
            _check_content(path)
            if version < SCHEMA:
                _bring_up_to_date(path)
            if not read_only and path.stat().st_mode & 0o077:
                path.chmod(0o600)  # it holds proxy passwords; -wal and -shm take their mode from it
            self._connection = _look(path) if read_only else _connect(path)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; each statement stands for itself."""
        with self._lock, _translated(self.path):
            yield self._connection

    @contextlib.contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Give the connection within a transaction: all of it, or, on an error, nothing."""
        connection = self._connection
        with self._lock, _translated(self.path):
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def copy(path: Path, to: Path) -> None:
    """Copy a queue as it is now, also while another process runs it; nothing is changed, not even a file made beside it.

    Raises:
        ForeignDatabase: it is damaged, or not ours.
        NewerSchema: a later version wrote it.
        QueueUnavailable: it cannot be read now.
    """
    check_header(path)
    # without a write-ahead log nobody has it open, and looking must not make one
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with _translated(path), contextlib.ExitStack() as stack:
        source = stack.enter_context(
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=LOCK_TIMEOUT))
        )
        source.backup(stack.enter_context(contextlib.closing(sqlite3.connect(to))))


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Let SQLite's errors and the system's come out as ours."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        # the extended code's low byte is the kind
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise DamagedDatabase(path, str(exc)) from exc
        if isinstance(exc, sqlite3.OperationalError):
            raise QueueUnavailable(path, str(exc)) from exc
        raise
    except OSError as exc:
        raise QueueUnavailable(path, exc.strerror or str(exc)) from exc


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("next_due", 3, next_due, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _look(path: Path) -> sqlite3.Connection:
    # Not `mode=ro`: that one may not take along -wal and -shm when it is the last to leave.
    connection = _open(path, "rw")
    try:
        for pragma in ("query_only = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=LOCK_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _create(path: Path) -> None:
    """Make an empty queue under another name, then give it its own: a half-made one never stands there."""
    temp = durable.temporary_name(path)
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(temp, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")  # no second file that a kill could leave
            connection.executescript(f"BEGIN; {_SCHEMA.read_text('utf-8')} COMMIT;")
        with contextlib.suppress(FileExistsError):  # another process was faster; then it is theirs
            durable.link(temp, path)
    finally:
        temp.unlink(missing_ok=True)
    durable.sync_directory(path.parent)


def _bring_up_to_date(path: Path) -> None:
    """Migrate a file of an earlier version: all of it, or nothing."""
    with contextlib.closing(_open(path, "rw")) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            # another process may have been faster
            migrate(connection, connection.execute("PRAGMA user_version").fetchone()[0])
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _check_content(path: Path) -> None:
    """Refuse a damaged file, and one that lacks our tables, without writing to it."""
    with contextlib.closing(_open(path, "ro")) as db:
        findings = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if findings != "ok":
            raise DamagedDatabase(path, findings.splitlines()[-1])
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := {"jobs", "runs", "attempts"} - tables:
        raise ForeignDatabase(path, f"it has no table {min(missing)!r}")
