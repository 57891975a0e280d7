"""Takes out of pages and messages what may be secret though nobody said so: typed values, scripts, tokens, parts of URLs.

Works on a serialised document, as ``page.content()`` returns it: there attributes stand in double quotes, which are escaped
inside. Known secrets are the redactor's; it comes first, on the whole text.
"""

from __future__ import annotations

import re

from core.domain.session import is_secret
from core.redaction import LEAST, MASK

_FIELD = re.compile(r"<(input|textarea|meta|script)\b", re.IGNORECASE)
_TAG_END = re.compile(r'(?:[^">]|"[^"]*")*>')
_ATTRIBUTE = re.compile(r'([\w:.-]+)="([^"]*)"')
_VALUE = re.compile(r'(\s(?:value|content)=)"[^"]*"', re.IGNORECASE)
_CONTENT_END = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("textarea", "script")}
_FRAME = re.compile(r'(\ssrcdoc=)"[^"]*"', re.IGNORECASE)
"""A whole document in an attribute: there its own quotes are escaped, and its fields would not be known for what they are."""
_BUTTONS = frozenset({"submit", "button", "reset", "checkbox", "radio", "image"})

_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/?#@\"'<>]{1,500}@", re.IGNORECASE)
_QUERY = re.compile(rf"([?&#;][\w.\[\]%~-]{{1,100}}=)[^\s&#\"'<>`\\)]{{{LEAST},}}")
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"\b(Bearer|Basic|Token)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_LONG = re.compile(r"(?<![\w-])[\w-]{32,}(?![\w-])", re.ASCII)


def without_tokens(text: str) -> str:
    """Return the text without credentials in URLs, values in query strings, and what looks like a token."""
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _LONG.sub(lambda match: MASK if _looks_random(match[0]) else match[0], text)


def without_values(document: str) -> str:
    """Return the document without what stands in its fields and scripts. What cannot be read to its end is cut off."""
    document = _FRAME.sub(r'\1"…"', document)
    parts: list[str] = []
    position = 0
    while (found := _FIELD.search(document, position)) is not None:
        parts.append(document[position : found.start()])
        end = _TAG_END.match(document, found.end())
        if end is None:
            return "".join(parts)
        parts.append(_without_value(document[found.start() : end.end()]))
        position = end.end()
        if found[1].lower() in _CONTENT_END:
            close = _CONTENT_END[found[1].lower()].search(document, position)
            if close is None:
                return "".join(parts)
            parts.append("…" if close.start() > position else "")
            position = close.start()
    parts.append(document[position:])
    return "".join(parts)


def _without_value(tag: str) -> str:
    attributes = {name.lower(): value for name, value in _ATTRIBUTE.findall(tag)}
    if tag[:5].lower() == "<meta":
        harmless = not is_secret(attributes.get("name", "")) and "token" not in attributes.get("name", "").lower()
    else:
        harmless = attributes.get("type", "").lower() in _BUTTONS
    return tag if harmless else _VALUE.sub(r'\1"…"', tag)


def _looks_random(word: str) -> bool:
    return any(char.isdigit() for char in word) and any(char.isalpha() for char in word)
