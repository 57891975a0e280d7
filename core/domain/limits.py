"""Limits by key, as somebody writes them: how often something may be begun, and how many may be at it at a time.

    {"shop.example": "5/min", "api.example": {"rate": "100/h", "concurrency": 3}, "concurrency": 2}

A key is a name that flows use; a host is a good one. ``concurrency`` beside the keys is for those that say none of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

CONCURRENCY, RATE = "concurrency", "rate"
EXPECTED_RATE = 'a rate as "5/min" (s, min, h or d, also "1/10s")'
MOST = 10_000
"""The largest number of a limit: a rate is remembered start by start."""
LONGEST_KEY = 200
RATE_PATTERN = r"^ *[0-9]{1,6} */ *[0-9]{0,6} *(s|sec|min|m|h|d) *$"
_RATE = re.compile(r"([0-9]{1,6})/([0-9]{0,6})(s|sec|min|m|h|d)")
_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN = tuple((unit, _UNITS[unit]) for unit in ("d", "h", "min", "s"))
LONGEST_PERIOD = 7 * 86_400.0


class Rate(msgspec.Struct, frozen=True):
    """Never more than ``number`` starts in any ``seconds``."""

    number: int
    seconds: float

    def __str__(self) -> str:
        """Return it as somebody writes it."""
        unit, size = next(one for one in _WRITTEN if self.seconds % one[1] == 0)
        times = round(self.seconds / size)
        return f"{self.number}/{times if times > 1 else ''}{unit}"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a key; at least one of the two.

    Attributes:
        rate: how often it may be begun.
        concurrency: how many may be at it at a time.
    """

    rate: Rate | None = None
    concurrency: int | None = None


class LimitFault(ValueError):
    """Limits are not written as they should be.

    Attributes:
        key: of which; empty for all of them.
        expected: what would have been right.
        found: what stood there.
        hint: how to mend it; may be empty.
    """

    def __init__(self, key: str, expected: str, found: str, hint: str = "") -> None:
        self.key = key
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(f"{key}: expected {expected}, found {found}")


def read_limits(raw: Any) -> dict[str, Limit]:
    """Return the limits that an object says.

    Raises:
        LimitFault: the first thing that is wrong with it.
    """
    if not isinstance(raw, dict):
        raise LimitFault("", 'an object of limits by key, as {"shop.example": "5/min"}', _shown(raw))
    common = _concurrency(CONCURRENCY, raw[CONCURRENCY]) if CONCURRENCY in raw else None
    limits = {key: _limit(key, value, common) for key, value in raw.items() if key != CONCURRENCY}
    if common is not None and not limits:
        raise LimitFault(CONCURRENCY, "a key that it is for", "none", 'for example "shop.example": "5/min"')
    return limits


def read_rate(text: str) -> Rate | None:
    """Return the rate that a text says, None if it says none."""
    found = _RATE.fullmatch(text.replace(" ", ""))
    if found is None:
        return None
    number, times, unit = found.groups()
    rate = Rate(int(number), (int(times) if times else 1) * _UNITS[unit])
    return rate if 1 <= rate.number <= MOST and 0 < rate.seconds <= LONGEST_PERIOD else None


def _limit(key: str, value: Any, common: int | None) -> Limit:
    if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
        raise LimitFault("", f"keys of 1 to {LONGEST_KEY} characters that can be seen", _shown(key))
    if key == RATE:
        raise LimitFault(key, "the key that it is for", f'"{RATE}"', 'as {"shop.example": {"rate": "5/min"}}')
    if not isinstance(value, dict):
        return Limit(rate=_rate(key, value), concurrency=common)
    for name in value:
        if name not in (RATE, CONCURRENCY):
            raise LimitFault(key, f"{RATE} and {CONCURRENCY}", _shown(name))
    if not value:
        raise LimitFault(key, f"{RATE} or {CONCURRENCY}", "neither")
    rate = _rate(key, value[RATE]) if RATE in value else None
    return Limit(rate=rate, concurrency=_concurrency(key, value[CONCURRENCY]) if CONCURRENCY in value else common)


def _rate(key: str, value: Any) -> Rate:
    rate = read_rate(value) if isinstance(value, str) else None
    if rate is None:
        hint = f'how many at a time is {{"{CONCURRENCY}": {value}}}' if isinstance(value, int) else ""
        raise LimitFault(key, EXPECTED_RATE, _shown(value), hint)
    return rate


def _concurrency(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        raise LimitFault(key, f"a whole number from 1 to {MOST} as {CONCURRENCY}", _shown(value))
    return value


def written(limits: Mapping[str, Limit]) -> dict[str, dict[str, str | int]]:
    """Return limits as somebody writes them."""
    said: dict[str, dict[str, str | int]] = {}
    for key, limit in limits.items():
        said[key] = {} if limit.rate is None else {RATE: str(limit.rate)}
        said[key] |= {} if limit.concurrency is None else {CONCURRENCY: limit.concurrency}
    return said


def merged(first: Mapping[str, Limit], then: Mapping[str, Limit]) -> dict[str, Limit]:
    """Return all limits; of a key that both have, the first."""
    return {**then, **first}


def _shown(value: Any, most: int = 60) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
