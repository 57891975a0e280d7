"""Gets a damaged profile going again, and says beforehand what that costs.

``soft`` keeps what is whole: metadata are written anew from what they still say and from the directory; of login state, session
and browser data only what is broken goes, into ``profiles/<id>/.damaged/``. ``hard`` takes login state and browser data away
altogether; with ``keep_login`` the login state stays, and the next run puts it into a new browser.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import msgspec

from core import durable
from core.errors import OstlerError
from core.input_file import is_regular
from core.profiles import intents, places, salvage
from core.profiles.losses import RecoveryReport, kept_in, plan
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.workspaces import ahead, manifest, removal, repair, swap
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    from pathlib import Path

    from core.profiles.intents import Recovery


def prepare(state_dir: Path, intent: Recovery) -> None:
    """Bring a profile to where one can see what is broken: a save that was cut off is ended, and what stands in the place of a
    mark or of a previous generation, and is no file, is put aside. The caller holds its lock.

    Raises:
        DurableWriteFailed, WorkspaceError: the next operation goes on.
    """
    profile, aside = places.profile(state_dir, intent.profile_id), kept_in(state_dir, intent)
    saved, mark = profile / places.BROWSER_PROFILE, profile / ahead.NAME
    session = state_dir / "sessions" / f"{intent.profile_id}.json.prev"
    displaced = [
        path
        for path in (mark, swap.record(saved), profile / f"{places.LOGIN_STATE}.prev", session)
        if os.path.lexists(path) and not is_regular(path)
    ]
    try:
        for path in displaced:
            salvage.put_aside(path, aside / path.relative_to(state_dir if path == session else profile))
        swap.recover(saved, functools.partial(removal.tree, root=profile))
    except OSError as exc:
        raise durable.write_failed(profile, exc) from exc
    if mark in displaced:  # nobody can tell any more whether a browser went on: then it may have
        ahead.mark(saved)


def recover(state_dir: Path, intent: Recovery) -> RecoveryReport:
    """Recover a profile that was prepared; the caller holds its lock.

    Raises:
        NewerSchema, ProfileDamaged: as ``plan``; nothing changed.
        DurableWriteFailed, WorkspaceError: nothing changed, or, once it was decided, the next operation goes on.
    """
    report = plan(state_dir, intent, dry_run=False)
    intents.write(state_dir, intent.profile_id, intent)
    carry_out(state_dir, intent)
    return report


def carry_out(state_dir: Path, intent: Recovery) -> None:
    """Do what is left of it; the caller holds the lock.

    Raises:
        DurableWriteFailed, WorkspaceError: the next holder of the lock goes on.
    """
    profile_id = intent.profile_id
    profile = places.profile(state_dir, profile_id)
    metadata, others = salvage.salvaged(profile / places.METADATA, profile_id)
    try:
        changes = _harden(state_dir, intent) if intent.mode == "hard" else _soften(state_dir, intent)
        salvage.keep_bytes(profile / places.METADATA, kept_in(state_dir, intent))
    except OSError as exc:
        raise durable.write_failed(profile, exc) from exc
    # whether it is the active one, the pointer knows
    status = "active" if metadata.status == "active" else "inactive"
    metadata = msgspec.structs.replace(metadata, status=status, last_error=None, error_phase=None, **changes)
    FileProfileStore(state_dir).write(metadata, others=others)
    intents.remove(state_dir, profile_id)


def _soften(state_dir: Path, intent: Recovery) -> dict[str, Any]:
    """Take away what is broken; return what changes in the metadata."""
    profile_id = intent.profile_id
    profile = places.profile(state_dir, profile_id)
    aside = kept_in(state_dir, intent)
    kept_session = _mend_session(state_dir, profile_id, aside)
    logins = FileLoginStateStore(state_dir)
    usable, wrong = logins.look(profile_id)
    if not usable:
        for name in (places.LOGIN_STATE, f"{places.LOGIN_STATE}.prev"):
            salvage.put_aside(profile / name, aside / name)
        logins.write(profile_id, LoginState(), fence=_fence(state_dir, profile_id))
    elif wrong:
        _rewrite_login(logins, profile_id)
    saved = profile / places.BROWSER_PROFILE
    swap.recover(saved, functools.partial(removal.tree, root=profile))
    if saved.is_symlink() or not saved.is_dir():
        salvage.put_aside(saved, aside / places.BROWSER_PROFILE)
        durable.ensure_directory(saved)
    # what a killed recovery has moved is not found again, but was not forgotten either
    lost_login = _moved_login(aside)
    for part in repair.damaged(saved, deep=intent.deep):
        lost_login |= part.has_login
        for path in repair.files_of(saved, part):
            salvage.put_aside(path, aside / places.BROWSER_PROFILE / path.relative_to(saved))
    if places.names(saved):
        manifest.write(saved, afresh=True)
        swap.sync_file_system(saved)
    if lost_login:
        ahead.mark(saved)
    # without its session nobody knows how new the login state is: then it counts
    return {"generation": 0, "login_state": "unknown"} if lost_login or not kept_session else {}


def _harden(state_dir: Path, intent: Recovery) -> dict[str, Any]:
    """Take login state and browser data away; return what changes in the metadata."""
    profile_id = intent.profile_id
    profile = places.profile(state_dir, profile_id)
    remove = functools.partial(removal.tree, root=profile)
    _mend_session(state_dir, profile_id, kept_in(state_dir, intent))
    # the copies of attempts that were cut off hold what is to be forgotten
    FileWorkspaces(state_dir).discard_profile(profile_id)
    saved = profile / places.BROWSER_PROFILE
    if saved.is_symlink() or not saved.is_dir():
        saved.unlink(missing_ok=True)
        durable.ensure_directory(saved)
    elif places.names(saved) or swap.pending(saved):
        empty = profile / f".{places.BROWSER_PROFILE}.empty"
        durable.ensure_directory(empty)
        swap.replace(empty, saved, remove)
        (saved / swap.TOKEN).unlink(missing_ok=True)
    (profile / ahead.NAME).unlink(missing_ok=True)
    logins = FileLoginStateStore(state_dir)
    if intent.keep_login:
        _rewrite_login(logins, profile_id)
        return {"generation": 0, "login_state": "unknown"}
    for name in (f"{places.LOGIN_STATE}.prev", places.LOGIN_STATE):
        (profile / name).unlink(missing_ok=True)
    logins.write(profile_id, LoginState(), fence=_fence(state_dir, profile_id))
    return {"generation": _login_generation(state_dir, profile_id), "login_state": "logged_out"}


def _mend_session(state_dir: Path, profile_id: str, aside: Path) -> bool:
    """Use what is whole of the session; whether anything was."""
    sessions = FileSessionStore(state_dir)
    usable, wrong = sessions.look(profile_id)
    if usable and wrong:
        stored = sessions.read(profile_id)
        if stored is not None:
            sessions.write(stored.value, fence=stored.fence)
    elif not usable:
        for name in (f"{profile_id}.json", f"{profile_id}.json.prev"):
            salvage.put_aside(state_dir / "sessions" / name, aside / "sessions" / name)
    return usable


def _rewrite_login(logins: FileLoginStateStore, profile_id: str) -> None:
    """Let the newest whole version be the current one."""
    stored = logins.read(profile_id)
    if stored is not None and stored.recovered:
        logins.write(profile_id, stored.value, fence=stored.fence)


def _fence(state_dir: Path, profile_id: str) -> int:
    try:
        stored = FileSessionStore(state_dir).read(profile_id)
    except OstlerError:
        return 0
    return 0 if stored is None else stored.fence


def _login_generation(state_dir: Path, profile_id: str) -> int:
    stored = FileSessionStore(state_dir).read(profile_id)
    return 0 if stored is None else stored.value.login_generation


def _moved_login(aside: Path) -> bool:
    return any(
        name in ("Cookies", "Login Data", "Local Storage", "IndexedDB")
        for here, directories, files in os.walk(aside / places.BROWSER_PROFILE)
        for name in (*directories, *files)
    )
