"""What the queue argument names: a feed to read, or a durable queue to go on with."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.errors import BadInput, ForeignDatabase, NewerSchema, Problem
from core.input_file import absolute
from core.queue.header import is_sqlite

if TYPE_CHECKING:
    from core.queue.port import JobQueue

_SUFFIXES = frozenset({".db", ".sqlite", ".sqlite3"})


class SourceKind(enum.Enum):
    """What it is."""

    FEED = "feed"
    QUEUE = "queue"


class Source(msgspec.Struct, frozen=True):
    """The queue argument, understood.

    Attributes:
        kind: feed or durable queue.
        argument: as the user typed it; for a feed, what ``read_feed`` takes.
        path: absolute; None for standard input.
    """

    kind: SourceKind
    argument: str
    path: Path | None


def open_source(argument: str, cwd: Path) -> Source:
    """Tell a feed from a durable queue, by the content of the file; what does not exist is judged by its name."""
    if argument == "-":
        return Source(SourceKind.FEED, argument, None)
    path = absolute(argument, cwd)
    if is_sqlite(path) or path.suffix.lower() in _SUFFIXES:
        return Source(SourceKind.QUEUE, argument, path)
    return Source(SourceKind.FEED, argument, path)


def open_queue(path: Path, *, create: bool = False) -> JobQueue:
    """Open the durable queue in a file.

    Args:
        path: the file.
        create: make a new one if there is none, as for ``state/queue.db``; not for one that the user names.

    Raises:
        ForeignDatabase: it is missing, damaged, or not ours; it was not changed.
        NewerSchema: a later version wrote it.
        QueueUnavailable: it cannot be written now.
    """
    from core.queue.sqlite import SqliteQueue  # noqa: PLC0415 - a run on a feed of another queue never needs it

    return SqliteQueue(path, create=create)


def open_copy(path: Path | None, to: Path) -> JobQueue:
    """Open a copy of a durable queue, to try something with it; of None an empty one. Nothing about the queue is changed.

    Args:
        path: the queue.
        to: where the copy is made; its directory is only the caller's.

    Raises:
        BadInput: it is damaged, or not ours.
        QueueUnavailable: it cannot be read now, or not copied.
    """
    from core.queue.database import copy  # noqa: PLC0415 - as above

    if path is not None:
        try:
            copy(path, to)
        except (ForeignDatabase, NewerSchema) as exc:
            raise _no_queue(path, exc) from exc
    return open_queue(to, create=path is None)


def open_named(path: Path) -> JobQueue:
    """Open a durable queue that the user names, and which is there.

    Raises:
        BadInput: it is damaged, or not ours; it was not changed.
        QueueUnavailable: it cannot be written now.
    """
    try:
        return open_queue(path)
    except (ForeignDatabase, NewerSchema) as exc:
        raise _no_queue(path, exc) from exc


def _no_queue(path: Path, exc: ForeignDatabase | NewerSchema) -> BadInput:
    found = exc.reason if isinstance(exc, ForeignDatabase) else str(exc)
    return BadInput([Problem(place=str(path), expected="a queue of Ostler", found=found)])
