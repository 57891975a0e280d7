"""When a run ends early because of how its jobs end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.halt import LEAST_ENDED, Halt, read_halt, reason_to_halt
from core.domain.model import JobState

DONE, FAILED, POISON, CANCELLED = JobState.DONE, JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("never", None),
        ("soon,fail=3", Halt(at_once=False, what="fail", number=3)),
        ("now, fail=1", Halt(at_once=True, what="fail", number=1)),
        ("now,fail=10%", Halt(at_once=True, what="fail", number=10, is_share=True)),
        ("soon,success=1", Halt(at_once=False, what="success", number=1)),
        ("soon,success=100%", Halt(at_once=False, what="success", number=100, is_share=True)),
        ("soon,done=50", Halt(at_once=False, what="done", number=50)),
    ],
)
def test_a_rule_is_read(text, rule):
    """In the words of GNU parallel."""
    assert read_halt(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "fail=3",
        "later,fail=3",
        "soon,fail",
        "soon,fail=0",
        "soon,fail=0%",
        "now,fail=101%",
        "soon,fail=-1",
        "soon,fail=1.5",
        "soon,done=50%",
        "soon,fail=3,now,fail=5",
        "SOON,FAIL=3",
        "soon,fail=٣",
        "soon,fail=9999999999",
    ],
)
def test_what_is_no_rule_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"^"):
        read_halt(text)


@pytest.mark.parametrize(
    ("rule", "ended", "reason"),
    [
        ("soon,fail=3", {}, ""),
        ("soon,fail=3", {DONE: 90, FAILED: 2}, ""),
        ("soon,fail=3", {DONE: 37, FAILED: 2, POISON: 1}, "3 of 40 failed"),
        ("soon,fail=1", {FAILED: 1}, "1 of 1 failed"),
        ("soon,fail=1", {CANCELLED: 9}, ""),
        ("now,fail=10%", {FAILED: 2}, ""),
        ("now,fail=10%", {FAILED: 1, DONE: 2, CANCELLED: 5}, "1 of 3 failed"),
        ("now,fail=10%", {FAILED: 1, DONE: 10}, ""),
        ("now,fail=10%", {POISON: 1, DONE: 9}, "1 of 10 failed"),
        ("soon,success=2", {DONE: 2, FAILED: 7}, "2 of 9 done"),
        ("soon,success=50%", {DONE: 2, FAILED: 3}, ""),
        ("soon,done=4", {DONE: 2, FAILED: 1, POISON: 1}, "4 of 4 ended"),
    ],
)
def test_the_reason_to_halt(rule, ended, reason):
    """Only jobs that ended for good count; a share waits for a few of them."""
    assert reason_to_halt(read_halt(rule), ended) == reason


@given(
    failed=st.integers(0, 50), poison=st.integers(0, 50), done=st.integers(0, 50), number=st.integers(1, 100),
    share=st.booleans(),
)  # fmt: skip
def test_more_failures_never_take_a_reason_back(failed, poison, done, number, share):
    """A rule that is met stays met while jobs fail, and none is met without a failure."""
    rule = Halt(at_once=False, what="fail", number=number, is_share=share)
    before = reason_to_halt(rule, {FAILED: failed, POISON: poison, DONE: done})
    after = reason_to_halt(rule, {FAILED: failed + 1, POISON: poison, DONE: done})
    assert not before or after
    assert not before or failed + poison
    assert not (share and before) or failed + poison + done >= LEAST_ENDED
