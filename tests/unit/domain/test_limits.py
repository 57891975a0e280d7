"""Limits by key as they are written, and the law of a turnstile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.limits import Limit, LimitFault, Rate, merged, read_limits, read_rate, written
from core.domain.turnstile import NEVER, Turnstile


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/min", Rate(5, 60.0)),
        ("5 / m", Rate(5, 60.0)),
        ("1/10s", Rate(1, 10.0)),
        ("100/h", Rate(100, 3600.0)),
        ("10000/d", Rate(10_000, 86_400.0)),
        ("3/2h", Rate(3, 7200.0)),
        *[
            (wrong, None)
            for wrong in ("", "5", "/min", "0/s", "5/0s", "10001/s", "5/w", "-5/s", "1.5/s", "5/8d", "\u0665/s")
        ],
    ],
)
def test_a_rate_is_read(text, rate):
    """A number, a period, nothing guessed."""
    assert read_rate(text) == rate


def test_limits_are_read():
    """A rate alone, or both by name; what stands beside the keys is for those that say none of their own."""
    raw = {
        "shop.example": "5/min",
        "api.example": {"rate": "2/s", "concurrency": 3},
        "desk": {"concurrency": 1},
        "concurrency": 2,
    }
    assert read_limits(raw) == {
        "shop.example": Limit(rate=Rate(5, 60.0), concurrency=2),
        "api.example": Limit(rate=Rate(2, 1.0), concurrency=3),
        "desk": Limit(concurrency=1),
    }
    assert read_limits({}) == {}
    assert read_limits({"a": {"rate": "1/s"}}) == {"a": Limit(rate=Rate(1, 1.0))}


@pytest.mark.parametrize("text", ["5/s", "1/10s", "5/min", "7/90s", "100/h", "3/2h", "9/d"])
def test_what_was_read_can_be_written(text):
    """As it stood, or shorter."""
    assert str(read_rate(text)) == text
    assert written({"a": Limit(rate=read_rate(text), concurrency=2), "b": Limit()}) == {
        "a": {"rate": text, "concurrency": 2},
        "b": {},
    }


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (["a"], ': expected an object of limits by key, as {"shop.example": "5/min"}, found ["a"]'),
        ({"a": "5 per minute"}, 'a: expected a rate as "5/min" (s, min, h or d, also "1/10s"), found "5 per minute"'),
        ({"a": 2}, 'a: expected a rate as "5/min" (s, min, h or d, also "1/10s"), found 2'),
        ({"a": {}}, "a: expected rate or concurrency, found neither"),
        ({"a": {"rat": "5/s"}}, 'a: expected rate and concurrency, found "rat"'),
        ({"a": {"concurrency": 0}}, "a: expected a whole number from 1 to 10000 as concurrency, found 0"),
        ({"a": {"concurrency": True}}, "a: expected a whole number from 1 to 10000 as concurrency, found true"),
        ({"concurrency": 2}, "concurrency: expected a key that it is for, found none"),
        ({"rate": "5/s"}, 'rate: expected the key that it is for, found "rate"'),
        ({"a\n": "5/s"}, ': expected keys of 1 to 200 characters that can be seen, found "a\\n"'),
        ({"a" * 201: "5/s"}, f': expected keys of 1 to 200 characters that can be seen, found "{"a" * 58}…'),
    ],
)
def test_what_is_wrong_is_said(raw, said):
    """With the key, and what stood there."""
    with pytest.raises(LimitFault) as caught:
        read_limits(raw)
    assert str(caught.value) == said
    assert caught.value.key == said.partition(": expected")[0]


def test_a_mere_number_is_explained():
    """It is how many at a time, and how that is written is said."""
    with pytest.raises(LimitFault) as caught:
        read_limits({"a": 2})
    assert caught.value.hint == 'how many at a time is {"concurrency": 2}'


def test_the_first_of_two_counts():
    """Whole entries, not parts of them."""
    first, then = {"a": Limit(concurrency=1)}, {"a": Limit(rate=Rate(1, 1.0)), "b": Limit(concurrency=2)}
    assert merged(first, then) == {"a": Limit(concurrency=1), "b": Limit(concurrency=2)}


def test_first_come_first_served():
    """Nobody overtakes; whoever leaves the line is no longer waited for."""
    turnstile = Turnstile(Limit(concurrency=1))
    for who in "abc":
        turnstile.ask(who)
    assert [turnstile.admit(who, 0.0) for who in "bab"] == [False, True, False]
    assert (turnstile.opens_at(0.0), turnstile.why_not(0.0)) == (NEVER, "1 of 1 at a time")
    turnstile.leave("b", 1.0)
    turnstile.leave("a", 1.0)
    assert turnstile.first == "c"
    assert turnstile.why_not(1.0) == ""
    assert turnstile.admit("c", 1.0)
    assert not turnstile.is_unused
    turnstile.leave("c", 1.0)
    assert turnstile.is_unused
    assert turnstile.first is None


def test_a_start_counts_from_when_it_was_said():
    """However long the word was under way; whoever died without it started at the latest then."""
    turnstile = Turnstile(Limit(rate=Rate(1, 10.0)))
    for who in "abc":
        turnstile.ask(who)
    assert turnstile.admit("a", 0.0)
    assert (turnstile.opens_at(50.0), turnstile.why_not(50.0)) == (NEVER, "1/10s")
    turnstile.began("a", 50.0)
    turnstile.began("a", 55.0)
    assert turnstile.opens_at(51.0) == 60.0
    assert turnstile.admit("b", 60.0)
    turnstile.leave("b", 70.0)
    assert turnstile.opens_at(70.0) == 80.0
    turnstile.leave("a", 75.0)
    assert turnstile.opens_at(75.0) == 80.0


def test_earlier_starts_still_count():
    """A restart is no second burst."""
    turnstile = Turnstile(Limit(rate=Rate(2, 10.0)), starts=[5.0, 4.0, -7.0])
    turnstile.ask("a")
    assert turnstile.opens_at(6.0) == 14.0
    assert not turnstile.admit("a", 13.9)
    assert turnstile.admit("a", 14.0)


def test_a_limit_may_change_while_some_wait():
    """What began still counts, by the new number and the new period."""
    turnstile = Turnstile(Limit(rate=Rate(1, 10.0)))
    turnstile.ask("a")
    assert turnstile.admit("a", 0.0)
    turnstile.began("a", 0.0)
    turnstile.limit = Limit(rate=Rate(2, 100.0))
    assert turnstile.opens_at(1.0) == 1.0
    turnstile.limit = Limit(rate=Rate(1, 100.0), concurrency=5)
    assert turnstile.opens_at(1.0) == 100.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "admit", "admit", "began", "leave")),
        st.integers(0, 7),
        st.floats(0, 3, allow_nan=False),
    ),
    max_size=80,
)


@given(steps=STEPS, number=st.integers(1, 4), seconds=st.floats(0.1, 10), most=st.none() | st.integers(1, 3))
def test_the_law_of_a_turnstile(steps, number, seconds, most):
    """Never more than ``number`` starts in any window of ``seconds``, wherever it begins; never more than ``most`` inside; in
    order; and with everybody gone somebody gets in as soon as time allows it.
    """
    turnstile = Turnstile(Limit(rate=Rate(number, seconds), concurrency=most))
    now = 0.0
    line: list[int] = []
    inside: dict[int, bool] = {}
    starts: list[float] = []
    for what, who, later in steps:
        now += later
        if what == "ask" and who not in line and who not in inside:
            turnstile.ask(who)
            line.append(who)
        elif what == "admit" and turnstile.admit(who, now):
            assert line.pop(0) == who
            inside[who] = False
        elif what == "began" and who in inside:
            turnstile.began(who, now)
            starts += [] if inside[who] else [now]
            inside[who] = True
        elif what == "leave":
            turnstile.leave(who, now)
            if who in line:
                line.remove(who)
            # it began at some moment before this one: the last possible is the worst for the law
            starts += [now] if inside.pop(who, True) is False else []
        assert most is None or len(inside) <= most
        for first, last in zip(starts, starts[number:], strict=False):
            assert last >= first + seconds
    for who in [*line, *inside]:
        turnstile.leave(who, now)
    turnstile.ask("last")
    assert turnstile.opens_at(now) <= now + seconds
    assert turnstile.admit("last", now + seconds)
