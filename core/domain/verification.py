"""Whether a worker's profile is what it should be: how that is asked for, what came of it, and what to do about a failure.

=================  =============================================
failure            then
=================  =============================================
corrupt            clone again from the base profile, once
not authenticated  again after a backoff, ``max_attempts`` times
timed out          again with twice the time, once
wrong browser      nothing: asking again changes nothing
=================  =============================================
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from core.errors import BadArgument

_LONGEST_DOUBLING = 64
_MORE_TIME = 2.0


class ProfileType(enum.StrEnum):
    """Whether a worker uses the base profile itself, or a private copy of it."""

    BASE = "base"
    CLONE = "clone"


class VerificationMethod(enum.StrEnum):
    """What can be asked: which profile the browser uses, whether it is logged in, whether the files are whole."""

    CAPABILITY_CHECK = "capability"
    AUTH_CHECK = "authentication"
    FILE_VERIFICATION = "file"


class VerificationStatus(enum.StrEnum):
    """What came of it; of several methods, ``PARTIAL`` is some of both."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMEOUT = "timeout"


class ProfileStatus(enum.StrEnum):
    """How the base profile stands."""

    AVAILABLE = "available"
    LOCKED = "locked"
    CORRUPTED = "corrupted"
    MISSING = "missing"
    PERMISSION_DENIED = "permission_denied"


class Failure(enum.StrEnum):
    """Why one attempt at one method failed."""

    CORRUPT = "corrupt"
    NOT_AUTHENTICATED = "not authenticated"
    TIMED_OUT = "timed out"
    WRONG_BROWSER = "wrong browser"


class RetryConfig(msgspec.Struct, frozen=True):
    """How often and how soon a failed verification is tried again.

    Attributes:
        max_attempts: retries after the first attempt, at least 1.
        base_delay: seconds before the first retry.
        max_delay: the longest delay, in seconds.
        exponential_backoff: whether the delay doubles with each retry.
        jitter: whether a delay is stretched by up to a quarter, at random.

    Raises:
        BadArgument: a number out of its range.
    """

    max_attempts: int = 3
    base_delay: float = 0.5
    max_delay: float = 10.0
    exponential_backoff: bool = True
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise BadArgument("max_attempts", expected="at least 1", found=self.max_attempts)
        _require_positive("base_delay", self.base_delay)
        _require_positive("max_delay", self.max_delay)
        if self.max_delay < self.base_delay:
            raise BadArgument("max_delay", expected=f"at least base_delay ({self.base_delay:g})", found=self.max_delay)

    def delay(self, retry: int, *, jitter: float) -> float:
        """Return the seconds before a retry.

        Args:
            retry: 1 for the first.
            jitter: 0 to 1, random.
        """
        seconds = self.base_delay
        if self.exponential_backoff:
            seconds *= 2.0 ** min(retry - 1, _LONGEST_DOUBLING)
        if self.jitter:
            seconds *= 1 + jitter / 4
        return min(self.max_delay, seconds)


class VerificationConfig(msgspec.Struct, frozen=True):
    """Which methods are used, and how long each may take.

    Attributes:
        enabled_methods: at least one; what needs a running browser is asked for by name.
        capability_timeout: seconds until the browser must be seen in the profile.
        auth_check_timeout: seconds that the check of the login may take.
        auth_check_url: what only somebody who is logged in gets; http or https, without credentials.
        file_verification_enabled: False takes ``FILE_VERIFICATION`` out of the methods.
        retry_config: what follows a failure.

    Raises:
        BadArgument: no method is enabled, a time is not positive, or the URL is none.
    """

    enabled_methods: Sequence[VerificationMethod] = (VerificationMethod.FILE_VERIFICATION,)
    capability_timeout: float = 10.0
    auth_check_timeout: float = 15.0
    auth_check_url: str = ""
    file_verification_enabled: bool = True
    retry_config: RetryConfig = msgspec.field(default_factory=RetryConfig)

    def __post_init__(self) -> None:
        _require_positive("capability_timeout", self.capability_timeout)
        _require_positive("auth_check_timeout", self.auth_check_timeout)
        if not self.methods():
            raise BadArgument("enabled_methods", expected="at least one method", found=list(self.enabled_methods))
        if VerificationMethod.AUTH_CHECK in self.methods() and not _is_plain_url(self.auth_check_url):
            # not quoted: a password may stand in it
            raise BadArgument(
                "auth_check_url", expected="a URL http(s)://host/… without credentials", found="another text"
            )

    def methods(self) -> tuple[VerificationMethod, ...]:
        """Return the methods in force, each once, in the order of ``VerificationMethod``."""
        wanted = set(map(VerificationMethod, self.enabled_methods))
        if not self.file_verification_enabled:
            wanted.discard(VerificationMethod.FILE_VERIFICATION)
        return tuple(method for method in VerificationMethod if method in wanted)


class MethodResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one method.

    Attributes:
        status: ``SUCCESS``, ``FAILED`` or ``TIMEOUT``.
        attempts: how often it was tried.
        duration: seconds, with all attempts and the pauses between them.
        error: why the last attempt failed.
        failure: the same as a kind; None for a success.
    """

    method: VerificationMethod
    status: VerificationStatus
    attempts: int = 1
    duration: float = 0.0
    error: str | None = None
    failure: Failure | None = None


class VerificationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of all methods together.

    Attributes:
        worker_id: whose profile.
        overall_status: of all methods.
        method_results: of each.
        started_at: UTC.
        completed_at: UTC.
        error_details: why, for each method that failed; None after a success.
        retry_count: attempts beyond the first of each method.
    """

    worker_id: int | str
    overall_status: VerificationStatus
    method_results: Mapping[VerificationMethod, MethodResult]
    started_at: datetime
    completed_at: datetime
    error_details: str | None = None
    retry_count: int = 0

    def is_success(self) -> bool:
        """Whether all enabled methods passed."""
        return self.overall_status is VerificationStatus.SUCCESS

    def get_failed_methods(self) -> list[VerificationMethod]:
        """Return the methods that did not pass."""
        return [each.method for each in self.method_results.values() if each.status is not VerificationStatus.SUCCESS]

    def get_duration(self) -> timedelta:
        """Return how long it took."""
        return self.completed_at - self.started_at


def aggregate(
    worker_id: int | str, results: Sequence[MethodResult], *, started_at: datetime, completed_at: datetime
) -> VerificationResult:
    """Return the result of all methods together.

    Success is success of all, a timeout is a timeout of all; some of both success and failure is partial.
    """
    statuses = {result.status for result in results}
    if statuses == {VerificationStatus.SUCCESS}:
        overall = VerificationStatus.SUCCESS
    elif VerificationStatus.SUCCESS in statuses:
        overall = VerificationStatus.PARTIAL
    elif statuses == {VerificationStatus.TIMEOUT}:
        overall = VerificationStatus.TIMEOUT
    else:
        overall = VerificationStatus.FAILED
    errors = [
        f"{result.method}: {result.error}" for result in results if result.status is not VerificationStatus.SUCCESS
    ]
    return VerificationResult(
        worker_id=worker_id,
        overall_status=overall,
        method_results={result.method: result for result in results},
        started_at=started_at,
        completed_at=completed_at,
        error_details="; ".join(errors) or None,
        retry_count=sum(result.attempts - 1 for result in results),
    )


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What to do before the next attempt.

    Attributes:
        again: whether there is one.
        delay: seconds before it.
        more_time: what its timeout is multiplied with.
        reclone: whether the profile is cloned anew first.
    """

    again: bool = False
    delay: float = 0.0
    more_time: float = 1.0
    reclone: bool = False


def recover(failures: Sequence[Failure], retry: RetryConfig, *, jitter: float) -> Recovery:
    """Decide what follows the last of one method's failures.

    Args:
        failures: of this method so far, the last one last.
        retry: the limits.
        jitter: 0 to 1, random.
    """
    last = failures[-1]
    if len(failures) > retry.max_attempts:
        return Recovery()
    if last is Failure.CORRUPT and failures.count(last) == 1:
        return Recovery(again=True, reclone=True)
    if last is Failure.TIMED_OUT and failures.count(last) == 1:
        return Recovery(again=True, more_time=_MORE_TIME)
    if last is Failure.NOT_AUTHENTICATED:
        return Recovery(again=True, delay=retry.delay(failures.count(last), jitter=jitter))
    return Recovery()


def _require_positive(name: str, seconds: float) -> None:
    if not (seconds > 0 and math.isfinite(seconds)):
        raise BadArgument(name, expected="a positive number of seconds", found=seconds)


def _is_plain_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
