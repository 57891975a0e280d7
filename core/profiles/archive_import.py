"""Makes a profile of an archive: everything is checked before the first byte is written, and the profile is there as a whole or
not at all.
"""

from __future__ import annotations

import os
import shutil
from typing import IO, TYPE_CHECKING

import msgspec

from core import durable
from core.domain.validation import require_id
from core.errors import NoSpace, WorkspaceCorrupt
from core.input_file import opened
from core.profiles import archive_check, archive_documents, creation, places
from core.profiles.archive_manifest import BROWSER_DATA, Manifest, refused
from core.profiles.errors import ProfileTaken
from core.profiles.port import ProfileMetadata
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.workspaces import saved
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    from pathlib import Path

    from core.profiles.archive_check import Archive
    from core.profiles.archive_documents import Documents
    from core.profiles.archive_export import Home
    from core.profiles.archive_manifest import Entry

MARGIN = 32 * 1024 * 1024
"""Bytes that an import leaves free."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that came out of an archive.

    Attributes:
        profile_id: what it is called here.
        manifest: what the archive says of itself.
        settings: those of its metadata that decide what a browser here does, by name; values may be secrets.
    """

    profile_id: str
    manifest: Manifest
    settings: dict[str, object]


def import_(home: Home, path: Path, place: str, *, as_id: str | None) -> Imported:
    """Make a new profile of an archive.

    Args:
        home: where to.
        path: absolute, of the archive.
        place: what the user calls it.
        as_id: the new profile's ID; None for the one it had.

    Raises:
        BadInput: the archive is none, or was changed; nothing was written.
        ProfileTaken: there is a profile of that ID, or a part of one; nothing was written.
        NewerSchema: the archive is a newer version's; nothing was written.
        NoSpace: there is too little room for it; nothing was written.
        ProfileHeld: somebody is making a profile of that ID.
        DurableWriteFailed, WorkspaceError: the disk did not take it; nothing is left of it.
    """
    with (
        opened(path, place, "an archive that `ostler profile export` wrote", "save it as a file first") as file,
        archive_check.archive(file, place) as archive,
    ):
        manifest = archive.manifest
        profile_id = require_id(manifest.profile_id if as_id is None else as_id, "--as")
        _require_free(home, profile_id)
        _require_room(home.state_dir, manifest)
        documents = archive_documents.read(archive, place).named(profile_id)
        archive.verify()
        with home.locks.acquire(profile_id, what="ostler profile import"):
            _require_free(home, profile_id)
            with creation.aside(home.state_dir, profile_id, home.registry) as staged:
                _unpack(archive, staged, documents, place)
                # what a profile of this ID left that is no more: a run would go on in it
                FileWorkspaces(home.state_dir).discard_profile(profile_id)
    chosen = {name: documents.metadata.get(name) for name in ("flow", "proxy", "downloads", "extra_headers")}
    settings = {name: value for name, value in chosen.items() if value}
    return Imported(profile_id=profile_id, manifest=manifest, settings=settings)


def _require_free(home: Home, profile_id: str) -> None:
    """Refuse an ID of which there is a profile, or a session."""
    home.registry.require_free(profile_id)
    sessions = [home.state_dir / "sessions" / f"{profile_id}.json{suffix}" for suffix in ("", ".prev")]
    if any(path.exists() for path in sessions):
        raise ProfileTaken(profile_id, "there is a session of that ID, with flags and identity; import it --as another")


def _require_room(where: Path, manifest: Manifest) -> None:
    while not where.exists():
        where = where.parent
    needed, free = manifest.size + MARGIN, shutil.disk_usage(where).free
    if needed > free:
        raise NoSpace(where, needed=needed, free=free)
    if hasattr(os, "statvfs"):
        found = os.statvfs(where)
        if found.f_files and 2 * len(manifest.entries) > found.f_favail:
            raise NoSpace(where, needed=2 * len(manifest.entries), free=found.f_favail)


def _unpack(archive: Archive, staged: Path, documents: Documents, place: str) -> None:
    manifest = archive.manifest
    profile_id = documents.metadata["profile_id"]
    profile = places.profile(staged, profile_id)
    made = {profile / name for name in (places.BROWSER_PROFILE, places.CACHE)}
    for directory in made:
        durable.ensure_directory(directory)
    for entry in manifest.entries:
        if entry.name.startswith(BROWSER_DATA):
            _write(archive, entry, profile, made)
    if manifest.has_browser_data:
        written = None if manifest.browser_version is None else (manifest.browser or "", manifest.browser_version)
        try:
            saved.receive(profile / places.BROWSER_PROFILE, written, behind=manifest.behind)
        except WorkspaceCorrupt as exc:
            raise refused(place, BROWSER_DATA, "data that a browser can open", "; ".join(exc.findings)) from None
    if documents.login_state is not None:
        FileLoginStateStore(staged).write(profile_id, documents.login_state, fence=1)
    if documents.session is not None:
        FileSessionStore(staged).write(documents.session, fence=1)
    metadata = msgspec.convert(documents.metadata, ProfileMetadata)
    FileProfileStore(staged).write(metadata, others=documents.metadata)


def _write(archive: Archive, entry: Entry, profile: Path, made: set[Path]) -> None:
    path = profile / entry.name
    missing = [parent for parent in path.parents if parent not in made and profile in parent.parents]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700)
    made.update(missing)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        _copy(archive, entry, file)


def _copy(archive: Archive, entry: Entry, file: IO[bytes]) -> None:
    for piece in archive.content(entry):
        file.write(piece)
