"""Puts localStorage of the last commit back into a crashed attempt's own workspace, and wipes nothing.

Chromium writes localStorage seconds after a page has set it; a kill right after a commit loses it on disk, while the login
state has it. ``set_storage_state`` would bring it back and wipe IndexedDB and service workers of the origin; this does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIMIT = 20.0
_EMPTY = "<!doctype html><title></title>"
_SET = "entries => { for (const { name, value } of entries) localStorage.setItem(name, value); }"


async def put_back(context: Any, origins: Iterable[Mapping[str, Any]]) -> list[str]:
    """Set the entries of each origin, in a page that never asks the network; return the origins it could not be done for.

    Args:
        context: Playwright's.
        origins: as in a login state: ``{"origin", "localStorage": [{"name", "value"}]}``.
    """
    from playwright.async_api import Error as PlaywrightError  # noqa: PLC0415 - loaded by now; not for flows without a browser

    wanted = {str(entry["origin"]): entry["localStorage"] for entry in origins if entry.get("localStorage")}
    left = set(wanted)
    if not wanted:
        return []
    with anyio.move_on_after(LIMIT):
        try:
            page = await context.new_page()
            try:
                await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=_EMPTY))
                for origin, entries in wanted.items():
                    await page.goto(f"{origin}/")
                    await page.evaluate(_SET, entries)
                    left.discard(origin)
            finally:
                await page.close()
        except PlaywrightError:
            # a lost browser is noticed elsewhere; whatever else it was, the origins that are left say where
            return sorted(left)
    return sorted(left)
