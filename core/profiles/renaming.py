"""Gives a profile another ID. Its ID stands in metadata, login state and session: these are written anew, aside; the rest
moves.

The record of it stands under the new ID first, while all is prepared, and under the old one once it is decided: from then
on it is carried out, by whoever takes either lock next; before, it is taken back.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import msgspec

from core import durable
from core.errors import OstlerError
from core.profiles import deletion, intents, places, staging
from core.profiles.intents import Rename
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.workspaces import removal, swap

if TYPE_CHECKING:
    from pathlib import Path

    from core.profiles.port import ProfileMetadata
    from core.profiles.registry import ProfileRegistry

_WRITTEN_ANEW = (places.METADATA, places.LOGIN_STATE, f"{places.LOGIN_STATE}.prev", staging.RECORD)
_RESULTS = ("downloads", "artifacts")


def rename(state_dir: Path, metadata: ProfileMetadata, new: str, registry: ProfileRegistry) -> None:
    """Let a profile have the ID ``new``; the caller holds both locks, and ``new`` is free.

    Args:
        state_dir: where it is.
        metadata: the profile's, as they are.
        new: its ID to be.
        registry: is told.

    Raises:
        StateCorrupt: its login state or session is damaged; nothing changed.
        DurableWriteFailed, WorkspaceError: nothing changed, or, once it was decided, the next operation goes on.
    """
    renaming = Rename(old=metadata.profile_id, new=new)
    intents.write(state_dir, new, renaming)
    try:
        _prepare(state_dir, metadata, new)
        intents.write(state_dir, renaming.old, renaming)
    except BaseException:
        with contextlib.suppress(OstlerError):  # then the next holder of the lock does
            take_back(state_dir, renaming)
        raise
    carry_out(state_dir, renaming, registry)


def is_decided(state_dir: Path, renaming: Rename) -> bool:
    """Whether it will be carried out."""
    return os.path.lexists(places.intent(state_dir, renaming.old))


def take_back(state_dir: Path, renaming: Rename) -> None:
    """Undo what was prepared; the caller holds both locks.

    Raises:
        DurableWriteFailed: something is left.
    """
    if staging.is_pending(state_dir, renaming.new):
        try:
            staging.discard(state_dir, renaming.new)
        except OSError as exc:
            raise durable.write_failed(staging.place(state_dir, renaming.new), exc) from exc
    intents.remove(state_dir, renaming.new)


def carry_out(state_dir: Path, renaming: Rename, registry: ProfileRegistry) -> None:
    """Do what is left of it; the caller holds both locks.

    Raises:
        DurableWriteFailed, WorkspaceError: the next holder of one of the locks goes on.
    """
    old, new = renaming.old, renaming.new
    path, gone = places.profile(state_dir, old), places.gone(state_dir, old)
    try:
        if not os.path.lexists(gone) and places.is_there(path):
            path.rename(gone)
        staged = places.profile(staging.place(state_dir, new), new)
        _move(gone, staged)
        durable.sync_directory(gone.parent)
        if staged.exists() and not staging.is_free(places.profile(state_dir, new)):
            raise FileExistsError(errno.EEXIST, "something else is in its place", str(path.with_name(new)))
        staging.settle(state_dir, new)
        _move_results(state_dir, old, new)
    except OSError as exc:
        raise durable.write_failed(path, exc) from exc
    registry.moved(old, new)
    deletion.finish(state_dir, old)
    intents.remove(state_dir, new)
    intents.remove(state_dir, old)


def _prepare(state_dir: Path, metadata: ProfileMetadata, new: str) -> None:
    old = metadata.profile_id
    saved = places.profile(state_dir, old) / places.BROWSER_PROFILE
    swap.recover(saved, lambda path: removal.tree(path, saved.parent))
    staged = staging.begin(state_dir, new)
    fields = FileProfileStore(state_dir).fields(old)
    FileProfileStore(staged).write(msgspec.structs.replace(metadata, profile_id=new), others=fields)
    login = FileLoginStateStore(state_dir).read(old)
    if login is not None:
        FileLoginStateStore(staged).write(new, login.value, fence=login.fence)
    session = FileSessionStore(state_dir).read(old)
    if session is not None:
        FileSessionStore(staged).write(msgspec.structs.replace(session.value, profile_id=new), fence=session.fence)
    staging.declare_whole(state_dir, new)  # nothing settles it before it is decided: the record comes first


def _move(gone: Path, staged: Path) -> None:
    """Move everything but what was written anew, and what has been moved already."""
    if not staged.is_dir():
        return
    for name in places.names(gone):
        if name not in _WRITTEN_ANEW and not os.path.lexists(staged / name):
            (gone / name).rename(staged / name)
    durable.sync_directory(staged)


def _move_results(state_dir: Path, old: str, new: str) -> None:
    for kind in _RESULTS:
        path = state_dir / kind / old
        if path.is_dir() and not os.path.lexists(path.with_name(new)):
            path.rename(path.with_name(new))
            durable.sync_directory(path.parent)
