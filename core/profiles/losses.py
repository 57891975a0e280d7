"""What a recovery would take away: said before it is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from core.errors import NewerSchema, StateCorrupt
from core.profiles import places, salvage
from core.profiles.errors import ProfileDamaged
from core.profiles.intents import Mode, Recovery
from core.profiles.port import timestamp
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.workspaces import repair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.profiles.port import ProfileMetadata

ASIDE = ".damaged"
_METADATA = "metadata"
_LOGIN = "login state"
_SESSION = "session"
_BROWSER = "browser data"
_CARRIES_FACTS = (_LOGIN, _BROWSER)


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a recovery takes away.

    Attributes:
        part: ``metadata``, ``login state``, ``session`` or ``browser data``.
        what: what is lost with it.
        reason: why it goes.
    """

    part: str
    what: str
    reason: str


class RecoveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery did, or with ``dry_run`` would do.

    Attributes:
        profile_id: whose.
        mode: soft or hard.
        keep_login: the login state is put into the browser of the next run.
        dry_run: nothing was changed.
        losses: what is lost.
        flags: facts of the session that may rest on what is lost; `ostler session reset` forgets one or all.
        kept_in: directory with what was damaged; empty where nothing is kept.
    """

    profile_id: str
    mode: Mode
    keep_login: bool
    dry_run: bool
    losses: tuple[Loss, ...]
    flags: tuple[str, ...]
    kept_in: str


def plan(state_dir: Path, intent: Recovery, *, dry_run: bool) -> RecoveryReport:
    """Return what a recovery would do; nothing is changed.

    Raises:
        NewerSchema: something was written by a newer version, and is not ours to judge.
        ProfileDamaged: the login state that is to be kept cannot be read.
    """
    profile_id = intent.profile_id
    for store in (FileSessionStore(state_dir), FileLoginStateStore(state_dir)):
        store.refuse_newer(profile_id)
    usable, wrong = FileLoginStateStore(state_dir).look(profile_id)
    if intent.mode == "hard" and intent.keep_login and not usable:
        raise ProfileDamaged(profile_id, f"its login state cannot be kept: {wrong[0]}")
    losses = tuple(_losses(state_dir, intent))
    kept = intent.mode == "soft" and bool(losses)
    return RecoveryReport(
        profile_id=profile_id,
        mode=intent.mode,
        keep_login=intent.keep_login,
        dry_run=dry_run,
        losses=losses,
        flags=_flags(state_dir, profile_id) if any(loss.part in _CARRIES_FACTS for loss in losses) else (),
        kept_in=str(kept_in(state_dir, intent)) if kept else "",
    )


def kept_in(state_dir: Path, intent: Recovery) -> Path:
    """Return where a recovery keeps what was damaged."""
    stamp = timestamp(intent.at).replace(":", "").replace("-", "")
    return places.profile(state_dir, intent.profile_id) / ASIDE / stamp


def _losses(state_dir: Path, intent: Recovery) -> Iterator[Loss]:
    profile_id = intent.profile_id
    profile = places.profile(state_dir, profile_id)
    yield from _lost_metadata(profile / places.METADATA, profile_id)
    usable, wrong = FileSessionStore(state_dir).look(profile_id)
    if not usable:
        what = "which steps are done, the identity and the outputs"
        yield Loss(part=_SESSION, what=what, reason="; ".join(wrong))
    saved = profile / places.BROWSER_PROFILE
    usable, wrong = FileLoginStateStore(state_dir).look(profile_id)
    if intent.mode == "soft":
        if not usable:
            yield Loss(part=_LOGIN, what="the login as it was exported last", reason="; ".join(wrong))
        if saved.is_dir() and not saved.is_symlink():
            for part in repair.damaged(saved, deep=intent.deep):
                yield Loss(part=_BROWSER, what=part.holds, reason=f"{part.path}: {part.reason}")
        elif os.path.lexists(saved):
            yield Loss(part=_BROWSER, what="what stands in its place", reason=f"{saved} is no directory")
        return
    if not intent.keep_login and not (usable and _is_logged_out(state_dir, profile_id)):
        yield Loss(part=_LOGIN, what="the login as it was exported last", reason="hard recovery resets it")
    if os.path.lexists(saved) and (not saved.is_dir() or places.names(saved)):
        kept = ", but for the cookies and storage of the login state" if intent.keep_login else ""
        what = f"cookies, site data, extensions, history: all that the browser kept{kept}"
        yield Loss(part=_BROWSER, what=what, reason="hard recovery resets it")


def _is_logged_out(state_dir: Path, profile_id: str) -> bool:
    stored = FileLoginStateStore(state_dir).read(profile_id)
    return stored is None or stored.value.is_empty


def _lost_metadata(path: Path, profile_id: str) -> Iterator[Loss]:
    if not os.path.lexists(path):
        yield Loss(part=_METADATA, what="name, tags, platform and settings", reason=f"{path} is missing")
        return
    try:
        FileProfileStore(path.parents[2]).read(profile_id)
    except StateCorrupt as exc:
        kept, _ = salvage.salvaged(path, profile_id)
        dropped = [
            name for name in salvage.fields_of(path) if name in kept.__struct_fields__ and not _same(path, kept, name)
        ]
        what = ", ".join(dropped) or "name, tags, platform and settings"
        yield Loss(part=_METADATA, what=what, reason=exc.reason)


def _same(path: Path, kept: ProfileMetadata, name: str) -> bool:
    return msgspec.json.encode(getattr(kept, name)) == msgspec.json.encode(salvage.fields_of(path)[name])


def _flags(state_dir: Path, profile_id: str) -> tuple[str, ...]:
    try:
        stored = FileSessionStore(state_dir).read(profile_id)
    except (StateCorrupt, NewerSchema):
        return ()
    flags = {} if stored is None else stored.value.completion_flags
    return tuple(sorted(name for name, holds in flags.items() if holds))
