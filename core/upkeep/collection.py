"""Finds what ``[retention]`` says may go, and removes it: only by whoever holds the state directory, and each profile's things
only under that profile's lock. Sessions, login states, identities and saved browser data are not looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.domain.lifecycle import WorkspaceState
from core.domain.retention import Item, before, due
from core.domain.validation import is_valid_id
from core.errors import HolderAlive, OstlerError
from core.queue.pruning import count_finished, forget_finished
from core.queue.sqlite import SqliteQueue
from core.upkeep.leftovers import abandoned
from core.workspaces import live, marker, removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from core.profiles.port import ProfileLocks
    from core.settings import Settings

_LOG = re.compile(r"(?P<owner>[^.]+)\.log(\.\d+)?")
_OLD_EVENTS = re.compile(r"events\.jsonl\.\d+")
_ORCHESTRATOR = "orchestrator"
_REUSABLE = frozenset({WorkspaceState.VERIFIED, WorkspaceState.IN_USE})


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went, or would go.

    Attributes:
        kind: ``log``, ``events``, ``artifacts``, ``download``, ``workspace``, ``check``.
        path: where it is or was.
        bytes: what it took.
    """

    kind: str
    path: str
    bytes: int


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was due and stays.

    Attributes:
        in_use: somebody works with it, so a later call may remove it; else it could not be removed.
    """

    path: str
    reason: str
    in_use: bool


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands where our things do, and that we never put there: left alone, however old it is.

    Attributes:
        found: what it is: ``a link to …``, ``a directory`` …
        fix: what to type if nobody needs it.
    """

    path: str
    found: str
    fix: str


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection did, or with ``dry_run`` would do.

    Attributes:
        removed: files and directories.
        skipped: what is in use, or could not be removed.
        foreign: what is not ours, and was left alone.
        jobs: records of finished jobs that were forgotten.
        bytes: what all of it took.
    """

    dry_run: bool
    removed: tuple[Removed, ...]
    skipped: tuple[Skipped, ...]
    jobs: int
    bytes: int
    foreign: tuple[Foreign, ...] = ()


def collect(settings: Settings, locks: ProfileLocks, *, now: float, dry_run: bool) -> Collection:
    """Remove what is due; the caller holds the state directory, unless it is a dry run.

    Raises:
        ForeignDatabase, NewerSchema, QueueUnavailable: the queue cannot be read; nothing was removed.
    """
    queue = settings.state_dir / "queue.db"
    pending = _pending(queue)
    foreign: list[Foreign] = []
    going = list(_due(settings, pending, now, foreign))
    removed: list[Removed] = []
    skipped: list[Skipped] = []
    for kind, item in going:
        try:
            with _held(locks, item.owner, dry_run=dry_run):
                # only now nobody else can change it: somebody may have, since it was found
                if _item(Path(item.path), item.owner).changed != item.changed:
                    raise HolderAlive(item.path, "somebody who wrote to it just now")  # noqa: TRY301 - one way to say it
                if not dry_run:
                    _remove(kind, Path(item.path), settings)
        except FileNotFoundError:
            continue
        except HolderAlive as exc:
            skipped.append(Skipped(path=item.path, reason=str(exc), in_use=True))
        except (OSError, OstlerError) as exc:
            reason = exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
            skipped.append(Skipped(path=item.path, reason=reason, in_use=False))
        else:
            removed.append(Removed(kind=kind, path=item.path, bytes=item.bytes))
    moment = before(settings.retention.jobs_days, now)
    jobs = 0
    if moment is not None and queue.exists():
        jobs = count_finished(queue, moment) if dry_run else forget_finished(queue, moment)
    total = sum(each.bytes for each in removed)
    return Collection(
        dry_run=dry_run, removed=tuple(removed), skipped=tuple(skipped), jobs=jobs, bytes=total, foreign=tuple(foreign)
    )


def _due(settings: Settings, pending: set[str], now: float, foreign: list[Foreign]) -> Iterator[tuple[str, Item]]:
    keep, state = settings.retention, settings.state_dir
    logs = list(_items(_logs(settings), foreign))
    yield from (("log", item) for item in due(logs, days=keep.logs_days, most=keep.logs_bytes, now=now))
    old = ((path, "") for path in _entries(settings.log_dir) if _OLD_EVENTS.fullmatch(path.name))
    events = list(_items(old, foreign))
    yield from (("events", item) for item in due(events, days=keep.events_days, now=now))
    artifacts = list(_items(_of_profiles(state / "artifacts", foreign), foreign, _stays_here))
    most = keep.artifacts_bytes
    yield from (("artifacts", item) for item in due(artifacts, days=keep.artifacts_days, most=most, now=now))
    downloads = list(_items(_of_profiles(state / "downloads", foreign), foreign, _stays_here))
    yield from (("download", item) for item in due(downloads, days=keep.downloads_days, now=now))
    useless, useful = _workspaces(state / "workspaces", pending)
    yield from (("workspace", item) for item in [*useless, *due(useful, days=keep.workspaces_days, now=now)])
    yield from (("check", _item(path, "")) for path in abandoned(state))


def _logs(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Yield logs of profiles that ever ran here, and older parts of the orchestrator's; others' files are not ours."""
    for path in _entries(settings.log_dir):
        found = _LOG.fullmatch(path.name)
        if found is None:
            continue
        owner = found["owner"]
        if owner == _ORCHESTRATOR:
            if found[2]:
                yield path, ""
        elif is_valid_id(owner) and (settings.state_dir / "locks" / f"{owner}.lock").exists():
            yield path, owner


