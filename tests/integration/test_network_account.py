"""The network account held against what a server sent: answers of all kinds, and those that never come to their end."""

from __future__ import annotations

import gzip
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from core.browser.port import BrowserRequest
from workers.browser.chromium import ChromiumProvider, ChromiumSettings
from workers.steps.network import NetworkAccount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.domain.messages import Network

pytestmark = pytest.mark.browser

BODY = b"x" * 1000
FETCH = "async path => { await (await fetch(path)).text() }"


class Site(ThreadingHTTPServer):
    """Counts what it sends and what it is sent, to the byte, by path.

    Attributes:
        sent: path and bytes of each answer.
        asked: bytes of each request's headers.
        go_on: lets answers that wait go on.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[tuple[str, int]] = []
        self.asked: list[int] = []
        self.go_on = threading.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(len(self.raw_requestline) + len(bytes(self.headers)))
        write, count = self.wfile.write, 0

        def counted(data: bytes) -> int:
            nonlocal count
            count += len(data)
            return write(data)

        self.wfile.write = counted
        self.answer()
        self.wfile.write = write
        self.server.sent.append((self.path, count))

    def answer(self) -> None:
        headers, status, body = {"Content-Type": "text/html"}, 200, BODY
        match self.path:
            case "/kept":
                headers["Cache-Control"] = "max-age=1000"
            case "/asked-again":
                headers |= {"ETag": '"a"', "Cache-Control": "no-cache"}
                status, body = (304, b"") if self.headers.get("If-None-Match") else (200, BODY)
            case "/moved":
                headers["Location"], status, body = "/", 302, b"moved"
            case "/packed":
                headers["Content-Encoding"], body = "gzip", gzip.compress(BODY)
            case "/gone":
                status = 404
            case "/file":
                headers["Content-Disposition"] = "attachment; filename=a.txt"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.path == "/slow":
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(BODY[:100])
            self.server.go_on.wait(30)
            self.close_connection = True
        elif self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3e8\r\n" + BODY + b"\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Site]:
    found = Site()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    found.go_on.set()
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def opened(state_dir: Path, tmp_path: Path, browser_executable: str):
    """Opens a browser whose requests are counted."""
    provider = ChromiumProvider(
        ChromiumSettings(state_dir=state_dir, environ=dict(os.environ), browser=browser_executable)
    )
    temp_dir = Path("/tmp") / f"ostler-n-{os.getpid()}"
    request = BrowserRequest(
        user_data_dir=tmp_path / "user-data", temp_dir=temp_dir, downloads_dir=tmp_path / "downloads"
    )
    yield provider.open(request)
    temp_dir.rmdir()


async def settled(account: NetworkAccount) -> Network:
    """Return what is known once every question is answered."""
    await account.settle(30)
    return account.summary(lambda text: text)


async def until(account: NetworkAccount, happened: Any) -> None:
    """Wait for the account to have heard of something."""
    with anyio.fail_after(30):
        while not happened(account.summary(lambda text: text)):
            await anyio.sleep(0.02)


async def test_bytes_are_those_that_travelled(server, opened):
    """Plain, packed, in chunks, moved, not found, asked for again: to the byte; what the browser has kept costs nothing."""
    async with opened as browser:
        account = NetworkAccount()
        account.watch(browser.context)
        page = await browser.page()
        await page.goto(server.origin)
        for path in (
            "/packed",
            "/chunks",
            "/moved",
            "/gone",
            "/asked-again",
            "/asked-again",
            "/kept",
            "/kept",
            "/kept",
        ):
            await page.evaluate(FETCH, path)
        await until(account, lambda seen: seen.requests == 11 and seen.unmeasured == 0)
        used = await settled(account)
    assert len(server.sent) == 9, "two came from the cache"
    # of a redirection the driver tells only how long its own text is
    assert 0 <= sum(size for _, size in server.sent) - used.received < 20
    assert 0.8 < used.sent / sum(server.asked) < 1.3
    assert (used.failures, used.unmeasured) == (1, 0)
    assert [(host.requests, host.received, host.sent) for host in used.hosts] == [(11, used.received, used.sent)]


async def test_what_has_not_come_to_its_end_is_said(server, opened):
    """A body that nobody read to its end, a request broken off, a download: asked for, answered, and not measured."""
    async with opened as browser:
        account = NetworkAccount()
        account.watch(browser.context)
        page = await browser.page()
        await page.goto(server.origin)
        await page.evaluate("async () => { window.kept = await fetch('/slow') }")
        await until(account, lambda seen: seen.requests == 2)
        await until(account, lambda seen: seen.received > 1000)
        used = await settled(account)
        assert (used.requests, used.failures, used.unmeasured) == (2, 0, 1)
        assert used.received == server.sent[0][1]
        await page.evaluate(
            """async () => {
                const stop = new AbortController();
                const broken = await fetch('/slow', {signal: stop.signal});
                stop.abort();
                await broken.text().catch(() => null);
            }"""
        )
        async with page.expect_download() as begun:
            await page.evaluate("() => { location.href = '/file' }")
        await (await begun.value).path()
        await until(account, lambda seen: seen.requests == 4 and seen.unmeasured == 3)
        used = await settled(account)
    assert (used.failures, used.received) == (0, server.sent[0][1])
