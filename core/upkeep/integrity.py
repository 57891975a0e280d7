"""What is damaged of one profile: its metadata, session, login state, saved browser data and the marks around them.

Looked at only; nothing is changed, and no lock is taken. An ordinary start finds the same, but for what only a deep look reads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.durable import bytes_of
from core.errors import NewerSchema, OstlerError
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.selector_cache import FileSelectorCache
from core.state.sessions import FileSessionStore
from core.upkeep.finding import bad, ok, warn
from core.workspaces import ahead, manifest, marker, swap, verify
from core.workspaces.files import BROWSER_PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.upkeep.finding import Finding

_NOTHING = "nothing: the next run takes the safe side and writes a new one"
_LOOKS = 3


def examine(state_dir: Path, profile_id: str, *, deep: bool = False) -> list[Finding]:
    """Say what is damaged of a profile.

    Args:
        state_dir: where it is.
        profile_id: which one.
        deep: read all of its saved browser data and compare it with what was saved.

    Returns:
        ``bad`` for what a run refuses, ``warn`` for what it gets along with; empty if all is well.
    """
    fix = f"ostler profile recover {profile_id}"
    return [
        *_of_metadata(state_dir, profile_id, fix),
        *_of_session(state_dir, profile_id),
        *_of_login_state(state_dir, profile_id, fix),
        *_of_browser_data(state_dir, profile_id, f"{fix} --deep" if deep else fix, deep=deep),
        *_of_marks(state_dir, profile_id),
    ]


def check_selectors(state_dir: Path) -> Finding:
    """Whether the selector cache can be read."""
    wrong = FileSelectorCache(state_dir).damage()
    return warn("selectors", wrong, "nothing: what worked is learnt again") if wrong else ok("selectors", "whole")


def _of_metadata(state_dir: Path, profile_id: str, fix: str) -> Iterator[Finding]:
    store = FileProfileStore(state_dir)
    try:
        found = store.read(profile_id)
        edited = store.was_edited(profile_id)
    except OstlerError as exc:
        yield bad("metadata", str(exc), fix)
        return
    path = state_dir / "profiles" / profile_id / "metadata.json"
    if found is None:
        yield bad("metadata", f"{path} is missing", fix)
    elif edited:
        yield warn("metadata", f"{path} is not what Ostler wrote", "nothing, if you changed it; else see what it says")


def _of_session(state_dir: Path, profile_id: str) -> Iterator[Finding]:
    usable, wrong = FileSessionStore(state_dir).look(profile_id)
    for what in wrong:
        if usable:
            yield warn("session", what, f"see whether it is right: ostler session show {profile_id}")
        else:
            yield bad(
                "session", what, f"restore it from a backup, or forget what is done: ostler session reset {profile_id}"
            )


def _of_login_state(state_dir: Path, profile_id: str, fix: str) -> Iterator[Finding]:
    usable, wrong = FileLoginStateStore(state_dir).look(profile_id)
    for what in wrong:
        yield warn("login state", what, _NOTHING) if usable else bad("login state", what, fix)


def _of_browser_data(state_dir: Path, profile_id: str, fix: str, *, deep: bool) -> Iterator[Finding]:
    saved = state_dir / "profiles" / profile_id / BROWSER_PROFILE
    for what in swap.damage(saved):
        yield warn("browser data", what, _NOTHING)
    if not saved.is_dir():
        if os.path.lexists(saved):
            yield bad("browser data", f"{saved} is no directory", fix)
        return
    try:
        found, is_listed = _compared(saved, deep=deep)
    except NewerSchema as exc:
        yield bad("browser data", str(exc), "upgrade Ostler")
        return
    for what in found:
        yield bad("browser data", f"{saved}: {what}", fix)
    if deep and not is_listed and any(saved.iterdir()):
        what = f"{saved} has no list of what was saved: its content cannot be compared"
        yield warn("browser data", what, "nothing: the next save writes one")


def _compared(saved: Path, *, deep: bool) -> tuple[list[str], bool]:
    """Return what is wrong with saved data, and whether there is a list to hold it to.

    A run that saves meanwhile puts other data in its place; then that is looked at.
    """
    for _ in range(_LOOKS):
        before = _identity(saved)
        differences = manifest.differences(saved, deep=deep)
        found = list(dict.fromkeys([*map(str, differences or []), *verify.findings(saved)]))
        if _identity(saved) == before:
            break
    return found, differences is not None


def _identity(saved: Path) -> tuple[int, int] | None:
    try:
        found = saved.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _of_marks(state_dir: Path, profile_id: str) -> Iterator[Finding]:
    """Look at what stands around the data: none of it is data itself."""
    profile = state_dir / "profiles" / profile_id
    if ahead.is_damaged(profile / BROWSER_PROFILE):
        yield warn("marks", f"{profile / ahead.NAME} is damaged", _NOTHING)
    for path in (profile / ".lock", state_dir / "locks" / f"{profile_id}.lock"):
        try:
            bytes_of(path)
        except OSError as exc:
            yield bad("locks", f"{path} cannot be read: {exc.strerror or exc}", f"remove it: {path}")
    for path in sorted((state_dir / "workspaces").glob(f"{profile_id}-*")):
        if path.name.rpartition("-")[0] == profile_id and marker.read(path) is None:
            what = f"the working copy {path} has a damaged marker"
            yield warn("marks", what, "nothing: the next run makes a new copy")