def _of_profiles(directory: Path, foreign: list[Foreign]) -> Iterator[tuple[Path, str]]:
    """Yield what stands in a directory of each profile."""
    for profile in _entries(directory):
        if is_valid_id(profile.name) and _is_ours(profile, stat.S_ISDIR, foreign):
            yield from ((path, profile.name) for path in _entries(profile))


def _items(
    paths: Iterable[tuple[Path, str]], foreign: list[Foreign], kind: Callable[[int], bool] = stat.S_ISREG
) -> Iterator[Item]:
    """Yield what is of the kind that we put there; add the rest to ``foreign``."""
    for path, owner in paths:
        if _is_ours(path, kind, foreign):
            with contextlib.suppress(FileNotFoundError):
                yield _item(path, owner)


def _stays_here(mode: int) -> bool:
    """Whether removing it removes nothing elsewhere."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_ours(path: Path, kind: Callable[[int], bool], foreign: list[Foreign]) -> bool:
    try:
        mode = path.lstat().st_mode
        if kind(mode):
            return True
        target = path.readlink() if stat.S_ISLNK(mode) else None
    except FileNotFoundError:  # a dry run looks beside those who work
        return False
    if target is not None:
        found = f"a link to {target}"
    elif stat.S_ISDIR(mode):
        found = "a directory"
    else:
        found = "a file" if stat.S_ISREG(mode) else "no file"
    rm = "rm -r" if stat.S_ISDIR(mode) else "rm"
    foreign.append(Foreign(path=str(path), found=found, fix=f"{rm} {shlex.quote(str(path))}"))
    return False


def _workspaces(root: Path, pending: set[str]) -> tuple[list[Item], list[Item]]:
    """Return the copies that nobody will use any more, and those that a pending job would take over."""
    useless: list[Item] = []
    useful: list[Item] = []
    for path in _entries(root):
        found = marker.read(path)
        if found is None or path.is_symlink() or live.evidence(path / "user-data") is not None:
            continue
        whole = not path.name.startswith(".") and found.state in _REUSABLE
        (useful if whole and found.profile in pending else useless).append(_item(path, found.profile))
    return useless, useful


def _remove(kind: str, path: Path, settings: Settings) -> None:
    if kind == "workspace":
        root = settings.state_dir / "workspaces"
        if live.evidence(path / "user-data") is not None:
            raise HolderAlive(f"the workspace {path.name}", "a browser")
        removal.workspace(path, root)
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind in ("artifacts", "download"):
        with contextlib.suppress(OSError):  # others of this profile stay
            path.parent.rmdir()


@contextlib.contextmanager
def _held(locks: ProfileLocks, owner: str, *, dry_run: bool) -> Iterator[None]:
    """Hold the owner's lock, if there is an owner; a dry run only looks."""
    if not owner:
        yield
    elif dry_run:
        holder = locks.holder(owner)
        if holder is not None:
            raise HolderAlive(f"profile {owner}", str(holder))
        yield
    else:
        with locks.hold(owner, "ostler gc"):
            yield


def _pending(path: Path) -> set[str]:
    if not path.exists():
        return set()
    queue = SqliteQueue(path, read_only=True)
    try:
        return queue.pending_profiles()
    finally:
        queue.close()


def _item(path: Path, owner: str) -> Item:
    """Return a file, or a directory with all that is in it, by the age of its youngest file."""
    size, changed = 0, path.lstat().st_mtime
    for each in _below(path):
        with contextlib.suppress(FileNotFoundError):
            found = each.lstat()
            size += found.st_size
            changed = max(changed, found.st_mtime)
    return Item(path=str(path), owner=owner, bytes=size, changed=changed)


def _below(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return (Path(here) / name for here, _, names in os.walk(path) for name in names)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
