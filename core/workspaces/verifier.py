"""Verifies a worker's profile with every method that is asked for, and writes down in it what came of that."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from core.domain.lifecycle import WorkspaceEvent, WorkspaceState
from core.domain.verification import (
    ProfileType,
    VerificationMethod,
    VerificationResult,
    VerificationStatus,
    aggregate,
)
from core.workspaces import checks, live, verify, verifying
from core.workspaces.errors import ProfileCreationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.domain.verification import MethodResult, VerificationConfig
    from core.workspaces.checks import Driver
    from core.workspaces.clones import Clones
    from core.workspaces.making import Clone
    from core.workspaces.verifying import Check
    from core.workspaces.worker_profile import WorkerProfile

_SECONDS_FOR_FILES = 30.0
_UNUSED = frozenset({WorkspaceState.READY, WorkspaceState.VERIFIED})
_log = structlog.get_logger()


class Verifier:
    """Verifies.

    Args:
        config: methods, times, retries.
        clones: where a clone is made anew, and its state kept.
        authenticated: says whether a profile is logged in, instead of a look at the URL.
        clock: for times and jitter.
        pause: waits some seconds between two attempts.
    """

    def __init__(
        self,
        config: VerificationConfig,
        clones: Clones,
        *,
        authenticated: Callable[[WorkerProfile], bool] | None,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self._config = config
        self._clones = clones
        self._authenticated = authenticated
        self._clock = clock
        self._pause = pause

    def verify(self, clone: Clone, profile: WorkerProfile, driver: Driver | None) -> VerificationResult:
        """Verify a profile; its status, its history and its state follow from the result."""
        status, profile.verification_status = profile.verification_status, VerificationStatus.IN_PROGRESS
        try:
            started_at = self._now()
            results = [self._try(method, clone, profile, driver) for method in self._config.methods()]
            result = aggregate(profile.worker_id, results, started_at=started_at, completed_at=self._now())
            status = result.overall_status
        finally:
            profile.verification_status = status
        profile.history.append(result)
        if result.is_success():
            profile.verified_at = result.completed_at
            if profile.state is WorkspaceState.READY:
                self._clones.advance(clone, WorkspaceEvent.VERIFIED)
        seen = result.method_results.get(VerificationMethod.CAPABILITY_CHECK)
        if seen is not None and seen.failure is None and profile.state is WorkspaceState.VERIFIED:
            self._clones.advance(clone, WorkspaceEvent.LAUNCHED)
        return result

    def _try(
        self, method: VerificationMethod, clone: Clone, profile: WorkerProfile, driver: Driver | None
    ) -> MethodResult:
        check, timeout = self._check(method, clone, profile, driver)
        return verifying.verify(
            method,
            profile.worker_id,
            check,
            timeout=timeout,
            retry=self._config.retry_config,
            clock=self._clock,
            pause=self._pause,
            reclone=functools.partial(self._reclone, clone, profile),
        )

    def _check(
        self, method: VerificationMethod, clone: Clone, profile: WorkerProfile, driver: Driver | None
    ) -> tuple[Check, float]:
        config = self._config
        match method:
            case VerificationMethod.CAPABILITY_CHECK:
                return functools.partial(checks.check_capability, profile, driver), config.capability_timeout
            case VerificationMethod.AUTH_CHECK:
                url, asked = config.auth_check_url, self._authenticated
                return lambda _: checks.check_login(profile, url, driver, asked), config.auth_check_timeout
            case VerificationMethod.FILE_VERIFICATION:
                return lambda _: checks.check_files(profile, clone.digests), _SECONDS_FOR_FILES

    def _reclone(self, clone: Clone, profile: WorkerProfile) -> bool:
        """Make a damaged clone anew, unless a browser has worked in it: then what it did would be lost."""
        path = profile.profile_path
        is_ours = profile.profile_type is ProfileType.CLONE and profile.state in _UNUSED
        if not is_ours or live.evidence(path) is not None or verify.was_used(path):
            return False
        try:
            self._clones.maker.refill(clone)
        except ProfileCreationError as exc:
            _log.warning("clone_not_filled", worker=profile.worker_id, reason=exc.reason)
            return False
        _log.info("clone_made_anew", worker=profile.worker_id)
        return True

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)
