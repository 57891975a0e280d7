"""A real browser: what survives its death, and that nothing is left of it, however it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import time
import warnings
from pathlib import Path

import anyio
import pytest

from core.browser.port import BrowserRequest
from core.errors import BrowserError, BrowserLaunchFailed, BrowserLost
from tests.children import site
from workers.browser import discover, process_tree
from workers.browser.chromium import ChromiumProvider, ChromiumSettings

pytestmark = pytest.mark.browser


@pytest.fixture
def origin():
    with site.serving() as origin:
        yield origin


@pytest.fixture
def provider(state_dir: Path, browser_executable: str) -> ChromiumProvider:
    environ = dict(os.environ) | {"OSTLER_TEST_CANARY": "secret-in-environment"}
    return ChromiumProvider(ChromiumSettings(state_dir=state_dir, environ=environ, browser=browser_executable))


@pytest.fixture
def request_for(tmp_path: Path):
    """Build a request for a fresh user-data-dir; the temporary directory's path is short, as a workspace's is."""

    def build(name: str = "a", **fields) -> BrowserRequest:
        temp_dir = Path("/tmp") / f"ostler-t-{os.getpid()}"
        made.add(temp_dir)
        root = tmp_path / name
        return BrowserRequest(
            user_data_dir=root / "user-data", temp_dir=temp_dir, downloads_dir=root / "downloads", **fields
        )

    made: set[Path] = set()
    yield build
    for path in made:
        # what the driver and the browser put here, they also removed
        assert not path.exists() or not list(path.iterdir())
        path.rmdir()


@pytest.fixture(autouse=True)
def _quiet_pipes():
    """Let the collector close what a killed driver left half read; only here, and only those warnings."""
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="unclosed", category=ResourceWarning)
        gc.collect()


def _processes(request: BrowserRequest) -> set[process_tree.Process]:
    return process_tree.of_browser(request.user_data_dir)


async def _settled(condition, seconds: float = 10.0) -> None:
    with anyio.fail_after(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_login_survives_the_death_of_the_browser_right_after_the_export(provider, request_for, origin):
    """SIGKILL directly after the export: a rebuilt workspace with the exported state is logged in."""
    first = request_for("first")
    with pytest.raises(BrowserLost, match="as the runner says"):  # noqa: PT012 - the scope is what is tested
        async with provider.open(first) as browser:
            page = await browser.page()
            await page.goto(f"{origin}/login")
            state = await browser.export("cookies", None, 1.0)
            os.kill(browser.pid, signal.SIGKILL)
            with anyio.fail_after(10):
                await browser.lost.wait()
            raise BrowserLost("as the runner says")
    assert _processes(first) == set()
    _empty(first.temp_dir)
    assert {cookie["name"] for cookie in state.cookies} == {"sid", "tab"}
    async with provider.open(request_for("second", restore=state)) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        assert "sid=persistent" in await page.locator("#who").inner_text()
        assert "tab=session" in await page.locator("#who").inner_text()
        assert await page.evaluate("localStorage.getItem('token')") == "stored"


async def test_session_cookies_are_added_to_data_that_was_closed_cleanly(provider, request_for, origin):
    """A clean close drops session cookies; added again, they are there, and storage was never touched."""
    request = request_for("same")
    async with provider.open(request) as browser:
        await (await browser.page()).goto(f"{origin}/login")
        state = await browser.export("cookies", None, 1.0)
    async with provider.open(request_for("same")) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        assert await page.locator("#who").inner_text() == "sid=persistent"
    async with provider.open(request_for("same", add_cookies=tuple(state.cookies))) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        assert "tab=session" in await page.locator("#who").inner_text()
        assert await page.evaluate("localStorage.getItem('token')") == "stored"


async def test_the_storage_level_carries_indexeddb_and_names_what_it_cannot(provider, request_for, origin):
    """IndexedDB goes with the export; a key that cannot be exported is named."""
    async with provider.open(request_for()) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/login")
        await page.evaluate("""async () => {
            const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 128 }, false, ['encrypt']);
            await new Promise(resolve => {
                const request = indexedDB.open('auth', 1);
                request.onupgradeneeded = () => {
                    request.result.createObjectStore('plain'); request.result.createObjectStore('keys');
                };
                request.onsuccess = () => {
                    const change = request.result.transaction(['plain', 'keys'], 'readwrite');
                    change.objectStore('plain').put({ user: 'anna' }, 1);
                    change.objectStore('keys').put({ key }, 1);
                    change.oncomplete = () => { request.result.close(); resolve(); };
                };
            });
        }""")
        state = await browser.export("storage", None, 2.0)
    assert state.unexportable == (f"{origin} auth/keys",)
    databases = state.origins[0]["indexedDB"]
    assert "anna" in str(databases)
    async with provider.open(request_for("b", restore=state)) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        user = await page.evaluate("""() => new Promise(resolve => {
            indexedDB.open('auth').onsuccess = event => {
                event.target.result.transaction('plain').objectStore('plain').get(1).onsuccess =
                    found => resolve(found.target.result.user);
            };
        })""")
        assert user == "anna"


async def test_a_frozen_driver_is_killed_with_all_it_started(provider, request_for, origin):
    """A driver under SIGSTOP answers nothing; leaving the context ends it, and the browser with it."""
    request = request_for(close_timeout=2.0)
    async with provider.open(request) as browser:
        driver = next(process for process in browser._watched if process.pid != browser.pid)
        began = time.monotonic()
        os.kill(driver.pid, signal.SIGSTOP)
    assert time.monotonic() - began < 25
    assert _processes(request) == set()
    assert not process_tree.is_alive(driver)
    _empty(request.temp_dir)


async def test_a_frozen_browser_is_killed(provider, request_for):
    """A browser under SIGSTOP cannot close itself; it is gone afterwards all the same."""
    request = request_for(close_timeout=1.0)
    with pytest.raises(BrowserLost, match="killed"):  # noqa: PT012 - the scope is what is tested
        async with provider.open(request) as browser:
            for process in _processes(request):
                os.kill(process.pid, signal.SIGSTOP)
    assert _processes(request) == set()
    assert not process_tree.is_alive(browser._main)
    _empty(request.temp_dir)


async def test_the_death_of_the_driver_is_noticed(provider, request_for):
    """A driver that is killed takes its browser with it: ``lost`` is set, a call raises, nothing is left."""
    request = request_for()
    with pytest.raises(BrowserError):  # noqa: PT012 - the scope is what is tested
        async with provider.open(request) as browser:
            driver = next(process for process in browser._watched if process.pid != browser.pid)
            os.kill(driver.pid, signal.SIGKILL)
            with anyio.fail_after(10):
                await browser.lost.wait()
            await browser.export("cookies", None, 1.0)
    assert _processes(request) == set()
    _empty(request.temp_dir)


async def test_a_cancelled_scope_still_closes_the_browser(provider, request_for):
    """Cancellation in the middle of the work: the browser and its driver are gone when the scope is left."""
    request = request_for()
    async with anyio.create_task_group() as group:

        async def work() -> None:
            async with provider.open(request):
                group.cancel_scope.cancel()
                await anyio.sleep_forever()

        group.start_soon(work)
    assert _processes(request) == set()
    assert not any(_driver_arguments())


async def test_cancellation_while_starting_leaves_nothing(provider, request_for):
    """A stop that comes while the driver or the browser is starting leaves neither."""
    for moment in (0.05, 0.4, 0.7):
        request = request_for(f"at-{moment}")
        with anyio.move_on_after(moment):
            async with provider.open(request):
                await anyio.sleep_forever()
        assert _processes(request) == set()
        assert not any(_driver_arguments())
        _empty(request.temp_dir)


async def test_the_browser_and_its_driver_see_no_secrets_and_use_the_temp_dir(provider, request_for):
    """Of our environment they get what they need; TMPDIR is the workspace's; our own environment is as before."""
    before = dict(os.environ)
    request = request_for()
    async with provider.open(request) as browser:
        assert dict(os.environ) == before
        for process in browser._watched:
            environ = process_tree._read(process.pid, "environ")
            assert b"secret-in-environment" not in environ
            assert f"TMPDIR={request.temp_dir}".encode() in environ.split(b"\0")
        # where the driver puts its own files
        assert list(request.temp_dir.iterdir())


