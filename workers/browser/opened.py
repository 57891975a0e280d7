"""A Chromium that runs: its pages, the export of its login state, and the watch over its life."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from playwright.async_api import Error as PlaywrightError

from core.errors import BrowserLost
from core.state.port import LoginState
from workers.browser import login, process_tree
from workers.browser.origins import stand_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

T = TypeVar("T")

WATCH_INTERVAL = 0.5
_PAGE_LIMIT = 10.0
_COOKIES_LIMIT = 10.0
_ASK_LIMIT = 1.0
_ASK_ALL_LIMIT = 3.0
_STORAGE_LIMIT = 20.0
_EXAMINE_LIMIT = 2.0


class OpenedBrowser:
    """Adapter of ``OpenBrowser``.

    Attributes:
        closing: set by whoever ends it on purpose: from then on its end is no loss.
    """

    def __init__(
        self,
        context: Any,
        name: str,
        version: str,
        *,
        executable: str,
        main: process_tree.Process | None,
        driver: process_tree.Process | None,
        idle_extensions: tuple[str, ...] = (),
    ) -> None:
        self._context = context
        self._name = name
        self._version = version
        self._executable = executable
        self._main = main
        self._driver = driver
        self._idle_extensions = idle_extensions
        self._watched = [process for process in (main, driver) if process is not None]
        self._lost = anyio.Event()
        self.closing = False
        context.on("close", lambda _context: self._lose())

    @property
    def name(self) -> str:
        """``Chromium``, ``Google Chrome`` or ``Microsoft Edge``."""
        return self._name

    @property
    def version(self) -> str:
        """As ``156.0.8078.73``."""
        return self._version

    @property
    def executable(self) -> str:
        """Absolute path."""
        return self._executable

    @property
    def pid(self) -> int | None:
        """The main process, where it can be known."""
        return self._main.pid if self._main is not None else None

    @property
    def idle_extensions(self) -> tuple[str, ...]:
        """Names of the extensions in its data that it does not run."""
        return self._idle_extensions

    @property
    def context(self) -> Any:
        """Playwright's ``BrowserContext``."""
        return self._context

    @property
    def lost(self) -> anyio.Event:
        """Set when the browser or its driver dies while it should live."""
        return self._lost

    @property
    def driver_died(self) -> bool:
        """Whether it was lost because its driver died: a browser goes down with its driver, not the other way round."""
        return self._lost.is_set() and self._driver is not None and not process_tree.is_alive(self._driver)

    async def page(self) -> Any:
        """Return the page that was opened last, or a new one."""
        pages = self._pages()
        return pages[-1] if pages else await self._answer(_PAGE_LIMIT, "a new page", self._context.new_page())

    async def fresh_page(self) -> Any:
        """Return a new page and close the others; see the port."""
        others = self._pages()
        page = await self._answer(_PAGE_LIMIT, "a new page", self._context.new_page())
        for other in others:
            await self._answer(_PAGE_LIMIT, "closing a page", other.close())
        return page

    async def stand_at(self, origins: Sequence[str], seconds: float) -> list[str]:
        """Open a page at each origin; see the port."""
        return await stand_at(self._context, origins, seconds)

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies; see the port."""
        return list(await self._answer(_COOKIES_LIMIT, "the cookies", self._context.cookies()))

    async def export(self, level: str, previous: LoginState | None, now: float) -> LoginState:
        """Export the login state; see the port. A page that does not answer in time keeps what was exported before."""
        before = previous or LoginState()
        if level == "cookies":
            cookies = await self.cookies()
            origins, seen, unexportable = await self._local_storages()
            merged = login.merged(before.origins, origins, seen, whole=False)
            # what an earlier, wider export could not carry is still not there
            unexportable = tuple(sorted({*before.unexportable, *unexportable}))
            return LoginState(
                cookies=cookies, origins=merged, level="cookies", exported_at=now, unexportable=unexportable
            )
        state = await self._answer(_STORAGE_LIMIT, "the storage state", self._context.storage_state(indexed_db=True))
        seen = [origin for origin, _ in self._by_origin()]
        unexportable = await self._unexportable()
        return LoginState(
            cookies=list(state["cookies"]),
            origins=login.merged(before.origins, state["origins"], seen, whole=True),
            level="snapshot" if level == "snapshot" else "storage",
            exported_at=now,
            unexportable=unexportable,
        )

    async def watch(self) -> None:
        """Set ``lost`` as soon as the browser or its driver is gone; runs until it is cancelled."""
        while not self._lost.is_set() and self._watched:
            alive = await asyncio.to_thread(lambda: all(map(process_tree.is_alive, self._watched)))
            if not alive:
                self._lose()
            await asyncio.sleep(WATCH_INTERVAL)

    def _lose(self) -> None:
        if not self.closing:
            self._lost.set()

    def _pages(self) -> list[Any]:
        return [page for page in self._context.pages if not page.is_closed()]

    def _by_origin(self) -> list[tuple[str, Any]]:
        """Return one frame for each origin that is open."""
        found: dict[str, Any] = {}
        for page in self._pages():
            for frame in page.frames:
                origin = login.origin_of(frame.url)
                if origin is not None:
                    found.setdefault(origin, frame)
        return list(found.items())

    async def _local_storages(self) -> tuple[list[dict[str, Any]], list[str], tuple[str, ...]]:
        """Return entries, the origins that answered, and those whose storage is too large to keep."""
        origins: list[dict[str, Any]] = []
        seen: list[str] = []
        too_large: list[str] = []
        total = 0
        deadline = time.monotonic() + _ASK_ALL_LIMIT
        for origin, frame in self._by_origin():
            if time.monotonic() > deadline:
                break
            values = await self._ask(frame, login.LOCAL_STORAGE, None, _ASK_LIMIT)
            if values is None:
                continue
            size = login.size_of(values)
            total += size
            if size > login.LARGEST_ORIGIN or total > login.LARGEST_STATE:
                too_large.append(f"{origin} localStorage")
                continue
            seen.append(origin)
            origins.append({"origin": origin, "localStorage": values})
        return origins, seen, tuple(too_large)

    async def _unexportable(self) -> tuple[str, ...]:
        names: list[str] = []
        deadline = time.monotonic() + _EXAMINE_LIMIT * 2
        for origin, frame in self._by_origin():
            if time.monotonic() > deadline:
                names.append(f"{origin} (not examined)")
                continue
            limit = {"limit": int(_EXAMINE_LIMIT * 1000)}
            stores = await self._ask(frame, login.UNEXPORTABLE, limit, _EXAMINE_LIMIT + _ASK_LIMIT)
            names += [f"{origin} (not examined)"] if stores is None else [f"{origin} {store}" for store in stores]
        return tuple(sorted(names))

    async def _ask(self, frame: Any, script: str, argument: Any, seconds: float) -> Any:
        """Return what a page says, None if it says nothing in time: it may be navigating, blocked or gone."""
        with anyio.move_on_after(seconds):
            try:
                return await frame.evaluate(script, argument)
            except PlaywrightError:
                return None
        return None

    async def _answer(self, seconds: float, what: str, call: Awaitable[T]) -> T:
        try:
            with anyio.fail_after(seconds):
                return await call
        except TimeoutError:
            raise BrowserLost(f"{what}: the browser did not answer within {seconds:g} s") from None
        except PlaywrightError as exc:
            raise BrowserLost(f"{what}: {exc.message.splitlines()[0] if exc.message else type(exc).__name__}") from exc
