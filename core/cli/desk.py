"""Opens the durable queue for a command: that of the state directory, or one that is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.queue.desk import SqliteDesk
from core.queue.header import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings


@contextlib.contextmanager
def opened_desk(named: str | None, settings: Settings, *, create: bool = False) -> Iterator[SqliteDesk]:
    """Give the operator's side of a queue.

    Args:
        named: the file; None for that of the state directory.
        settings: where the latter is.
        create: make that one if it is not there.

    Raises:
        BadInput: there is none, or it is none of ours.
        ForeignDatabase, NewerSchema, QueueUnavailable: it cannot be read.
    """
    path = settings.state_dir / "queue.db" if named is None else Path.cwd() / Path(named).expanduser()
    if named is None and not create and not path.exists():
        hint = "nothing was ever run or added there; another queue: --queue FILE"
        found = f"none in {settings.state_dir}"
        raise BadInput([Problem(place="queue", expected="a durable queue", found=found, hint=hint)])
    if path.exists() or named is not None:
        refuse_foreign(path)
    desk = SqliteDesk(path, create=create and named is None)
    try:
        yield desk
    finally:
        desk.close()
