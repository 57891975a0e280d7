"""What there is among the workspaces of runs, by profile; a name that begins with a dot is half made or half removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.workspaces import marker, removal
from core.workspaces.places import NEW

if TYPE_CHECKING:
    from pathlib import Path


def entries(root: Path) -> list[Path]:
    """Return the directories, whole or not."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []


def hidden(root: Path, profile_id: str) -> list[Path]:
    """Return what a kill left half made or half removed."""
    return [path for path in entries(root) if path.name.startswith(".") and profile_of(path.name) == profile_id]


def visible(root: Path, profile_id: str) -> list[Path]:
    """Return the whole workspaces of a profile, the newest first."""
    found = [
        (int(fence), path)
        for path in entries(root)
        for owner, _, fence in [path.name.rpartition("-")]
        if owner == profile_id and fence.isdigit() and marker.is_marked(path)
    ]
    return [path for _, path in sorted(found, reverse=True)]


def profile_of(name: str) -> str:
    """Return whose workspace a directory of this name is, also while it is hidden."""
    plain = name.removeprefix(NEW).removeprefix(removal.GONE).partition(".")[0]
    return plain.rpartition("-")[0]
