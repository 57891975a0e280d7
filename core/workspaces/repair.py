"""What of damaged browser data must go so that the rest can be used, and what that costs."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import msgspec

from core.workspaces import manifest, verify

_DATABASES = (b"SQLite format 3\0",)
_COMPANIONS = ("-journal", "-wal", "-shm")
_HOLDS = {
    "Cookies": "all cookies, and the logins in them",
    "Login Data": "saved passwords",
    "Web Data": "autofill and search engines",
    "Preferences": "the browser's settings",
    "Secure Preferences": "the browser's protected settings",
    "Local State": "settings for all profiles of this user-data-dir",
    "History": "the history",
    "Bookmarks": "bookmarks",
    "Local Storage": "what all sites keep in localStorage",
    "Session Storage": "what pages keep for one session",
    "Service Worker": "service workers of all sites; they install themselves again",
}


class Part(msgspec.Struct, frozen=True):
    """A file or directory that is damaged, and can only go as a whole.

    Attributes:
        path: relative to the user-data-dir, with ``/``.
        reason: what is wrong with it.
        holds: what is lost with it, for people.
        has_login: whether a login may be in it.
    """

    path: str
    reason: str
    holds: str
    has_login: bool


def damaged(user_data_dir: Path, *, deep: bool = False) -> list[Part]:
    """Return the parts that are damaged; nothing is changed.

    What differs from what was saved, and yet is a sound database or sound JSON, is no damage: somebody wrote it.

    Args:
        user_data_dir: closed browser data.
        deep: compare the content of every file with what was saved.

    Raises:
        NewerSchema: a newer version saved it.
    """
    found: dict[str, Part] = {}
    for finding in verify.findings(user_data_dir):
        name, reason = _split(user_data_dir, finding)
        _add(found, user_data_dir, name, reason)
    for difference in manifest.differences(user_data_dir, deep=deep) or []:
        path = user_data_dir / difference.path
        if difference.path == manifest.NAME or _is_sound(path, user_data_dir):
            continue
        # a journal without its database would be played back into the next one of that name
        if _with_companions(path) or _store_of(user_data_dir, PurePosixPath(difference.path)) is not None:
            _add(found, user_data_dir, difference.path, difference.what)
    return list(found.values())


def files_of(user_data_dir: Path, part: Part) -> list[Path]:
    """Return what has to go with a part: itself, and a database's journal."""
    return _with_companions(user_data_dir / part.path)


def _with_companions(path: Path) -> list[Path]:
    return [one for one in (path, *(path.with_name(path.name + end) for end in _COMPANIONS)) if os.path.lexists(one)]


def _split(root: Path, finding: str) -> tuple[str, str]:
    """Return the path that a finding begins with, and the rest: a name may hold what stands between the two."""
    parts = finding.split(": ")
    for count in range(len(parts) - 1, 1, -1):
        name = ": ".join(parts[:count])
        if os.path.lexists(root / name):
            return name, ": ".join(parts[count:])
    return parts[0], ": ".join(parts[1:])


def _add(found: dict[str, Part], root: Path, name: str, reason: str) -> None:
    relative = PurePosixPath(Path(name).as_posix())
    unit = _store_of(root, relative) or relative
    key = next((part for part in (unit.name, *unit.parts) if part in _HOLDS), "")
    holds = _HOLDS.get(key, "")
    if not holds:
        parents = unit.parts
        holds = f"the extension {unit.name}" if "Extensions" in parents else ""
        holds = holds or (f"what {unit.name} keeps" if "IndexedDB" in parents else f"{unit}")
    has_login = key in ("Cookies", "Login Data", "Local Storage") or "IndexedDB" in unit.parts
    found.setdefault(str(unit), Part(str(unit), reason, holds, has_login))


def _store_of(root: Path, relative: PurePosixPath) -> PurePosixPath | None:
    """Return the directory that a path belongs to where only all of it makes sense: a LevelDB, an extension, service workers."""
    parts = relative.parts
    for index, part in enumerate(parts):
        if part == "Service Worker":
            return PurePosixPath(*parts[: index + 1])
        if part == "Extensions" and len(parts) > index + 1:
            return PurePosixPath(*parts[: index + 2])
    for directory in (relative, *relative.parents):
        where = root / directory
        if directory.parts and where.is_dir() and _is_leveldb(where):
            return directory
    return relative if (root / relative).is_dir() else None


def _is_leveldb(directory: Path) -> bool:
    named = directory.name == "leveldb" or directory.name.endswith(".leveldb")
    return named or (directory / "CURRENT").exists() or any(directory.glob("MANIFEST-*"))


def _is_sound(path: Path, root: Path) -> bool:
    """Whether a file that is not what was saved is good in itself, as far as that can be seen."""
    if path.is_symlink() or not path.is_file():  # opening a pipe would wait for its other end
        return False
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if head in _DATABASES:
        return not verify.of_database(path, root)
    return head[:1] == b"{" and "Extensions" not in path.parts and not verify.of_json(path, root)
