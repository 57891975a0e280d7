"""Which names and addresses are allowed. IDs become file names, so they are ASCII, short, and no device names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_IDS = re.compile(rf"(?:{_ID.pattern}\n)*")
_DEVICE_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
PROXY_SCHEMES = ("http", "https", "socks4", "socks5")
ID_RULE = "1 to 32 of A-Z a-z 0-9 _ -, the first a letter or digit, and not a Windows device name"


def is_valid_id(text: str) -> bool:
    """Whether ``text`` may be a profile ID or a job ID."""
    return _ID.fullmatch(text) is not None and not is_device_name(text)


def is_device_name(text: str) -> bool:
    """Whether Windows takes ``text`` for a device, not for a file."""
    return text.lower() in _DEVICE_NAMES


def folded_ids(texts: Sequence[str]) -> list[str] | None:
    """Return ``texts`` in small letters, or None if one of them may be no ID; for very many, faster than one by one."""
    lines = "\n".join([*texts, ""])
    if lines.count("\n") != len(texts) or _IDS.fullmatch(lines) is None:
        return None
    folded = lines.lower().split("\n")
    folded.pop()
    return folded if _DEVICE_NAMES.isdisjoint(folded) else None


def case_collisions(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different IDs that differ only in case, the earlier one first."""
    seen: dict[str, str] = {}
    return [(first, text) for text in ids if (first := seen.setdefault(text.lower(), text)) != text]


def require_id(text: str, place: str = "profile_id") -> str:
    """Return ``text`` if it may be an ID.

    Raises:
        BadInput: it may not; ``place`` says what it was for.
    """
    if is_valid_id(text):
        return text
    raise BadInput([Problem(place=place, expected=ID_RULE, found=repr(text[:64]))])


def is_proxy(url: str) -> bool:
    """Whether ``url`` is ``scheme://[user:password@]host[:port]`` of a proxy that browsers know."""
    try:
        parts = urlsplit(url)
        return parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
