"""What the clone manager raises: the contract's names, all under the one root. ``core.errors`` has what runs share with it.

Creating raises a ``ProfileCreationError``, which is an ``OSError`` too, or one of its four kinds; what is behind it is the
cause. The four kinds of ``VerificationError`` stand in a result as ``failure``, and are raised where a caller asks for it.
"""

from __future__ import annotations

import errno as codes
from typing import TYPE_CHECKING, ClassVar

from core.domain.verification import Failure
from core.errors import TemplateMissing, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class BaseProfileMissing(TemplateMissing, FileNotFoundError):
    """The base profile that a manager was told to use does not exist."""


class BaseProfileUnreadable(WorkspaceError, PermissionError):
    """The base profile that a manager was told to use cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"base profile {path} cannot be read; give this user the right to, or run as its owner")


class CopyStopped(WorkspaceError):
    """A copy was ended before it was whole, and nothing of it is left."""

    def __init__(self, reason: str, code: int) -> None:
        self.reason = reason
        self.code = code
        super().__init__(reason)


class ProfileLimitError(WorkspaceError):
    """As many profiles as are allowed exist already, in this process and in others."""

    def __init__(self, current_count: int, max_allowed: int) -> None:
        self.current_count = current_count
        self.max_allowed = max_allowed
        super().__init__(f"Profile limit exceeded: {current_count}/{max_allowed}")


class ProfileCleanupError(WorkspaceError):
    """A profile could not be removed; it is still known, and can be tried again."""

    def __init__(self, worker_id: str, reason: str) -> None:
        self.worker_id = worker_id
        self.reason = reason
        super().__init__(f"Profile cleanup failed for {worker_id}: {reason}")


class ProfileCreationError(WorkspaceError, OSError):
    """A profile could not be created; nothing of it is left.

    Attributes:
        errno: what the system said, or what comes closest.
    """

    code: ClassVar[int] = codes.EIO

    def __init__(self, worker_id: str, reason: str, code: int | None = None) -> None:
        self.worker_id = worker_id
        self.reason = reason
        super().__init__(f"Profile creation failed for {worker_id}: {reason}")
        self.errno = self.code if code is None else code


class ProfileLockedException(ProfileCreationError):
    """The base profile is open in a browser, or another worker uses it itself."""

    code = codes.EBUSY


class InsufficientSpaceException(ProfileCreationError):
    """There is too little room for the clone, in every place that was tried."""

    code = codes.ENOSPC


class PermissionDeniedException(ProfileCreationError, PermissionError):
    """The base profile cannot be read, or no place can be written to."""

    code = codes.EACCES


class ProfileCorruptedException(ProfileCreationError):
    """The base profile is damaged or incomplete, or was written to while it was copied, twice."""

    code = codes.EBADMSG


class VerificationError(WorkspaceError):
    """A profile is not what it should be."""

    failure: ClassVar[Failure]

    def __init__(self, worker_id: int | str, reason: str) -> None:
        self.worker_id = worker_id
        self.reason = reason
        super().__init__(f"verification failed for worker {worker_id}: {reason}")


class VerificationTimeoutException(VerificationError, TimeoutError):
    """A method took longer than it may, also with more time."""

    failure = Failure.TIMED_OUT


class AuthenticationFailedException(VerificationError):
    """The profile is not logged in, or that could not be proven."""

    failure = Failure.NOT_AUTHENTICATED


class CapabilityMismatchException(VerificationError):
    """The driver's browser uses another profile, or may not use this one."""

    failure = Failure.WRONG_BROWSER


class FileVerificationException(VerificationError):
    """Files that matter are missing, damaged or not readable.

    Attributes:
        findings: a sentence each, with the relative path.
    """

    failure = Failure.CORRUPT

    def __init__(self, worker_id: int | str, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__(worker_id, "; ".join(self.findings))


_BY_FAILURE = {
    each.failure: each
    for each in (VerificationTimeoutException, AuthenticationFailedException, CapabilityMismatchException)
}


def verification_error(worker_id: int | str, failure: Failure, reason: str) -> VerificationError:
    """Return the exception that a failure in a result stands for."""
    kind = _BY_FAILURE.get(failure)
    return FileVerificationException(worker_id, [reason]) if kind is None else kind(worker_id, reason)
