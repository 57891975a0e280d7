"""How a profile's browser data differs from what it began with, or from another profile's."""

from __future__ import annotations

import filecmp
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from core.workspaces import skip

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = (".ostler-manifest.json", ".ostler-browser.json", ".ostler-swap")


class FileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not the same on both sides.

    Attributes:
        path: relative to the user-data-dir, with ``/``.
        change: ``added`` and ``removed`` as seen from the profile.
        before: bytes in what it is compared with; null if it is not there.
        after: bytes in the profile; null if it is not there.
    """

    path: str
    change: Literal["added", "removed", "changed"]
    before: int | None
    after: int | None


class ProfileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How a profile differs; caches and service workers are left out, which no template hands on.

    Attributes:
        id: the profile.
        against: path of the browser data that it is compared with.
        same: how many files are the same.
        files: those that are not, by path.
    """

    id: str
    against: str
    same: int
    files: tuple[FileDifference, ...]


def compare(profile_id: str, data: Path, against: Path) -> ProfileDifference:
    """Compare two user-data-dirs, by size and, where that is the same, by content."""
    before, after = dict(_files(against)), dict(_files(data))
    found: list[FileDifference] = []
    same = 0
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(FileDifference(path=name, change="added", before=None, after=new))
        elif new is None:
            found.append(FileDifference(path=name, change="removed", before=old, after=None))
        elif old != new or not _is_equal(data / name, against / name):
            found.append(FileDifference(path=name, change="changed", before=old, after=new))
        else:
            same += 1
    return ProfileDifference(id=profile_id, against=str(against), same=same, files=tuple(found))


def _files(root: Path) -> Iterator[tuple[str, int]]:
    for here, directories, names in os.walk(root):
        parts = Path(here).relative_to(root).parts
        directories[:] = [name for name in directories if not skip.directory((*parts, name), service_workers=False)]
        for name in names:
            if skip.file((*parts, name)) or (not parts and name in _OURS):
                continue
            try:
                found = os.lstat(os.path.join(here, name))  # noqa: PTH118 - thousands of them
            except FileNotFoundError:  # a run that saves meanwhile puts other data in its place
                continue
            if stat.S_ISREG(found.st_mode):
                yield "/".join((*parts, name)), found.st_size


def _is_equal(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False
