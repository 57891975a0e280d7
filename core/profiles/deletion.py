"""Removes a profile: its directory disappears at once, under another name; what belongs to it is removed after that.

Downloads and evidence of its runs stay: they are results, and ``ostler gc`` looks after them. Working copies that were kept as
evidence go: the account's logins are in them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core import durable
from core.profiles import places
from core.state.sessions import FileSessionStore
from core.workspaces import aside, removal
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    from pathlib import Path


def finish(state_dir: Path, profile_id: str) -> None:
    """Remove what is left of a profile that has disappeared, if one has; the caller holds its lock.

    Its directory goes last: while there is anything of the profile, there is something that says that it must go.

    Raises:
        DurableWriteFailed, WorkspaceError: something is left; the next holder tries again.
    """
    gone = places.gone(state_dir, profile_id)
    if not os.path.lexists(gone):
        return
    forget(state_dir, profile_id)
    try:
        if gone.is_symlink() or not gone.is_dir():
            gone.unlink()
        else:
            removal.tree(gone, gone.parent)
        durable.sync_directory(gone.parent)
    except OSError as exc:
        raise durable.write_failed(gone, exc) from exc


def forget(state_dir: Path, profile_id: str) -> None:
    """Remove the session, bytes of it that were kept aside, and working copies, those that failed among them, of a profile whose lock the caller holds.

    Raises:
        DurableWriteFailed, WorkspaceError: something is left.
    """
    FileSessionStore(state_dir).delete(profile_id)
    sessions = state_dir / "sessions"
    for path in sessions.glob(f"{profile_id}.json.corrupt-*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise durable.write_failed(path, exc) from exc
    FileWorkspaces(state_dir).discard_profile(profile_id)
    aside.forget(profile_id, state_dir)
