"""What went wrong, as one outcome and one short sentence without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from core.domain.failure import FAILURES, Code, Kind
from core.domain.outcome import Outcome, ended
from core.errors import Fenced, HolderAlive, OstlerError, StepError
from core.text import encodable
from workers.classify import code_of, host_code_of

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 500
_KILLED = frozenset({Code.PAGE_CRASHED, Code.BROWSER_CRASHED, Code.DRIVER_LOST})
# Playwright's call log quotes what was typed, unescaped, in a line of its own that ends with the call; and the element as it
# stands in the page, with its value
_CALL = r"(?:fill|type|press|press_sequentially|pressSequentially|insert_text|insertText)"
_TYPED = re.compile(
    rf"""^(?P<line>[ \t|]*-[ \t]+(?:\w+\.)?{_CALL}\()".*?"\)[ \t]*$|\b(?P<call>{_CALL}\()(["']).*?\3""",
    re.DOTALL | re.MULTILINE,
)
_SHOWN = re.compile(r"""(<(?:input|textarea)\b[^<>]*?\bvalue=)(["']).*?\2""")


class NotAccepted(OstlerError):
    """The flow does not take these parameters, or has no such step."""


class Stopped(OstlerError):
    """The other side, or a signal, asked this run to end."""


class UnmetRequirement(StepError):
    """A step requires facts that do not hold, and nothing in this attempt would make them hold."""

    def __init__(self, step: str, reason: str, code: str = Code.REQUIREMENT_UNMET) -> None:
        super().__init__(step, reason, code)


def reason_of(error: BaseException, mask: Callable[[str], str], place: str = "") -> str:
    """Return one short, masked text: the error's own words, and its kind where it is not one of ours.

    Args:
        error: what was raised.
        mask: takes secrets out; applied before anything is cut, so that no half of a secret is left.
        place: where in the author's file, to stand before it; may be empty.
    """
    ours = isinstance(error, OstlerError)
    own = error.reason if isinstance(error, StepError) else str(error)
    kind = type(error).__name__
    # "Error" is what Playwright calls most of its errors: it says nothing
    text = own if ours or (own and kind == "Error") else f"{kind}: {own}" if own else kind
    return shorten((f"{place}: " if place else "") + _without_call_log(hide_typed(mask(text))))


def hide_typed(text: str) -> str:
    """Return the text without what Playwright quotes of typed text: a code that is typed once is in nobody's list."""
    text = _TYPED.sub(lambda match: f"{match['line']}…)" if match["line"] else f"{match['call']}…", text)
    return _SHOWN.sub(r"\1…", text)


def _without_call_log(text: str) -> str:
    """Return what Playwright says of an error, and of its call log only what was waited for; the log has it all."""
    said, _, log = text.partition("\nCall log:")
    waited = next((line.strip(" -") for line in log.splitlines() if line.strip().startswith("- waiting for")), "")
    return f"{said.rstrip()} ({waited})" if waited else said


def shorten(text: str) -> str:
    """Return the first lines, at most ``LONGEST`` characters, that can be written."""
    text = "\n".join(line.rstrip() for line in encodable(text).strip().splitlines() if line.strip())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def outcome_of(error: Exception, phase: str, mask: Callable[[str], str], *, starved: bool = False) -> Outcome:
    """Say how an attempt ended that this error ended.

    Args:
        error: what ended it.
        phase: the stage of the pipeline, or the step, under way.
        mask: takes secrets out.
        starved: whether the kernel has killed something of ours for want of memory meanwhile.
    """
    reason = reason_of(error, mask)
    match error:
        case Fenced():
            reason = f"a newer holder, number {error.newer}"
        case HolderAlive():
            reason = error.holder
    code = _code_of(error)
    if starved and code in _KILLED:
        code, reason = Code.OUT_OF_MEMORY, f"{reason}; the kernel killed a process for want of memory"
    # input that cannot be used is wrong in whatever stage that is found out
    stage = "" if FAILURES[code].kind is Kind.REJECTED else phase
    return ended(code, reason, error.step if isinstance(error, StepError) else stage)


def _code_of(error: Exception) -> Code:
    match error:
        case Stopped():
            return Code.INTERRUPTED
        case NotAccepted():
            return Code.BAD_PARAMS
        case OSError():
            return host_code_of(error)
        case _:
            return code_of(error)
