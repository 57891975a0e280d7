"""Settings that are written in a way that no type says: a rule to halt, a percentage of the usual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.domain import halt, hard_limit
from core.settings_value import Form, Wrong, shown

if TYPE_CHECKING:
    from collections.abc import Mapping


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


FORMS: Mapping[str, tuple[Any, Form]] = {
    "halt": (type(None), Form(halt.EXPECTED, _halt)),
    "timeout": (float, Form(hard_limit.EXPECTED, _timeout)),
}
"""By name: what types it takes besides, and its form."""
