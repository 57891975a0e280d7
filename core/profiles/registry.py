"""Which profiles there are, and which one is active.

The directory is the registry: other processes add and remove profiles at any time, so nothing is remembered here. The
active one is named in ``state/profiles/.active``; what metadata say of it follows, and is put right where a kill came between.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import msgspec
import structlog

from core import durable, sealed
from core.errors import OstlerError, StateCorrupt
from core.profiles import places, staging
from core.profiles.errors import ProfileTaken, UnknownProfile
from core.profiles.port import ProfileMetadata, timestamp
from core.profiles.store import FileProfileStore, require_no_twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.clock import Clock
    from core.profiles.lock_manager import ProfileLockManager

POINTER = ".active"
log = structlog.get_logger(__name__)


class _Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """What ``.active`` says.

    Attributes:
        active: the active profile.
        previous: the one before it, whose metadata may still say that it is active.
    """

    active: str | None = None
    previous: str | None = None


class ProfileRegistry:
    """The profiles of a state directory."""

    def __init__(self, state_dir: Path, clock: Clock, locks: ProfileLockManager) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._locks = locks
        self._store = FileProfileStore(state_dir)
        self._path = places.profiles(state_dir) / POINTER

    def ids(self) -> list[str]:
        """Return the IDs of all profiles, damaged ones among them."""
        return places.ids(self._state_dir)

    def exists(self, profile_id: str) -> bool:
        """Whether there is such a profile, damaged or not."""
        return places.is_there(places.profile(self._state_dir, profile_id))

    def require(self, profile_id: str) -> None:
        """Expect a profile to be there.

        Raises:
            UnknownProfile: it is not.
        """
        if not self.exists(profile_id):
            raise UnknownProfile(profile_id)

    def require_free(self, profile_id: str) -> None:
        """Expect an ID to be free.

        Raises:
            ProfileTaken: there is such a profile, or one whose ID differs only in case.
        """
        if self.exists(profile_id):
            raise ProfileTaken(profile_id, "there is one already")
        require_no_twin(profile_id, self.ids())

    def register(self, profile_id: str) -> None:
        """Let a profile that was put together aside take its place; the caller holds its lock.

        Raises:
            ProfileTaken, DurableWriteFailed: it cannot; nothing is left of it.
        """
        try:
            with self._locks.acquire_all():
                self.require_free(profile_id)
                if self._pointer().active == profile_id:  # an earlier profile of this ID was
                    self._write(_Pointer())
                staging.declare_whole(self._state_dir, profile_id)
                staging.settle(self._state_dir, profile_id)
        except BaseException:
            if staging.is_pending(self._state_dir, profile_id):
                staging.take_back(self._state_dir, profile_id)
            raise

    def unregister(self, profile_id: str) -> None:
        """Let a profile disappear, all at once; the caller holds its lock. The next holder removes what is left of it.

        Raises:
            DurableWriteFailed: it is still there.
        """
        path, gone = places.profile(self._state_dir, profile_id), places.gone(self._state_dir, profile_id)
        with self._locks.acquire_all():
            try:
                path.rename(gone)
                durable.sync_directory(gone.parent)
            except OSError as exc:
                raise durable.write_failed(path, exc) from exc
            pointer = self._pointer()
            if pointer.active == profile_id:
                # it has no room where the disk is full, and needs none: a profile that is gone is active no more
                with contextlib.suppress(OstlerError):
                    self._write(_Pointer())

    # --- the active one ----------------------------------------------------------------------------------------------

    def get_active(self) -> str | None:
        """Return the active profile, None if none is."""
        active = self._pointer().active
        return active if active is not None and self.exists(active) else None

    def has_active(self) -> bool:
        """Whether one is active."""
        return self.get_active() is not None

    def is_active(self, profile_id: str) -> bool:
        """Whether it is the active one."""
        return self.get_active() == profile_id

    def set_active(self, profile_id: str | None) -> str | None:
        """Make a profile the active one, or none, and return the one before it.

        The new pointer and the metadata that go with it are on disk before the first of them takes its place.

        Raises:
            UnknownProfile, StateCorrupt: it cannot be; nothing changed.
            DurableWriteFailed: nothing changed.
        """
        with self._locks.acquire_all():
            self._settle()
            before = self.get_active()
            if before == profile_id:
                return before
            with contextlib.ExitStack() as stack:
                puts = []
                if profile_id is not None:
                    puts.append(stack.enter_context(self._store.changing(profile_id, self._select))[1])
                if before is not None:
                    with contextlib.suppress(StateCorrupt, UnknownProfile):  # what it says of itself is not believed
                        puts.append(stack.enter_context(self._store.changing(before, _deactivate))[1])
                self._write(_Pointer(active=profile_id, previous=before))
                for put in puts:
                    put()
            return before

    def moved(self, old: str, new: str) -> None:
        """Note that the active profile has another ID, if it is the one that has.

        Raises:
            DurableWriteFailed: it could not be noted.
        """
        with self._locks.acquire_all():
            if self._pointer().active == old:
                self._write(_Pointer(active=new))

    def damage(self) -> str:
        """Return what is wrong with the pointer; empty if nothing is."""
        try:
            pointer = self._read()
        except OstlerError as exc:
            return str(exc)
        if pointer.active is not None and not self.exists(pointer.active):
            return f"{self._path} names {pointer.active!r}, which is no profile"
        return ""

    def settle(self) -> None:
        """Let metadata say what the pointer says, if a kill came between the two.

        Raises:
            HolderAlive: somebody else changes it.
            DurableWriteFailed: it could not be done.
        """
        pointer = self._pointer()
        stale = pointer.previous is not None and pointer.previous != pointer.active and self._claims(pointer.previous)
        if stale or (pointer.active is not None and self._denies(pointer.active)):
            with self._locks.acquire_all():
                self._settle()

    def _settle(self) -> None:
        pointer = self._pointer()
        if pointer.previous is not None and pointer.previous != pointer.active:
            self._say(pointer.previous, _deactivate)
        if pointer.active is not None:
            self._say(pointer.active, _activate)

    def _say(self, profile_id: str, change: Callable[[ProfileMetadata], None]) -> None:
        with contextlib.suppress(StateCorrupt, UnknownProfile):  # what is damaged or gone says nothing
            self._store.update(profile_id, change)

    def _select(self, metadata: ProfileMetadata) -> None:
        _activate(metadata)
        metadata.last_used = timestamp(self._clock.now())
        metadata.lock_pid = os.getpid()

    def _pointer(self) -> _Pointer:
        try:
            return self._read()
        except OstlerError as exc:
            # what metadata say is as good as it, where only one says so
            log.warning("pointer_damaged", reason=str(exc))
            claims = [name for name in self.ids() if self._claims(name)]
            return _Pointer(active=claims[0] if len(claims) == 1 else None)

    def _read(self) -> _Pointer:
        return sealed.read(self._path, _Pointer) or _Pointer()

    def _claims(self, profile_id: str) -> bool:
        return self._status(profile_id) == "active"

    def _denies(self, profile_id: str) -> bool:
        return self._status(profile_id) == "inactive"

    def _status(self, profile_id: str) -> str:
        try:
            metadata = self._store.read(profile_id)
        except OstlerError:
            return ""
        return "" if metadata is None else metadata.status

    def _write(self, pointer: _Pointer) -> None:
        durable.ensure_directory(self._path.parent)
        durable.write_bytes(self._path, sealed.seal(pointer))


def _activate(metadata: ProfileMetadata) -> None:
    if metadata.status == "inactive":
        metadata.status = "active"


def _deactivate(metadata: ProfileMetadata) -> None:
    if metadata.status == "active":
        metadata.status = "inactive"
