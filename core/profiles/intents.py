"""Records of operations that take several steps: once one is on disk, the operation will be carried out, whatever is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from core import durable, sealed
from core.profiles import places

if TYPE_CHECKING:
    from pathlib import Path

Mode = Literal["soft", "hard"]


class Rename(msgspec.Struct, frozen=True, tag="rename"):
    """A profile gets another ID. Its record stands under both: under the new one first, under the old one once it is decided."""

    old: str
    new: str


class Recovery(msgspec.Struct, frozen=True, tag="recovery"):
    """Damaged or unwanted data of a profile is dropped; see ``core.profiles.recovery``."""

    profile_id: str
    mode: Mode
    keep_login: bool
    deep: bool
    at: float


class Migration(msgspec.Struct, frozen=True, tag="migration"):
    """A single profile of old, in ``source``, becomes a named one."""

    profile_id: str
    source: str


Intent = Rename | Recovery | Migration


def read(state_dir: Path, profile_id: str) -> Intent | None:
    """Return what is to be done with a profile, None for nothing.

    Raises:
        StateCorrupt: the record is damaged.
        NewerSchema: a newer version wrote it.
    """
    found: Intent | None = sealed.read(places.intent(state_dir, profile_id), Intent)
    return found


def write(state_dir: Path, profile_id: str, intent: Intent) -> None:
    """Make a record durable.

    Raises:
        DurableWriteFailed: there is none.
    """
    durable.write_bytes(places.intent(state_dir, profile_id), sealed.seal(intent))


def remove(state_dir: Path, profile_id: str) -> None:
    """Remove a record: what it says is done, or taken back.

    Raises:
        DurableWriteFailed: it is still there.
    """
    path = places.intent(state_dir, profile_id)
    try:
        path.unlink(missing_ok=True)
        durable.sync_directory(path.parent)
    except OSError as exc:
        raise durable.write_failed(path, exc) from exc
