"""Profiles as directories: ``state/profiles/<id>`` with its ``metadata.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.validation import require_id
from core.durable import bytes_of, ensure_directory, is_unreadable, write_bytes
from core.errors import BadInput, Problem, StateCorrupt
from core.profiles.port import ProfileMetadata, timestamp
from core.profiles.schema import problem_of

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORIES = ("browser_profile", "cache")


def fresh(profile_id: str, now: float) -> ProfileMetadata:
    """Return the metadata of a profile that is being created."""
    return ProfileMetadata(profile_id=require_id(profile_id), created_at=timestamp(now), last_used=timestamp(now))


def require_valid(metadata: ProfileMetadata) -> ProfileMetadata:
    """Return the metadata if they may be written.

    Raises:
        BadInput: they could not be read again.
    """
    problem = problem_of(metadata, require_id(metadata.profile_id))
    if problem:
        place = f"metadata of profile {metadata.profile_id}"
        raise BadInput([Problem(place=place, expected="what the schema allows", found=f"a mistake: {problem}")])
    return metadata


class FileProfileStore:
    """A ``ProfileStore`` of plain JSON files, readable and editable by people.

    A profile exists as soon as its ``metadata.json`` does: it is written last. Fields that this version does not know are
    kept.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "profiles"

    def read(self, profile_id: str) -> ProfileMetadata | None:
        """Return a profile's metadata, None if there is no such profile.

        Raises:
            StateCorrupt: the file does not say what a metadata file must.
        """
        path = self._path(profile_id)
        data = _content(path)
        if data is None:
            return None
        try:
            found = msgspec.json.decode(data, type=ProfileMetadata)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise StateCorrupt(path, str(exc) if data else "the file is empty") from None
        problem = problem_of(found, profile_id)
        if problem:
            raise StateCorrupt(path, problem)
        return found

    def ensure(self, profile_id: str, now: float) -> ProfileMetadata:
        """Return the profile's metadata, creating the profile (platform ``custom``) if there is none.

        Raises:
            StateCorrupt: there is one, damaged.
            DurableWriteFailed: it could not be created.
        """
        found = self.read(profile_id)
        if found is None:
            found = fresh(profile_id, now)
            for name in _DIRECTORIES:
                ensure_directory(self._directory / profile_id / name)
            self.write(found)
        return found

    def write(self, metadata: ProfileMetadata) -> None:
        """Make metadata durable.

        Raises:
            BadInput: they break a rule of the schema; nothing changed.
            StateCorrupt: what is there is no JSON object, so its other fields could not be kept; nothing changed.
            DurableWriteFailed: the old version is intact.
        """
        path = self._path(require_valid(metadata).profile_id)
        ours = msgspec.structs.asdict(metadata)
        fields = {name: value for name, value in ours.items() if value is not None}
        others = {name: value for name, value in self.fields(metadata.profile_id).items() if name not in ours}
        ensure_directory(path.parent)
        write_bytes(path, msgspec.json.format(msgspec.json.encode({**fields, **others}), indent=2) + b"\n")

    def fields(self, profile_id: str) -> dict[str, Any]:
        """Return what the file says, fields among it that this version does not know; nothing if there is none.

        Raises:
            StateCorrupt: it is no JSON object.
        """
        path = self._path(profile_id)
        data = _content(path)
        if data is None:
            return {}
        try:
            return msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise StateCorrupt(path, str(exc) if data else "the file is empty") from None

    def _path(self, profile_id: str) -> Path:
        return self._directory / require_id(profile_id) / "metadata.json"


def _content(path: Path) -> bytes | None:
    try:
        return bytes_of(path)
    except OSError as exc:
        if not is_unreadable(exc):
            raise
        raise StateCorrupt(path, f"it cannot be read ({exc.strerror})") from exc
