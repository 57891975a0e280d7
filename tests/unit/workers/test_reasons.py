"""What a person reads of a failure: one sentence, and nothing that says nothing."""

from __future__ import annotations

from core.errors import StepFailed
from workers.failure import reason_of


class Error(Exception):
    """Named as Playwright's own."""


def test_a_call_log_is_left_to_the_log() -> None:
    """Where Playwright went says nothing; what it waited for does."""
    gone = Error('Page.goto: net::ERR_NAME_NOT_RESOLVED at http://x/\nCall log:\n  - navigating to "http://x/"')
    assert reason_of(gone, str) == "Page.goto: net::ERR_NAME_NOT_RESOLVED at http://x/"
    late = TimeoutError('Locator.click: Timeout 300ms exceeded.\nCall log:\n  - waiting for locator("#buy")\n  - again')
    assert reason_of(late, str) == 'TimeoutError: Locator.click: Timeout 300ms exceeded. (waiting for locator("#buy"))'


def test_our_own_errors_speak_for_themselves() -> None:
    """The kind is added only where the words alone would not do."""
    assert reason_of(StepFailed("a", "no"), str) == "no"
    assert reason_of(AssertionError(), str) == "AssertionError"
