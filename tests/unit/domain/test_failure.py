"""The two tables of failures: complete, and of one mind."""

from __future__ import annotations

import string

import msgspec
import pytest

from core.domain.failure import CLASSES, FAILURES, Blame, Code, ErrorType, Severity, code_named, codes_of
from core.domain.lifecycle import JOB, JobEvent
from core.domain.model import JobState
from core.domain.policy import POLICIES, Cost, PolicyChange, changeable, classified, is_retryable
from core.domain.retry import RetryPolicy

# the seed's words
TYPES = {"validation", "network", "authentication", "resource", "timeout", "unknown"}
SEVERITIES = {"low", "medium", "high", "critical"}


def test_types_and_severities_are_those_that_were_asked_for():
    """No more, no fewer, and none without a code."""
    assert set(map(str, ErrorType)) == {failure.type for failure in FAILURES.values()} == TYPES
    assert set(map(str, Severity)) == {failure.severity for failure in FAILURES.values()} == SEVERITIES
    assert {failure.blame for failure in FAILURES.values()} == set(Blame)


def test_every_code_stands_in_both_tables():
    """In the order of the enumeration, so that they can be read side by side."""
    assert list(FAILURES) == list(POLICIES) == list(Code)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_words_for_people(code):
    """One sentence that says what happened, and one that says what to do; nothing in them is left unfilled."""
    failure = FAILURES[code]
    error = classified(code, "why", step="pay", profile_id="anna")
    assert (error.code, error.type, error.severity, error.blame) == (
        code,
        failure.type,
        failure.severity,
        failure.blame,
    )
    assert error.technical_message == "why"
    for text in (failure.says, failure.do):
        assert text[0].isupper() or text.startswith("ostler ")
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name is not None} <= {"where", "profile"}
    assert failure.says.endswith(".")
    assert "{" not in error.user_message + error.suggested_action
    assert " (pay)" in error.user_message or "{where}" not in failure.says
    assert "(" not in classified(code, "why").user_message


@pytest.mark.parametrize("code", Code)
def test_every_policy_can_be_followed(code):
    """Ends are states that a running job may get to, numbers are in range, and what is not tried again asks for no delay."""
    policy = POLICIES[code]
    ends = {JobState.FAILED, JobState.QUARANTINED, JobState.PARKED}
    assert policy.end in (
        ends
        if policy.cost is not Cost.NOTHING
        else {JobState.PARKED, JobState.WAITING, JobState.QUEUED, JobState.CANCELLED}
    )
    assert policy.end in JOB[JobState.RUNNING].values()
    assert policy.attempts is None or 1 <= policy.attempts <= RetryPolicy().max_attempts
    assert policy.patience > 0 and policy.factor >= 1 and 0 <= policy.jitter <= 1
    rule = RetryPolicy().rule(code)
    assert 0 < rule.wait(1, 0.0) <= rule.wait(9, 0.0) <= rule.max_delay
    assert is_retryable(code) == classified(code, "").retryable


def test_what_was_promised_to_cost_nothing_costs_nothing():
    """A stop, the death of host or orchestrator, a busy profile, a host that cannot: no attempt, and no number to be set."""
    for code in (Code.INTERRUPTED, Code.PROFILE_BUSY, Code.HOST_FAULT, Code.DISK_FULL, Code.BROWSER_NOT_FOUND):
        assert POLICIES[code].cost is Cost.NOTHING
        assert "attempts" not in changeable(code)
    assert changeable(Code.INTERRUPTED) == changeable(Code.CAPTCHA_ASKED) == ()
    assert JobEvent.INTERRUPTED in JOB[JobState.PREPARED]
    assert changeable(Code.RATE_LIMITED) == PolicyChange.__struct_fields__


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.SELECTOR_GONE, True),
        (Code.PROFILE_BUSY, True),
        (Code.WORKER_KILLED, True),
        (Code.INTERRUPTED, True),
        (Code.BAD_PARAMS, False),
        (Code.PROFILE_CORRUPT, False),
        (Code.CAPTCHA_ASKED, False),
        (Code.CANCELLED, False),
    ],
)
def test_retryable_is_what_goes_on_by_itself(code, expected):
    """Not what is given up at once, nor what waits for a person."""
    assert is_retryable(code) is expected


def test_a_class_is_a_code_or_a_type():
    """Each name means something, and together they mean everything."""
    assert codes_of("rate_limited") == {Code.RATE_LIMITED}
    assert codes_of("authentication") == {Code.PROXY_AUTH, Code.LOGIN_LOST, Code.CAPTCHA_ASKED, Code.NEEDS_CODE}
    assert Code.UNKNOWN in codes_of("unknown") and Code.WORKER_KILLED in codes_of("unknown")
    assert codes_of("Network") == codes_of("") == frozenset()
    assert frozenset().union(*map(codes_of, ErrorType)) == frozenset(Code)
    assert all(map(codes_of, CLASSES))
    assert len(CLASSES) == len(set(CLASSES)) == len(ErrorType) + len(Code) - 1


def test_a_code_of_another_version_is_unknown():
    """A queue that a newer version wrote can still be shown."""
    assert code_named("") is None
    assert code_named("site_down") is Code.SITE_DOWN
    assert code_named("struck_by_lightning") is Code.UNKNOWN


def test_a_classified_error_is_data():
    """It can be printed as JSON."""
    error = classified(Code.SITE_DOWN, "net::ERR_CONNECTION_RESET")
    assert msgspec.to_builtins(error)["type"] == "network"