async def test_a_mobile_profile_says_so_honestly(provider, request_for, origin):
    """Device, locale and time zone are the profile's; the version in the user agent is the browser's own."""
    request = request_for(device="mobile", locale="de-DE", timezone="Europe/Berlin")
    async with provider.open(request) as browser:
        page = await browser.page()
        await page.goto(f"{origin}/whoami")
        agent = await page.evaluate("navigator.userAgent")
        assert "Mobile" in agent
        assert f"Chrome/{browser.version.partition('.')[0]}.0.0.0" in agent
        assert await page.evaluate("navigator.language") == "de-DE"
        assert await page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "Europe/Berlin"


async def test_storage_is_read_without_asking_the_site_or_its_service_worker(provider, request_for):
    """The site is down and its worker would answer: the pages that are stood at are ours, and show what is stored."""
    with site.serving() as origin:
        async with provider.open(request_for("same")) as browser:
            page = await browser.page()
            await page.goto(f"{origin}/app")
            await page.wait_for_function("document.title === 'ready'")
            await page.goto(f"{origin}/anything")
            assert await page.locator("p").inner_text() == "by the worker"
    async with provider.open(request_for("same")) as browser:
        assert await browser.stand_at([origin, "http://nowhere.invalid:1"], 20) == []
        assert [await page.locator("p").count() for page in browser.context.pages] == [0, 0, 0]
        state = await browser.export("storage", None, 1.0)
    (kept,) = state.origins
    assert (kept["origin"], kept["localStorage"]) == (origin, [{"name": "token", "value": "stored"}])


