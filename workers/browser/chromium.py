"""Opens Chromium, Chrome or Edge with Playwright's persistent context, and ends it, whatever happens.

The driver is a child of this process; the browser is a child of the driver, in a session of its own. So ending is a
sequence with a deadline for each part: the context, the driver, and then whatever is left of the tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from core.errors import BrowserError, BrowserLaunchFailed, BrowserLost, BrowserRefused, CapabilityMismatch
from workers.browser import discover, environment, extensions, process_tree
from workers.browser.ending import Ending
from workers.browser.extensions import Extension
from workers.browser.opened import OpenedBrowser
from workers.browser.options import context_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.browser.port import BrowserRequest

_DRIVER = "OSTLER_DRIVER"
_LEVELDB_LOCK = Path("Default", "Local Storage", "leveldb", "LOCK")
_DRIVER_LIMIT = 20.0
_CAPABILITY_LIMIT = 10.0
_RESTORE_LIMIT = 30.0
_STOP_LIMIT = 2.0
_KILLED_LIMIT = 3.0
_GRACE = 3.0
_END_LIMIT = 5.0
_ARGUMENTS = (
    "--hide-crash-restore-bubble",
    "--password-store=basic",
    "--disable-background-networking",
    "--no-default-browser-check",
)
_LONGEST_REASON = 400


class ChromiumSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider needs to know.

    Attributes:
        state_dir: where browsers are tried and remembered.
        environ: the environment; only what a browser needs of it is passed on.
        browser: executable; None to choose.
        sandbox: None for "on, unless the user is root".
        launch_timeout: seconds that starting may take.
    """

    state_dir: Path
    environ: dict[str, str]
    browser: str | None = None
    sandbox: bool | None = None
    launch_timeout: float = 30.0


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before a browser starts.

    Attributes:
        found: which one it will be.
        installed: the extensions in its data.
        ending: will say how it ended.
    """

    found: discover.Found
    installed: list[Extension]
    ending: Ending


class _Run:
    """One driver and one browser: what is known of them so far, for whoever has to end them."""

    def __init__(self, request: BrowserRequest, plan: _Plan) -> None:
        self.request = request
        self.plan = plan
        self.token = secrets.token_hex(16)
        self.manager = async_playwright()
        self.browser: OpenedBrowser | None = None
        self.context: Any = None
        self.members: set[process_tree.Process] = set()
        self.main: process_tree.Process | None = None
        self.clean = True

    def drivers(self) -> list[process_tree.Process]:
        return process_tree.children_of_this_process_with(_DRIVER, self.token)


class ChromiumProvider:
    """Adapter of ``BrowserProvider``. One at a time may be starting; any number may be open."""

    def __init__(self, settings: ChromiumSettings) -> None:
        self._settings = settings
        self._starting = anyio.Lock()

    @contextlib.asynccontextmanager
    async def open(self, request: BrowserRequest) -> AsyncIterator[OpenedBrowser]:
        """Open; see the port.

        Raises:
            BrowserNotFound, BrowserLaunchFailed, CapabilityMismatch: nothing is left running.
            BrowserLost: at the end, when the scope ended well but the browser did not: its data may not all be on disk.
        """
        run = _Run(request, await asyncio.to_thread(self._plan, request))
        try:
            run.browser = browser = await self._start(run)
            watcher = asyncio.create_task(browser.watch())
            try:
                yield browser
            finally:
                browser.closing = True
                watcher.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({watcher})
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._end(run)
            raise
        with anyio.CancelScope(shield=True):
            left = await self._end(run)
        if left:
            raise BrowserLost(f"processes {sorted(process.pid for process in left)} could not be ended")
        if not run.clean:
            raise BrowserLost("the browser did not close in order: it crashed, or was killed")

    def _plan(self, request: BrowserRequest) -> _Plan:
        settings = self._settings
        for directory in (request.user_data_dir, request.temp_dir, request.downloads_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if request.headed and not environment.has_display(settings.environ):
            raise BrowserRefused(
                settings.browser or "the browser", "there is no display; leave out --headed, or use xvfb-run"
            )
        installed = extensions.installed(request.user_data_dir) if request.extensions else []
        wanted = discover.Wanted(
            state_dir=settings.state_dir,
            environ=settings.environ,
            browser=request.executable or settings.browser,
            headed=request.headed,
            sandbox=settings.sandbox,
            extensions=bool(installed),
        )
        return _Plan(found=discover.discover(wanted), installed=installed, ending=Ending(request.user_data_dir))

    async def _start(self, run: _Run) -> OpenedBrowser:
        request, found, installed = run.request, run.plan.found, run.plan.installed
        env = environment.with_temp_dir(self._settings.environ, request.temp_dir)
        playwright = await self._start_driver(run, env)
        driver = next(iter(await asyncio.to_thread(run.drivers)), None)
        try:
            run.context = context = await playwright.chromium.launch_persistent_context(
                request.user_data_dir,
                executable_path=found.executable,
                headless=not request.headed,
                chromium_sandbox=found.sandbox,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                env=dict(env),
                args=list(_ARGUMENTS),
                # Playwright's own habit; left out only where there are any, it would slow every start down
                ignore_default_args=["--disable-extensions"] if installed else None,
                accept_downloads=True,
                downloads_path=request.downloads_dir,
                timeout=self._settings.launch_timeout * 1000,
                **context_options(request, playwright.devices, found.version),
            )
        except PlaywrightError as exc:
            reason = _reason(exc.message)
            refused = reason in (discover.ROOT_FIX, discover.SANDBOX_FIX)
            raise (BrowserRefused if refused else BrowserLaunchFailed)(found.executable, reason) from None
        run.main = main = await self._check_capability(request.user_data_dir)
        run.members = await asyncio.to_thread(process_tree.of_browser, request.user_data_dir)
        context.set_default_timeout(request.action_timeout * 1000)
        version = context.browser.version if context.browser is not None else found.version
        idle = [extension.name for extension in installed if found.headless_shell or not extension.is_there]
        browser = OpenedBrowser(
            context,
            found.name,
            version,
            executable=found.executable,
            main=main,
            driver=driver,
            idle_extensions=tuple(idle),
        )
        await self._restore(request, context)
        return browser

    async def _start_driver(self, run: _Run, env: dict[str, str]) -> Any:
        async with self._starting:
            # shielded: a driver that nobody knows of could not be ended
            with environment.replaced(env | {_DRIVER: run.token}):
                try:
                    with anyio.fail_after(_DRIVER_LIMIT, shield=True):
                        return await run.manager.start()
                except TimeoutError:
                    raise BrowserRefused("Playwright's driver", f"no answer in {_DRIVER_LIMIT:g} s") from None
                except (PlaywrightError, OSError) as exc:
                    raise BrowserRefused("Playwright's driver", _reason(str(exc))) from exc

    async def _check_capability(self, user_data_dir: Path) -> process_tree.Process | None:
        """Return the main process, once it is seen to hold the local storage of our workspace; None where it cannot be seen."""
        main: process_tree.Process | None = None
        with anyio.move_on_after(_CAPABILITY_LIMIT):
            while True:
                if not process_tree.is_known():
                    if (user_data_dir / _LEVELDB_LOCK).exists():
                        return None
                else:
                    main = await asyncio.to_thread(process_tree.main_process, user_data_dir)
                    if main is not None:
                        files = await asyncio.to_thread(process_tree.open_files, main, user_data_dir)
                        if _LEVELDB_LOCK in files:
                            return main
                await anyio.sleep(0.05)
        reason = "no process holds files in it" if main is None else f"{_LEVELDB_LOCK} is not held by pid {main.pid}"
        raise CapabilityMismatch(user_data_dir, reason)

    async def _restore(self, request: BrowserRequest, context: Any) -> None:
        try:
            with anyio.fail_after(_RESTORE_LIMIT):
                if request.restore is not None:
                    state = {"cookies": request.restore.cookies, "origins": request.restore.origins}
                    await context.set_storage_state(state)
                if request.add_cookies:
                    await context.add_cookies(list(request.add_cookies))
        except TimeoutError:
            raise BrowserLost(f"the login state could not be put in place within {_RESTORE_LIMIT:g} s") from None
        except PlaywrightError as exc:
            # Playwright's text may quote what it was given, and that is a login
            raise BrowserError(f"the login state could not be put in place ({type(exc).__name__})") from None

    async def _end(self, run: _Run) -> set[process_tree.Process]:
        """End the context, the driver and the tree, each within its time; return what is left, normally nothing."""
        request = run.request
        members = await asyncio.to_thread(process_tree.of_browser, request.user_data_dir, run.members)
        went = run.browser is not None and run.browser.lost.is_set()
        if went:
            # it still writes what it has, and a driver that is told to end would kill it
            outlasting = partial(process_tree.outlasting, request.user_data_dir, members)
            wait = outlasting if process_tree.is_known() else run.plan.ending.wait
            await asyncio.to_thread(wait, request.close_timeout)
        drivers = await asyncio.to_thread(run.drivers)
        closed = driver_killed = False
        if run.context is not None:
            closed = await _finishes(run.context.close(), request.close_timeout)
        if drivers or run.context is not None or not process_tree.is_known():
            # also where the driver died: what waits for it in this process has to end
            stop = asyncio.ensure_future(run.manager.__aexit__(None, None, None))
            await asyncio.wait({stop}, timeout=_STOP_LIMIT)
            for driver in await asyncio.to_thread(run.drivers):
                process_tree.kill(driver)
                driver_killed = True
            await asyncio.wait({stop}, timeout=_KILLED_LIMIT)
            await _settle(stop)
        # a browser that lost its driver's pipe closes by itself, and well; a driver that still answers kills one that does
        # not close in time, and what it had not written is lost
        left, killed = await asyncio.to_thread(
            process_tree.end, request.user_data_dir, members, grace=_GRACE, limit=_END_LIMIT
        )
        run.clean = closed or (driver_killed and run.main not in killed)
        if went:
            run.clean = await asyncio.to_thread(run.plan.ending.was_in_order)
        return left


async def _finishes(call: Any, seconds: float) -> bool:
    """Whether a call ends well within this time."""
    task = asyncio.ensure_future(call)
    await asyncio.wait({task}, timeout=seconds)
    in_time = task.done()
    await _settle(task)
    return in_time and not task.cancelled() and task.exception() is None


async def _settle(task: asyncio.Future[Any]) -> None:
    """Bring a task to its end and take its exception, which asyncio would report as never retrieved."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
    if task.done() and not task.cancelled():
        task.exception()


def _reason(message: str) -> str:
    """Return the line of Playwright's long explanation that says why."""
    lowered = message.lower()
    if "without --no-sandbox is not supported" in lowered:
        return discover.ROOT_FIX
    if any(sign in lowered for sign in discover.SIGNS_OF_SANDBOX):
        return discover.SANDBOX_FIX
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = [line.partition("[err]")[2].strip() for line in lines if "[err]" in line and "dbus" not in line]
    return "; ".join([*lines[:1], *said[-1:]])[:_LONGEST_REASON]
