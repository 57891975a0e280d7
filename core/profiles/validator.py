"""The rules that operations hold to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.validation import require_id
from core.profiles import platforms
from core.profiles.errors import ProfileActive, ProfileInUse

if TYPE_CHECKING:
    from core.profiles.lock_manager import ProfileLockManager
    from core.profiles.registry import ProfileRegistry

_LONG = ("attempt ", "ostler profile open")
"""How those call themselves who hold a profile for long: a run, and a person with its browser open."""


class ProfileValidator:
    """Says what may be done."""

    def __init__(self, registry: ProfileRegistry, locks: ProfileLockManager) -> None:
        self._registry = registry
        self._locks = locks

    def validate_id(self, profile_id: str) -> str:
        """Return the ID if it can be one.

        Raises:
            BadInput: it cannot.
        """
        return require_id(profile_id, "ID")

    def validate_platform(self, name: str) -> str:
        """Return the platform's name if there is such a one.

        Raises:
            BadInput: there is none.
        """
        return platforms.platform(name).name

    def can_delete(self, profile_id: str) -> None:
        """Expect that a profile may be deleted without force.

        Raises:
            UnknownProfile: there is none.
            ProfileInUse: a run, or a person, works with it.
            ProfileActive: it is the active one.
        """
        self._registry.require(profile_id)
        holder = self._locks.holder(profile_id)
        if holder is not None and holder.what.startswith(_LONG):
            raise ProfileInUse(profile_id, str(holder), "wait for it, or use --force, which stops it")
        if self._registry.is_active(profile_id):
            raise ProfileActive(profile_id, "the active one: deactivate it first, or use --force")
