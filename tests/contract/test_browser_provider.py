"""What every browser provider keeps: the real one and the fake."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from core.browser.port import BrowserRequest
from core.errors import BrowserError
from core.state.port import LoginState
from workers.browser.scripted import ScriptedProvider

LASTING = {"name": "sid", "value": "1", "domain": "shop.localhost", "path": "/", "expires": 4_000_000_000}
PASSING = {"name": "tab", "value": "2", "domain": "shop.localhost", "path": "/"}


@pytest.fixture(params=["scripted", pytest.param("chromium", marks=pytest.mark.browser)])
def provider(request, state_dir: Path):
    """Each adapter."""
    if request.param == "scripted":
        return ScriptedProvider()
    from workers.browser.chromium import ChromiumProvider, ChromiumSettings

    browser = request.getfixturevalue("browser_executable")
    return ChromiumProvider(ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser=browser))


@pytest.fixture
def request_for(tmp_path: Path, tmp_path_factory):
    """Build requests on one user-data-dir."""
    temp_dir = Path("/tmp") / f"ostler-c-{os.getpid()}"
    temp_dir.mkdir(mode=0o700)

    def build(**fields) -> BrowserRequest:
        return BrowserRequest(
            user_data_dir=tmp_path / "user-data", temp_dir=temp_dir, downloads_dir=tmp_path / "downloads", **fields
        )

    yield build
    temp_dir.rmdir()


def _names(state: LoginState) -> set[str]:
    return {cookie["name"] for cookie in state.cookies}


async def test_it_runs_until_the_scope_ends(provider, request_for):
    """Inside the scope it has a name, a version and a page, and is not lost; a clean end is no loss either."""
    async with provider.open(request_for()) as browser:
        assert browser.name
        assert browser.version
        assert (await browser.page()).url == "about:blank"
        assert not browser.lost.is_set()
        assert not browser.driver_died
    assert not browser.lost.is_set()
    assert not browser.driver_died


async def test_pages(provider, request_for):
    """The page is the same until a fresh one is asked for; then only that one is left, and a missing one is made."""
    async with provider.open(request_for()) as browser:
        page = await browser.page()
        assert await browser.page() is page
        fresh = await browser.fresh_page()
        assert page.is_closed()
        assert await browser.page() is fresh
        await fresh.close()
        assert not (await browser.page()).is_closed()


async def test_an_export_has_all_cookies_and_keeps_origins_it_did_not_see(provider, request_for):
    """Cookies are those of now; an origin that is not open keeps what the export before had."""
    elsewhere = {"origin": "http://mail.localhost:1", "localStorage": [{"name": "a", "value": "b"}]}
    previous = LoginState(cookies=[{**LASTING, "name": "old"}], origins=[elsewhere])
    async with provider.open(request_for(add_cookies=(LASTING, PASSING))) as browser:
        state = await browser.export("cookies", previous, 12.0)
    assert _names(state) == {"sid", "tab"}
    assert state.origins == [elsewhere]
    assert (state.level, state.exported_at) == ("cookies", 12.0)


async def test_a_clean_close_keeps_what_lasts(provider, request_for):
    """The next browser on the same data has the cookies that have a date of expiry, and only those."""
    async with provider.open(request_for(add_cookies=(LASTING, PASSING))):
        pass
    async with provider.open(request_for()) as browser:
        assert _names(await browser.export("cookies", None, 1.0)) == {"sid"}


async def test_restoring_replaces_and_adding_adds(provider, request_for):
    """``restore`` puts the given state in place of what was there; ``add_cookies`` leaves the others alone."""
    async with provider.open(request_for(add_cookies=(LASTING,))):
        pass
    async with provider.open(request_for(add_cookies=(PASSING,))) as browser:
        assert _names(await browser.export("cookies", None, 1.0)) == {"sid", "tab"}
    other = LoginState(cookies=[{**LASTING, "name": "other"}])
    async with provider.open(request_for(restore=other)) as browser:
        assert _names(await browser.export("cookies", None, 1.0)) == {"other"}


async def test_cancellation_leaves_the_scope(provider, request_for):
    """A cancelled scope is left, and the data may be used again."""
    with anyio.CancelScope() as scope:
        async with provider.open(request_for()):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with provider.open(request_for()) as browser:
        assert not browser.lost.is_set()


async def test_a_browser_that_is_gone_raises(provider, request_for):
    """After its end every call raises one of our own errors."""
    async with provider.open(request_for()) as browser:
        pass
    with pytest.raises(BrowserError):
        await browser.export("cookies", None, 1.0)
    with pytest.raises(BrowserError):
        await browser.page()
