"""How long an attempt may take at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.hard_limit import SAMPLES, HardLimit, limit_of, read_percent


@pytest.mark.parametrize(
    ("text", "percent"), [("300%", 300), ("100 %", 100), ("60", None), ("", None), ("5 min", None)]
)
def test_a_percentage_is_told_from_seconds(text, percent):
    """By its sign."""
    assert read_percent(text) == percent


@pytest.mark.parametrize("text", ["%", "-300%", "99%", "0%", "12.5%", "3e2%", "9999999%", "x%", "٣٠٠%"])
def test_a_percentage_that_is_none_is_refused(text):
    """Less than the usual time would end one attempt of two."""
    with pytest.raises(ValueError, match=r"^"):
        read_percent(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], HardLimit(1800.0)),
        ([10.0, 12.0], HardLimit(1800.0)),
        ([10.0, 12.3, 100.0], HardLimit(12.3 * 3, "longer than 300 % of the usual 12.3 s")),
        ([1.0, 2.0, 3.0], HardLimit(30.0, "longer than 300 % of the usual 2.0 s")),
        ([900.0] * 3, HardLimit(1800.0)),
        ([100.0] * SAMPLES + [20.0] * SAMPLES, HardLimit(60.0, "longer than 300 % of the usual 20.0 s")),
    ],
)
def test_the_limit_follows_the_median(seconds, expected):
    """From three samples on, of the latest ones, between the floor and the ceiling."""
    found = limit_of(300, seconds, least=30.0, most=1800.0)
    assert found == HardLimit(pytest.approx(expected.seconds), expected.because)


@given(percent=st.integers(100, 1000), seconds=st.lists(st.floats(0, 1e6)), least=st.floats(1, 100))
def test_the_limit_stays_between_floor_and_ceiling(percent, seconds, least):
    """Whatever was measured."""
    assert least <= limit_of(percent, seconds, least=least, most=1800.0).seconds <= 1800.0
