"""Where clones lie: the preferred root, and one below the system's temporary directory for when that cannot be written to.

In each root: a directory for each clone, with our marker inside, and ``.locks/``. A clone's lock is taken before its directory
exists and kept while it does, so a clone whose lock is free is a dead owner's. Taking and counting those locks happens under
one lock of the first root, so that a limit holds for all processes that share it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from core import durable
from core.errors import OstlerError
from core.workspaces import live, locks, marker, removal, scratch
from core.workspaces.errors import CopyStopped, ProfileLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.workspaces.locks import Lock

USER_DATA = "user-data"
NEW = ".new-"
CLONES = "clones"
"""Below a state directory, unless a manager was told otherwise."""

_LOCKS = ".locks"
_PATIENCE = 30.0
_log = structlog.get_logger()


class Place:
    """One root.

    Args:
        root: absolute; made when it is first needed.
        make: makes it.
    """

    def __init__(self, root: Path, make: Callable[[Path], None]) -> None:
        self.root = root
        self._make = make

    def prepare(self) -> None:
        """Make what is missing of it.

        Raises:
            DurableWriteFailed, WorkspaceError, OSError: it cannot be written to.
        """
        self._make(self.root)
        for name in ("clones", "slots", "bases"):
            durable.ensure_directory(self.root / _LOCKS / name)

    def lock_of(self, kind: str, name: str) -> Path:
        """Return the lock file of a clone, a slot or a base profile (``clones``, ``slots``, ``bases``)."""
        return self.root / _LOCKS / kind / f"{name}.lock"

    def owned(self) -> list[str]:
        """Return the names of clones that have a lock file, whether it is held or not."""
        return sorted(path.stem for path in (self.root / _LOCKS / "clones").glob("*.lock"))

    def directories(self) -> list[Path]:
        """Return the directories that are, or are becoming, or were, clones."""
        return sorted(
            path
            for path in self.root.iterdir()
            if path.is_dir()
            and not path.is_symlink()
            and (marker.is_marked(path) or path.name.startswith((NEW, removal.GONE)))
        )


def place(root: Path) -> Place:
    """Return a root that is ours to make."""
    return Place(root, durable.ensure_directory)


def fallback(root: Path) -> Place:
    """Return the root below the system's temporary directory that belongs to another root."""
    path = scratch.beside(root)
    return Place(path.resolve(), lambda _resolved: scratch.create(path))


def at(root: Path) -> Places:
    """Return the places of those who prefer this root."""
    return Places([place(root), fallback(root)])


class Places:
    """Several roots, the preferred one first."""

    def __init__(self, places: list[Place]) -> None:
        self.all = places

    def admit(self, wanted: Place, name: str, *, own: int, most: int) -> Lock:
        """Take a new clone's lock, unless there are as many clones as are allowed.

        Args:
            wanted: where the clone will be.
            name: its directory's name, never used before.
            own: how many the caller itself has, for where the kernel does not count.
            most: how many clones there may be in all places, with this one.

        Raises:
            ProfileLimitError: there are as many.
            DurableWriteFailed, WorkspaceError, OSError: the place cannot be written to.
        """
        wanted.prepare()
        with self._admission():
            alive = sum(_is_held(each, owner) for each in self.all for owner in each.owned())
            if max(alive, own) >= most:
                raise ProfileLimitError(max(alive, own), most)
            lock = locks.take(wanted.lock_of("clones", name))
        if lock is None:
            raise CopyStopped(f"somebody else has the lock of {name}", errno.EBUSY)
        return lock

    def slot(self, number: int, seconds: float, is_over: Callable[[], bool]) -> Lock | None:
        """Wait for one of ``number`` slots; None if there was none in time."""
        names = [str(each) for each in range(number)]
        return self._somewhere(
            lambda where: locks.wait_for_one([where.lock_of("slots", name) for name in names], seconds, is_over)
        )

    def base(self, directory: Path) -> Lock | None:
        """Take the lock of a base profile that a worker is to use itself; None if another one does."""
        digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
        return self._somewhere(lambda where: locks.take(where.lock_of("bases", digest)))

    def sweep(self) -> list[str]:
        """Remove clones, whole or half made, whose owner is proven dead and that no browser uses; return their names."""
        return [name for each in self.all if (each.root / _LOCKS / "slots").is_dir() for name in self._sweep(each)]

    def _sweep(self, where: Place) -> list[str]:
        only_one = locks.take(where.lock_of("slots", "sweep"))
        if only_one is None:
            return []
        try:
            with self._admission():
                dead = {name for name in {*where.owned(), *map(_name_of, where.directories())} if _is_dead(where, name)}
            return [
                path.name
                for path in where.directories()
                if _name_of(path) in dead and not _is_wanted(path) and _remove(path, where.root)
            ]
        finally:
            only_one.release()

    @contextlib.contextmanager
    def _admission(self) -> Iterator[None]:
        lock = self._somewhere(
            lambda where: locks.wait_for_one([where.lock_of("slots", "admission")], _PATIENCE, lambda: False)
        )
        if lock is None:
            raise CopyStopped(f"clones were counted by others for {_PATIENCE:g} s", errno.EBUSY)
        try:
            yield
        finally:
            lock.release()

    def _somewhere(self, attempt: Callable[[Place], Lock | None]) -> Lock | None:
        """Lock something in the first place that can be written to: there all who share it meet."""
        for each in self.all[:-1]:
            with contextlib.suppress(OSError, OstlerError):
                each.prepare()
                return attempt(each)
        self.all[-1].prepare()
        return attempt(self.all[-1])


def _is_held(where: Place, name: str) -> bool:
    lock = locks.take(where.lock_of("clones", name))
    if lock is None:
        return True
    lock.release()
    return False


def _is_dead(where: Place, name: str) -> bool:
    """Whether the owner of a clone is proven dead; then its lock, which nobody will take again, is removed."""
    lock = locks.take(where.lock_of("clones", name))
    if lock is None:
        return False
    if lock.proven:
        lock.remove()
    lock.release()
    return lock.proven


def _name_of(path: Path | str) -> str:
    """Return which clone a directory is, also while it is hidden."""
    name = Path(path).name
    return name.removeprefix(NEW).removeprefix(removal.GONE).partition(".")[0]


def _is_wanted(path: Path) -> bool:
    """Whether a dead owner's clone stays: a browser runs in it, or it was to be kept."""
    found = marker.read(path)
    kept = found is not None and found.keep and not path.name.startswith(".")
    return kept or live.evidence(path / USER_DATA) is not None


def _remove(path: Path, root: Path) -> bool:
    try:
        removal.workspace(path, root)
    except OstlerError as exc:
        # without our marker it is not ours; or it can only be removed by somebody else
        _log.warning("clone_not_swept", path=str(path), reason=str(exc))
        return False
    return True
