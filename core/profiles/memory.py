"""Fakes of the profile store and of the profile locks, under the same laws as the files."""

from __future__ import annotations

import contextlib
import copy
import os
import socket
import threading
from typing import TYPE_CHECKING

from core.domain.model import Holder
from core.domain.validation import require_id
from core.errors import ProfileHeld
from core.profiles.errors import UnknownProfile
from core.profiles.store import fresh, require_no_twin, require_valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.clock import Clock
    from core.profiles.port import ProfileMetadata


class MemoryProfileStore:
    """A ``ProfileStore`` without files."""

    def __init__(self) -> None:
        self._kept: dict[str, ProfileMetadata] = {}
        self._guard = threading.Lock()

    def read(self, profile_id: str) -> ProfileMetadata | None:
        """Return a profile's metadata, None if there is no such profile."""
        found = self._kept.get(require_id(profile_id))
        return None if found is None else copy.deepcopy(found)

    def ensure(self, profile_id: str, now: float) -> ProfileMetadata:
        """Return the profile's metadata, creating the profile (platform ``custom``) if there is none.

        Raises:
            ProfileTaken: the ID of another profile differs only in case.
        """
        found = self.read(profile_id)
        if found is None:
            found = fresh(profile_id, now)
            require_no_twin(profile_id, self._kept)
            self.write(found)
        return found

    def write(self, metadata: ProfileMetadata) -> None:
        """Keep metadata.

        Raises:
            BadInput: they break a rule of the schema; nothing changed.
        """
        self._kept[metadata.profile_id] = copy.deepcopy(require_valid(metadata))

    def update(self, profile_id: str, change: Callable[[ProfileMetadata], object]) -> ProfileMetadata:
        """Change metadata as their one writer, and return them.

        Raises:
            UnknownProfile: there is no such profile.
            BadInput: the result breaks a rule; nothing changed.
        """
        with self._guard:
            found = self.read(profile_id)
            if found is None:
                raise UnknownProfile(profile_id)
            change(found)
            self.write(found)
        return found


class MemoryProfileLocks:
    """``ProfileLocks`` of one process: every ``hold`` is a holder of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._holders: dict[str, Holder] = {}

    @contextlib.contextmanager
    def hold(self, profile_id: str, what: str) -> Iterator[None]:
        """Hold the lock.

        Raises:
            ProfileHeld: naming the holder.
        """
        with self._guard:
            there = self._holders.get(require_id(profile_id))
            if there is not None:
                raise ProfileHeld(f"profile {profile_id}", str(there))
            self._holders[profile_id] = Holder(
                pid=os.getpid(), host=socket.gethostname(), since=self._clock.now(), what=what
            )
        try:
            yield
        finally:
            with self._guard:
                del self._holders[profile_id]

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds it, None if it is free."""
        with self._guard:
            return self._holders.get(require_id(profile_id))
