"""Amounts that are written with a unit, as ``15m`` or ``2 GB``."""

from __future__ import annotations

import re

UNITS: dict[str, dict[str, float]] = {
    "seconds": {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400},
    "days": {"s": 1 / 86_400, "min": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7},
    "bytes": {
        "b": 1, "k": 1024, "kb": 1000, "kib": 1024, "m": 1024**2, "mb": 1000**2, "mib": 1024**2, "g": 1024**3,
        "gb": 1000**3, "gib": 1024**3,
    },
}  # fmt: skip
_WITH_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", re.ASCII)


def amount(text: str, unit: str) -> float | None:
    """Return how many ``seconds``, ``days`` or ``bytes`` a number with its unit is; None if it is none."""
    match = _WITH_UNIT.fullmatch(text)
    factor = None if match is None else UNITS.get(unit, {}).get(match[2].lower())
    return None if match is None or factor is None else float(match[1]) * factor
