"""Text that can be written: Python's may hold lone surrogates, halves of a character that UTF-8 has no form for; and text that
may be shown: what others wrote may hold commands for a terminal.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal, a pager or a reader's eye would act upon (also: text that runs backwards), but for line breaks and tabs."""


def visible(text: str) -> str:
    """Return the text with what a terminal would obey spelled out as escape sequences; line breaks and tabs stay."""
    return _CONTROL.sub(_spelled, text)


def visible_json(text: str) -> str:
    """Return JSON that says the same, with what a terminal would obey spelled out as JSON has it."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - what two hex digits can say


def encodable(text: str) -> str:
    """Return the text with each lone surrogate spelled out as an escape sequence."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def encodable_within(value: Any) -> Any:
    """Return plain data (dicts, lists, scalars) in which each text is encodable."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable_within(key): encodable_within(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable_within(one) for one in value]
    return value
