"""What went wrong, as one outcome and one short sentence without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from core.domain.failure import Code
from core.domain.outcome import Busy, Corrupt, Failed, HostFault, Interrupted, Outcome, Rejected, Waiting
from core.errors import (
    BrowserLaunchFailed,
    BrowserLost,
    BrowserNotFound,
    CapabilityMismatch,
    DurableWriteFailed,
    Fenced,
    FlowLoadError,
    HolderAlive,
    NeedsPerson,
    NewerSchema,
    NoSpace,
    OstlerError,
    StateCorrupt,
    StepError,
    TemplateLive,
    TemplateMissing,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.text import encodable

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 500
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


def outcome_of(error: Exception, phase: str, mask: Callable[[str], str]) -> Outcome:  # noqa: C901, PLR0911 - one per case
    """Say how an attempt ended that this error ended.

    The cases: we were asked to stop; a person is needed; a newer holder wrote; the input cannot be used; the profile's own data is damaged; the
    host could not do its part; a step failed; the browser went; anything else is a failure of the phase under way.

    Args:
        error: what ended it.
        phase: the stage of the pipeline, or the step, under way.
        mask: takes secrets out.
    """
    reason = reason_of(error, mask)
    match error:
        case Stopped():
            return Interrupted(reason=reason)
        case NeedsPerson():
            return Waiting(step=error.step, why=reason)
        case Fenced():
            return Busy(holder=f"a newer holder, number {error.newer}")
        case HolderAlive():
            return Busy(holder=error.holder)
        case FlowLoadError() | NotAccepted() | TemplateMissing() | NewerSchema():
            return Rejected(reason=reason)
        case StateCorrupt() | WorkspaceCorrupt():
            return Corrupt(reason=reason)
        case UnmetRequirement():
            return Failed(step=error.step, reason=reason, code=Code.REQUIREMENT_UNMET)
        case StepError():
            return Failed(step=error.step, reason=reason)
        case WorkspaceError() if type(error) is WorkspaceError:
            # an older or foreign browser on this data: another try meets the same
            return Failed(step=phase, reason=reason, code=Code.BROWSER_MISMATCH)
        case BrowserLost():
            return Failed(step=phase, reason=reason or "the browser is gone")
        case (
            BrowserNotFound()
            | BrowserLaunchFailed()
            | CapabilityMismatch()
            | TemplateLive()
            | NoSpace()
            | DurableWriteFailed()
            | OSError()
        ):
            return HostFault(reason=reason)
        case _:
            return Failed(step=phase, reason=reason)
