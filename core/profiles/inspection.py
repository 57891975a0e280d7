"""What is known of profiles: read from their files and locks, nothing is changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.model import Holder
from core.errors import OstlerError, StateCorrupt
from core.profiles import intents, places
from core.profiles.port import LoginStatus, ProfileMetadata, ProfileStatus
from core.profiles.store import FileProfileStore
from core.state.sessions import FileSessionStore
from core.upkeep.finding import Finding, Level
from core.upkeep.integrity import examine
from core.workspaces import measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.domain.session import SessionState
    from core.profiles.registry import ProfileRegistry


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A named profile, as a list shows it. Times are ISO 8601 in UTC, empty where they are not known.

    Attributes:
        id: what it is called.
        status: active (the selected default), inactive, or corrupted.
        holder: who works with it; null for nobody.
        problem: why it is corrupted; empty if it is not.
        name: what people call it.
        login_state: whether its account was logged in when that was last known.
        last_used: when it was activated or saved.
        last_activity: when a run or a person last did something in it.
        last_error: what went wrong last; null once a run succeeded.
        error_phase: the phase of the run in which it did.
    """

    id: str
    platform: str
    status: ProfileStatus
    holder: Holder | None
    problem: str = ""
    name: str | None = None
    tags: tuple[str, ...] = ()
    login_state: LoginStatus = "unknown"
    created_at: str = ""
    last_used: str = ""
    last_activity: str = ""
    last_error: str | None = None
    error_phase: str | None = None


class ProfileReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one profile.

    Attributes:
        directory: where it is.
        metadata: what ``metadata.json`` says; null if it cannot be read. Secrets are masked where they are shown.
        findings: what is damaged; empty if all is well.
        session_status: of its session; null if it has none that can be read.
        flags: facts that its flows have established.
        size: bytes of the profile's directory.
    """

    profile: Profile
    directory: str
    metadata: ProfileMetadata | None
    findings: tuple[Finding, ...]
    session_status: str | None
    flags: tuple[str, ...]
    size: int


class ProfileSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile takes on disk, in bytes.

    Attributes:
        bytes: all of it.
        files: how many.
        parts: bytes by part: browser data, cache, login state, damaged, session, downloads, artifacts, workspaces; other.
    """

    id: str
    bytes: int
    files: int
    parts: dict[str, int]


def view(
    state_dir: Path, profile_id: str, active: str | None, holder: Callable[[str], Holder | None]
) -> tuple[Profile, ProfileMetadata | None]:
    """Return a profile as a list shows it, and its metadata, None if they cannot be read."""
    problem = ""
    metadata: ProfileMetadata | None = None
    try:
        metadata = FileProfileStore(state_dir).read(profile_id)
        if metadata is None:
            problem = f"{places.METADATA} is missing"
        elif metadata.status == "corrupted":
            problem = metadata.last_error or "it was marked so"
    except StateCorrupt as exc:
        problem = f"{exc.path.name}: {exc.reason}"
    status: ProfileStatus = "corrupted" if problem else "active" if profile_id == active else "inactive"
    shown = metadata or ProfileMetadata(profile_id=profile_id, platform="unknown")
    fields: dict[str, Any] = {
        name: getattr(shown, name)
        for name in (
            "platform", "name", "tags", "login_state", "created_at", "last_used", "last_activity", "last_error",
            "error_phase",
        )
    }  # fmt: skip
    return Profile(id=profile_id, status=status, problem=problem, holder=holder(profile_id), **fields), metadata


def statuses(state_dir: Path, profile: Profile) -> frozenset[str]:
    """Return all that a profile is: its own status, whether it is in use, and in small letters what its session says."""
    found = {str(profile.status)} | ({"in_use"} if profile.holder is not None else set())
    session = _session(state_dir, profile.id)
    return frozenset(found if session is None else found | {session.status.lower()})


def _session(state_dir: Path, profile_id: str) -> SessionState | None:
    """Return a profile's session; None if it has none that can be read."""
    sessions = FileSessionStore(state_dir)
    usable, wrong = sessions.look(profile_id)
    stored = sessions.read(profile_id) if usable and not wrong else None
    return None if stored is None else stored.value


def report(
    state_dir: Path, profile_id: str, active: str | None, holder: Callable[[str], Holder | None], *, deep: bool
) -> ProfileReport:
    """Return everything about one profile.

    Args:
        state_dir: where it is.
        profile_id: which one.
        active: the active profile's ID.
        holder: says who holds a profile.
        deep: read all of its browser data and compare it with what was saved.
    """
    profile, metadata = view(state_dir, profile_id, active, holder)
    session = _session(state_dir, profile_id)
    return ProfileReport(
        profile=profile,
        directory=str(places.profile(state_dir, profile_id)),
        metadata=metadata,
        findings=tuple(examine(state_dir, profile_id, deep=deep)),
        session_status=None if session is None else session.status,
        flags=()
        if session is None
        else tuple(sorted(flag for flag, holds in session.completion_flags.items() if holds)),
        size=size(state_dir, profile_id).bytes,
    )


