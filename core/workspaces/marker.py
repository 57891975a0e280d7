"""The file that makes a directory ours: it stands in every workspace, and nothing without it is ever removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from core import durable, sealed
from core.domain.lifecycle import WORKSPACE, WorkspaceEvent, WorkspaceState, advance
from core.errors import NewerSchema, StateCorrupt

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".ostler-workspace.json"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a workspace.

    Attributes:
        profile: whose data.
        fence: the holder's number.
        state: where it stands.
        temp_dir: its TMPDIR, which is removed with it; empty where it has none.
        created: epoch seconds.
        rebuilt: it still needs the login state.
        browser: what wrote its data, as far as known: name (may be empty) and version.
        keep: it outlives its owner, because that was asked for.
    """

    profile: str
    fence: int
    state: WorkspaceState
    temp_dir: str
    created: float
    rebuilt: bool
    browser: tuple[str, str] | None = None
    keep: bool = False

    def after(self, event: WorkspaceEvent) -> Marker:
        """Return the marker after an event.

        Raises:
            IllegalTransition: the event is not legal in this state.
        """
        return msgspec.structs.replace(self, state=advance(WORKSPACE, self.state, event))


def read(workspace: Path) -> Marker | None:
    """Return the marker of a workspace, None if it is missing or damaged."""
    try:
        found: Marker | None = sealed.read(workspace / NAME, Marker)
    except (StateCorrupt, NewerSchema):
        return None
    return found


def write(workspace: Path, marker: Marker) -> None:
    """Replace the marker, all or nothing. It outlives a kill; after a power cut the workspace may be without."""
    durable.write_bytes(workspace / NAME, sealed.seal(marker), fsync=False)


def is_marked(workspace: Path) -> bool:
    """Whether this directory is ours; the marker may be damaged."""
    return os.path.lexists(workspace / NAME) and not workspace.is_symlink()
