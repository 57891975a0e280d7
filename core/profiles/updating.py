"""Many changes of metadata at once, each based on what somebody has seen: one that was overtaken is said, and not made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import BadInput, OstlerError, Problem
from core.profiles.errors import UnknownProfile
from core.profiles.platforms import SETTINGS, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from core.profiles.port import ProfileMetadata, ProfileStore

CHANGEABLE = ("name", "tags", "notes", *SETTINGS)
"""Fields of the metadata that are a person's to set; the others are what runs and operations found out."""
_DIGITS = 16


class ProfileUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A change that somebody wants, of a profile as they saw it.

    Attributes:
        profile_id: whose.
        changes: new values by field, as in ``metadata.json``; null is what it is without. See ``CHANGEABLE``.
        based_on: revision of the metadata that were seen; null: whatever they are by now.
    """

    profile_id: str
    changes: Mapping[str, Any]
    based_on: str | None = None


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """An update that was made.

    Attributes:
        revision: of the metadata by now.
        fields: those that have other values than before.
    """

    profile_id: str
    revision: str
    fields: tuple[str, ...]


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """An update that was not made: somebody else was faster.

    Attributes:
        expected: revision that it was based on.
        found: the one by now.
    """

    profile_id: str
    expected: str
    found: str


class NotApplied(msgspec.Struct, frozen=True, kw_only=True):
    """An update that could not be made, and why."""

    profile_id: str
    reason: str


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each update.

    Attributes:
        missing: profiles that are not there.
        failed: held by somebody, damaged, a value that cannot be, a disk that refuses.
    """

    applied: tuple[Applied, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    missing: tuple[str, ...] = ()
    failed: tuple[NotApplied, ...] = ()


class _Overtaken(Exception):
    """The metadata are not those that the update was based on."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(found)


def revision_of(metadata: ProfileMetadata) -> str:
    """Return what is different as soon as any field is, and the same again if it is put back."""
    content = msgspec.json.encode(msgspec.to_builtins(metadata), order="sorted")
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def update_many(
    store: ProfileStore,
    updates: Sequence[ProfileUpdate],
    hold: Callable[[str], AbstractContextManager[object]],
    told: Callable[[Applied], object],
) -> BatchResult:
    """Make each update that can be made, in order; what becomes of one is nothing to the others.

    Args:
        store: where metadata are.
        updates: of several of one profile, later ones have to be based on what the earlier ones made of it.
        hold: takes a profile's lock: a run writes at its end what it read at its start.
        told: called after each that was made.
    """
    applied: list[Applied] = []
    conflicts: list[Conflict] = []
    missing: list[str] = []
    failed: list[NotApplied] = []
    for update in updates:
        profile_id = update.profile_id
        try:
            with hold(profile_id):
                made = _applied(store, update)
        except _Overtaken as exc:
            conflicts.append(Conflict(profile_id=profile_id, expected=update.based_on or "", found=exc.found))
        except UnknownProfile:
            missing.append(profile_id)
        except OstlerError as exc:
            failed.append(NotApplied(profile_id=profile_id, reason=str(exc)))
        else:
            applied.append(made)
            told(made)
    return BatchResult(applied=tuple(applied), conflicts=tuple(conflicts), missing=tuple(missing), failed=tuple(failed))


def _applied(store: ProfileStore, update: ProfileUpdate) -> Applied:
    place = f"update of {update.profile_id}"
    unknown = [name for name in update.changes if name not in CHANGEABLE]
    if unknown:
        expected = f"one of {', '.join(CHANGEABLE)}"
        raise BadInput([Problem(place=place, expected=expected, found=repr(str(name)[:64])) for name in unknown])
    fields: list[str] = []

    def change(metadata: ProfileMetadata) -> None:
        found = revision_of(metadata)
        if update.based_on not in (None, found):
            raise _Overtaken(found)
        wanted = with_settings(metadata, update.changes, place)
        fields[:] = changed_fields(metadata, wanted)
        for name in fields:
            setattr(metadata, name, getattr(wanted, name))

    after = store.update(update.profile_id, change)
    return Applied(profile_id=update.profile_id, revision=revision_of(after), fields=tuple(fields))


def changed_fields(before: ProfileMetadata, after: ProfileMetadata) -> list[str]:
    """Return the fields whose values differ."""
    return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
