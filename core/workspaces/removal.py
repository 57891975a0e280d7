"""Removes directories of ours, and nothing else."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from pathlib import Path
from typing import Any

from core.errors import OutsideRoot, WorkspaceError
from core.workspaces import marker, scratch

GONE = ".gone-"
_PAUSES = (0.05, 0.2, 0.4, 0.8)


def tree(path: Path, root: Path) -> None:
    """Remove a directory tree below ``root``; one that is gone already is fine.

    Tries again for a while: a browser that was killed may still let go of its files.

    Raises:
        OutsideRoot: ``path`` is not below ``root``, or a symbolic link leads there.
        WorkspaceError: something is left.
    """
    if path.parent.resolve() != path.parent or root not in path.parents or path.is_symlink():
        raise OutsideRoot(path, root)
    _remove(path)


def workspace(path: Path, root: Path) -> None:
    """Remove a workspace: its name goes first, its marker last, so a half-removed one is never taken for a whole one.

    Raises:
        OutsideRoot: not below ``root``, or without our marker.
    """
    if path.parent != root or path.resolve() != path:
        raise OutsideRoot(path, root)
    if not path.exists():
        # a signal may have interrupted an earlier call, after the name was gone
        for gone in root.glob(f"{GONE}{path.name}.*"):
            workspace(gone, root)
        return
    if not marker.is_marked(path):
        _unmarked(path, root)
        return
    found = marker.read(path)
    gone = path
    if not path.name.startswith("."):
        gone = root / f"{GONE}{path.name}.{secrets.token_hex(4)}"
        path.rename(gone)
    if found is not None and found.temp_dir:
        temp_dir(Path(found.temp_dir))
    for child in gone.iterdir():
        if child.name != marker.NAME:
            _remove(child)
    _remove(gone / marker.NAME)
    _remove(gone)


def _unmarked(path: Path, root: Path) -> None:
    """Remove what a kill left between a directory and its marker, or after it: then nothing else is inside."""
    for begun in path.glob(f".{marker.NAME}.*"):
        begun.unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError as exc:
        raise OutsideRoot(path, root) from exc


def temp_dir(path: Path) -> None:
    """Remove a TMPDIR below the system's own."""
    if scratch.is_ours(path):
        _remove(path)


def _remove(path: Path) -> None:
    for pause in _PAUSES:
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, onerror=_unlock)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(pause)
        else:
            return
    try:
        shutil.rmtree(path, onerror=_unlock)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise WorkspaceError(f"{path} could not be removed: {exc.strerror or exc}") from exc


def _unlock(function: Any, name: str, info: Any) -> None:
    """Try once more what failed for a directory without write permission; what others removed meanwhile is fine."""
    error = info[1]
    if isinstance(error, FileNotFoundError):
        return
    if not isinstance(error, PermissionError):
        raise error
    parent = os.path.dirname(name)  # noqa: PTH120 - rmtree speaks in strings
    os.chmod(parent, stat.S_IRWXU)  # noqa: PTH101
    function(name)
