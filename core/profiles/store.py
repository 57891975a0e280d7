"""Profiles as directories: ``state/profiles/<id>`` with its ``metadata.json``."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.validation import require_id
from core.durable import (
    bytes_of,
    ensure_directory,
    is_unreadable,
    sync_directory,
    take_turn,
    temporary,
    write_bytes,
    write_failed,
)
from core.errors import BadInput, Problem, StateCorrupt
from core.profiles import places
from core.profiles.errors import ProfileTaken, UnknownProfile
from core.profiles.port import ProfileMetadata, timestamp
from core.profiles.schema import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

CHECKSUM = "sha256"
"""A field of the file, not of the metadata: what Ostler wrote last."""
_METADATA = msgspec.json.Decoder(ProfileMetadata)  # made before there are threads: see ``core.sealed``


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


def require_no_twin(profile_id: str, others: Iterable[str]) -> None:
    """Refuse an ID that differs from another one only in case: some file systems would take them for the same.

    Raises:
        ProfileTaken: there is such another one.
    """
    for other in others:
        if other.lower() == profile_id.lower() and other != profile_id:
            raise ProfileTaken(profile_id, f"there is {other!r}, which differs only in case")


def parse(path: Path, data: bytes, profile_id: str) -> ProfileMetadata:
    """Return what the bytes of a metadata file say.

    Raises:
        StateCorrupt: they do not say what they must.
    """
    try:
        found = _METADATA.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise StateCorrupt(path, str(exc) if data else "the file is empty") from None
    problem = problem_of(found, profile_id)
    if problem:
        raise StateCorrupt(path, problem)
    return found


class FileProfileStore:
    """A ``ProfileStore`` of plain JSON files, readable and editable by people.

    A profile exists as soon as its ``metadata.json`` does: it is written last. Fields that this version does not know are
    kept.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = places.profiles(state_dir)

    def read(self, profile_id: str) -> ProfileMetadata | None:
        """Return a profile's metadata, None if there is no such profile.

        Raises:
            StateCorrupt: the file does not say what a metadata file must.
        """
        path = self._path(profile_id)
        data = _content(path)
        return None if data is None else parse(path, data, profile_id)

    def ensure(self, profile_id: str, now: float) -> ProfileMetadata:
        """Return the profile's metadata, creating the profile (platform ``custom``) if there is none.

        Raises:
            StateCorrupt: there is one, damaged.
            ProfileTaken: the ID of another profile differs only in case.
            DurableWriteFailed: it could not be created.
        """
        found = self.read(profile_id)
        if found is None:
            found = fresh(profile_id, now)
            others = (name for name in places.names(self._directory) if places.is_there(self._directory / name))
            require_no_twin(profile_id, others)
            self.create(found)
        return found

    def create(self, metadata: ProfileMetadata) -> None:
        """Make a profile's directory; its metadata come last.

        Raises:
            BadInput: they break a rule of the schema.
            DurableWriteFailed: it could not be made.
        """
        directory = self._path(require_valid(metadata).profile_id).parent
        for name in (places.BROWSER_PROFILE, places.CACHE):
            ensure_directory(directory / name)
        self.write(metadata)

    def write(self, metadata: ProfileMetadata, *, others: Mapping[str, Any] | None = None) -> None:
        """Make metadata durable.

        Args:
            metadata: whole.
            others: fields that this version does not know, to be there as well; None: those that are there.

        Raises:
            BadInput: they break a rule of the schema; nothing changed.
            StateCorrupt: what is there is no JSON object, so its other fields could not be kept; nothing changed.
            DurableWriteFailed: the old version is intact.
        """
        path = self._path(require_valid(metadata).profile_id)
        ensure_directory(path.parent)
        with self._turn(path):
            write_bytes(path, self._encoded(metadata, others))

    def was_edited(self, profile_id: str) -> bool:
        """Whether the metadata is not what Ostler wrote last: a person changed it, which is fine, or nobody did.

        Raises:
            StateCorrupt: it is no JSON object.
        """
        content = self.fields(profile_id)
        written = content.pop(CHECKSUM, None)
        return written is not None and written != _checksum(content)

    def update(self, profile_id: str, change: Callable[[ProfileMetadata], object]) -> ProfileMetadata:
        """Change metadata as their one writer, and return them; see the port.

        Raises:
            UnknownProfile: there is no such profile.
            StateCorrupt: its metadata are damaged.
            BadInput: the result breaks a rule; nothing changed.
            DurableWriteFailed: the old version is intact.
        """
        with self.changing(profile_id, change) as (metadata, put):
            put()
        return metadata

    @contextlib.contextmanager
    def changing(
        self, profile_id: str, change: Callable[[ProfileMetadata], object]
    ) -> Iterator[tuple[ProfileMetadata, Callable[[], None]]]:
        """Have changed metadata on disk that take their place when the second value is called: that needs no room any more.

        Raises:
            UnknownProfile, StateCorrupt, BadInput, DurableWriteFailed: as ``update``.
        """
        path = self._path(profile_id)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._turn(path))
                metadata = self.read(profile_id)
                if metadata is None:
                    raise UnknownProfile(profile_id)
                changed = copy.deepcopy(metadata)
                change(changed)
                if changed == metadata:
                    yield metadata, lambda: None
                    return
                temp = stack.enter_context(temporary(path, self._encoded(require_valid(changed)), fsync=True))
            except OSError as exc:
                raise write_failed(path, exc) from exc

            def put() -> None:
                try:
                    temp.replace(path)
                    sync_directory(path.parent)
                except OSError as exc:
                    raise write_failed(path, exc) from exc

            yield changed, put

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

    def _encoded(self, metadata: ProfileMetadata, others: Mapping[str, Any] | None = None) -> bytes:
        ours = msgspec.structs.asdict(metadata)
        fields = {name: value for name, value in ours.items() if value is not None}
        found = self.fields(metadata.profile_id) if others is None else others
        unknown = {name: value for name, value in found.items() if name not in ours and name != CHECKSUM}
        content = {**fields, **unknown}
        content[CHECKSUM] = _checksum(content)
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"

    @contextlib.contextmanager
    def _turn(self, path: Path) -> Iterator[None]:
        """Be the one writer; where there is no file yet, the holder of the profile's lock is."""
        try:
            turn = take_turn(path)
        except OSError as exc:
            if not is_unreadable(exc):
                raise write_failed(path, exc) from exc
            turn = None  # whoever reads it says what it is
        try:
            yield
        finally:
            if turn is not None:
                os.close(turn)

    def _path(self, profile_id: str) -> Path:
        return self._directory / require_id(profile_id) / places.METADATA


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _content(path: Path) -> bytes | None:
    try:
        return bytes_of(path)
    except OSError as exc:
        if not is_unreadable(exc):
            raise
        raise StateCorrupt(path, f"it cannot be read ({exc.strerror})") from exc
