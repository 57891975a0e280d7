"""What a browser must offer; the adapters are in ``workers/browser``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from core.state.port import LoginState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    import anyio


class BrowserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How to open a browser.

    Attributes:
        user_data_dir: the workspace's, ours alone.
        temp_dir: TMPDIR of the browser and its driver.
        restore: login state to put in place before the first page; wipes the origins it names.
        add_cookies: cookies to add before the first page; harmless.
        device: desktop or mobile.
        device_descriptor: Playwright's name of a device, as ``Pixel 7``; None: that of the device class.
        viewport: width and height of a page, in CSS pixels; None: the device's, or the window's.
        color_scheme: light, dark or no-preference.
        extra_headers: sent with every request; their values may be secrets.
        proxy: URL; its password is a secret.
        locale: as ``de-DE``.
        timezone: as ``Europe/Berlin``.
        headed: show it.
        action_timeout: seconds; Playwright's own.
        close_timeout: seconds a clean close may take.
        downloads_dir: where downloads go first.
        executable: this very browser; None: the provider chooses.
        extensions: run those that are installed in the data.
    """

    user_data_dir: Path
    temp_dir: Path
    downloads_dir: Path
    restore: LoginState | None = None
    add_cookies: tuple[dict[str, Any], ...] = ()
    device: str = "desktop"
    device_descriptor: str | None = None
    viewport: tuple[int, int] | None = None
    color_scheme: str | None = None
    extra_headers: dict[str, str] = {}
    proxy: str | None = None
    locale: str | None = None
    timezone: str | None = None
    headed: bool = False
    action_timeout: float = 10.0
    close_timeout: float = 5.0
    executable: str | None = None
    extensions: bool = True


class OpenBrowser(Protocol):
    """A browser that runs, in our workspace, verified to do so."""

    @property
    def name(self) -> str:
        """As ``Chromium`` or ``Google Chrome``."""
        ...

    @property
    def version(self) -> str:
        """As ``156.0.8078.73``."""
        ...

    @property
    def executable(self) -> str:
        """What was started."""
        ...

    @property
    def pid(self) -> int | None:
        """The main process, where it can be known."""
        ...

    @property
    def idle_extensions(self) -> tuple[str, ...]:
        """Names of the extensions in its data that it does not run: it cannot, or their files are not there."""
        ...

    @property
    def context(self) -> Any:
        """Playwright's ``BrowserContext``."""
        ...

    @property
    def lost(self) -> anyio.Event:
        """Set when the browser or its driver goes while it should live: it died, or a person closed its last window."""
        ...

    @property
    def driver_died(self) -> bool:
        """Whether it was lost because its driver died."""
        ...

    async def page(self) -> Any:
        """Return the page that is in front, or a new one."""
        ...

    async def fresh_page(self) -> Any:
        """Return a new page and close the others: after a step that hung.

        Raises:
            BrowserLost: there is no answer in time.
        """
        ...

    async def stand_at(self, origins: Sequence[str], seconds: float) -> list[str]:
        """Open a page at each origin without asking the network, for an export; return those it could not be done for in time."""
        ...

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies, in milliseconds.

        Raises:
            BrowserLost: there is no answer in time.
        """
        ...

    async def export(self, level: str, previous: LoginState | None, now: float) -> LoginState:
        """Export the login state at ``cookies`` or ``storage`` level, merged by origin with ``previous``.

        Raises:
            BrowserLost: there is no answer in time.
        """
        ...


class BrowserProvider(Protocol):
    """Opens a browser for a workspace. Law: leaving the context closes the browser cleanly within ``close_timeout``, ends
    the driver, and kills what is left of the tree; also when the scope is cancelled. A browser that went by itself in order
    counts as closed; one that did not is a loss.
    """

    def open(self, request: BrowserRequest) -> AbstractAsyncContextManager[OpenBrowser]:
        """Open.

        Raises:
            BrowserNotFound, BrowserRefused: the host's fault, not that of the browser data.
            BrowserLaunchFailed, CapabilityMismatch.
            BrowserLost: at the end, when the scope ended well and the browser did not: its data may not all be on disk.
        """
        ...
