"""Named profiles: their directories, their locks and their metadata, and ``ProfileManager``, which does everything with them.

The names below are imported when they are asked for: a worker that starts needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.errors import ProfileHeld as ProfileLockedError
    from core.profiles.difference import ProfileDifference
    from core.profiles.errors import ProfileActive as ProfileActiveError
    from core.profiles.errors import ProfileDamaged as ProfileCorruptedError
    from core.profiles.errors import ProfileError, ProfileInUse
    from core.profiles.errors import ProfileTaken as ProfileExistsError
    from core.profiles.errors import UnknownProfile as ProfileNotFoundError
    from core.profiles.inspection import Profile, ProfileReport, ProfileSize
    from core.profiles.inspection import Profile as ProfileContext
    from core.profiles.lock_manager import ProfileLockManager
    from core.profiles.losses import RecoveryReport
    from core.profiles.manager import ProfileManager
    from core.profiles.metadata import ProfileMetadataHandler
    from core.profiles.platforms import SessionHandler, register_platform
    from core.profiles.port import ProfileMetadata
    from core.profiles.registry import ProfileRegistry
    from core.profiles.updating import BatchResult, ProfileUpdate
    from core.profiles.usage import MemoryMetrics
    from core.profiles.validator import ProfileValidator

__all__ = [
    "BatchResult",
    "MemoryMetrics",
    "Profile",
    "ProfileActiveError",
    "ProfileContext",
    "ProfileCorruptedError",
    "ProfileDifference",
    "ProfileError",
    "ProfileExistsError",
    "ProfileInUse",
    "ProfileLockManager",
    "ProfileLockedError",
    "ProfileManager",
    "ProfileMetadata",
    "ProfileMetadataHandler",
    "ProfileNotFoundError",
    "ProfileRegistry",
    "ProfileReport",
    "ProfileSize",
    "ProfileUpdate",
    "ProfileValidator",
    "RecoveryReport",
    "SessionHandler",
    "register_platform",
]
_PLACES = {
    "BatchResult": "updating.BatchResult",
    "MemoryMetrics": "usage.MemoryMetrics",
    "ProfileUpdate": "updating.ProfileUpdate",
    "Profile": "inspection.Profile",
    "ProfileContext": "inspection.Profile",
    "ProfileReport": "inspection.ProfileReport",
    "ProfileSize": "inspection.ProfileSize",
    "ProfileDifference": "difference.ProfileDifference",
    "ProfileLockManager": "lock_manager.ProfileLockManager",
    "ProfileManager": "manager.ProfileManager",
    "ProfileMetadata": "port.ProfileMetadata",
    "ProfileMetadataHandler": "metadata.ProfileMetadataHandler",
    "ProfileRegistry": "registry.ProfileRegistry",
    "ProfileValidator": "validator.ProfileValidator",
    "RecoveryReport": "losses.RecoveryReport",
    "SessionHandler": "platforms.SessionHandler",
    "register_platform": "platforms.register_platform",
    "ProfileActiveError": "errors.ProfileActive",
    "ProfileCorruptedError": "errors.ProfileDamaged",
    "ProfileError": "errors.ProfileError",
    "ProfileExistsError": "errors.ProfileTaken",
    "ProfileInUse": "errors.ProfileInUse",
    "ProfileNotFoundError": "errors.UnknownProfile",
}


def __getattr__(name: str) -> Any:
    if name == "ProfileLockedError":
        return importlib.import_module("core.errors").ProfileHeld
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(".")
        return getattr(importlib.import_module(f"core.profiles.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
