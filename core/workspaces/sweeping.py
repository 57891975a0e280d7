"""Removes what crashes left among the workspaces of runs: copies half made or half removed, unwanted ones, stray TMPDIRs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

from core.domain.lifecycle import WorkspaceState
from core.domain.validation import is_valid_id
from core.errors import HolderAlive, OutsideRoot, WorkspaceError
from core.workspaces import listing, live, marker, removal, scratch
from core.workspaces.places import USER_DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Hold = Callable[[str, str], AbstractContextManager[None]]

WHAT = "cleaning up"
"""What the lock's record says meanwhile."""
REUSABLE = frozenset({WorkspaceState.VERIFIED, WorkspaceState.IN_USE})
"""States of a workspace that a later attempt may take over."""
log = structlog.get_logger(__name__)


def sweep(root: Path, is_wanted: Callable[[str], bool], hold: Hold) -> list[str]:
    """Remove what nobody uses or wants below ``root``; return names of what was removed.

    Args:
        root: the directory of workspaces.
        is_wanted: whether a profile is still to run; its whole workspaces stay.
        hold: holds a profile's lock meanwhile, or raises ``HolderAlive``: whoever comes would take over what is about to go.
    """
    removed: list[str] = []
    kept: set[str] = set()
    for path in listing.entries(root):
        try:
            if _remove(path, root, is_wanted, hold):
                removed.append(path.name)
            else:
                kept.add(path.name)
        except OutsideRoot:  # somebody else put it here: no marker, and not empty
            continue
        except WorkspaceError as exc:
            log.warning("workspace_not_removed", workspace=path.name, reason=str(exc))
    for path in scratch.strays(root, kept | {path.name for path in listing.entries(root)}):
        removal.temp_dir(path)
        removed.append(path.name)
    return removed


def _remove(path: Path, root: Path, is_wanted: Callable[[str], bool], hold: Hold) -> bool:
    profile_id = listing.profile_of(path.name)
    if is_wanted(profile_id) and _is_whole(path):
        return False
    with contextlib.ExitStack() as stack:
        if is_valid_id(profile_id):
            try:
                stack.enter_context(hold(profile_id, WHAT))
            except HolderAlive:
                return False
        if live.evidence(path / USER_DATA) is not None:
            return False
        removal.workspace(path, root)
        return True


def _is_whole(path: Path) -> bool:
    found = marker.read(path)
    return not path.name.startswith(".") and found is not None and found.state in REUSABLE
