"""The login state of a browser that a person uses: exported while they do, and once more when they are done.

Chromium keeps cookies in memory for half a minute, and those of the session until it closes; a window that is closed takes them
along. So they are looked at every second and after each answer of a site, which may have been the login, and made durable every
few seconds, for the case of a kill. What cannot be looked at in a
page without being in the person's way (IndexedDB, sites that are not open any more) is exported at the end, by a browser
that nobody sees, from the data of the one that was closed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import msgspec

from core.errors import BrowserError, BrowserLost, OstlerError
from core.state.port import LoginState
from workers.browser.login import origin_of
from workers.opening import browser_request

if TYPE_CHECKING:
    from core.browser.port import OpenBrowser
    from core.workspaces.port import Workspace
    from workers.report import Reporter
    from workers.restore import Held
    from workers.runner import Ports

_INTERVAL = 1.0
_PAUSE = 0.1
_MAY_LOG_IN = frozenset({"document", "xhr", "fetch"})
_KEEP_EVERY = 2.0
_MOST_ORIGINS = 50
_STAND_LIMIT = 20.0
_OF_THE_SESSION = -1


class LoginWatch:
    """Looks at one person's browser.

    Attributes:
        number: of the login state and of the browser data that goes with it.
    """

    def __init__(self, held: Held, ports: Ports, reporter: Reporter) -> None:
        self._held = held
        self._ports = ports
        self._reporter = reporter
        self._before = self._latest = held.record.login or LoginState()
        self._glanced = 0
        self._answered = anyio.Event()
        self._origins: dict[str, None] = {}
        self._said = False
        self.number = held.next_generation

    def listen(self, context: Any) -> None:
        """Hear of what Playwright's context asks for and is answered."""
        context.on("request", self._hear_request)
        context.on("response", self._hear_response)

    def _hear_request(self, request: Any) -> None:
        """Note the site of a page that is asked for."""
        if not request.is_navigation_request():
            return
        origin = origin_of(request.url)
        if origin is not None and request.frame.parent_frame is None:
            # the newest stand last
            self._origins.pop(origin, None)
            self._origins[origin] = None

    def _hear_response(self, response: Any) -> None:
        if response.request.resource_type in _MAY_LOG_IN:
            self._answered.set()

    @property
    def has_changed(self) -> bool:
        """Whether the cookies and storages are others than before the visit."""
        return _differ(self._latest, self._before)

    async def glance(self, browser: OpenBrowser) -> None:
        """See the cookies after each answer, until it is cancelled: a page that is busy does not hold this up."""
        while True:
            await self._answered.wait()
            self._answered = anyio.Event()
            # whether the browser answers is the business of the longer look
            with suppress(BrowserLost):
                cookies = await browser.cookies()
                if _is_open(browser):
                    self._glanced += 1
                    self._latest = msgspec.structs.replace(self._latest, cookies=cookies)
            await anyio.sleep(_PAUSE)

    async def follow(self, browser: OpenBrowser) -> None:
        """Look again and again, until it is cancelled."""
        kept, next_at = self._latest, self._ports.clock.monotonic()
        while True:
            await self.look(browser)
            if _differ(self._latest, kept) and self._ports.clock.monotonic() >= next_at:
                kept, next_at = self._latest, self._ports.clock.monotonic() + _KEEP_EVERY
                self._keep_for_now(kept)
            await anyio.sleep(_INTERVAL)

    async def look(self, browser: OpenBrowser) -> None:
        """See cookies, and localStorage of the pages that are open."""
        glanced = self._glanced
        try:
            seen = await browser.export("cookies", self._latest, self._ports.clock.now())
        except BrowserLost as exc:
            if not browser.lost.is_set() and not self._said:
                # suspended, or too busy to answer: the next look may be luckier
                self._said = True
                self._reporter.note("login_state_not_seen", reason=str(exc))
            return
        if _is_open(browser):
            # pages may have taken their time, and the cookies have been seen since
            newer = self._glanced != glanced
            self._latest = msgspec.structs.replace(seen, cookies=self._latest.cookies) if newer else seen

    async def complete(self, workspace: Workspace, executable: str) -> LoginState:
        """Return the whole login state of a browser that was closed in order.

        Persistent cookies are those on disk; those of the session, which were dropped there, are those that were seen last.
        """
        cookies = tuple(cookie for cookie in self._latest.cookies if cookie.get("expires") == _OF_THE_SESSION)
        request = msgspec.structs.replace(
            browser_request(self._held, workspace),
            restore=None,
            add_cookies=cookies,
            headed=False,
            executable=executable,
            # nobody is there who would want them to do something
            extensions=False,
        )
        origins = list(self._origins)[-_MOST_ORIGINS:]
        whole: LoginState | None = None
        left = origins
        try:
            async with self._ports.browsers.open(request) as browser:
                left = await browser.stand_at(origins, _STAND_LIMIT)
                whole = await browser.export("storage", self._latest, self._ports.clock.now())
        except BrowserError as exc:
            self._reporter.note("login_state_incomplete", reason=str(exc))
        login = whole or self._latest
        # of sites that were not asked, what an earlier export could not carry is still not there
        elsewhere = [name for name in self._latest.unexportable if name.partition(" ")[0] not in origins]
        missing = {*elsewhere, *(f"{origin} (not examined)" for origin in left)}
        if whole is not None:
            missing |= set(whole.unexportable)
        return msgspec.structs.replace(login, unexportable=tuple(sorted(missing)))

    def keep(self, login: LoginState) -> None:
        """Make a login state durable, and then its number.

        Raises:
            Fenced, DurableWriteFailed: the one before counts.
        """
        self._held.record.keep_login(login)
        self._held.record.count_login(self.number)

    def _keep_for_now(self, login: LoginState) -> None:
        try:
            self.keep(login)
        except OstlerError as exc:
            # it is in memory; at the end it is tried again, and what still fails then ends the visit
            self._reporter.note("login_state_not_kept", reason=str(exc))
        else:
            self._reporter.log.info("login_state_kept", cookies=len(login.cookies), origins=len(login.origins))


def _is_open(browser: OpenBrowser) -> bool:
    # without a page it is closing, and has let go of its cookies: that is no logout
    return not browser.lost.is_set() and any(not page.is_closed() for page in browser.context.pages)


def sites_of(login: LoginState) -> set[str]:
    """Return the hosts that a login state has anything of."""
    hosts = {urlsplit(str(origin["origin"])).hostname for origin in login.origins}
    hosts |= {str(cookie["domain"]).lstrip(".") for cookie in login.cookies}
    return {host for host in hosts if host}


def _differ(one: LoginState, other: LoginState) -> bool:
    same = {"exported_at": 0.0, "level": "cookies"}
    return msgspec.structs.replace(one, **same) != msgspec.structs.replace(other, **same)
