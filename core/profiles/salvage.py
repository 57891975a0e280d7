"""What damaged metadata still say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from core import durable
from core.durable import bytes_of
from core.errors import StateCorrupt
from core.profiles import places
from core.profiles.port import ProfileMetadata, timestamp
from core.profiles.schema import problem_of
from core.profiles.store import parse
from core.workspaces import version as versions

if TYPE_CHECKING:
    from pathlib import Path


def salvaged(path: Path, profile_id: str) -> tuple[ProfileMetadata, dict[str, Any]]:
    """Return metadata as far as a file still says them, the rest from its directory, and the fields that nobody here knows."""
    fields = fields_of(path)
    ours = ProfileMetadata.__struct_fields__
    good: dict[str, Any] = {"profile_id": profile_id}
    for name in ours:
        if name in fields and _is_good({**good, name: fields[name]}, profile_id):
            good[name] = fields[name]
    metadata = msgspec.convert(good, ProfileMetadata)
    written = versions.written_by(path.with_name(places.BROWSER_PROFILE))
    if written is not None and metadata.browser_version is None:
        metadata.browser, metadata.browser_version = written[0] or None, written[1]
    metadata.created_at = metadata.created_at or _oldest(path.parent)
    return metadata, {name: value for name, value in fields.items() if name not in ours}


def keep_bytes(path: Path, aside: Path) -> None:
    """Keep metadata that cannot be read; what is no file at all is moved away."""
    if not os.path.lexists(path):
        return
    try:
        data = bytes_of(path)
        parse(path, data or b"", path.parent.name)
    except StateCorrupt:
        durable.ensure_directory(aside)
        durable.write_bytes(aside / path.name, data or b"")
    except OSError:
        put_aside(path, aside / path.name)


def fields_of(path: Path) -> dict[str, Any]:
    """Return what a metadata file says, right or wrong; nothing if it is no JSON object."""
    try:
        found: dict[str, Any] = msgspec.json.decode(bytes_of(path) or b"", type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return found


def _is_good(fields: dict[str, Any], profile_id: str) -> bool:
    try:
        return not problem_of(msgspec.convert(fields, ProfileMetadata), profile_id)
    except msgspec.ValidationError:
        return False


def _oldest(profile: Path) -> str:
    """Return when a profile was created, as far as its directory still shows it."""
    try:
        moments = [path.lstat().st_mtime for path in (profile, *profile.iterdir())]
    except OSError:
        return ""
    return timestamp(min(moments))


def put_aside(path: Path, target: Path) -> None:
    """Move something to where it is kept, if it is there."""
    if not os.path.lexists(path):
        return
    durable.ensure_directory(target.parent)
    path.rename(target)
    durable.sync_directory(target.parent)
    durable.sync_directory(path.parent)
