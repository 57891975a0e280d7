"""Settings that are written in a way that no type says: a rule to halt, a percentage of the usual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.domain import halt, hard_limit, limits
from core.settings_value import Form, Wrong, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = 'limits by key, as {"shop.example": "5/min"}'


def _halt(raw: Any, _: bool) -> Any:  # noqa: FBT001 - as ``Form`` has it
    try:
        halt.read_halt(raw if isinstance(raw, str) else "")
    except ValueError:
        return Wrong(halt.EXPECTED, shown("halt", raw))
    return raw


def _timeout(raw: Any, _: bool) -> Any:  # noqa: FBT001 - as ``Form`` has it
    try:
        percent = hard_limit.read_percent(raw) if isinstance(raw, str) else None
    except ValueError:
        return Wrong('a percentage from "100%" on', shown("timeout", raw))
    return None if percent is None else f"{percent}%"


def _limits(raw: Any, is_text: bool) -> Any:  # noqa: FBT001 - as ``Form`` has it
    if is_text:
        try:
            raw = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return Wrong(LIMITS, shown("limits", raw), "in a variable they stand as JSON")
    try:
        return limits.read_limits(raw)
    except limits.LimitFault as exc:
        return Wrong(exc.expected, exc.found, exc.hint, exc.key)


FORMS: Mapping[str, tuple[Any, Form]] = {
    "halt": (type(None), Form(halt.EXPECTED, _halt)),
    "limits": (type(None), Form(LIMITS, _limits)),
    "timeout": (float, Form(hard_limit.EXPECTED, _timeout)),
}
"""By name: what types it takes besides, and its form."""
