"""How a profile is verified, decided without one: validation rules, delays, what follows a failure, what all methods amount to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.domain.verification import (
    Failure,
    MethodResult,
    ProfileStatus,
    ProfileType,
    Recovery,
    RetryConfig,
    VerificationConfig,
    VerificationMethod,
    VerificationStatus,
    aggregate,
    recover,
)
from core.errors import OstlerError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CAPABILITY, AUTH, FILE = VerificationMethod
SUCCESS, FAILED, TIMEOUT = VerificationStatus.SUCCESS, VerificationStatus.FAILED, VerificationStatus.TIMEOUT


def _aggregate(**statuses: VerificationStatus):
    results = [
        MethodResult(method=VerificationMethod[name], status=status, attempts=2, error=f"why {name}")
        for name, status in statuses.items()
    ]
    return aggregate(7, results, started_at=BEGIN, completed_at=BEGIN + timedelta(seconds=3))


def test_the_words_are_the_contracts():
    """Names and values of all enumerations."""
    assert {each.name: each.value for each in ProfileType} == {"BASE": "base", "CLONE": "clone"}
    assert {each.name: each.value for each in VerificationMethod} == {
        "CAPABILITY_CHECK": "capability", "AUTH_CHECK": "authentication", "FILE_VERIFICATION": "file",
    }  # fmt: skip
    assert {each.name: each.value for each in VerificationStatus} == {
        "PENDING": "pending", "IN_PROGRESS": "in_progress", "SUCCESS": "success", "PARTIAL": "partial", "FAILED": "failed",
        "TIMEOUT": "timeout",
    }  # fmt: skip
    assert {each.name: each.value for each in ProfileStatus} == {
        "AVAILABLE": "available", "LOCKED": "locked", "CORRUPTED": "corrupted", "MISSING": "missing",
        "PERMISSION_DENIED": "permission_denied",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("max_attempts", {"max_attempts": 0}),
        ("base_delay", {"base_delay": 0}),
        ("base_delay", {"base_delay": float("nan")}),
        ("max_delay", {"max_delay": -1}),
        ("max_delay", {"max_delay": float("inf")}),
        ("max_delay", {"base_delay": 2.0, "max_delay": 1.0}),
    ],
)
def test_a_retry_config_out_of_range_is_refused(field: str, wrong: dict[str, float]):
    """At least one attempt, positive delays, the longest at least the base; a ``ValueError`` that is ours and names the field."""
    with pytest.raises(ValueError, match=field) as caught:
        RetryConfig(**wrong)
    assert isinstance(caught.value, OstlerError)


def test_the_limits_of_a_retry_config_are_allowed():
    """One attempt, and a longest delay that is the base delay."""
    assert RetryConfig(max_attempts=1, base_delay=2.0, max_delay=2.0).delay(1, jitter=1.0) == 2.0


def test_delays_double_to_a_limit_and_are_stretched():
    """With backoff a delay doubles, without it stays; jitter stretches it by up to a quarter; nothing exceeds the longest."""
    retry = RetryConfig(base_delay=1.0, max_delay=5.0, jitter=False)
    assert [retry.delay(number, jitter=1.0) for number in (1, 2, 3, 4, 5000)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    steady = RetryConfig(base_delay=1.0, max_delay=5.0, exponential_backoff=False)
    assert [steady.delay(number, jitter=jitter) for number, jitter in ((1, 0.0), (9, 0.4), (9, 1.0))] == [
        1.0,
        1.1,
        1.25,
    ]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("enabled_methods", {"enabled_methods": []}),
        ("enabled_methods", {"enabled_methods": [FILE], "file_verification_enabled": False}),
        ("capability_timeout", {"capability_timeout": 0}),
        ("auth_check_timeout", {"auth_check_timeout": -1.0}),
        *[
            ("auth_check_url", {"enabled_methods": [AUTH], "auth_check_url": url})
            for url in (
                "", "example.org", "ftp://example.org/", "https://", "https://anna:hunter22@example.org/", "https://exa mple.org",
                "https://example.org:port/", "https://[example", "https://example.org/\n", "file:///etc/passwd",
            )
        ],
    ],
)  # fmt: skip
def test_a_verification_config_that_makes_no_sense_is_refused(field: str, wrong: dict):
    """At least one method, positive times, a URL where the login is checked; and no password is quoted."""
    with pytest.raises(ValueError, match=field) as caught:
        VerificationConfig(**wrong)
    assert "hunter22" not in str(caught.value)


def test_methods_in_force():
    """Each once, in one order; a URL is only needed where it is used."""
    assert VerificationConfig().methods() == (FILE,)
    assert VerificationConfig([FILE, CAPABILITY, FILE], auth_check_url="nonsense").methods() == (CAPABILITY, FILE)
    every = VerificationConfig(list(VerificationMethod), auth_check_url="http://127.0.0.1:8080/me?x=1")
    assert every.methods() == (CAPABILITY, AUTH, FILE)
    without = VerificationConfig(
        list(VerificationMethod), auth_check_url="https://a.example/", file_verification_enabled=False
    )
    assert without.methods() == (CAPABILITY, AUTH)


@pytest.mark.parametrize(
    ("statuses", "overall"),
    [
        ({"FILE_VERIFICATION": SUCCESS}, "success"),
        ({"FILE_VERIFICATION": SUCCESS, "AUTH_CHECK": SUCCESS}, "success"),
        ({"FILE_VERIFICATION": SUCCESS, "AUTH_CHECK": FAILED}, "partial"),
        ({"FILE_VERIFICATION": SUCCESS, "AUTH_CHECK": TIMEOUT}, "partial"),
        ({"FILE_VERIFICATION": FAILED, "AUTH_CHECK": FAILED}, "failed"),
        ({"FILE_VERIFICATION": FAILED, "AUTH_CHECK": TIMEOUT}, "failed"),
        ({"FILE_VERIFICATION": TIMEOUT, "AUTH_CHECK": TIMEOUT}, "timeout"),
    ],
)
def test_what_all_methods_amount_to(statuses: dict[str, VerificationStatus], overall: str):
    """All passed, some did, none did, all timed out."""
    result = _aggregate(**statuses)
    assert result.overall_status == overall
    assert result.is_success() is (overall == "success")
    assert result.get_failed_methods() == [
        VerificationMethod[n] for n, status in statuses.items() if status is not SUCCESS
    ]
    assert (result.error_details is None) is (overall == "success")


def test_a_result_says_who_how_long_and_why():
    """The worker, the time it took, the retries, and each error with its method."""
    result = _aggregate(FILE_VERIFICATION=FAILED, AUTH_CHECK=SUCCESS)
    assert (result.worker_id, result.retry_count, result.get_duration()) == (7, 2, timedelta(seconds=3))
    assert result.error_details == "file: why FILE_VERIFICATION"
    assert result.method_results[AUTH].status is SUCCESS


@pytest.mark.parametrize(
    ("failures", "then"),
    [
        ([Failure.CORRUPT], Recovery(again=True, reclone=True)),
        ([Failure.CORRUPT, Failure.CORRUPT], Recovery()),
        ([Failure.TIMED_OUT], Recovery(again=True, more_time=2.0)),
        ([Failure.TIMED_OUT, Failure.TIMED_OUT], Recovery()),
        ([Failure.TIMED_OUT, Failure.NOT_AUTHENTICATED], Recovery(again=True, delay=1.0)),
        ([Failure.NOT_AUTHENTICATED], Recovery(again=True, delay=1.0)),
        ([Failure.NOT_AUTHENTICATED] * 2, Recovery(again=True, delay=2.0)),
        ([Failure.NOT_AUTHENTICATED] * 3, Recovery(again=True, delay=4.0)),
        ([Failure.NOT_AUTHENTICATED] * 4, Recovery()),
        ([Failure.WRONG_BROWSER], Recovery()),
    ],
)
def test_what_follows_a_failure(failures: list[Failure], then: Recovery):
    """Corruption is cloned away once, a timeout gets twice the time once, a login is asked for again and again, the rest ends."""
    assert recover(failures, RetryConfig(base_delay=1.0, jitter=False), jitter=0.0) == then
