"""Makes a named profile of the single profile of old: ``browser_profile/`` and ``session.json`` move into it, once.

What is written anew (metadata, the login state in our own form) is put together aside; from the record on, the browser data is
moved there, and the profile takes its place. A session that is no login state moves along under another name.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from core import durable
from core.profiles import intents, legacy, places, platforms, staging
from core.profiles.intents import Migration
from core.profiles.store import FileProfileStore, fresh
from core.state.login_state import FileLoginStateStore
from core.workspaces import clone, filling, removal, swap
from core.workspaces import version as versions

if TYPE_CHECKING:
    from core.profiles.registry import ProfileRegistry

DEFAULT = "default"
KEPT = "session.legacy.json"
log = structlog.get_logger(__name__)


def migrate(state_dir: Path, profile_id: str, source: Path, registry: ProfileRegistry, *, now: float) -> None:
    """Make a named profile of the single one in ``source``; the caller holds the lock, and has looked that there is one.

    Raises:
        ProfileTaken: there is such a profile; nothing changed.
        TemplateLive: a browser uses it; nothing changed.
        DurableWriteFailed, WorkspaceError, NoSpace: nothing changed, or, once it was decided, the next operation goes on.
    """
    registry.require_free(profile_id)
    found = legacy.find(source)
    if found is None:
        return
    filling.refuse_live(found.browser_data)
    places.clear(places.profile(state_dir, profile_id))
    intent = Migration(profile_id=profile_id, source=str(source))
    staged = staging.begin(state_dir, profile_id)
    try:
        _prepare(staged, profile_id, found, now)
        intents.write(state_dir, profile_id, intent)
    except BaseException:
        staging.abandon(state_dir, profile_id)
        raise
    carry_out(state_dir, intent)


def carry_out(state_dir: Path, intent: Migration) -> None:
    """Do what is left of it; the caller holds the lock.

    Raises:
        DurableWriteFailed, WorkspaceError, NoSpace: the next holder of the lock goes on.
    """
    source, profile_id = Path(intent.source), intent.profile_id
    staged = places.profile(staging.place(state_dir, profile_id), profile_id)
    data, session = source / places.BROWSER_PROFILE, source / places.LOGIN_STATE
    try:
        if staged.is_dir():
            _bring(data, staged / places.BROWSER_PROFILE)
            if session.is_file() and not (staged / places.LOGIN_STATE).exists():
                _bring(session, staged / KEPT)
            swap.sync_file_system(staged)
            staging.declare_whole(state_dir, profile_id)
            if not staging.is_free(places.profile(state_dir, profile_id)):
                # what is staged is the only copy: it is not thrown away for what somebody put there meanwhile
                raise FileExistsError(
                    errno.EEXIST, "something else is in its place", str(places.profile(state_dir, profile_id))
                )
        staging.settle(state_dir, profile_id)
        # what was copied, or has become the login state, is not needed there any more
        if data.is_dir():
            removal.tree(data.resolve(), source.resolve())
        session.unlink(missing_ok=True)
        durable.sync_directory(source)
    except OSError as exc:
        raise durable.write_failed(data, exc) from exc
    intents.remove(state_dir, profile_id)
    log.warning("profile_migrated", profile_id=profile_id, source=str(source))


def _prepare(staged: Path, profile_id: str, found: legacy.Legacy, now: float) -> None:
    metadata = platforms.begin_with(fresh(profile_id, now), {})
    written = versions.written_by(found.browser_data)
    if written is not None:
        metadata.browser, metadata.browser_version = written[0] or None, written[1]
    login = None if found.session is None else legacy.login_state(found.session)
    durable.ensure_directory(places.profile(staged, profile_id) / places.CACHE)
    if login is not None:
        FileLoginStateStore(staged).write(profile_id, login, fence=0)
    FileProfileStore(staged).write(metadata)


def _bring(source: Path, target: Path) -> None:
    """Move a file or directory; from another file system, copy it: the source is removed once the profile is in its place."""
    if not os.path.lexists(source) or os.path.lexists(target):
        return
    try:
        source.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        if source.is_dir():
            partial = target.with_name(f".{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            clone.copy(source, partial, kind="profile", service_workers=True)
            partial.rename(target)
        else:
            durable.write_bytes(target, source.read_bytes())
