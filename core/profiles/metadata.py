"""Metadata as operations handle them: loaded, held to their rules, saved whole, and marked where they are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import OstlerError, StateCorrupt
from core.profiles.errors import ProfileDamaged, UnknownProfile
from core.profiles.schema import problem_of
from core.profiles.store import FileProfileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.profiles.port import ProfileMetadata

_LONGEST = 500


class ProfileMetadataHandler:
    """The metadata of the profiles of a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._store = FileProfileStore(state_dir)

    def load(self, profile_id: str) -> ProfileMetadata:
        """Return a profile's metadata.

        Raises:
            UnknownProfile: there is no such profile, or it has none.
            StateCorrupt: they do not say what they must.
        """
        found = self._store.read(profile_id)
        if found is None:
            raise UnknownProfile(profile_id)
        return found

    def load_whole(self, profile_id: str) -> ProfileMetadata:
        """Return the metadata of a profile that can be worked with; those that are damaged are marked so.

        Raises:
            ProfileDamaged: they are damaged, or the profile was marked as corrupted.
        """
        try:
            found = self.load(profile_id)
        except UnknownProfile:
            raise ProfileDamaged(profile_id, "metadata.json is missing") from None
        except StateCorrupt as exc:
            self.mark_corrupted(profile_id, exc.reason)
            raise ProfileDamaged(profile_id, f"{exc.path.name}: {exc.reason}") from exc
        if found.status == "corrupted":
            raise ProfileDamaged(profile_id, found.last_error or "it was marked so")
        return found

    def save(self, metadata: ProfileMetadata) -> None:
        """Make metadata durable, all or nothing; fields that this version does not know are kept.

        Raises:
            BadInput: they break a rule; nothing changed.
            DurableWriteFailed: the old version is intact.
        """
        self._store.write(metadata)

    def update(self, profile_id: str, change: Callable[[ProfileMetadata], object]) -> ProfileMetadata:
        """Change metadata as their one writer, and return them; see ``ProfileStore.update``."""
        return self._store.update(profile_id, change)

    def validate(self, metadata: ProfileMetadata) -> str:
        """Return what is wrong with metadata, in words; empty if nothing is."""
        return problem_of(metadata, metadata.profile_id)

    def mark_corrupted(self, profile_id: str, reason: str) -> bool:
        """Write down that a profile is damaged, and why; whether that could be written.

        Metadata that cannot be read are their own mark, and their bytes are evidence: they stay as they are.

        Raises:
            UnknownProfile: there is no such profile.
        """

        def mark(metadata: ProfileMetadata) -> None:
            metadata.status = "corrupted"
            metadata.last_error = " ".join(reason.split())[:_LONGEST]
            metadata.error_phase = "load"

        try:
            self._store.update(profile_id, mark)
        except UnknownProfile:
            raise
        except OstlerError:
            return False
        return True
