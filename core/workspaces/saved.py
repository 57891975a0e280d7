"""Browser data as profiles have saved it, in ``profiles/<id>/browser_profile``: what an archive takes from it and puts there."""

from __future__ import annotations

import functools
import os
import stat
from collections import Counter
from pathlib import Path

from core import durable
from core.errors import HolderAlive, WorkspaceCorrupt, WorkspaceError
from core.workspaces import live, removal, skip, swap, verify
from core.workspaces import version as versions
from core.workspaces.files import AHEAD, BROWSER_PROFILE, FileWorkspaces
from core.workspaces.port import Saved

_OURS = ".ostler-"
_NO_FILES = "links and special files"


class FileSavedData:
    """Adapter of ``SavedData``."""

    def __init__(self, state_dir: Path) -> None:
        self._profiles = state_dir.resolve() / "profiles"
        self._workspaces = FileWorkspaces(state_dir)

    def look(self, profile_id: str) -> Saved | None:
        """Return what a profile has saved, None if that is nothing; see the port."""
        profile = self._profiles / profile_id
        root = profile / BROWSER_PROFILE
        swap.recover(root, functools.partial(removal.tree, root=profile))
        if not root.is_dir() or not any(root.iterdir()):
            return None
        signs = live.evidence(root)
        if signs is not None:
            raise HolderAlive(f"the browser data of profile {profile_id}", f"a browser ({signs})")
        _refuse_corrupt(root)
        files, skipped, unreadable = _scan(root)
        return Saved(
            root=root,
            files=files,
            skipped=skipped,
            unreadable=unreadable,
            browser=versions.written_by(root),
            encrypted=verify.encrypted(root),
            behind=_is_behind(profile, root),
        )

    def receive(self, profile: Path, browser: tuple[str, str] | None, *, behind: bool) -> None:
        """Make unpacked browser data that of a profile; see the port."""
        root = profile / BROWSER_PROFILE
        _refuse_corrupt(root)
        if browser is not None:
            versions.record(root, *browser)
        if behind:
            durable.write_bytes(profile / AHEAD, (swap.token(root) or "").encode(), fsync=False)
        swap.sync_file_system(root)

    def forget(self, profile_id: str) -> None:
        """Remove working copies of an earlier profile of this ID; see the port."""
        self._workspaces.discard_profile(profile_id)

    def objection(self, written: tuple[str, str], browser: str, version: str) -> str:
        """Say why this browser must not open what another one wrote; empty if it may."""
        try:
            versions.check(written, browser, version)
        except WorkspaceError as exc:
            return str(exc)
        return ""


def _refuse_corrupt(root: Path) -> None:
    findings = verify.findings(root)
    if findings:
        raise WorkspaceCorrupt(root, findings)


def _is_behind(profile: Path, root: Path) -> bool:
    try:
        return (profile / AHEAD).read_text("ascii") == (swap.token(root) or "")
    except FileNotFoundError:
        return False


def _scan(root: Path) -> tuple[tuple[str, ...], dict[str, int], tuple[str, ...]]:
    """Return what is worth taking along, what is not and how often, and what cannot be looked at."""
    files: list[str] = []
    skipped: Counter[str] = Counter()
    unreadable: list[str] = []

    def refused(error: OSError) -> None:
        unreadable.append(os.path.relpath(error.filename or root, root))

    for here, directories, names in os.walk(root, onerror=refused):
        parts = Path(here).relative_to(root).parts
        for name in list(directories):
            if skip.directory((*parts, name), service_workers=True):
                directories.remove(name)
                skipped[name] += 1
            elif root.joinpath(*parts, name).is_symlink():
                skipped[_NO_FILES] += 1
        for name in names:
            reason = _reason_to_skip(root, (*parts, name))
            if reason is None:
                files.append("/".join((*parts, name)))
            elif reason:
                skipped[reason] += 1
    return tuple(sorted(files)), dict(skipped), tuple(unreadable)


def _reason_to_skip(root: Path, parts: tuple[str, ...]) -> str | None:
    """Return why a file is not taken along, None if it is; empty for ours, which are written anew where the rest arrives."""
    if len(parts) == 1 and parts[0].startswith(_OURS):
        return ""
    if skip.file(parts):
        return parts[-1]
    return None if stat.S_ISREG(root.joinpath(*parts).lstat().st_mode) else _NO_FILES
