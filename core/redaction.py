"""Masks known secret values in text, also where something has escaped or encoded them on the way."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "[redacted]"
LEAST = 4
"""Shorter values are not masked: they would blank out half of every log, and give nothing away by standing there."""

_PREFIX = 3
_URL_USERINFO = re.compile(r"(?P<head>(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?[^/?#@:]*:(?!//))(?P<password>.*)@")


class Redactor:
    """Replaces secret values by ``[redacted]``; safe to use from several threads.

    Each value is masked as it is and in the forms it takes in JSON (once and twice escaped), URLs, HTML, base64 (wherever
    it begins in the encoded data) and Python's ``repr``. A value of several lines is masked line by line as well, because
    logs are. The longest form wins. Values of fewer than four characters are ignored.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._text: re.Pattern[str] | None = None
        self._bytes: re.Pattern[bytes] | None = None
        for value in values:
            self._learn(value)
        self._compile()

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def add(self, value: str) -> None:
        """Mask this value, too, from now on."""
        with self._lock:
            known = len(self._forms)
            self._learn(value)
            if len(self._forms) > known:
                self._compile()

    def text(self, text: str) -> str:
        """Return the text without the secrets."""
        pattern = self._text
        return text if pattern is None else pattern.sub(MASK, text)

    def bytes(self, data: bytes) -> bytes:
        """Return the UTF-8 data without the secrets; bytes that are not UTF-8 pass."""
        pattern = self._bytes
        return data if pattern is None else pattern.sub(MASK.encode(), data)

    def _learn(self, value: str) -> None:
        for part in {value, *(line.strip() for line in value.splitlines())}:
            if len(part) >= LEAST:
                self._forms |= {form for form in _forms(part) if len(form) >= LEAST}

    def _compile(self) -> None:
        if self._forms:
            source = _alternatives(self._forms)
            self._text = re.compile(source)
            self._bytes = re.compile(source.encode("utf-8", "surrogatepass"))


def _alternatives(forms: Iterable[str]) -> str:
    """Return a pattern that tries few of the forms at each place: they are grouped by how they begin, longest first."""
    groups: dict[str, list[str]] = {}
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        groups.setdefault(form[:_PREFIX], []).append(form[_PREFIX:])
    return "|".join(f"{re.escape(start)}(?:{'|'.join(map(re.escape, rests))})" for start, rests in groups.items())


def _forms(value: str) -> Iterator[str]:
    yield value
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield from (escaped, json.dumps(escaped)[1:-1], escaped.replace("'", "\\'"), escaped.replace("/", "\\/"))
    data = value.encode("utf-8", "surrogatepass")
    for quoted in (
        quote(data),
        quote(data, safe=""),
        quote_plus(data),
        quote(data, safe="!'()*~"),
        quote(data, safe="!*'()/:;,?&=+$#@"),
    ):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    for with_quotes in (True, False):
        escaped = html.escape(value, quote=with_quotes)
        yield from (
            escaped,
            escaped.replace("&#x27;", "&#39;"),
            escaped.replace("&#x27;", "&apos;").replace("&quot;", "&#34;"),
        )
    for shown in (repr(value)[1:-1], repr(data)[2:-1], ascii(value)[1:-1]):
        yield from (shown, shown.replace("'", "\\'"), shown.replace("\\'", "'"))
    yield from _base64(data)


def _base64(data: bytes) -> Iterator[str]:
    """The characters that depend on ``data`` alone, for each of the three places it can begin at."""
    for offset, first in enumerate((0, 2, 3)):
        last = (offset + len(data)) * 8 // 6
        encoded = base64.b64encode(b"\0" * offset + data).decode()[first:last]
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")


def proxy_password(url: str) -> str | None:
    """Return the password that a proxy URL holds, decoded; None if there is none."""
    match = _URL_USERINFO.match(url)
    return unquote(match["password"]) if match and match["password"] else None


def mask_url(url: str) -> str:
    """Return the URL with its password masked."""
    return _URL_USERINFO.sub(lambda match: f"{match['head']}{MASK}@", url, count=1) if _URL_USERINFO.match(url) else url


def mask_page(url: str) -> str:
    """Return the address of a page with its password masked; its path may hold an ``@``, which a proxy's has not."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    credentials, _, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return parts._replace(netloc=f"{user}:{MASK}@{host}").geturl() if colon else url


def mask_path(url: str) -> str:
    """Return an address with all but its scheme and host masked: who sends to it may need to know no more than its path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{MASK}"
