"""Text that can be written: Python's may hold lone surrogates, halves of a character that UTF-8 has no form for."""

from __future__ import annotations

from typing import Any


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
