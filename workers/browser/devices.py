"""The devices that Playwright can be, as far as the browsers here can honestly be them: those that run Chromium."""

from __future__ import annotations

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from core.errors import BrowserRefused


def chromium_devices() -> dict[str, bool]:
    """Return the names, and whether each is a mobile device. Starts Playwright's driver, which knows them: half a second.

    Raises:
        BrowserRefused: the driver does not start.
    """
    try:
        with sync_playwright() as playwright:
            devices = playwright.devices
    except (PlaywrightError, OSError) as exc:
        raise BrowserRefused("Playwright's driver", str(exc)) from exc
    return {
        name: bool(device["is_mobile"])
        for name, device in devices.items()
        if device["default_browser_type"] == "chromium"
    }
