"""What the browser showed besides the error: how the site answered last, whether the page crashed, whether the login is gone.

A flow that misses a button on a page that says 503 does not tell the reason; the answer does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.domain.failure import Code

_ANSWERS = {407: Code.PROXY_AUTH, 429: Code.RATE_LIMITED}
_SERVERS_FAULT = 500
VAGUE = frozenset(
    {
        Code.SELECTOR_GONE,
        Code.ELEMENT_NOT_READY,
        Code.POSTCONDITION_FALSE,
        Code.STEP_TIMEOUT,
        Code.STEP_FAILED,
        Code.FLOW_ERROR,
        Code.SITE_SLOW,
        Code.UNKNOWN,
    }
)
"""What something else may explain."""
_WITHOUT_LOGIN = VAGUE - {Code.SITE_SLOW}


class Explained(NamedTuple):
    """What a failure is, and because of what, where that is not what the error says."""

    code: Code
    because: str = ""


@dataclass
class Signs:
    """Listens to an attempt's browsers.

    Attributes:
        login_missing: the flow's check found no login where it had found one before, and nothing was committed since.
    """

    login_missing: bool = False
    _answers: dict[Any, int] = field(default_factory=dict)
    _crashed: set[Any] = field(default_factory=set)

    def watch(self, context: Any) -> None:
        """Listen to this Playwright context from now on."""
        context.on("response", self._answered)
        context.on("page", self._opened)
        for page in context.pages:
            self._opened(page)

    def explain(self, code: Code, page: Any) -> Explained:
        """Return what a failure on this page is, after all that was seen.

        Args:
            code: what the error says.
            page: the step's; None if there is none.
        """
        if code not in VAGUE:
            return Explained(code)
        if page in self._crashed:
            return Explained(Code.PAGE_CRASHED, "the page had crashed")
        answer = self._answers.get(page, 0)
        found = Code.SITE_ERROR if answer >= _SERVERS_FAULT else _ANSWERS.get(answer)
        if found is not None:
            return Explained(found, f"the page was answered with {answer}")
        if self.login_missing and code in _WITHOUT_LOGIN:
            return Explained(Code.LOGIN_LOST, "the login that was there before is gone")
        return Explained(code)

    def _opened(self, page: Any) -> None:
        page.on("crash", self._crash)
        page.on("close", self._forget)

    def _crash(self, page: Any) -> None:
        self._crashed.add(page)

    def _forget(self, page: Any) -> None:
        self._answers.pop(page, None)
        self._crashed.discard(page)

    def _answered(self, response: Any) -> None:
        from playwright.async_api import Error as PlaywrightError  # noqa: PLC0415 - loaded by now; not for flows without a browser

        try:
            frame = response.frame if response.request.is_navigation_request() else None
        except PlaywrightError:
            return  # a service worker's, or one whose page is not there yet
        if frame is not None and frame.parent_frame is None:
            self._answers[frame.page] = response.status
            self._crashed.discard(frame.page)
