"""What really goes wrong in a real browser becomes the code that it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psutil
import pytest

from core.browser.port import BrowserRequest
from core.domain.failure import Code
from core.errors import BrowserError, BrowserLost
from tests.children import failing_site
from workers.browser.chromium import ChromiumProvider, ChromiumSettings
from workers.classify import code_of
from workers.steps.execute import unless_lost
from workers.steps.signs import Signs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.children.failing_site import Trouble

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate; it is not installed"),
]


@pytest.fixture
def trouble(tmp_path: Path) -> Iterator[Trouble]:
    with failing_site.serving(tmp_path) as trouble:
        yield trouble


@pytest.fixture
def provider(state_dir: Path, browser_executable: str) -> ChromiumProvider:
    return ChromiumProvider(ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser=browser_executable))


@pytest.fixture
def request_for(tmp_path: Path) -> Iterator[Callable[..., BrowserRequest]]:
    temp_dir = Path("/tmp") / f"ostler-f-{os.getpid()}"

    def build(name: str = "a", **fields: Any) -> BrowserRequest:
        root = tmp_path / name
        return BrowserRequest(
            user_data_dir=root / "data",
            temp_dir=temp_dir,
            downloads_dir=root / "downloads",
            action_timeout=1.0,
            **fields,
        )

    yield build
    shutil.rmtree(temp_dir, ignore_errors=True)


async def code_after(signs: Signs, page: Any, act: Awaitable[object]) -> Code | None:
    try:
        await act
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return signs.explain(code_of(exc), page).code
    return None


async def test_on_the_way_to_the_site(provider, request_for, trouble) -> None:
    """Name, port, certificate, connection, time, network and the site's own answer are told apart."""
    signs, found = Signs(), {}
    urls = {
        "http://no-such-name.invalid/": Code.NAME_NOT_FOUND,
        f"{trouble.closed}/": Code.CONNECTION_REFUSED,
        f"{trouble.tls}/200": Code.TLS_ERROR,
        f"{trouble.site.replace('http', 'https')}/200": Code.TLS_ERROR,
        f"{trouble.site}/drop": Code.SITE_DOWN,
        f"{trouble.site}/hang": Code.SITE_SLOW,
        f"{trouble.site}/loop": Code.SITE_ERROR,
        "http://127.0.0.1:1/": Code.FLOW_ERROR,
        "not an address": Code.FLOW_ERROR,
    }
    async with provider.open(request_for()) as browser:
        signs.watch(browser.context)
        for url in urls:
            page = await browser.fresh_page()
            found[url] = await code_after(signs, page, page.goto(url))
        await browser.context.set_offline(True)
        page = await browser.fresh_page()
        assert await code_after(signs, page, page.goto(f"{trouble.site}/200")) is Code.OFFLINE
    assert found == urls


async def test_on_the_page(provider, request_for, trouble) -> None:
    """What is missing, not unique, not ready, not as expected; and what the site said with the page explains it."""
    from playwright.async_api import expect

    signs, found = Signs(), {}
    acts: dict[str, tuple[Callable[[Any], Awaitable[object]], Code]] = {
        "gone": (lambda page: page.click("#never"), Code.SELECTOR_GONE),
        "fill": (lambda page: page.get_by_label("Code").fill("1"), Code.SELECTOR_GONE),
        "wait": (lambda page: page.wait_for_selector("#never"), Code.SELECTOR_GONE),
        "two": (lambda page: page.locator("button").click(), Code.SELECTOR_GONE),
        "off": (lambda page: page.click("#off"), Code.ELEMENT_NOT_READY),
        "seen": (lambda page: expect(page.locator("#never")).to_be_visible(timeout=200), Code.SELECTOR_GONE),
        "text": (lambda page: expect(page.locator("#off")).to_have_text("yes", timeout=200), Code.POSTCONDITION_FALSE),
        "there": (lambda page: page.wait_for_url("**/elsewhere"), Code.SITE_SLOW),
        "popup": (lambda page: page.wait_for_event("popup"), Code.STEP_TIMEOUT),
        "script": (lambda page: page.evaluate("nope()"), Code.FLOW_ERROR),
        "selector": (lambda page: page.click(">>>["), Code.FLOW_ERROR),
    }
    async with provider.open(request_for()) as browser:
        signs.watch(browser.context)
        page = await browser.page()
        await page.goto(f"{trouble.site}/200")
        for name, (act, _) in acts.items():
            found[name] = await code_after(signs, page, act(page))
        for status, code in ((429, Code.RATE_LIMITED), (503, Code.SITE_ERROR), (404, Code.SELECTOR_GONE)):
            await page.goto(f"{trouble.site}/{status}")
            assert await code_after(signs, page, page.click("#never", timeout=200)) is code
        await page.close()
        assert await code_after(signs, page, page.click("#off")) is Code.PAGE_CLOSED
    assert found == {name: code for name, (_, code) in acts.items()}


@pytest.mark.parametrize(
    ("proxy", "code"),
    [("closed", Code.PROXY_REFUSED), ("refusing", Code.PROXY_REFUSED), ("asking", Code.PROXY_AUTH)],
)
async def test_through_a_proxy(provider, request_for, trouble, proxy, code) -> None:
    """One that is not there, one that does not connect, one that wants another password: over http and https."""
    address = getattr(trouble, proxy).replace("http://", "http://user:secret-word@")
    signs = Signs()
    async with provider.open(request_for(proxy=address)) as browser:
        signs.watch(browser.context)
        # what a proxy answers to plain http may be the site's own answer
        for url in ("https://shop.example/", *(["http://shop.example/"] if proxy != "refusing" else [])):
            page = await browser.fresh_page()

            async def look(page: Any = page, url: str = url) -> None:
                await page.goto(url)
                await page.click("#pay", timeout=200)

            assert await code_after(signs, page, look()) is code


async def test_a_page_that_crashes(provider, request_for, trouble) -> None:
    """Its renderer dies: what the flow misses then is no selector, and it cannot be led elsewhere; a new page is well."""
    signs = Signs()
    async with provider.open(request_for()) as browser:
        signs.watch(browser.context)
        page = await browser.page()
        await page.goto(f"{trouble.site}/200")
        crashed = anyio.Event()
        page.on("crash", lambda _: crashed.set())
        await code_after(signs, page, page.goto("chrome://crash"))
        with anyio.fail_after(10):
            await crashed.wait()
        assert await code_after(signs, page, page.click("#off", timeout=200)) is Code.PAGE_CRASHED
        assert await code_after(signs, page, page.goto(f"{trouble.site}/200")) is Code.PAGE_CRASHED
        fresh = await browser.fresh_page()
        await fresh.goto(f"{trouble.site}/200")
        assert await code_after(signs, fresh, fresh.click("#never", timeout=200)) is Code.SELECTOR_GONE


@pytest.mark.parametrize("driver", [False, True])
async def test_a_browser_that_dies(provider, request_for, driver) -> None:
    """Killed itself, or gone down with its driver."""
    found = []
    with pytest.raises(BrowserError):  # noqa: PT012 - the scope is what is tested
        async with provider.open(request_for()) as browser:
            drivers = [process for process in psutil.Process().children() if "run-driver" in process.cmdline()]
            victim = drivers[-1].pid if driver else browser.pid

            async def die() -> None:
                os.kill(victim, 9)
                await anyio.sleep_forever()

            with anyio.fail_after(20):
                try:
                    await unless_lost(browser, die)
                except BrowserLost as exc:
                    found.append(code_of(exc))
                    raise
    assert found == [Code.DRIVER_LOST if driver else Code.BROWSER_CRASHED]