def size(state_dir: Path, profile_id: str) -> ProfileSize:
    """Return what a profile takes on disk."""
    profile = places.profile(state_dir, profile_id)
    where: dict[str, list[Path]] = {
        "browser data": [profile / places.BROWSER_PROFILE],
        "cache": [profile / places.CACHE],
        "login state": sorted(profile.glob(f"{places.LOGIN_STATE}*")),
        "damaged": [profile / ".damaged"],
        "session": sorted((state_dir / "sessions").glob(f"{profile_id}.json*")),
        "downloads": [state_dir / "downloads" / profile_id],
        "artifacts": [state_dir / "artifacts" / profile_id],
        "workspaces": [
            path
            for path in (state_dir / "workspaces").glob(f"{profile_id}-*")
            if path.name.rpartition("-")[0] == profile_id
        ],
    }
    known = {path.name for paths in where.values() for path in paths if path.parent == profile}
    where["other"] = [profile / name for name in places.names(profile) if name not in known]
    parts: dict[str, int] = {}
    files = 0
    for part, paths in where.items():
        found = [_measured(path) for path in paths]
        parts[part] = sum(number for _, number in found)
        files += sum(number for number, _ in found)
    return ProfileSize(id=profile_id, bytes=sum(parts.values()), files=files, parts=parts)


def check(state_dir: Path, registry: ProfileRegistry, *, deep: bool) -> list[Finding]:
    """Return what is wrong with all profiles, and with what stands around them."""
    found: list[Finding] = []
    ids = registry.ids()
    for profile_id in ids:
        found += [
            msgspec.structs.replace(finding, check=f"{profile_id}: {finding.check}")
            for finding in examine(state_dir, profile_id, deep=deep)
        ]
    found += _twins(ids)
    root = places.profiles(state_dir)
    wrong = registry.damage()
    if wrong:
        found.append(_warn("active profile", wrong, "ostler profile activate ID"))
    found += [_unfinished(state_dir, profile_id) for profile_id in places.begun(state_dir)]
    for name in places.names(root):
        path = root / name
        if not name.startswith(".") and not (path.is_dir() and not path.is_symlink()):
            found.append(_warn("profiles", f"{path} is no profile's directory", f"see what it is: ls -ld {path}"))
    if os.path.lexists(state_dir / places.BROWSER_PROFILE) and registry.exists("default"):
        what = (
            f"{state_dir / places.BROWSER_PROFILE} is a single profile of old, and profile 'default' is there already"
        )
        found.append(_warn("profiles", what, f"ostler profile create NAME --import {state_dir}"))
    found += _open_to_others([root / name for name in ids])
    return found or [Finding(level=Level.OK, check="profiles", what=f"{len(ids)} profiles, all of them whole")]


def _unfinished(state_dir: Path, profile_id: str) -> Finding:
    try:
        intents.read(state_dir, profile_id)
    except OstlerError as exc:
        fix = f"if profile {profile_id} is as it should be: rm {places.intent(state_dir, profile_id)}"
        return Finding(level=Level.BAD, check="operations", what=str(exc), fix=fix)
    what = f"something was begun with profile {profile_id}, and is not ended"
    return _warn("operations", what, "nothing: if it is not under way, the next operation ends it")


def _twins(ids: list[str]) -> list[Finding]:
    seen: dict[str, str] = {}
    pairs = [(first, name) for name in ids if (first := seen.setdefault(name.lower(), name)) != name]
    return [
        _warn("profiles", f"{first} and {second} differ only in case", f"ostler profile rename {second} NAME")
        for first, second in pairs
    ]


def _open_to_others(directories: list[Path]) -> list[Finding]:
    found = []
    for path in directories:
        try:
            mode = path.stat().st_mode
        except OSError:  # it was removed meanwhile
            continue
        if os.name != "nt" and mode & 0o077:
            found.append(_warn("profiles", f"{path} can be entered by others", f"chmod 700 {path}"))
    return found


def _warn(check: str, what: str, fix: str) -> Finding:
    return Finding(level=Level.WARN, check=check, what=what, fix=fix)


def _measured(path: Path) -> tuple[int, int]:
    if path.is_dir() and not path.is_symlink():
        return measure.files_and_bytes(path)
    try:
        return 1, path.lstat().st_size
    except OSError:
        return 0, 0
