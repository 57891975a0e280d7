"""Opens the durable queue for a command: that of the state directory, where there may be none yet, or one that is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.queue.desk import SqliteDesk
from core.queue.header import refuse_foreign
from core.queue.memory import MemoryStore
from core.queue.memory_desk import MemoryDesk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.queue.port import QueueDesk
    from core.settings import Settings

_OURS = frozenset(
    {"queue.db", "orchestrator.lock", "locks", "sessions", "profiles", "workspaces", "downloads", "artifacts", "demo"}
)
_NOBODYS = frozenset({"lost+found"})
"""What a file system of its own has at its root."""


def queue_of(settings: Settings) -> Path | None:
    """Return the queue of the state directory; None if nothing was ever run or added there.

    Raises:
        BadInput: it cannot be read, or holds other things and none of ours.
    """
    directory = settings.state_dir
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return None
    except OSError as exc:
        found = f"one that cannot be read ({exc.strerror or exc})"
        raise BadInput([Problem(place=str(directory), expected="a state directory", found=found)]) from exc
    others = sorted(name for name in names - _NOBODYS if not name.startswith("."))
    if others and not names & _OURS:
        found = f"other things, such as {others[0]!r}"
        hint = "--state-dir names another"
        raise BadInput(
            [Problem(place=str(directory), expected="a state directory, or an empty one", found=found, hint=hint)]
        )
    return directory / "queue.db" if "queue.db" in names else None


def nothing_yet(settings: Settings) -> str:
    """Say that there is nothing."""
    return f"no jobs: nothing was ever run or added in {settings.state_dir}"


@contextlib.contextmanager
def opened_desk(named: str | None, settings: Settings, *, create: bool = False) -> Iterator[QueueDesk]:
    """Give the operator's side of a queue; where nothing was ever run or added, of one that has nothing in it.

    Args:
        named: the file; None for that of the state directory.
        settings: where the latter is.
        create: make that one if it is not there.

    Raises:
        BadInput: it is none of ours, or no state directory.
        ForeignDatabase, NewerSchema, QueueUnavailable: it cannot be read.
    """
    path = queue_of(settings) if named is None else Path.cwd() / Path(named).expanduser()
    if path is None and not create:
        yield MemoryDesk(MemoryStore())
        return
    if path is not None:
        refuse_foreign(path)
    desk = SqliteDesk(path or settings.state_dir / "queue.db", create=path is None)
    try:
        yield desk
    finally:
        desk.close()
