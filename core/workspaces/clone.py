"""Copies a user-data-dir: no caches, no traces of a running browser, nothing that others could read.

The source is only read. Symbolic links are not followed and not copied. What cannot be read is listed, not fatal. A
SQLite database and its ``-journal`` or ``-wal`` are ordinary files of one directory, so they travel together.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core import durable
from core.errors import NoSpace, TooLarge, WorkspaceError
from core.workspaces import skip
from core.workspaces.port import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 32 * 1024 * 1024
"""Bytes that a copy leaves free, for what the browser writes next."""

_FICLONE = 0x40049409
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_RANGES = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_CHUNK = 64 * 1024 * 1024


class _File(NamedTuple):
    relative: str
    size: int
    changed: int


class Plan(msgspec.Struct):
    """What of a user-data-dir is worth a copy.

    Attributes:
        directories: relative, with ``/`` between the parts, parents first; so are all names.
        files: regular ones.
        skipped: what is left out by rule, and how often.
        unreadable: what could not be looked at.
    """

    directories: list[str] = []
    files: list[_File] = []
    skipped: dict[str, int] = {}
    unreadable: list[str] = []

    def skip(self, name: str) -> None:
        """Count something that is left out."""
        self.skipped[name] = self.skipped.get(name, 0) + 1


def copy(
    source: Path,
    target: Path,
    *,
    kind: str,
    service_workers: bool,
    limit: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> Receipt:
    """Copy a closed user-data-dir into an empty or missing directory.

    Args:
        source: what to copy.
        target: where to; directories get mode 0700, files 0600.
        kind: what the receipt names as the source.
        service_workers: whether ``Service Worker`` comes along.
        limit: the most bytes that a copy may have.
        watch: called again and again with the bytes copied so far; what it raises ends the copy.

    Returns:
        What was copied, left out and not readable.

    Raises:
        NoSpace: before anything was written, or when others used up the room meanwhile.
        TooLarge: before anything was written, or when the source grew meanwhile.
        WorkspaceError: the target could not be written.
    """
    began = time.monotonic()
    plan = scan(source, service_workers=service_workers)
    if limit is not None and _size(plan) > limit:
        raise TooLarge(source, size=_size(plan), limit=limit)
    _check_room(target.parent, plan)
    copier = _Copier(source, limit, watch)
    try:
        target.mkdir(mode=0o700, exist_ok=True)
        for relative in plan.directories:
            os.mkdir(f"{target}/{relative}", mode=0o700)  # noqa: PTH102 - thousands of Paths take longer than the copy
        for relative, _, _ in plan.files:
            if not copier.file(f"{source}/{relative}", f"{target}/{relative}"):
                plan.unreadable.append(relative)
    except OSError as exc:
        if exc.errno in _NO_ROOM:
            raise NoSpace(target, needed=_size(plan), free=shutil.disk_usage(target.parent).free) from exc
        raise WorkspaceError(f"{target} could not be written: {exc.strerror or exc}") from exc
    return Receipt(
        source=kind,
        files=copier.files,
        bytes=copier.copied,
        skipped=plan.skipped,
        unreadable=tuple(plan.unreadable),
        reflinked=copier.reflinked,
        template=str(source),
        template_hash=_hash(plan),
        seconds=time.monotonic() - began,
    )


def listing_hash(source: Path, *, service_workers: bool) -> str:
    """Return what ``Receipt.template_hash`` would be now: another one says that the source was written to."""
    return _hash(scan(source, service_workers=service_workers))


def prune(user_data_dir: Path, remove: Callable[[Path], None]) -> dict[str, int]:
    """Remove from a closed user-data-dir of ours what a copy would leave out; return how many of each.

    Args:
        user_data_dir: lies in a workspace of ours.
        remove: called with each directory to remove.
    """
    skipped: dict[str, int] = {}
    for here, directories, files in os.walk(user_data_dir):
        parts = _parts(here, user_data_dir)
        for name in list(directories):
            path = user_data_dir.joinpath(*parts, name)
            if path.is_symlink() or skip.directory((*parts, name), service_workers=True):
                directories.remove(name)
                skipped[name] = skipped.get(name, 0) + 1
                if path.is_symlink():
                    path.unlink()
                else:
                    remove(path)
            else:
                path.chmod(0o700)
        for name in files:
            path = user_data_dir.joinpath(*parts, name)
            if path.is_symlink() or skip.file((*parts, name)):
                path.unlink(missing_ok=True)
                skipped[name] = skipped.get(name, 0) + 1
            else:
                path.chmod(0o600)
    return skipped


def forget_crash(user_data_dir: Path) -> None:
    """Say in each profile's ``Preferences`` that the last session ended well.

    ``Crashed`` stands there from every start on and proves nothing; a page "restored" from it would get in a flow's way.
    A file that is no JSON is left for the verification to find.
    """
    for path in user_data_dir.glob("*/Preferences"):
        try:
            preferences = json.loads(durable.bytes_of(path) or b"")
        except (OSError, ValueError, RecursionError):
            continue
        if not isinstance(preferences, dict):
            continue
        profile = preferences.setdefault("profile", {})
        if not isinstance(profile, dict):
            continue
        if profile.get("exit_type") == "Normal" and profile.get("exited_cleanly") is True:
            continue
        profile |= {"exit_type": "Normal", "exited_cleanly": True}
        temp = path.with_name("Preferences.ostler.tmp")
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()
        with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(json.dumps(preferences, ensure_ascii=False, separators=(",", ":")).encode())
        temp.replace(path)


def _parts(here: str, root: Path) -> tuple[str, ...]:
    return Path(here).relative_to(root).parts


def scan(source: Path, *, service_workers: bool) -> Plan:
    """Return what a copy of ``source`` would take along; nothing is read but names and sizes."""
    plan = Plan()

    def unreadable(error: OSError) -> None:
        plan.unreadable.append(os.path.relpath(error.filename or source, source))

    for here, directories, files in os.walk(source, onerror=unreadable):
        parts = _parts(here, source)
        for name in list(directories):
            if os.path.islink(f"{here}/{name}"):  # noqa: PTH114 - thousands of Paths take as long as the copy
                directories.remove(name)
                plan.skip("symbolic links")
            elif skip.directory((*parts, name), service_workers=service_workers):
                directories.remove(name)
                plan.skip(name)
            else:
                plan.directories.append("/".join((*parts, name)))
        for name in files:
            if skip.file((*parts, name)):
                plan.skip(name)
                continue
            try:
                found = os.lstat(f"{here}/{name}")
            except OSError:
                plan.unreadable.append("/".join((*parts, name)))
                continue
            if stat.S_ISREG(found.st_mode):
                plan.files.append(_File("/".join((*parts, name)), found.st_size, found.st_mtime_ns))
            else:
                plan.skip("symbolic links" if stat.S_ISLNK(found.st_mode) else "special files")
    return plan


def _size(plan: Plan) -> int:
    return sum(file.size for file in plan.files)


def _hash(plan: Plan) -> str:
    lines = sorted(f"{relative}\0{size}\0{changed}\n" for relative, size, changed in plan.files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _check_room(where: Path, plan: Plan) -> None:
    while not where.exists():
        where = where.parent
    needed = _size(plan) + MARGIN
    free = shutil.disk_usage(where).free
    if needed > free:
        raise NoSpace(where, needed=needed, free=free)
    if hasattr(os, "statvfs"):
        found = os.statvfs(where)
        inodes = len(plan.files) + len(plan.directories)
        if found.f_files and inodes > found.f_favail:
            raise NoSpace(where, needed=inodes, free=found.f_favail)


class _Copier:
    """Copies one file after another, and counts. Several threads made a warm copy slower, and a cold one a third faster: not
    worth it.
    """

    def __init__(self, source: Path, limit: int | None, watch: Callable[[int], None] | None) -> None:
        self._source = source
        self._limit = limit
        self._watch = watch
        self._reflink = sys.platform == "linux"
        self.files = 0
        self.copied = 0
        self.reflinked = 0

    def file(self, source: str, target: str) -> bool:
        """Copy one; whether the source could be read to its end."""
        before = self.copied
        self._count(0)
        try:
            reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return False
        try:
            writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                self._content(reader, writer)
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                self.copied = before
                os.unlink(target)  # noqa: PTH108 - as above
                return False
            finally:
                os.close(writer)
            # by it the manifest tells what was written to since
            times = os.fstat(reader)
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        finally:
            os.close(reader)
        self.files += 1
        return True

    def _content(self, reader: int, writer: int) -> None:
        size = os.fstat(reader).st_size
        if size == 0:
            return
        if self._reflink and _cloned(reader, writer):
            self.reflinked += 1
            self._count(size)
            return
        self._reflink = False
        self._bytes(reader, writer)

    def _bytes(self, reader: int, writer: int) -> None:
        began = self.copied
        if hasattr(os, "copy_file_range"):
            try:
                while sent := os.copy_file_range(reader, writer, _CHUNK):
                    self._count(sent)
            except OSError as exc:
                if self.copied > began or exc.errno not in _NO_RANGES:
                    raise
            else:
                return
        while block := os.read(reader, 1024 * 1024):
            view = memoryview(block)
            while view:
                view = view[os.write(writer, view) :]
            self._count(len(block))

    def _count(self, size: int) -> None:
        self.copied += size
        if self._limit is not None and self.copied > self._limit:
            raise TooLarge(self._source, size=self.copied, limit=self._limit)
        if self._watch is not None:
            self._watch(self.copied)


def _cloned(reader: int, writer: int) -> bool:
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError:
        return False
    return True
