"""Opens the durable queue for a command: that of the state directory, or one that is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.state_dir import queue_of
from core.queue.desk import SqliteDesk
from core.queue.header import refuse_foreign
from core.queue.memory import MemoryStore
from core.queue.memory_desk import MemoryDesk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.queue.port import QueueDesk
    from core.settings import Settings


@contextlib.contextmanager
def opened_desk(named: str | None, settings: Settings, *, create: bool = False) -> Iterator[QueueDesk]:
    """Give the operator's side of a queue; where there is none yet, one that has nothing in it.

    Args:
        named: the file; None for that of the state directory.
        settings: where the latter is.
        create: make that one if it is not there.

    Raises:
        BadInput: what is there cannot be read, or is no state directory.
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
