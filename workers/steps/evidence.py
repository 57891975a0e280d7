"""What a failure leaves for people: the page, what its console said, which requests failed; a screenshot where it was asked for.

At the first failure of each kind in a job. Texts are redacted; a screenshot cannot be, so it is off by default and says in
its name that it is sensitive. None of this may change how an attempt ends, or delay it by more than a few seconds.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from core.domain.messages import Kept
from core.errors import OstlerError, StepError
from core.redaction import Redactor
from workers.failure import hide_typed, reason_of
from workers.port import Artifacts, AttemptKey, Control
from workers.record import Record
from workers.steps.cleaning import without_tokens, without_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.state.port import LoginState

LIMIT = 3.0
"""Seconds that gathering may take."""
MOST_KINDS = 10
"""In one attempt."""
LARGEST_PAGE = 2 * 1024 * 1024
LARGEST_READ = 8 * 1024 * 1024
"""Characters of a page beyond which none of it is read: cleaning it would take too long."""
MOST_MESSAGES = 200
LONGEST_MESSAGE = 2000
_LONGEST_RAW = 10_000
_SCREENSHOT_LIMIT = 2.0
_BAD_STATUS = 400
_SHORTEST_LOGIN_VALUE = 8
_MOST_LOGIN_TEXT = 20_000
"""Characters of cookies and localStorage that are looked for: making the pattern takes half a second then."""
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


@dataclass(kw_only=True)
class Evidence:
    """Listens to an attempt's browsers, and keeps what a failure leaves.

    Attributes:
        key: whose files they are.
        artifacts: where they are kept.
        control: who is told.
        record: the durable side; knows what is secret.
        log: structlog, with profile and attempt bound.
        screenshots: whether to take them.
    """

    key: AttemptKey
    artifacts: Artifacts
    control: Control
    record: Record
    log: Any
    screenshots: bool = False
    _console: deque[str] = field(repr=False, default_factory=lambda: deque(maxlen=MOST_MESSAGES))
    _requests: deque[str] = field(repr=False, default_factory=lambda: deque(maxlen=MOST_MESSAGES))
    _kinds: int = 0

    def watch(self, context: Any) -> None:
        """Listen to this Playwright context from now on."""
        context.on("console", lambda message: self._hear(message.type, message.text))
        context.on("weberror", lambda error: self._hear("uncaught", str(error.error)))
        context.on("requestfailed", lambda request: self._fail(request, request.failure or "failed"))
        context.on("requestfinished", self._finish)

    async def keep(self, step: str, error: Exception, page: Any) -> None:
        """Keep what there is to see of a failure, if it is the first of its kind. Raises nothing of its own.

        Args:
            step: what failed.
            error: how.
            page: where; None if the browser is gone.
        """
        kind = kind_of(error)
        if self._kinds >= MOST_KINDS:
            return
        try:
            if not await anyio.to_thread.run_sync(self.artifacts.is_first, self.key, f"{step}: {kind}"):
                return
            self._kinds += 1
            files = await self._gather(f"{_UNSAFE.sub('-', step)}-{_UNSAFE.sub('-', kind)}", page)
        except OstlerError as exc:
            self.log.warning("evidence_not_kept", reason=reason_of(exc, self.record.mask))
            return
        if files:
            sensitive = any("SENSITIVE" in name for name in files)
            self.control.send(Kept(step=step, why=kind, files=tuple(files), sensitive=sensitive))
            self.log.info("evidence_kept", step=step, kind=kind, files=files)

    async def _gather(self, name: str, page: Any) -> list[str]:
        found: dict[str, bytes] = {}
        document: str | None = None
        login: LoginState | None = self.record.login
        cookies = list(login.cookies) if login is not None else []
        if page is not None:
            with anyio.move_on_after(LIMIT):
                try:
                    cookies += await page.context.cookies()
                    document = await page.content()
                    if self.screenshots:
                        picture = await page.screenshot(timeout=_SCREENSHOT_LIMIT * 1000)
                        found[f"SENSITIVE-{name}.png"] = picture
                except Exception as exc:  # noqa: BLE001 - the page may be closed, gone or navigating: what was seen so far stays
                    self.log.info("evidence_incomplete", error=type(exc).__name__)
        clean = partial(self._clean, name, document, cookies, getattr(page, "url", ""))
        found |= await anyio.to_thread.run_sync(clean)
        return [await anyio.to_thread.run_sync(self.artifacts.keep, self.key, *item) for item in found.items()]

    def _clean(self, name: str, document: str | None, cookies: list[dict[str, Any]], url: str) -> dict[str, bytes]:
        """Return the texts by file name; runs in a thread."""
        logins = Redactor(_login_values(cookies, self.record.login))

        def masked(text: str) -> str:
            return without_tokens(hide_typed(logins.text(self.record.mask(text))))

        found: dict[str, bytes] = {}
        if document is not None:
            text = f"<!-- {len(document)} characters: too large to be kept -->"
            if len(document) <= LARGEST_READ:
                text = without_tokens(without_values(logins.text(self.record.mask(document))))
            found[f"{name}.html"] = _cut(f"<!-- {masked(url)} -->\n{text}")
        for kind, lines in (("console", self._console), ("requests", self._requests)):
            if lines:
                found[f"{name}.{kind}.txt"] = _cut(
                    "\n".join(masked(line)[:LONGEST_MESSAGE] for line in list(lines)) + "\n"
                )
        return found

    def _hear(self, kind: str, text: str) -> None:
        # cut far behind what will be shown: no half of a secret is left at the end
        self._console.append(f"{kind}: {text[:_LONGEST_RAW]}")

    def _finish(self, request: Any) -> None:
        response = request.existing_response
        if response is not None and response.status >= _BAD_STATUS:
            self._fail(request, f"{response.status} {response.status_text}".strip())

    def _fail(self, request: Any, why: str) -> None:
        self._requests.append(f"{why}: {request.method} {request.url[:_LONGEST_RAW]}")


def kind_of(error: BaseException) -> str:
    """Return the error's kind: the name of its type, and for a failed step that of what it failed from."""
    cause = error.__cause__
    return (
        kind_of(cause)
        if type(error).__name__ == "StepFailed" and isinstance(error, StepError) and cause
        else type(error).__name__
    )


def _login_values(cookies: list[dict[str, Any]], login: LoginState | None) -> Iterator[str]:
    """What makes up the login: cookies, and what pages keep in localStorage."""
    stored = [item for origin in (login.origins if login else []) for item in origin.get("localStorage", [])]
    values = dict.fromkeys(str(item.get("value", "")) for item in (*cookies, *stored))
    room = _MOST_LOGIN_TEXT
    for value in values:
        if _SHORTEST_LOGIN_VALUE <= len(value) <= room:
            room -= len(value)
            yield value


def _cut(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return data if len(data) <= LARGEST_PAGE else data[:LARGEST_PAGE].decode("utf-8", "ignore").encode()
