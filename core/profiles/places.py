"""Where everything of the named profiles stands below a state directory, and what a killed operation leaves there.

Whatever is begun with a profile has a name made of its ID, and the holder of its lock alone may have begun it: so whoever
takes the lock next knows that nobody is at it any more, and finishes it or takes it back (``core.profiles.mending``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core import durable
from core.domain.validation import is_valid_id, require_id
from core.profiles import staging

if TYPE_CHECKING:
    from pathlib import Path

BROWSER_PROFILE = "browser_profile"
CACHE = "cache"
METADATA = "metadata.json"
LOGIN_STATE = "session.json"
_GONE = ".gone-"
_INTENT = ".intent-"
_BARE = (BROWSER_PROFILE, CACHE)


def profiles(state_dir: Path) -> Path:
    """Return the directory of all profiles."""
    return state_dir / "profiles"


def profile(state_dir: Path, profile_id: str) -> Path:
    """Return a profile's directory.

    Raises:
        BadInput: this cannot be an ID.
    """
    return profiles(state_dir) / require_id(profile_id)


def gone(state_dir: Path, profile_id: str) -> Path:
    """Return where a profile's directory is while it is being removed."""
    return profiles(state_dir) / f"{_GONE}{require_id(profile_id)}"


def intent(state_dir: Path, profile_id: str) -> Path:
    """Return the record of an operation of several steps that must be brought to its end."""
    return profiles(state_dir) / f"{_INTENT}{require_id(profile_id)}.json"


def is_begun(state_dir: Path, profile_id: str) -> bool:
    """Whether something was begun with this profile and not ended."""
    marks = (intent(state_dir, profile_id), gone(state_dir, profile_id))
    return staging.is_pending(state_dir, profile_id) or any(os.path.lexists(path) for path in marks)


def begun(state_dir: Path) -> list[str]:
    """Return the IDs of profiles with which something was begun and not ended; for some it may be under way."""
    found = set(staging.pending(state_dir))
    for name in names(profiles(state_dir)):
        if name.startswith(_GONE):
            found.add(name.removeprefix(_GONE))
        elif name.startswith(_INTENT) and name.endswith(".json"):
            found.add(name.removeprefix(_INTENT).removesuffix(".json"))
    return sorted(filter(is_valid_id, found))


def ids(state_dir: Path) -> list[str]:
    """Return the IDs of all profiles, damaged ones among them, sorted."""
    root = profiles(state_dir)
    return sorted(name for name in names(root) if is_valid_id(name) and is_there(root / name))


def is_there(directory: Path) -> bool:
    """Whether a directory holds a profile: a lock's record and empty directories, as a kill leaves them, do not make one."""
    if os.path.lexists(directory / METADATA):
        return True
    found = [name for name in names(directory) if name != staging.RECORD and not durable.is_temporary(name)]
    return any(name not in _BARE or names(directory / name) for name in found)


def clear(directory: Path) -> None:
    """Remove the empty directories that a kill leaves where a profile was to be.

    Raises:
        DurableWriteFailed: they cannot be removed.
    """
    for name in _BARE:
        try:
            (directory / name).rmdir()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise durable.write_failed(directory, exc) from exc


def names(directory: Path) -> list[str]:
    """Return the names in a directory; none where there is no such directory."""
    try:
        return os.listdir(directory)  # noqa: PTH208 - only names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
