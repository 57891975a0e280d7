"""What ``metadata.json`` may say: the rules that its types do not express."""

from __future__ import annotations

import math
import re
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.domain.validation import ID_RULE, PROXY_SCHEMES, is_proxy, is_valid_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.profiles.port import ProfileMetadata

LONGEST_NAME = 100
LONGEST_NOTES = 10_000
MOST_TAGS = 64
LARGEST_VIEWPORT = 16_384
PLATFORM_RULE = "a name of 1 to 32 of A-Z a-z 0-9 _ . -, the first a letter or digit"
_PLATFORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_TAG = re.compile(r"[^\s,]{1,32}")
_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,4096}")
_START_SCHEMES = ("http", "https", "file", "about")


def problem_of(metadata: ProfileMetadata, profile_id: str) -> str:
    """Return what is wrong with a profile's metadata, in words and without a secret; empty if nothing is."""
    if metadata.profile_id != profile_id:
        return f"it belongs to profile {metadata.profile_id[:64]!r}"
    return next(_problems(metadata), "")


def _problems(metadata: ProfileMetadata) -> Iterator[str]:
    if not is_valid_id(metadata.profile_id):
        yield f"profile_id is not {ID_RULE}"
    if not is_platform_name(metadata.platform):
        yield f"platform is not {PLATFORM_RULE}"
    for name in ("created_at", "last_used", "last_activity"):
        if not _is_time(getattr(metadata, name)):
            yield f"{name} is no ISO 8601 time"
    if metadata.generation < 0:
        yield "generation is below 0"
    yield from _label_problems(metadata)
    yield from _context_problems(metadata)
    yield from _own_problems(metadata)


def _label_problems(metadata: ProfileMetadata) -> Iterator[str]:
    for name, most in (("name", LONGEST_NAME), ("platform_version", LONGEST_NAME), ("error_phase", LONGEST_NAME)):
        text = getattr(metadata, name)
        if text is not None and (len(text) > most or not text.isprintable()):
            yield f"{name} is no single line of at most {most} characters"
    if metadata.notes is not None and len(metadata.notes) > LONGEST_NOTES:
        yield f"notes are longer than {LONGEST_NOTES} characters"
    if len(metadata.tags) > MOST_TAGS or len(set(metadata.tags)) != len(metadata.tags):
        yield f"tags are not at most {MOST_TAGS} different ones"
    if not all(is_tag(tag) for tag in metadata.tags):
        yield "tags are not words of 1 to 32 characters, without spaces and commas"


def _context_problems(metadata: ProfileMetadata) -> Iterator[str]:
    if metadata.start_url is not None and not is_start_url(metadata.start_url):
        yield f"start_url is no URL of {', '.join(_START_SCHEMES)}"
    # without a scheme, http is meant
    if metadata.proxy is not None and not is_proxy(_with_scheme(metadata.proxy)):
        yield f"proxy is not scheme://[user:password@]host:port ({', '.join(PROXY_SCHEMES)})"
    if metadata.locale is not None and not _LOCALE.fullmatch(metadata.locale):
        yield "locale is no language tag like de-DE"
    if metadata.timezone is not None and not _TIMEZONE.fullmatch(metadata.timezone):
        yield "timezone is no name like Europe/Berlin"
    if metadata.viewport is not None and not _is_size(metadata.viewport.width, metadata.viewport.height):
        yield f"viewport is not a width and a height of 1 to {LARGEST_VIEWPORT}"
    for name, value in metadata.extra_headers.items():
        if not is_header(name, value):
            yield "extra_headers are not names of HTTP headers with values of one line"


def _own_problems(metadata: ProfileMetadata) -> Iterator[str]:
    for name in ("downloads", "template"):
        path = getattr(metadata, name)
        if path is not None and not _is_absolute(path):
            yield f"{name} is no absolute path"
    if not _is_plain(metadata.platform_config):
        yield "platform_config holds a number that JSON has not"


def is_platform_name(text: str) -> bool:
    """Whether a text may be the name of a platform."""
    return _PLATFORM.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether a text may be a tag."""
    return _TAG.fullmatch(text) is not None and text.isprintable()


def is_header(name: str, value: str) -> bool:
    """Whether this can be an HTTP header."""
    return bool(_HEADER.fullmatch(name) and _HEADER_VALUE.fullmatch(value))


def is_start_url(text: str) -> bool:
    """Whether a browser may be sent there first."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if not text.isprintable() or any(char.isspace() for char in text):
        return False
    return parts.scheme in _START_SCHEMES and (bool(parts.hostname) or not parts.scheme.startswith("http"))


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_size(width: int, height: int) -> bool:
    return all(1 <= number <= LARGEST_VIEWPORT for number in (width, height))


def _is_absolute(text: str) -> bool:
    # of either kind: a profile may come from another system
    return "\0" not in text and (PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute())


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_plain(one) for one in value.values())
    return not isinstance(value, list) or all(_is_plain(one) for one in value)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text or "1970-01-01")  # empty: not known
    except ValueError:
        return False
    return True
