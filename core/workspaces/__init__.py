"""Private working copies of browser data: for runs (``files``), and for whoever drives browsers otherwise (``WorkspaceManager``).

The names below are imported when they are asked for: a worker that starts needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.domain.verification import (
        MethodResult,
        ProfileStatus,
        ProfileType,
        RetryConfig,
        VerificationConfig,
        VerificationMethod,
        VerificationResult,
        VerificationStatus,
    )
    from core.workspaces.errors import (
        AuthenticationFailedException,
        CapabilityMismatchException,
        FileVerificationException,
        InsufficientSpaceException,
        PermissionDeniedException,
        ProfileCleanupError,
        ProfileCorruptedException,
        ProfileCreationError,
        ProfileLimitError,
        ProfileLockedException,
        VerificationError,
        VerificationTimeoutException,
    )
    from core.workspaces.manager import WorkspaceManager
    from core.workspaces.worker_profile import WorkerProfile

__all__ = [
    "AuthenticationFailedException",
    "CapabilityMismatchException",
    "FileVerificationException",
    "InsufficientSpaceException",
    "MethodResult",
    "PermissionDeniedException",
    "ProfileCleanupError",
    "ProfileCorruptedException",
    "ProfileCreationError",
    "ProfileLimitError",
    "ProfileLockedException",
    "ProfileStatus",
    "ProfileType",
    "RetryConfig",
    "VerificationConfig",
    "VerificationError",
    "VerificationMethod",
    "VerificationResult",
    "VerificationStatus",
    "VerificationTimeoutException",
    "WorkerProfile",
    "WorkspaceManager",
]
_ELSEWHERE = {"WorkspaceManager": "manager", "WorkerProfile": "worker_profile"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _ELSEWHERE:
        module = f"core.workspaces.{_ELSEWHERE[name]}"
    elif name.endswith(("Error", "Exception")):
        module = "core.workspaces.errors"
    else:
        module = "core.domain.verification"
    return getattr(importlib.import_module(module), name)
