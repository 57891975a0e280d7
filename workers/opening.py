"""Opening a browser for somebody who holds a profile: how it is asked for, and what is done first once it is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from core.browser.port import BrowserRequest
from core.domain.messages import BrowserStarted
from workers.steps.local_storage import put_back

if TYPE_CHECKING:
    from core.browser.port import OpenBrowser
    from core.state.port import LoginState
    from core.workspaces.port import Workspace, Workspaces
    from workers.report import Reporter
    from workers.restore import Held


def say_workspace(reporter: Reporter, workspace: Workspace) -> None:
    """Say where the browser data comes from."""
    receipt = workspace.receipt
    reporter.note(
        "workspace_ready",
        source=receipt.source,
        rebuilt=workspace.rebuilt,
        files=receipt.files,
        unreadable=len(receipt.unreadable),
    )
    if receipt.keyring_cookies:
        hint = "the template's logins are encrypted by its desktop's keyring: log in once more"
        reporter.note("keyring_cookies_lost", cookies=receipt.keyring_cookies, hint=hint)


def browser_request(held: Held, workspace: Workspace, *, doubts_login: bool = False) -> BrowserRequest:
    """Say how to open the browser, and with which login state.

    The cases: the profile's browser data is newer than the login state (it could not be exported when somebody logged in by
    hand) → nothing is added; the workspace was rebuilt from data older than the last commit → the login state is restored,
    which wipes what else its origins had; else (the crashed attempt's own, or data as old as the login state) → cookies are
    added. Data as old as the login state in which the flow's check found no login is restored into, too.

    Args:
        held: whose browser it is.
        workspace: what it runs in.
        doubts_login: the flow's check found no login in data that should have had it.
    """
    login, metadata, settings = held.record.login, held.metadata, held.hello.settings
    restored: LoginState | None = None
    cookies: tuple[dict[str, Any], ...] = ()
    # an empty one is that of a new profile: restored into a template's data, it would wipe that
    if login is not None and not login.is_empty and held.login_counts:
        # what cannot be exported would be wiped: then the copy of what was saved last has to do
        doubted = doubts_login and not login.unexportable
        as_saved = workspace.receipt.source == "profile" and not held.unsaved
        if workspace.rebuilt and (doubted or not as_saved):
            restored = login
        else:
            cookies = tuple(login.cookies)
    asked = held.hello.job.device
    return BrowserRequest(
        user_data_dir=workspace.user_data_dir,
        temp_dir=workspace.temp_dir,
        downloads_dir=workspace.temp_dir / "downloads",
        restore=restored,
        add_cookies=cookies,
        device=held.record.session.platform,
        # a job that asks for the other class of devices does not want this one
        device_descriptor=metadata.device_descriptor if asked in (None, metadata.device) else None,
        viewport=None if metadata.viewport is None else (metadata.viewport.width, metadata.viewport.height),
        color_scheme=metadata.color_scheme,
        extra_headers=metadata.extra_headers,
        proxy=held.proxy,
        locale=metadata.locale,
        timezone=metadata.timezone,
        headed=settings.headed,
        action_timeout=settings.action_timeout,
        close_timeout=settings.close_timeout,
    )


async def introduce(
    held: Held, workspaces: Workspaces, reporter: Reporter, browser: OpenBrowser, workspace: Workspace
) -> None:
    """Record that this browser runs in the workspace, say so, and put back what a crashed one had not yet written.

    Raises:
        WorkspaceError: an older or foreign browser on this data.
    """
    await anyio.to_thread.run_sync(partial(workspaces.mark_in_use, workspace, browser.name, browser.version))
    reporter.send(BrowserStarted(name=browser.name, version=browser.version, pid=browser.pid))
    say_idle_extensions(reporter, browser)
    held.metadata.browser, held.metadata.browser_version = browser.name, browser.version
    login = held.record.login
    if login is None or workspace.receipt.source != "crashed" or workspace.rebuilt or not held.login_counts:
        return
    left = await put_back(browser.context, login.origins)
    if left:
        reporter.note("local_storage_not_put_back", origins=left)


def say_idle_extensions(reporter: Reporter, browser: OpenBrowser) -> None:
    """Say which extensions of the profile do not run."""
    if browser.idle_extensions:
        hint = "a headless shell runs none: install chromium; or their files are gone"
        reporter.note("extensions_not_run", extensions=list(browser.idle_extensions), hint=hint)
