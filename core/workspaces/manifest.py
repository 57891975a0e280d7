"""What saved browser data was when it was saved: size, time of change and SHA-256 of each file, in one file among them.

It goes into its place with the data, by the same swap, so that the two never disagree, whatever is killed. Copies keep
the times of their files: a file of the same size and time is the one that was hashed, and is not read again. So a save
hashes what its browser has changed, and a start what somebody has written to since; what a disk returns differently
without having been written to is found by a deep comparison, today or many saves later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core import durable, sealed
from core.errors import OstlerError, StateCorrupt, WorkspaceError
from core.text import encodable
from core.workspaces import skip

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 5
NAME = ".ostler-manifest.json"


class Difference(msgspec.Struct, frozen=True):
    """A file that is not what was saved.

    Attributes:
        path: relative to the user-data-dir, with ``/``.
        what: what is the matter with it, to stand behind its name.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    size: int
    modified: int
    sha256: str


_Entries = dict[str, _Entry]


def write(user_data_dir: Path, *, afresh: bool = False) -> tuple[int, int]:
    """Write the manifest of closed browser data; the swap that puts both in their place makes them durable.

    Args:
        user_data_dir: holds what is to be saved, and maybe the manifest that it was cloned with.
        afresh: read every file, as after mending the data: what stands there is now what is meant.

    Returns:
        How many files and bytes it lists.

    Raises:
        WorkspaceError: a file cannot be read.
        DurableWriteFailed: there is no room; an earlier manifest is intact.
    """
    known: _Entries = {}
    if not afresh:
        # without one that can be used, every file is read
        with contextlib.suppress(OstlerError):
            known = sealed.read(user_data_dir / NAME, _Entries) or {}
    entries: _Entries = {}
    try:
        for left in user_data_dir.glob(f".{NAME}.*"):  # by a killed writer; nobody else writes here
            left.unlink()
        for name, path, found in _files(user_data_dir):
            entry = known.get(name)
            if entry is None or not _seems_unchanged(entry, found):
                entry = _Entry(found.st_size, found.st_mtime_ns, _hash(path))
            entries[name] = entry
    except OSError as exc:
        raise WorkspaceError(f"{exc.filename or user_data_dir} could not be read: {exc.strerror or exc}") from exc
    durable.write_bytes(user_data_dir / NAME, sealed.seal(entries), fsync=False)
    return len(entries), sum(entry.size for entry in entries.values())


def differences(user_data_dir: Path, *, deep: bool = False, source: Path | None = None) -> list[Difference] | None:
    """Compare browser data with its manifest; the data is not changed.

    Args:
        user_data_dir: saved data, or a copy of it that no browser has run in.
        deep: read every file, and name those that were added. Else a file is read only where its time of change says that
            it was written to; 5,000 files take some 20 ms.
        source: what this is a copy of, to be held to its manifest; None: to its own.

    Returns:
        What differs, by name; None if there is no manifest to compare with.

    Raises:
        NewerSchema: the manifest is from a newer version.
    """
    try:
        entries = sealed.read((source or user_data_dir) / NAME, _Entries)
    except StateCorrupt as exc:
        return [Difference(NAME, f"it is damaged: {exc.reason}")]
    if entries is None:
        return None
    found = _compared(entries, user_data_dir, deep=deep)
    return sorted(found, key=lambda difference: difference.path)


def first_differences(copy: Path, source: Path | None) -> list[str]:
    """Say what in a copy of a profile's own data is not what was saved, the first few of it."""
    found = differences(copy, source=source) or []
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [*map(str, found[:_SHOWN]), *more]


def _compared(entries: _Entries, root: Path, *, deep: bool) -> Iterator[Difference]:
    missing = dict(entries)
    try:
        for name, path, found in _files(root):
            entry = missing.pop(name, None)
            if entry is None:
                if deep:
                    yield Difference(name, "it was added since this was saved")
            elif found.st_size != entry.size:
                yield Difference(name, f"it has {found.st_size} bytes, {entry.size} were saved")
            elif (deep or not _seems_unchanged(entry, found)) and (what := _of_content(entry, path)):
                yield Difference(name, what)
    except OSError as exc:
        name = os.path.relpath(exc.filename or root, root)
        yield Difference(encodable(name), f"it cannot be read ({exc.strerror or exc})")
        return
    for name in missing:
        there = os.path.lexists(root / name)
        yield Difference(name, "it is no regular file any more" if there else "it is missing")


def _of_content(entry: _Entry, path: str) -> str:
    try:
        same = _hash(path) == entry.sha256
    except OSError as exc:
        return f"it cannot be read ({exc.strerror or exc})"
    return "" if same else "its content is not what was saved"


def _seems_unchanged(entry: _Entry, found: os.stat_result) -> bool:
    return (entry.size, entry.modified) == (found.st_size, found.st_mtime_ns)


def _files(root: Path) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield name, path and status of what a manifest lists: every regular file, but for our own marks, which change with each swap."""
    for here, directories, names in os.walk(root, onerror=_refuse):
        parts = Path(here).relative_to(root).parts
        directories[:] = [name for name in directories if not skip.directory((*parts, name), service_workers=True)]
        within = "".join(f"{part}/" for part in parts)
        for name in names:
            if not within and (name == NAME or name in skip.OURS):
                continue
            path = os.path.join(here, name)  # noqa: PTH118 - thousands of them: a Path for each takes longer than the disk
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                yield encodable(within + name), path, found


def _refuse(error: OSError) -> None:
    raise error


def _hash(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
        return hashlib.file_digest(file, "sha256").hexdigest()
