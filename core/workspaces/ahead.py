"""The mark ``profiles/<id>/.ahead``: a browser ran on a copy of the saved data, so the account may have gone further than it.

It names the very data that the copy was made of. So nobody has to remove it: the next save gives the data another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core import durable
from core.errors import StateCorrupt
from core.workspaces import swap

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".ahead"
_OF_NOTHING = "nothing"
_DAMAGED = "damaged"
log = structlog.get_logger(__name__)


def mark(saved: Path) -> None:
    """Note that a browser goes on from the saved data, or, where nothing is saved, from nothing.

    Args:
        saved: the profile's ``browser_profile``; the mark stands beside it.

    Raises:
        DurableWriteFailed: it could not be noted.
    """
    durable.write_bytes(saved.with_name(NAME), _name_of(saved).encode())


def is_set(saved: Path) -> bool:
    """Whether a browser went on from this very data. If the mark or the data's name is damaged, one may have: restoring a
    login state that was not lost does no harm.
    """
    marked, name = _marked(saved), _name_of(saved)
    if marked is None:
        return False
    if _is_name(marked) and _is_name(name):
        return marked == name
    log.warning("mark_damaged", path=str(saved / swap.TOKEN if _is_name(marked) else saved.with_name(NAME)))
    return True


def is_damaged(saved: Path) -> bool:
    """Whether the mark is there, and says nothing that can be understood."""
    marked = _marked(saved)
    return marked is not None and not _is_name(marked)


def _marked(saved: Path) -> str | None:
    try:
        data = durable.bytes_of(saved.with_name(NAME))
    except OSError:
        return _DAMAGED
    return None if data is None else data.decode("ascii", "replace")


def _name_of(saved: Path) -> str:
    try:
        return swap.token(saved) or _OF_NOTHING
    except StateCorrupt:
        return _DAMAGED


def _is_name(text: str) -> bool:
    return text == _OF_NOTHING or swap.is_token(text)
