"""Standing at an origin without asking its site anything: so its storage can be read where it lies, in the browser data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from playwright.async_api import Error as PlaywrightError

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMPTY = "<!doctype html><title></title>"


async def stand_at(context: Any, origins: Iterable[str], seconds: float) -> list[str]:
    """Open a page at each origin; return those it could not be done for in time. See ``OpenBrowser``.

    The network is never asked: the pages are ours, and a service worker of the site, which would answer in our stead, is
    passed by.

    Args:
        context: Playwright's.
        origins: as ``https://example.org``.
        seconds: for all of them together.
    """
    left = list(dict.fromkeys(origins))
    with anyio.move_on_after(seconds):
        for origin in tuple(left):
            try:
                page = await context.new_page()
                session = await context.new_cdp_session(page)
                await session.send("Network.enable")
                await session.send("Network.setBypassServiceWorker", {"bypass": True})
                await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=_EMPTY))
                await page.goto(f"{origin}/")
            except PlaywrightError:
                # whoever asked names it
                continue
            left.remove(origin)
    return left
