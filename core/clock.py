"""Time and randomness, passed to whoever needs them."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations, and the jitter that decisions take as an argument."""

    def now(self) -> float:
        """Return epoch seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        ...


class SystemClock:
    """The host's clocks."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - spreads delays, guards nothing

    def now(self) -> float:
        """Return epoch seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some fixed point."""
        return time.monotonic()

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        return self._random.random()


class ManualClock:
    """A clock that moves when told to: the fake."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._now += seconds

    def now(self) -> float:
        """Return the time it was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Return the same; only differences matter."""
        return self._now

    def jitter(self) -> float:
        """Return the middle, always."""
        return 0.5
