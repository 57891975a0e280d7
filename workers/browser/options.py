"""What makes a browser the profile's, as options of Playwright's: the device, language, time zone, proxy. Nothing pretends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from core.errors import BrowserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.browser.port import BrowserRequest

_MOBILE = "Pixel 7"
_KIND = "default_browser_type"


def context_options(request: BrowserRequest, devices: Mapping[str, Mapping[str, Any]], version: str) -> dict[str, Any]:
    """Return the options of a persistent context.

    Args:
        request: whose settings.
        devices: Playwright's, by name.
        version: the browser's own; empty where it is not known.

    Raises:
        BrowserError: a setting cannot be used; says which.
    """
    options: dict[str, Any] = {}
    name = request.device_descriptor or (_MOBILE if request.device == "mobile" else None)
    if name is not None:
        options |= _device(name, devices, version)
    elif request.headed:
        options["no_viewport"] = True
    if request.viewport is not None:
        width, height = request.viewport
        options.pop("no_viewport", None)
        options["viewport"] = {"width": width, "height": height}
    if request.locale:
        options["locale"] = request.locale
    if request.timezone:
        options["timezone_id"] = request.timezone
    if request.color_scheme:
        options["color_scheme"] = request.color_scheme
    if request.extra_headers:
        options["extra_http_headers"] = dict(request.extra_headers)
    if request.proxy:
        options["proxy"] = proxy_settings(request.proxy)
    return options


def _device(name: str, devices: Mapping[str, Mapping[str, Any]], version: str) -> dict[str, Any]:
    found = devices.get(name)
    if found is None or found.get(_KIND) != "chromium":
        # a Safari's or Firefox's user agent in a Chromium would be a pretence
        why = "Playwright knows no such device" if found is None else "that device has another browser"
        raise BrowserError(f"device_descriptor {name!r}: {why}; use one like {_MOBILE!r}")
    options = {option: value for option, value in found.items() if option != _KIND}
    if version:
        # the descriptor's user agent names the version that Playwright was built for, not the one that runs
        major = version.partition(".")[0]
        options["user_agent"] = re.sub(r"Chrome/[\d.]+", f"Chrome/{major}.0.0.0", options["user_agent"])
    return options


def proxy_settings(url: str) -> dict[str, str]:
    """Return a proxy's URL as Playwright wants it: the credentials apart from the server, so that they are in no argv.

    Raises:
        BrowserError: not a URL with a host; the message does not quote it.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1:
        raise BrowserError("the proxy is not a URL like http://user:password@host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    settings = {"server": f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")}
    if parts.username:
        settings["username"] = unquote(parts.username)
    if parts.password:
        settings["password"] = unquote(parts.password)
    return settings