async def test_a_browser_that_is_gone_is_at_no_origin(provider, request_for):
    """Every one of them is named."""
    async with provider.open(request_for()) as browser:
        pass
    assert await browser.stand_at(["http://a.localhost", "http://b.localhost"], 20) == [
        "http://a.localhost",
        "http://b.localhost",
    ]


async def test_a_profiles_settings_reach_its_pages(provider, request_for, origin):
    """The size of a page, the colour scheme and the extra headers are the profile's."""
    request = request_for(viewport=(640, 360), color_scheme="dark", extra_headers={"X-Desk": "support"})
    async with provider.open(request) as browser:
        page = await browser.page()
        async with page.expect_request(f"{origin}/whoami") as asked:
            await page.goto(f"{origin}/whoami")
        assert (await (await asked.value).all_headers())["x-desk"] == "support"
        assert await page.evaluate("[innerWidth, innerHeight]") == [640, 360]
        assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


async def test_a_browser_that_is_none_is_named(state_dir: Path, request_for):
    """An executable that is no browser is refused before the driver is started."""
    provider = ChromiumProvider(ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser="/bin/true"))
    with pytest.raises(BrowserLaunchFailed, match="bin/true did not start"):
        async with provider.open(request_for()):
            pass


def test_a_browser_is_found_also_where_paths_are_long(tmp_path: Path):
    """A state directory far down does not break the trial launch; what is found is remembered, and nothing else is left."""
    state_dir = tmp_path / ("deep-" * 20)
    wanted = discover.Wanted(state_dir=state_dir, environ=dict(os.environ), headed=shutil.which("chromium") is not None)
    found = discover.discover(wanted)
    assert found.version
    assert discover.discover(wanted) == found
    assert [path.name for path in state_dir.iterdir()] == [discover.MEMORY]


def _driver_arguments() -> list[bytes]:
    own = [process for process in process_tree._all() if process.parent == os.getpid()]
    return [line for process in own if b"run-driver" in (line := process_tree._read(process.pid, "cmdline"))]


def _empty(temp_dir: Path) -> None:
    """Remove what a killed browser could not remove; in a run, the workspace does it."""
    for path in temp_dir.iterdir():
        shutil.rmtree(path)
