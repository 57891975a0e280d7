"""Workspaces that are put aside: what a job that failed for good leaves, to be looked at, where that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core import durable
from core.errors import HolderAlive
from core.workspaces import clone, live, removal
from core.workspaces.port import ASIDE

if TYPE_CHECKING:
    from pathlib import Path


def put(workspace: Path, profile_id: str, state_dir: Path) -> str | None:
    """Make the browser data of a workspace the profile's evidence, and remove the rest; return its path below ``state_dir``.

    A kill in between leaves the workspace, which the next start sweeps, or the evidence.

    Args:
        workspace: a marked one, whose profile's lock the caller holds.
        profile_id: whose.
        state_dir: it lies in.

    Raises:
        HolderAlive: a browser still runs in it.
    """
    data = workspace / "user-data"
    if not data.is_dir():
        return None
    signs = live.evidence(data)
    if signs is not None:
        raise HolderAlive(f"the workspace {workspace.name}", f"a browser ({signs})")
    clone.prune(data, lambda path: removal.tree(path, workspace.parent))
    kept = state_dir / "artifacts" / profile_id / f"{ASIDE}{workspace.name.rpartition('-')[2]}" / data.name
    durable.ensure_directory(kept.parent)
    data.rename(kept)
    durable.sync_directory(kept.parent)
    removal.workspace(workspace, workspace.parent)
    return kept.relative_to(state_dir).as_posix()


def forget(profile_id: str, state_dir: Path) -> None:
    """Remove what was put aside of a profile whose lock the caller holds: it holds logins.

    Raises:
        WorkspaceError: something is left.
    """
    directory = (state_dir / "artifacts" / profile_id).resolve()
    for path in directory.glob(f"{ASIDE}*"):
        removal.tree(path, directory)
