"""A browser with windows, and what a headless shell has not: a person closes it, and extensions run."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import anyio
import pytest

from core.browser.port import BrowserRequest
from core.errors import BrowserLost, BrowserRefused
from tests.children import site
from tests.display import WITH_WINDOWS, needs_display, needs_windows
from tests.extension import template
from workers.browser import process_tree
from workers.browser.chromium import ChromiumProvider, ChromiumSettings

pytestmark = pytest.mark.browser
SHELL = shutil.which("chromium-headless-shell")


@pytest.fixture
def origin():
    with site.serving() as origin:
        yield origin


@pytest.fixture
def temp_dir():
    """A TMPDIR as short as a workspace's."""
    path = Path("/tmp") / f"ostler-w-{os.getpid()}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def open_browser(state_dir, tmp_path, temp_dir, request):
    """Open browsers on one user-data-dir."""

    def start(data: Path, browser: str | None = WITH_WINDOWS, *, headed: bool = True, display: str = "", **fields):
        environ = dict(os.environ)
        if headed:
            environ["DISPLAY"] = display or request.getfixturevalue("display")
        provider = ChromiumProvider(ChromiumSettings(state_dir=state_dir, environ=environ, browser=browser))
        return provider.open(
            BrowserRequest(
                user_data_dir=data, temp_dir=temp_dir, downloads_dir=tmp_path / "down", headed=headed, close_timeout=20,
                **fields,
            )
        )  # fmt: skip

    return start


async def _until_lost(browser) -> None:
    with anyio.fail_after(20):
        await browser.lost.wait()


@needs_display
async def test_a_window_that_is_closed_is_a_clean_end(open_browser, tmp_path, origin):
    """What the browser had in memory is on disk afterwards: it was let to end by itself."""
    async with open_browser(tmp_path / "data") as browser:
        page = await browser.page()
        await page.goto(f"{origin}/login")
        await page.close()
        await _until_lost(browser)
    assert process_tree.of_browser(tmp_path / "data") == set()
    async with open_browser(tmp_path / "data") as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        assert await page.locator("#who").inner_text() == "sid=persistent"
        assert await page.evaluate("localStorage.getItem('token')") == "stored"


@needs_display
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_signal_is_not_taken_for_a_window_that_was_closed(open_browser, tmp_path, origin, number):
    """Nothing in the scope fails, and still the end is a loss: after SIGTERM, too, cookies are missing on disk."""
    for _ in range(2):  # the second time, Preferences of a browser that ended in order are there
        with pytest.raises(BrowserLost, match="it crashed, or was killed"):  # noqa: PT012 - the scope is what is tested
            async with open_browser(tmp_path / "data") as browser:
                await (await browser.page()).goto(f"{origin}/login")
                os.kill(browser.pid, number)
                await _until_lost(browser)
        async with open_browser(tmp_path / "data"):
            pass


async def _mark(browser, origin: str) -> str:
    page = await browser.page()
    await page.goto(f"{origin}/whoami")
    await page.wait_for_selector("html[data-marked]", state="attached")
    return await page.evaluate("document.documentElement.dataset.marked")


@pytest.mark.parametrize("kind", ["packed", "unpacked"])
@pytest.mark.parametrize("headed", [pytest.param(True, marks=needs_display), pytest.param(False, marks=needs_windows)])
async def test_an_extension_runs(open_browser, tmp_path, origin, kind, headed):
    """Its script marks the page, its worker answers, and what it keeps is there the next time."""
    data = template(tmp_path, kind)
    for times in ("1", "2"):
        async with open_browser(data, headed=headed) as browser:
            assert browser.idle_extensions == ()
            assert await _mark(browser, origin) == times


@needs_windows
async def test_a_headless_run_takes_a_browser_that_runs_extensions(open_browser, tmp_path, origin):
    """Nobody named one; what has windows is chosen, although the shell is lighter."""
    async with open_browser(template(tmp_path, "packed"), None, headed=False) as browser:
        assert await _mark(browser, origin) == "1"


@pytest.mark.skipif(SHELL is None or WITH_WINDOWS is None, reason="needs both kinds of Chromium")
async def test_a_headless_shell_says_what_it_does_not_run_and_harms_nothing(open_browser, tmp_path, origin):
    """The extension is named, and runs again in the next browser that can."""
    data = template(tmp_path, "packed")
    async with open_browser(data, headed=False) as browser:
        assert await _mark(browser, origin) == "1"
    async with open_browser(data, SHELL, headed=False) as browser:
        assert browser.idle_extensions == ("Marker",)
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        assert not await page.evaluate("'marked' in document.documentElement.dataset")
    async with open_browser(data, headed=False) as browser:
        assert await _mark(browser, origin) == "2"


@pytest.mark.skipif(SHELL is None, reason="needs a headless shell")
async def test_a_headless_shell_is_refused_where_windows_are_wanted(open_browser, tmp_path):
    """Before anything is started; also where it is known to work without them."""
    async with open_browser(tmp_path / "data", SHELL, headed=False):
        pass
    with pytest.raises(BrowserRefused, match="a headless shell cannot show windows"):
        async with open_browser(tmp_path / "data", SHELL, display=":0"):
            pass


@needs_windows
async def test_an_unpacked_extension_whose_files_are_gone_is_named(open_browser, tmp_path, origin):
    """By its ID: the name was in its files. The browser starts all the same."""
    data = template(tmp_path, "unpacked")
    shutil.rmtree(tmp_path / "marker")
    async with open_browser(data, headed=False) as browser:
        (name,) = browser.idle_extensions
        assert len(name) == 32
        await (await browser.page()).goto(f"{origin}/whoami")
