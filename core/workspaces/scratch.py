"""Short paths for TMPDIR. Chromium puts a socket below it, and a socket's path has at most 107 bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from core import durable
from core.errors import HostFailed, WorkspaceError

LONGEST = 59
"""Bytes: what Chromium appends has 45."""


def path_for(workspace: Path) -> Path:
    """Return where the TMPDIR of a workspace is: inside it if that is short enough, else below the system's own.

    The second is made from the two paths, so that a sweep knows whose it is without a record.
    """
    inside = workspace / "tmp"
    if len(os.fsencode(inside)) <= LONGEST:
        return inside
    return _base() / f"{_digest(str(workspace.parent))}-{_digest(workspace.name)}"


def beside(root: Path) -> Path:
    """Return a directory below the system's own that stands in for ``root`` where that cannot be written to."""
    return _base() / f"clones-{_digest(str(root))}"


def create(path: Path) -> None:
    """Create a TMPDIR or a stand-in, 0700, empty or as it was.

    Raises:
        WorkspaceError: somebody else owns a directory on the way.
        DurableWriteFailed: it could not be made.
    """
    base = _base()
    try:
        if path.parent == base:
            _own(base)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise durable.write_failed(path, exc) from exc
    _check(path)


def strays(workspaces: Path, wanted: set[str]) -> list[Path]:
    """Return TMPDIRs below the system's own that belong to this state directory, but to none of these workspaces."""
    prefix = _digest(str(workspaces)) + "-"
    keep = {prefix + _digest(name) for name in wanted}
    base = _base()
    try:
        names = [path.name for path in base.iterdir()]
    except OSError:
        return []
    return sorted(base / name for name in names if name.startswith(prefix) and name not in keep)


def is_ours(path: Path) -> bool:
    """Whether ``path`` is a directory that ``path_for`` may have named below the system's own."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return path.parent == _base() and stat.S_ISDIR(found.st_mode) and found.st_uid == _uid()


def _base() -> Path:
    try:
        system = tempfile.gettempdir()
    except FileNotFoundError as exc:
        raise HostFailed("no temporary directory can be written to; make room there, or set TMPDIR to another") from exc
    return Path(system) / f"ostler-{_uid()}"


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:10]


def _own(base: Path) -> None:
    base.mkdir(mode=0o700, exist_ok=True)
    _check(base)


def _check(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise WorkspaceError(f"{path} belongs to somebody else; remove it, or set TMPDIR to a directory of yours")
    if found.st_mode & 0o077:
        path.chmod(0o700)
