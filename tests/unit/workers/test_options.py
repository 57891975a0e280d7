"""A profile's settings as Playwright's options."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.browser.port import BrowserRequest
from core.errors import BrowserError
from workers.browser.options import context_options, proxy_settings

AGENT = "Mozilla/5.0 (Linux; Android 14) Chrome/130.0.1.2 Mobile Safari/537.36"
DEVICES = {
    "Pixel 7": {"user_agent": AGENT, "viewport": {"width": 412, "height": 839}, "default_browser_type": "chromium"},
    "iPhone 15": {"user_agent": "Safari", "viewport": {"width": 393, "height": 659}, "default_browser_type": "webkit"},
}


def options(**fields):
    here = Path("/nowhere")
    request = BrowserRequest(user_data_dir=here, temp_dir=here, downloads_dir=here, **fields)
    return context_options(request, DEVICES, "156.0.8078.108")


def test_nothing_is_set_that_the_profile_does_not_say():
    """But that a window decides about the size of its pages."""
    assert options() == {}
    assert options(headed=True) == {"no_viewport": True}


@pytest.mark.parametrize("fields", [{"device": "mobile"}, {"device_descriptor": "Pixel 7", "headed": True}], ids=str)
def test_a_device_names_the_version_that_runs(fields):
    """The user agent is the device's, with the browser's own version."""
    found = options(**fields)
    assert found["user_agent"] == AGENT.replace("130.0.1.2", "156.0.0.0")
    assert found["viewport"] == {"width": 412, "height": 839}
    assert "default_browser_type" not in found and "no_viewport" not in found


def test_what_a_profile_says_comes_before_its_device():
    """The viewport above all; in a window, too."""
    assert options(device="mobile", viewport=(300, 500))["viewport"] == {"width": 300, "height": 500}
    assert options(headed=True, viewport=(300, 500)) == {"viewport": {"width": 300, "height": 500}}
    plain = {"locale": "de-DE", "timezone": "Europe/Berlin", "color_scheme": "dark", "extra_headers": {"X-A": "b"}}
    assert options(**plain, proxy="http://h:1") == {
        "locale": "de-DE", "timezone_id": "Europe/Berlin", "color_scheme": "dark", "extra_http_headers": {"X-A": "b"},
        "proxy": {"server": "http://h:1"},
    }  # fmt: skip


@pytest.mark.parametrize(("name", "why"), [("Pixel 77", "no such device"), ("iPhone 15", "has another browser")])
def test_a_device_that_would_be_a_pretence_is_refused(name, why):
    """What Playwright does not know, and what never runs Chromium."""
    with pytest.raises(BrowserError, match=f"device_descriptor '{name}': .*{why}"):
        options(device_descriptor=name)


def test_a_proxy_is_split_so_that_its_password_is_in_no_argv():
    """The server is apart from the credentials, which are decoded; what is no URL is refused without quoting it."""
    assert proxy_settings("http://me:p%40ss@proxy.example:8080") == {
        "server": "http://proxy.example:8080", "username": "me", "password": "p@ss",
    }  # fmt: skip
    assert proxy_settings("proxy.example:3128") == {"server": "http://proxy.example:3128"}
    with pytest.raises(BrowserError) as caught:
        proxy_settings("http://me:secret@:99999")
    assert "secret" not in str(caught.value)
