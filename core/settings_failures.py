"""``[failures.<code>]``: which numbers of the table of policies may be set, and what a mistake there says."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.failure import Code
from core.domain.policy import PolicyChange, changeable
from core.settings_value import LARGEST, WEEK, Rule, Wrong, members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TABLE = "failures"
_CODES = frozenset(map(str, Code))
_LEAST = {"attempts": 1.0, "factor": 1.0}
_MOST = {"delay": WEEK, "max_delay": WEEK, "factor": 10.0, "jitter": 1.0}


def failure_rules() -> Iterator[Rule]:
    """Yield a rule for each number that may be set."""
    types = {field.name: field.type for field in msgspec.structs.fields(PolicyChange)}
    for code in Code:
        for name in changeable(code):
            most = _MOST.get(name, LARGEST if int in members(types[name]) else sys.float_info.max)
            yield Rule(f"{TABLE}.{code}.{name}", types[name], _LEAST.get(name, 0.0), most, is_path=False)


def built_changes(values: Mapping[str, Any]) -> dict[Code, PolicyChange]:
    """Return what is set, by code, from values by dotted name."""
    found: dict[Code, dict[str, Any]] = {}
    for name, value in values.items():
        table, _, rest = name.partition(".")
        if table == TABLE:
            code, _, field = rest.partition(".")
            found.setdefault(Code(code), {})[field] = value
    return {code: PolicyChange(**found[code]) for code in Code if code in found}


def unknown_failure(name: str, raw: Any) -> Wrong | None:
    """Return what is wrong with a name of this table that is no rule's; None if it is another table's, or an empty table."""
    table, _, rest = name.partition(".")
    code, _, field = rest.partition(".")
    if table != TABLE or (raw == {} and (not code or code in _CODES)):
        return None
    if code not in _CODES:
        like = difflib.get_close_matches(code, list(Code), 1, 0.6)
        hint = f"did you mean [{TABLE}.{like[0]}]?" if like else "docs/failures.md lists them"
        return Wrong(f"a table [{TABLE}.CODE] of a code of failures", f'"{code}"' if code else "a value", hint)
    allowed = changeable(Code(code))
    if not allowed:
        return Wrong(
            f"no [{TABLE}.{code}]",
            f'"{field}"' if field else "a value",
            "it goes on, or waits, at no cost: there is nothing to set",
        )
    hint = "it costs no attempt, so there is no number of them" if field == "attempts" else ""
    found = f'"{field}"' if field else "a value"
    return Wrong(f"one of {', '.join(allowed)} in [{TABLE}.{code}]", found, hint)
