"""A state directory that a real browser has filled: two profiles with sessions, logins, saved browser data and a selector cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.domain.outcome import Done
from tests.attempt import attempt
from tests.children import site
from workers.browser import candidates
from workers.browser.chromium import ChromiumProvider, ChromiumSettings
from workers.steps import Flow

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS = {"anna": 2, "bert": 1}
"""How often each profile ran: after the second time there is a previous generation of everything."""
FLOW = "account"
_FILL = """async () => {
  for (let i = 0; i < 20; i++) document.cookie = `c${i}=${'v'.repeat(200)}; max-age=86400; path=/`;
  for (let i = 0; i < 50; i++) localStorage.setItem('k' + i, 'x'.repeat(500));
  await new Promise((resolve, reject) => {
    const opening = indexedDB.open('account', 1);
    opening.onerror = () => reject(opening.error);
    opening.onupgradeneeded = () => opening.result.createObjectStore('orders');
    opening.onsuccess = () => {
      const change = opening.result.transaction(['orders'], 'readwrite');
      for (let i = 0; i < 1000; i++)
        change.objectStore('orders').put({ user: 'anna' + i, text: Math.random().toString(36).repeat(400) }, i);
      change.oncomplete = () => { opening.result.close(); resolve(); };
    };
  });
}"""
"""Fills cookies, localStorage and, until LevelDB writes tables, IndexedDB."""


def make(state_dir: Path, executable: str) -> None:
    """Run two attempts for each profile, in Chromium itself where there is one: the headless shell has fewer files."""
    browser = next(iter(candidates.found(os.environ, headed=True)), executable)
    settings = ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser=browser)
    with site.serving() as origin:
        for profile_id, attempts in ATTEMPTS.items():
            for _ in range(attempts):
                ended = attempt(state_dir, profile_id, _flow(origin), ChromiumProvider(settings))
                assert ended.outcome == Done(), ended


def _flow(origin: str) -> Flow:
    flow = Flow(FLOW)

    @flow.step(flag="logged_in")
    async def log_in(ctx):
        await ctx.page.goto(f"{origin}/login")
        await ctx.locate("greeting", "#never", "p")
        await ctx.page.evaluate(_FILL)

    @flow.step(always=True)
    async def look(ctx):
        await ctx.page.goto(f"{origin}/whoami")

    return flow
