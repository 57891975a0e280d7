"""A person's visit to a profile: its browser, shown, and no flow.

The same handshake, lock and workspace as a run's; the profile's own data is not touched while the browser runs. Once the
person has closed the last window, or whoever started this asks for the end, the order is: the browser closes → the whole
login state is exported and made durable → the browser data becomes the profile's → its metadata count both as of one age.
Whatever is cut off before leaves the profile as it was, and its own workspace to whoever comes next.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from core.domain.messages import BrowserClosed, BrowserStarted, Visit
from core.domain.outcome import Done, Outcome
from core.errors import BrowserError, BrowserLost, BrowserNotFound, BrowserRefused
from core.profiles.port import ProfileMetadata, timestamp
from workers.browse import save_metadata
from workers.failure import Stopped, reason_of
from workers.login_watch import LoginWatch, sites_of
from workers.opening import browser_request, introduce, say_idle_extensions, say_workspace
from workers.restore import Found, Held, files_of, learn_settings, record_of
from workers.runner import Run

if TYPE_CHECKING:
    from typing import Any

    from core.browser.port import OpenBrowser
    from core.domain.messages import Hello
    from core.domain.model import ProcessStamp
    from core.workspaces.port import Workspace
    from workers.runner import Ports

_CLONE_LIMIT = 600.0
_LAUNCH_MARGIN = 60.0
_SAVE_LIMIT = 600.0


async def visit(hello: Hello, ports: Ports, stamp: ProcessStamp) -> Outcome:
    """Open the profile's browser for a person, report how it ended, and return the same.

    Args:
        hello: whose profile, and in ``settings.visit`` what is wanted.
        ports: what it acts through.
        stamp: this very process.
    """
    return await PersonsVisit(hello, ports, hello.settings.visit or Visit()).reported(stamp)


class PersonsVisit(Run):
    """One visit under way."""

    def __init__(self, hello: Hello, ports: Ports, wanted: Visit) -> None:
        super().__init__(hello, ports)
        self._what = "ostler profile open"
        self._wanted = wanted

    async def _pipeline(self, found: Found) -> Outcome:
        spaces, template = self._ports.workspaces, self._hello.job.template
        source = Path(template) if template else None
        self._reporter.enter("restore")
        held = self._held(found)
        self._reporter.enter("clone", _CLONE_LIMIT)
        make = spaces.acquire if self._wanted.save else spaces.throwaway
        workspace = await anyio.to_thread.run_sync(partial(make, self._profile_id, held.record.fence, template=source))
        # from here on a stop is a wish to end well
        with anyio.CancelScope(shield=True):
            if self._wanted.save:
                await self._and_save(held, workspace, source)
            else:
                await self._and_forget(held, workspace)
        self._reporter.enter("report")
        return Done()

    def _held(self, found: Found) -> Held:
        profiles = self._ports.profiles
        if self._wanted.save:
            metadata = profiles.ensure(self._profile_id, self._ports.clock.now())
        else:
            metadata = profiles.read(self._profile_id) or ProfileMetadata(profile_id=self._profile_id)
        record = record_of(self._hello, self._ports, self._reporter, found)
        learn_settings(self._reporter, metadata, metadata.proxy)
        if metadata.last_error is not None:
            self._reporter.note("last_time", phase=metadata.error_phase, reason=metadata.last_error)
        return Held(hello=self._hello, metadata=metadata, record=record, proxy=metadata.proxy)

    def _ended_by(self, error: Exception) -> Outcome:
        # the session's status is that of its job, and stays; only the profile is told
        outcome = super()._ended_by(error)
        if self._wanted.save:
            self._note_failure(outcome)
        return outcome

    # --- the two kinds -----------------------------------------------------------------------------------------------

    async def _and_save(self, held: Held, workspace: Workspace, template: Path | None) -> None:
        self._take_in(held, workspace)
        self._raise_if_stopped()
        watch = LoginWatch(held, self._ports, self._reporter)
        self._reporter.enter("launch", held.hello.settings.launch_timeout + _LAUNCH_MARGIN)
        try:
            async with AsyncExitStack() as stack:
                browser, workspace = await self._opened(stack, held, workspace, template)
                await introduce(held, self._ports.workspaces, self._reporter, browser, workspace)
                watch.listen(browser.context)
                await self._shown(browser, held, watch)
                if not browser.lost.is_set():
                    await watch.look(browser)
        except BrowserLost as exc:
            next_ = "the next run, or `ostler profile open`, goes on from what it had"
            raise BrowserLost(f"{exc}; nothing was saved: {next_}") from exc
        self._reporter.send(BrowserClosed())
        self._reporter.enter("save", _SAVE_LIMIT)
        login = await watch.complete(workspace, browser.executable)
        watch.keep(login)
        saved = await anyio.to_thread.run_sync(partial(self._ports.workspaces.save_back, workspace))
        if watch.has_changed:
            # somebody logged in, or out: the next run's check finds out
            held.metadata.login_state = "unknown"
        save_metadata(held, self._ports)
        self._reporter.note("saved", files=saved.files, bytes=saved.bytes, sites=len(sites_of(login)))

    async def _and_forget(self, held: Held, workspace: Workspace) -> None:
        say_workspace(self._reporter, workspace)
        try:
            self._raise_if_stopped()
            self._reporter.enter("launch", held.hello.settings.launch_timeout + _LAUNCH_MARGIN)
            async with AsyncExitStack() as stack:
                browser = await self._started(stack, held, workspace)
                self._reporter.send(BrowserStarted(name=browser.name, version=browser.version, pid=browser.pid))
                say_idle_extensions(self._reporter, browser)
                await self._shown(browser, held, None)
            self._reporter.send(BrowserClosed())
        finally:
            await anyio.to_thread.run_sync(partial(self._ports.workspaces.discard, workspace))
        self._reporter.note("not_saved")

    def _raise_if_stopped(self) -> None:
        # it came while the data was copied, which nothing cuts off
        if self._stop.is_set():
            raise Stopped(self._stop_reason)

    # --- the browser -------------------------------------------------------------------------------------------------

    async def _opened(
        self, stack: AsyncExitStack, held: Held, workspace: Workspace, template: Path | None
    ) -> tuple[OpenBrowser, Workspace]:
        """Open a browser in the workspace, or, where none starts in it, in a new copy."""
        try:
            return await self._started(stack, held, workspace), workspace
        except (BrowserNotFound, BrowserRefused):
            # a new copy would not help
            raise
        except BrowserError as exc:
            self._reporter.note("workspace_rebuilt", reason=str(exc))
            rebuild = partial(self._ports.workspaces.rebuild, workspace, template=template)
            workspace = await anyio.to_thread.run_sync(rebuild)
            return await self._started(stack, held, workspace), workspace

    async def _started(self, stack: AsyncExitStack, held: Held, workspace: Workspace) -> OpenBrowser:
        request = browser_request(held, workspace)
        browser = await stack.enter_async_context(self._ports.browsers.open(request))
        if request.restore is not None:
            self._reporter.note("login_state_put_back", exported_at=timestamp(request.restore.exported_at))
        return browser

    async def _shown(self, browser: OpenBrowser, held: Held, watch: LoginWatch | None) -> None:
        """Leave the browser to the person, until they have closed it or somebody asks for the end."""
        context = browser.context
        # Playwright answers dialogs that nobody listens for, before the person can
        context.on("dialog", lambda _dialog: None)
        self._reporter.enter("visit")
        self._reporter.note("shown", hint="close the browser's last window when you are done")
        async with anyio.create_task_group() as group:

            def keep(download: Any) -> None:
                group.start_soon(self._keep, download, held)

            context.on("download", keep)
            url = self._wanted.url or held.metadata.start_url
            if url is not None:
                group.start_soon(self._go, browser, url)
            if watch is not None:
                group.start_soon(watch.follow, browser)
                group.start_soon(watch.glance, browser)
            await _first_of(browser.lost, self._stop)
            context.remove_listener("download", keep)
            group.cancel_scope.cancel()

    async def _go(self, browser: OpenBrowser, url: str) -> None:
        try:
            await (await browser.page()).goto(url)
        except Exception as exc:  # noqa: BLE001 - the page says it, too, and the person can type another address
            self._reporter.note("start_page_failed", reason=reason_of(exc, self._reporter.secrets.mask))

    async def _keep(self, download: Any, held: Held) -> None:
        """Keep what the person downloads; the browser's own copy goes with the workspace."""
        files = files_of(self._hello, self._ports, held.record, held.metadata)
        try:
            kept = await files.settle(download)
        except Exception as exc:  # noqa: BLE001 - cancelled by the person, a full disk: the visit goes on
            self._reporter.note("download_not_kept", reason=reason_of(exc, self._reporter.secrets.mask))
        else:
            self._reporter.note("download_kept", file=str(kept))


async def _first_of(*events: anyio.Event) -> None:
    """Wait until one of the events is set."""
    async with anyio.create_task_group() as group:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            group.cancel_scope.cancel()

        for event in events:
            group.start_soon(wait, event)
