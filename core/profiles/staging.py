"""A profile that is being put together out of sight, in ``state/.import-<id>/``, laid out like a state directory.

Once it is whole, a mark says so, and its parts take their places: the session first, the profile's directory last, because a
profile is there as soon as that is. A kill before the mark leaves something to remove, a kill after it something to finish;
whoever takes the profile's lock next does either before anything else (``core.profiles.lock``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from core import durable
from core.domain.validation import is_valid_id

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = ".import-"
RECORD = ".lock"
"""What the holder of a profile's lock writes into its directory."""
_READY = ".ready"


def place(state_dir: Path, profile_id: str) -> Path:
    """Return where this profile is put together."""
    return state_dir / f"{PREFIX}{profile_id}"


def begin(state_dir: Path, profile_id: str) -> Path:
    """Return an empty directory to put a profile together in. The caller holds its lock, and ``settle`` was called.

    Raises:
        DurableWriteFailed: it could not be made.
    """
    staged = place(state_dir, profile_id)
    # now, because behind the mark nothing may need room on the disk
    for directory in (staged, state_dir / "sessions", state_dir / "profiles"):
        durable.ensure_directory(directory)
    return staged


def commit(state_dir: Path, profile_id: str) -> None:
    """Let what was put together, and is on disk, take its place. From the mark on it will be there, whatever happens.

    Raises:
        DurableWriteFailed: before the mark, and nothing is left; or behind it, and the next holder of the lock tries again.
    """
    try:
        declare_whole(state_dir, profile_id)
    except BaseException:
        discard(state_dir, profile_id)
        raise
    settle(state_dir, profile_id)


def declare_whole(state_dir: Path, profile_id: str) -> None:
    """Set the mark: ``settle`` will put what was put together in its place.

    Raises:
        DurableWriteFailed: it is not set.
    """
    durable.write_bytes(place(state_dir, profile_id) / _READY, b"")


def is_pending(state_dir: Path, profile_id: str) -> bool:
    """Whether something is being put together for this ID, or was when somebody was killed."""
    return os.path.lexists(place(state_dir, profile_id))


def settle(state_dir: Path, profile_id: str) -> None:
    """Finish or remove what a killed process was putting together; the caller holds the profile's lock.

    Raises:
        DurableWriteFailed: it could not be done.
    """
    staged = place(state_dir, profile_id)
    if not staged.is_dir():
        return
    try:
        profile, target = staged / "profiles" / profile_id, state_dir / "profiles" / profile_id
        # somebody who knew nothing of the lock may have been faster: then what he made stays
        if (staged / _READY).exists() and (is_free(target) or not profile.exists()):
            _move_session(state_dir, staged, profile_id)
            _move_profile(profile, target)
        discard(state_dir, profile_id)
    except OSError as exc:
        raise durable.write_failed(staged, exc) from exc


def take_back(state_dir: Path, profile_id: str) -> None:
    """Undo what ``settle`` had begun when something failed, unless the profile is in its place already.

    What cannot be undone now is left to the lock's next holder.
    """
    staged = place(state_dir, profile_id)
    session = staged / "sessions" / f"{profile_id}.json"
    has_moved = session.parent.is_dir() and not session.exists()
    if (staged / "profiles" / profile_id).exists() and has_moved:
        with contextlib.suppress(OSError):
            (state_dir / "sessions" / session.name).unlink(missing_ok=True)
    abandon(state_dir, profile_id)


def is_free(profile: Path) -> bool:
    """Whether nothing is in a profile's directory but what its lock's holder writes there."""
    try:
        return all(path.name == RECORD for path in profile.iterdir())
    except FileNotFoundError:
        return True


def discard(state_dir: Path, profile_id: str) -> None:
    """Remove what was put together, as far as it is not in its place."""
    staged = place(state_dir, profile_id)
    # the mark last: without it, what is left is not whole
    with contextlib.suppress(FileNotFoundError):
        (staged / _READY).unlink()
    shutil.rmtree(staged)


def abandon(state_dir: Path, profile_id: str) -> None:
    """Remove what was put together, because something went wrong; what cannot be removed now is by the lock's next holder."""
    with contextlib.suppress(OSError):
        discard(state_dir, profile_id)


def pending(state_dir: Path) -> list[str]:
    """Return IDs of profiles that are being put together, or were when somebody was killed."""
    names = [path.name.removeprefix(PREFIX) for path in state_dir.glob(f"{PREFIX}*")]
    return sorted(name for name in names if is_valid_id(name))


def _move_session(state_dir: Path, staged: Path, profile_id: str) -> None:
    name = f"{profile_id}.json"
    if (staged / "sessions" / name).exists():
        (staged / "sessions" / name).replace(state_dir / "sessions" / name)
        durable.sync_directory(state_dir / "sessions")


def _move_profile(profile: Path, target: Path) -> None:
    if not profile.exists():
        return
    # the lock's holder has its record there, and nothing else is: it moves along, so that people still find it
    with contextlib.suppress(FileNotFoundError):
        (target / RECORD).replace(profile / RECORD)
    with contextlib.suppress(FileNotFoundError):
        target.rmdir()
    profile.rename(target)
    durable.sync_directory(target.parent)
