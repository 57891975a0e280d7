"""Changes of what profiles say of themselves: one, or many at once; whoever wants to know is told."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.profiles import updating
from core.profiles.schema import is_tag
from core.profiles.store import FileProfileStore
from core.profiles.views import ProfileViews

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from core.profiles.port import ProfileMetadata
    from core.profiles.updating import Applied, BatchResult, ProfileUpdate

_BRIEFLY = 0.25
"""Seconds that one profile of many is waited for: another operation is over by then, a run is not, and the others go on."""


class ProfileChanges(ProfileViews):
    """Changes metadata of profiles, and looks at them."""

    def tag(
        self, profile_id: str | None = None, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Change a profile's tags, also while somebody works with it; return them.

        Raises:
            UnknownProfile.
            BadInput: one cannot be a tag.
            StateCorrupt: its metadata are damaged.
        """
        chosen = self.chosen(profile_id)
        added, removed = list(add), set(remove)
        for tag in added:
            if not is_tag(tag):
                expected = "1 to 32 characters, without spaces and commas"
                raise BadInput([Problem(place="TAG", expected=expected, found=repr(tag[:64]))])
        self.registry.require(chosen)

        def change(metadata: ProfileMetadata) -> None:
            metadata.tags = tuple(tag for tag in dict.fromkeys((*metadata.tags, *added)) if tag not in removed)

        return self._updated(chosen, change).tags

    def change(self, profile_id: str, change: Callable[[ProfileMetadata], object], *, what: str) -> ProfileMetadata:
        """Change a profile's metadata under its lock, and return them: a run writes at its end what it read at its start.

        Args:
            profile_id: whose.
            change: changes what it is given; called again where another writer was faster.
            what: what the holder is called while it lasts.

        Raises:
            UnknownProfile, ProfileHeld.
            StateCorrupt: its metadata are damaged.
            BadInput: the result breaks a rule; nothing changed.
        """
        self.validator.validate_id(profile_id)
        self.tidy()
        self.registry.require(profile_id)
        with self.locks.acquire(profile_id, what=what):
            return self._updated(profile_id, change)

    def update_many(self, updates: Sequence[ProfileUpdate], *, what: str = "an update") -> BatchResult:
        """Make each update that can be made; one that was overtaken is a conflict, and the others are made all the same.

        Args:
            updates: what is wanted, each based on a ``revision``.
            what: what the holder of each profile is called while it lasts.
        """
        self.tidy()

        @contextlib.contextmanager
        def hold(profile_id: str) -> Iterator[None]:
            self.validator.validate_id(profile_id)
            self.registry.require(profile_id)
            with self.locks.acquire(profile_id, what=what, timeout=_BRIEFLY):
                yield

        def told(made: Applied) -> None:
            if made.fields:
                self._tell("updated", made.profile_id, fields=made.fields, revision=made.revision)

        return updating.update_many(FileProfileStore(self._state_dir), updates, hold, told)

    update_multiple_profiles = update_many

    def _updated(self, profile_id: str, change: Callable[[ProfileMetadata], object]) -> ProfileMetadata:
        """Change metadata, and tell if that made a difference."""
        fields: list[str] = []

        def noting(metadata: ProfileMetadata) -> None:
            before = copy.deepcopy(metadata)
            change(metadata)
            fields[:] = updating.changed_fields(before, metadata)

        after = self.metadata.update(profile_id, noting)
        if fields:
            self._tell("updated", profile_id, fields=fields, revision=updating.revision_of(after))
        return after
