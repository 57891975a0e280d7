"""What a check-up says."""

from __future__ import annotations

import enum

import msgspec


class Level(enum.StrEnum):
    """How much it matters: ``bad`` stops a run or loses something, ``warn`` may."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about the host or the state directory.

    Attributes:
        check: what was looked at.
        what: what was found.
        fix: what to type or to do; empty where nothing is wrong.
    """

    level: Level
    check: str
    what: str
    fix: str = ""


class CheckUp(msgspec.Struct, frozen=True, kw_only=True):
    """All findings; ``well`` if none of them is bad."""

    well: bool
    findings: tuple[Finding, ...]


def ok(check: str, what: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(level=Level.OK, check=check, what=what)


def warn(check: str, what: str, fix: str) -> Finding:
    """Return a finding that should be looked at."""
    return Finding(level=Level.WARN, check=check, what=what, fix=fix)


def bad(check: str, what: str, fix: str) -> Finding:
    """Return a finding that must be put right."""
    return Finding(level=Level.BAD, check=check, what=what, fix=fix)
