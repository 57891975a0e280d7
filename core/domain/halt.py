"""When a run ends early because of how its jobs end: ``soon,fail=3``, ``now,fail=10%``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED = 'soon or now, and how many jobs: "soon,fail=3", "now,fail=10%", "soon,success=1", "soon,done=50"; or "never"'
LEAST_ENDED = 3
"""A percentage says nothing before so many jobs have ended."""
_FORM = re.compile(r"(soon|now),(fail|success|done)=([0-9]{1,9})(%?)")
_COUNTED: Mapping[str, frozenset[JobState]] = {
    "fail": frozenset({JobState.FAILED, JobState.QUARANTINED}),
    "success": frozenset({JobState.DONE}),
    "done": frozenset({JobState.DONE, JobState.FAILED, JobState.QUARANTINED}),
}
_WORDS = {"fail": "failed", "success": "done", "done": "ended"}


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A rule.

    Attributes:
        at_once: what runs is stopped, too; else it may finish.
        what: which ends count: ``fail`` (failed or quarantined, for good), ``success``, ``done`` (both).
        number: how many of them, or what percentage of the jobs that have ended.
        is_share: whether it is a percentage.
    """

    at_once: bool
    what: Literal["fail", "success", "done"]
    number: int
    is_share: bool = False


def read_halt(text: str) -> Halt | None:
    """Return the rule that a text says, None for ``never``.

    Raises:
        ValueError: it says none.
    """
    if text == "never":
        return None
    found = _FORM.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ValueError(text)
    when, what, number, sign = found.groups()
    if int(number) < 1 or (sign and (int(number) > 100 or what == "done")):  # noqa: PLR2004 - all of them
        raise ValueError(text)
    return msgspec.convert(
        {"at_once": when == "now", "what": what, "number": int(number), "is_share": bool(sign)}, Halt
    )


def reason_to_halt(halt: Halt, ended: Mapping[JobState, int]) -> str:
    """Return why the run is to end, as ``3 of 40 failed``; empty if it is not.

    Args:
        halt: the rule.
        ended: how many jobs this run brought to each terminal state; what an operator cancelled has neither failed nor succeeded.
    """
    count = sum(ended.get(state, 0) for state in _COUNTED[halt.what])
    whole = sum(ended.get(state, 0) for state in _COUNTED["done"])
    is_due = whole >= LEAST_ENDED and count * 100 >= halt.number * whole if halt.is_share else count >= halt.number
    return f"{count} of {whole} {_WORDS[halt.what]}" if is_due else ""
