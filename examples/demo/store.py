"""The site's data: one SQLite file, and beside it the ledger of effects that were committed to it.

An effect's row stands in the same transaction as what it tells of; the ledger's line follows before the answer goes out. A
kill between the two is made up for at the next start, so the ledger neither lies nor forgets.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from examples.demo.ledger import Entry, LedgerFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, profile_id TEXT, effect TEXT, attempt INTEGER, at REAL);
CREATE TABLE IF NOT EXISTS logins (
    token TEXT PRIMARY KEY, service TEXT, account TEXT, profile_id TEXT, attempt INTEGER, at REAL);
CREATE TABLE IF NOT EXISTS mailboxes (address TEXT PRIMARY KEY, password TEXT, at REAL);
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY, address TEXT, sender TEXT, subject TEXT, body TEXT, at REAL);
CREATE INDEX IF NOT EXISTS mails_of ON mails (address, id);
CREATE TABLE IF NOT EXISTS shop_codes (email TEXT PRIMARY KEY, code TEXT, tries INTEGER);
CREATE TABLE IF NOT EXISTS shop_members (id INTEGER PRIMARY KEY, email TEXT, password TEXT, at REAL);
CREATE INDEX IF NOT EXISTS members_by_email ON shop_members (email, id);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, email TEXT, reference TEXT, product TEXT, amount INTEGER, at REAL, UNIQUE (email, reference));
CREATE TABLE IF NOT EXISTS developers (
    id INTEGER PRIMARY KEY, email TEXT, name TEXT, password TEXT, api_key TEXT, key_hint TEXT, form TEXT UNIQUE, at REAL);
CREATE INDEX IF NOT EXISTS developers_by_email ON developers (email, id);
CREATE TABLE IF NOT EXISTS accounts (
    email TEXT PRIMARY KEY, password TEXT, totp TEXT, totp_pending TEXT, at REAL);
CREATE TABLE IF NOT EXISTS devices (token TEXT PRIMARY KEY, account TEXT, at REAL);
"""


class Visitor(NamedTuple):
    """Who a request says it comes from: see ``examples.demo.visit``."""

    profile_id: str
    attempt: int


class AlreadyServed(Exception):
    """Another process serves from this directory."""


class Writing:
    """One transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.now = time.time()

    def run(self, sql: str, *values: Any) -> int:
        """Run one statement; return the ID of the row it inserted, if it did."""
        return self._database.execute(sql, values).lastrowid or 0

    def effect(self, visitor: Visitor, effect: str) -> None:
        """Note that this transaction is a real effect."""
        self.run(
            "INSERT INTO effects (profile_id, effect, attempt, at) VALUES (?, ?, ?, ?)",
            visitor.profile_id,
            effect,
            visitor.attempt,
            self.now,
        )


class Store:
    """The data under one directory, held exclusively. Calls are short and made by the event loop's thread, one by one."""

    def __init__(self, directory: Path) -> None:
        """Open, or make, the data.

        Raises:
            AlreadyServed: another process has it open.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "demo.db"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, timeout=2.0)
        self._database.row_factory = sqlite3.Row
        try:
            # the exclusive lock is what tells a second site on this directory; a kill frees it
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript("BEGIN EXCLUSIVE;" + SCHEMA + "COMMIT;")
        except sqlite3.OperationalError as exc:
            self._database.close()
            if exc.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise AlreadyServed(str(directory)) from exc
            raise
        self.ledger = LedgerFile(directory / "ledger.jsonl")
        self._tell_ledger()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row, or None."""
        row: sqlite3.Row | None = self._database.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows."""
        return self._database.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Give a transaction; at its end it is committed and its effects are in the ledger, or nothing happened."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield Writing(self._database)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._tell_ledger()

    def _tell_ledger(self) -> None:
        rows = self.all("SELECT seq, profile_id, effect, attempt, at FROM effects WHERE seq > ?", self.ledger.last_seq)
        if rows:
            self.ledger.append(Entry(*row) for row in rows)

    def close(self) -> None:
        """Release the files."""
        self._database.close()
        self.ledger.close()


def hash_password(password: str) -> str:
    """Return salt and hash as text."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrypt(password, salt).hex()}"


def password_fits(password: str, hashed: str) -> bool:
    """Whether the password is the one that was hashed."""
    salt, _, digest = hashed.partition(":")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), digest)


def hash_token(token: str) -> str:
    """Return what is kept of a random token, so that the file holds none that could be used."""
    return hashlib.sha256(token.encode()).hexdigest()


def _scrypt(password: str, salt: bytes) -> bytes:
    # cheap on purpose: a demo on two cores, for passwords that live nowhere else
    return hashlib.scrypt(password.encode(), salt=salt, n=1024, r=8, p=1, dklen=32)
