"""How long an attempt may take at all: so many seconds, or a percentage of what attempts of its flow usually take."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPECTED = 'a percentage of the usual time as "300%"'
SAMPLES = 101
"""Of how many of the latest attempts the median is taken."""
LEAST_SAMPLES = 3
"""With fewer nobody knows what is usual."""
_FORM = re.compile(r"([0-9]{1,6})%")


class HardLimit(msgspec.Struct, frozen=True):
    """Seconds that an attempt may take, and where that comes from: empty, or a clause for people."""

    seconds: float
    because: str = ""


def read_percent(text: str) -> int | None:
    """Return a percentage, as ``300%``; None for what is meant as something else.

    Raises:
        ValueError: it is none that a limit can be.
    """
    if not text.endswith("%"):
        return None
    found = _FORM.fullmatch(text.replace(" ", ""))
    if found is None or int(found[1]) < 100:  # noqa: PLR2004 - less would end one of two
        raise ValueError(text)
    return int(found[1])


def limit_of(percent: int, seconds: Sequence[float], *, least: float, most: float) -> HardLimit:
    """Return the limit of an attempt.

    Args:
        percent: of the median.
        seconds: what attempts of its flow took that ended well, as far as known.
        least: no limit is below that.
        most: none is above, and it is the limit while nobody knows what is usual.
    """
    if len(seconds) < LEAST_SAMPLES:
        return HardLimit(most)
    usual = median(seconds[-SAMPLES:])
    limit = max(usual * percent / 100, least)
    if limit >= most:
        return HardLimit(most)
    return HardLimit(limit, f"longer than {percent} % of the usual {usual:.1f} s")
