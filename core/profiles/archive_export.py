"""Writes a profile into a ZIP: the manifest first, then the documents, then the browser data that is worth it.

Everything is read twice, once for its hash and once for the archive, and the archive is read back before it takes its name:
what is there under that name can be imported.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from core import durable
from core.clock import Clock
from core.errors import BadInput, HolderAlive, Problem, WorkspaceError
from core.profiles import archive_check, places
from core.profiles.archive_documents import Documents
from core.profiles.archive_manifest import BROWSER_DATA, MANIFEST, Entry, Manifest, Names, encode
from core.profiles.errors import ProfileDamaged
from core.profiles.lock_manager import ProfileLockManager
from core.profiles.port import timestamp
from core.profiles.registry import ProfileRegistry
from core.profiles.store import CHECKSUM, FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.workspaces import saved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from core.workspaces.saved import Saved

_CHUNK = 1024 * 1024
_STORES = {
    ("Linux", "v10"): "basic",
    ("Linux", "v11"): "keyring",
    ("Darwin", "v10"): "keychain",
    ("Windows", "v10"): "dpapi",
    ("Windows", "v20"): "app-bound",
}
"""Which password store a prefix stands for, on which system."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where profiles live.

    Attributes:
        state_dir: absolute.
        locks: of the profiles in it.
        registry: which there are.
        clock: for dates.
    """

    state_dir: Path
    locks: ProfileLockManager
    registry: ProfileRegistry
    clock: Clock


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was written.

    Attributes:
        path: of the file.
        bytes: of the file.
        manifest: what it says of itself.
        recovered: state files that were damaged, so that the version before is in the archive.
    """

    path: str
    bytes: int
    manifest: Manifest
    recovered: tuple[str, ...]


def export(home: Home, profile_id: str, target: Path, *, with_secrets: bool, overwrite: bool) -> Exported:
    """Write a profile that nobody uses into a file of mode 0600, which is there as a whole or not at all.

    Args:
        home: where the profile is.
        profile_id: whose.
        target: the file.
        with_secrets: take logins, browser data and passwords along.
        overwrite: replace a file that is there.

    Raises:
        BadInput: no file can be there.
        UnknownProfile: there is no such profile.
        ProfileHeld, HolderAlive: somebody uses it.
        StateCorrupt, ProfileDamaged, WorkspaceCorrupt: it is damaged.
        WorkspaceError: it could not be read.
        DurableWriteFailed: the file could not be written; nothing is left of it.
    """
    _require_place(target, overwrite=overwrite)
    home.registry.require(profile_id)
    with home.locks.acquire(profile_id, what="ostler profile export"):
        home.registry.require(profile_id)
        documents, recovered = _documents(home.state_dir, profile_id)
        browser_data = saved.look(places.profile(home.state_dir, profile_id) / places.BROWSER_PROFILE)
        manifest, contents = _plan(home, profile_id, documents, browser_data, with_secrets=with_secrets)
        with durable.replacing(target) as file:
            size = _write(file, manifest, contents, browser_data, target)
    return Exported(path=str(target), bytes=size, manifest=manifest, recovered=recovered)


def _require_place(target: Path, *, overwrite: bool) -> None:
    problem = Problem(place=str(target), expected="the name of a new file", found="")
    try:
        if not target.parent.is_dir():
            problem.found = f"no directory {target.parent}"
        elif stat.S_ISREG(target.lstat().st_mode):
            problem.found = "" if overwrite else "a file that is there"
            problem.hint = "replace it with --overwrite, or choose another name"
        else:
            problem.found = "something that is no regular file"
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        problem.found = getattr(exc, "strerror", None) or "a name that no file can have"
    if problem.found:
        raise BadInput([problem])


def _documents(state_dir: Path, profile_id: str) -> tuple[Documents, tuple[str, ...]]:
    profiles = FileProfileStore(state_dir)
    metadata = profiles.read(profile_id)
    if metadata is None:
        raise ProfileDamaged(profile_id, "metadata.json is missing")
    session = FileSessionStore(state_dir).read(profile_id)
    login = FileLoginStateStore(state_dir).read(profile_id)
    documents = Documents(
        metadata={name: value for name, value in profiles.fields(profile_id).items() if name != CHECKSUM},
        session=None if session is None else session.value,
        login_state=None if login is None else login.value,
    )
    found = (("session", session), ("login state", login))
    return documents, tuple(name for name, stored in found if stored is not None and stored.recovered)


