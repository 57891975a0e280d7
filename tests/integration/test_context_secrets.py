"""A profile's secrets on their way into a real browser: they reach the site, and nobody else on this host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from core.browser.port import BrowserRequest
from core.errors import BrowserError
from tests.children.mirror import SEEN, reflecting
from workers.browser import process_tree
from workers.browser.chromium import ChromiumProvider, ChromiumSettings

pytestmark = pytest.mark.browser


@pytest.fixture
def mirror():
    with reflecting() as found:
        yield found


@pytest.fixture
def open_browser(state_dir: Path, tmp_path: Path, browser_executable: str):
    """Open a browser with some settings; its TMPDIR is as short as a workspace's."""
    temp_dir = Path("/tmp") / f"ostler-c-{os.getpid()}"
    provider = ChromiumProvider(
        ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser=browser_executable)
    )

    def start(**fields):
        data = tmp_path / "data"
        return provider.open(
            BrowserRequest(user_data_dir=data, temp_dir=temp_dir, downloads_dir=tmp_path / "down", **fields)
        )

    yield start
    shutil.rmtree(temp_dir, ignore_errors=True)


async def test_credentials_reach_the_proxy_and_no_command_line(open_browser, mirror):
    """The proxy lets the page through, the header is there; no process of the host has either in its arguments."""
    proxy = f"http://me:hunter2@{mirror.address}"
    async with open_browser(proxy=proxy, extra_headers={"Authorization": "Bearer hunter3"}) as browser:
        page = await browser.page()
        await page.goto("http://mirror.invalid/")
        seen = await page.evaluate(SEEN)
        lines = [process_tree._read(process.pid, "cmdline") for process in process_tree._all()]
    assert seen["asked"]["authorization"] == "Bearer hunter3"
    assert set(mirror.users) == {"me:hunter2"}
    assert any(
        mirror.address.encode() in line for line in lines
    )  # the server is there, so it was looked in the right place
    assert [line for line in lines if b"hunter2" in line or b"hunter3" in line] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"locale": "x_y_z"}, "setLocaleOverride"),
        ({"device_descriptor": "Pixel 99"}, "Pixel 99"),
        ({"proxy": "http://me:hunter2@:99999"}, "proxy"),
    ],
)
async def test_a_setting_that_cannot_be_is_named(open_browser, fields, named):
    """What was written into the file by hand and is no such thing is said by name, without what is secret; nothing runs on."""
    with pytest.raises(BrowserError) as caught:
        async with open_browser(**fields, extra_headers={"Authorization": "Bearer hunter3"}) as browser:
            await (await browser.page()).goto("about:blank")
    assert named in str(caught.value)
    assert "hunter" not in str(caught.value)
