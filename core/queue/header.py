"""Whose SQLite file it is, read from its first 100 bytes: what is not ours is never opened."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from core.errors import BadInput, ForeignDatabase, NewerSchema, Problem
from core.input_file import is_regular
from core.queue.migrating import OLDEST

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = int.from_bytes(b"Ostl", "big")
SCHEMA = 3
_HEADER = 100


def is_sqlite(path: Path) -> bool:
    """Whether the file begins as a SQLite database does; False if it cannot be read."""
    if not is_regular(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def check_header(path: Path) -> int:
    """Refuse a file that is no queue of ours; return its schema, which may be an older one.

    Raises:
        ForeignDatabase: it is something else, or cannot be read or written.
        NewerSchema: a later version of Ostler wrote it.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ForeignDatabase(path, "it is no file")
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except IsADirectoryError as exc:
        raise ForeignDatabase(path, "it is a directory, not a queue") from exc
    except OSError as exc:
        raise ForeignDatabase(path, exc.strerror or str(exc)) from exc
    if not header:
        raise ForeignDatabase(path, "it is empty, not a queue")
    if not header.startswith(MAGIC) or len(header) < _HEADER:
        raise ForeignDatabase(path, "it is no SQLite database")
    # https://www.sqlite.org/fileformat.html#the_database_header: user version at 60, application ID at 68
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise ForeignDatabase(path, "it is a SQLite database, but not a queue of Ostler")
    version = int.from_bytes(header[60:64], "big")
    if version > SCHEMA:
        raise NewerSchema(path, found=version, known=SCHEMA)
    if version < OLDEST:
        raise ForeignDatabase(path, f"its schema is {version}, which no version of Ostler wrote")
    if not mode & 0o222:
        raise ForeignDatabase(path, "it is read-only")
    return version


def refuse_foreign(path: Path) -> None:
    """Refuse a file that the user names as a queue and that is none.

    Raises:
        BadInput: with what it is instead.
    """
    try:
        check_header(path)
    except (ForeignDatabase, NewerSchema) as exc:
        found = exc.reason if isinstance(exc, ForeignDatabase) else f"one of schema {exc.found}, newer than {SCHEMA}"
        raise BadInput([Problem(place=str(path), expected="a queue of Ostler", found=found)]) from exc
