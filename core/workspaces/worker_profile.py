"""What a worker is given: a browser profile of its own, and what is known about it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from core.domain.lifecycle import WorkspaceState
from core.domain.validation import ID_RULE, is_valid_id
from core.domain.verification import ProfileType, VerificationResult, VerificationStatus
from core.errors import BadArgument
from core.workspaces import live
from core.workspaces.port import Receipt

_LARGEST = 10**18
_STARTABLE = frozenset({WorkspaceState.READY, WorkspaceState.VERIFIED})
_PROMISING = frozenset({VerificationStatus.PENDING, VerificationStatus.SUCCESS})
_OPTIONS = ("--no-first-run", "--no-default-browser-check", "--hide-crash-restore-bubble", "--password-store=basic")


class WorkerProfile(msgspec.Struct, eq=False, kw_only=True):
    """A browser profile that one worker has for itself. The manager that made it keeps it up to date.

    Attributes:
        worker_id: a positive number, or the name that ``create_profile`` was given.
        profile_type: a private copy, or the base profile itself.
        profile_path: the user-data-dir; exists and can be read when this is made.
        created_at: UTC.
        verified_at: when it last passed a verification; None if it never did.
        verification_status: of the latest verification.
        selenium_options: command line options for a driver.
        state: where it stands; ``core.domain.lifecycle.WORKSPACE`` has what follows what.
        receipt: what was copied, left out and not readable.
        history: all results, the latest last.

    Raises:
        BadArgument: the number is not positive, the name is none, or the directory is not there.
    """

    worker_id: int | str
    profile_type: ProfileType
    profile_path: Path
    created_at: datetime
    verified_at: datetime | None = None
    verification_status: VerificationStatus = VerificationStatus.PENDING
    selenium_options: list[str] = []
    state: WorkspaceState = WorkspaceState.CREATING
    receipt: Receipt = Receipt(source="empty")
    history: list[VerificationResult] = []

    def __post_init__(self) -> None:
        check_worker_id(self.worker_id)
        if not (self.profile_path.is_dir() and os.access(self.profile_path, os.R_OK | os.X_OK)):
            raise BadArgument("profile_path", expected="a directory that can be read", found=str(self.profile_path))
        if not self.selenium_options:
            self.selenium_options = [f"--user-data-dir={self.profile_path}", *_OPTIONS]

    def get_selenium_options(self) -> list[str]:
        """Return the command line options that make ChromeDriver, or Edge's driver, use this profile."""
        return list(self.selenium_options)

    def is_ready(self) -> bool:
        """Whether a browser may be started in it: whole, not found wanting, not in use, and readable and writable for us."""
        return (
            self.state in _STARTABLE
            and self.verification_status in _PROMISING
            and os.access(self.profile_path, os.R_OK | os.W_OK | os.X_OK)
            and live.evidence(self.profile_path) is None
        )

    def get_verification_summary(self) -> dict[str, Any]:
        """Return what verifications found, as plain data.

        Returns:
            ``worker_id``, ``profile_type``, ``profile_path``, ``state``, ``status``, ``verified_at`` (ISO 8601 or None),
            ``verifications`` (how many there were), and of the latest one ``methods`` (method → ``status``, ``attempts``,
            ``duration`` in seconds, ``error``), ``retry_count`` and ``error``.
        """
        latest = self.history[-1] if self.history else None
        methods = latest.method_results.values() if latest is not None else ()
        return {
            "worker_id": self.worker_id,
            "profile_type": self.profile_type.value,
            "profile_path": str(self.profile_path),
            "state": self.state.value,
            "status": self.verification_status.value,
            "verified_at": self.verified_at.isoformat() if self.verified_at is not None else None,
            "verifications": len(self.history),
            "methods": {
                each.method.value: {
                    "status": each.status.value,
                    "attempts": each.attempts,
                    "duration": each.duration,
                    "error": each.error,
                }
                for each in methods
            },
            "retry_count": latest.retry_count if latest is not None else 0,
            "error": latest.error_details if latest is not None else None,
        }


def check_worker_id(worker_id: object) -> None:
    """Refuse what is no worker.

    Raises:
        BadArgument: a number that is not positive, or a name that is none.
    """
    if isinstance(worker_id, str):
        if not is_valid_id(worker_id):
            raise BadArgument("worker_id", expected=ID_RULE, found=worker_id)
    elif isinstance(worker_id, bool) or not isinstance(worker_id, int) or worker_id < 1:
        raise BadArgument("worker_id", expected="a positive number, or a name", found=worker_id)
    elif worker_id > _LARGEST:
        raise BadArgument("worker_id", expected=f"at most {_LARGEST}", found="a larger one")