def _plan(
    home: Home, profile_id: str, documents: Documents, data: Saved | None, *, with_secrets: bool
) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest of what is to be written, and the content of the entries that are no files."""
    missing: list[str] = []
    counts = documents.counts
    if not with_secrets:
        documents, missing = documents.without_secrets()
        counts = documents.counts
        if data is not None:
            missing.append(f"browser data (files: {len(data.files)})")
    contents = documents.encoded()
    entries = [Entry(name, len(text), hashlib.sha256(text).hexdigest()) for name, text in contents.items()]
    taken = data if with_secrets else None
    unreadable: list[str] = []
    if taken is not None:
        files, unreadable = _hashed(taken, (entry.name for entry in entries))
        counts = msgspec.structs.replace(counts, files=len(files), bytes=sum(entry.size for entry in files))
        entries += files
    return Manifest(
        profile_id=profile_id,
        exported_at=timestamp(home.clock.now()),
        ostler=importlib.metadata.version("ostler"),
        os=platform.system(),
        with_secrets=with_secrets,
        browser=taken.browser[0] if taken is not None and taken.browser is not None else None,
        browser_version=taken.browser[1] if taken is not None and taken.browser is not None else None,
        encrypted={} if taken is None else _by_store(taken.encrypted),
        behind=taken is not None and taken.behind,
        counts=counts,
        secrets_left_out=tuple(missing),
        skipped={} if taken is None else taken.skipped,
        unreadable=tuple(unreadable),
        entries=tuple(entries),
    ), contents


def _by_store(encrypted: dict[str, int]) -> dict[str, int]:
    return {_STORES.get((platform.system(), prefix), "another"): count for prefix, count in encrypted.items()}


def _hashed(data: Saved, taken: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """Return an entry for each file, and what cannot come along."""
    names = Names()
    for name in taken:
        names.add(name)
    entries: list[Entry] = []
    left = list(data.unreadable)
    for relative in data.files:
        name = BROWSER_DATA + relative
        problem = names.add(name)
        if problem:
            left.append(f"{os.fsencode(relative).decode(errors='backslashreplace')}: its name {problem}")
            continue
        digest = hashlib.sha256()
        size = 0
        try:
            for piece in _pieces(data.root / relative):
                digest.update(piece)
                size += len(piece)
        except WorkspaceError as exc:
            left.append(f"{relative}: {exc}")
        else:
            entries.append(Entry(name, size, digest.hexdigest()))
    return entries, left


def _write(file: IO[bytes], manifest: Manifest, contents: dict[str, bytes], data: Saved | None, target: Path) -> int:
    """Write the archive and read it back; return its size. What would unpack like a bomb is stored as it is."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        file.seek(0)
        file.truncate()
        with zipfile.ZipFile(file, "w") as archive:
            listed = encode(manifest)
            _add(archive, MANIFEST, len(listed), [listed], method)
            for entry in manifest.entries:
                pieces: Iterable[bytes] = [contents.get(entry.name, b"")]
                if data is not None and entry.name not in contents:
                    pieces = _unchanged(data.root / entry.name.removeprefix(BROWSER_DATA), entry)
                _add(archive, entry.name, entry.size, pieces, method)
        size = file.tell()
        if not archive_check.is_bomb(manifest.size, size):
            break
    with archive_check.archive(file, str(target)) as written:
        written.verify()
    return size


def _add(archive: zipfile.ZipFile, name: str, size: int, pieces: Iterable[bytes], method: int) -> None:
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    info.file_size = size  # whether it needs the large form is decided before the first byte
    with archive.open(info, "w") as stream:
        for piece in pieces:
            stream.write(piece)


def _unchanged(path: Path, entry: Entry) -> Iterator[bytes]:
    """Yield a file's content.

    Raises:
        HolderAlive: it is not what was hashed before.
    """
    digest = hashlib.sha256()
    left = entry.size
    for piece in _pieces(path):
        left -= len(piece)
        if left < 0:
            break
        digest.update(piece)
        yield piece
    if left or digest.hexdigest() != entry.sha256:
        raise HolderAlive(str(path), "somebody who writes to it; close that browser first")


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                yield piece
    except OSError as exc:
        raise WorkspaceError(f"{path} could not be read: {exc.strerror or exc}") from exc
