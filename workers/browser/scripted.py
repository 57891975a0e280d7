"""A browser in memory, for tests of what uses one: the same laws, no process, pages that only know where they are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio

from core.errors import BrowserLost
from core.state.port import LoginState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from core.browser.port import BrowserRequest


class ScriptedPage:
    """A page: it can be led somewhere and closed, and says what it was told to say."""

    def __init__(self, context: ScriptedContext) -> None:
        self._context = context
        self._closed = False
        self.url = "about:blank"
        self.answers: dict[str, Any] = {}

    def is_closed(self) -> bool:
        """Whether it is closed."""
        return self._closed

    async def goto(self, url: str, **_options: Any) -> None:
        """Go there."""
        self._context.check()
        self.url = url

    async def evaluate(self, script: str, _argument: Any = None) -> Any:
        """Return the answer that ``answers`` has for this script."""
        self._context.check()
        return self.answers.get(script)

    async def close(self) -> None:
        """Close."""
        self._closed = True
        self._context.pages.remove(self)


class ScriptedContext:
    """A context: pages and cookies.

    Attributes:
        pages: the open ones, oldest first.
        jar: cookies by domain, path and name.
        storage: ``{"origin", "localStorage"}`` by origin.
    """

    def __init__(self) -> None:
        self.pages: list[ScriptedPage] = [ScriptedPage(self)]
        self.jar: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.storage: dict[str, dict[str, Any]] = {}
        self.dead = False

    def check(self) -> None:
        """Raise if the browser is gone.

        Raises:
            BrowserLost: it is.
        """
        if self.dead:
            raise BrowserLost("the scripted browser is gone")

    async def new_page(self) -> ScriptedPage:
        """Open a page."""
        self.check()
        page = ScriptedPage(self)
        self.pages.append(page)
        return page

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies."""
        self.check()
        return [dict(cookie) for cookie in self.jar.values()]

    async def add_cookies(self, cookies: list[dict[str, Any]]) -> None:
        """Add cookies; one of the same domain, path and name is replaced."""
        self.check()
        for cookie in cookies:
            self.jar[cookie["domain"], cookie.get("path", "/"), cookie["name"]] = dict(cookie)


class ScriptedBrowser:
    """Adapter of ``OpenBrowser``."""

    name = "Scripted"
    version = "1.0.0"
    executable = "scripted"
    pid = None
    idle_extensions: tuple[str, ...] = ()

    def __init__(self, context: ScriptedContext) -> None:
        self.context = context
        self.lost = anyio.Event()
        self.driver_died = False

    def die(self, *, driver: bool = False) -> None:
        """Be gone, as after a SIGKILL of the browser, or of its driver."""
        self.driver_died = driver
        self.context.dead = True
        self.lost.set()

    async def page(self) -> ScriptedPage:
        """Return the page that was opened last, or a new one."""
        self.context.check()
        return self.context.pages[-1] if self.context.pages else await self.context.new_page()

    async def fresh_page(self) -> ScriptedPage:
        """Return a new page and close the others."""
        others = list(self.context.pages)
        page = await self.context.new_page()
        for other in others:
            await other.close()
        return page

    async def stand_at(self, origins: Sequence[str], _seconds: float) -> list[str]:
        """Open a page at each origin."""
        for origin in origins:
            await (await self.context.new_page()).goto(f"{origin}/")
        return []

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies."""
        return await self.context.cookies()

    async def export(self, level: str, previous: LoginState | None, now: float) -> LoginState:
        """Export the login state, merged by origin with ``previous``."""
        cookies = await self.cookies()
        origins = {origin["origin"]: origin for origin in (previous.origins if previous else [])}
        origins |= self.context.storage
        kinds = {"storage": "storage", "snapshot": "snapshot"}
        return LoginState(
            cookies=cookies,
            origins=[origins[name] for name in sorted(origins)],
            level=kinds.get(level, "cookies"),  # type: ignore[arg-type]  # one of the three
            exported_at=now,
        )


class ScriptedProvider:
    """Adapter of ``BrowserProvider``.

    Attributes:
        disk: what each user-data-dir holds after a clean close: persistent cookies and storage.
        requests: every request, in order.
        opened: every browser, in order.
        open_now: how many are open.
        failures: raised instead of opening, the first one first.
    """

    def __init__(self) -> None:
        self.disk: dict[Path, tuple[dict[Any, dict[str, Any]], dict[str, dict[str, Any]]]] = {}
        self.requests: list[BrowserRequest] = []
        self.opened: list[ScriptedBrowser] = []
        self.open_now = 0
        self.failures: list[Exception] = []

    @contextlib.asynccontextmanager
    async def open(self, request: BrowserRequest) -> AsyncIterator[ScriptedBrowser]:
        """Open; raises what ``failures`` has first."""
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        context = ScriptedContext()
        jar, storage = self.disk.get(request.user_data_dir, ({}, {}))
        context.jar, context.storage = dict(jar), dict(storage)
        if request.restore is not None:
            context.jar = {}
            await context.add_cookies(request.restore.cookies)
            context.storage = {origin["origin"]: origin for origin in request.restore.origins}
        await context.add_cookies(list(request.add_cookies))
        browser = ScriptedBrowser(context)
        self.opened.append(browser)
        self.open_now += 1
        try:
            yield browser
        finally:
            self.open_now -= 1
            if not context.dead:
                kept = {key: cookie for key, cookie in context.jar.items() if cookie.get("expires", -1) != -1}
                self.disk[request.user_data_dir] = (kept, context.storage)
                context.dead = True
