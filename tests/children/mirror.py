"""A proxy that lets nobody through without credentials, and behind it a site that says what it was asked with.

It answers for every host itself, so a page of a host that does not exist proves that the proxy was used.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEN = """() => ({
  languages: navigator.languages, formatted: new Date(0).toLocaleString(), width: innerWidth, height: innerHeight,
  timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, dark: matchMedia('(prefers-color-scheme: dark)').matches,
  touch: navigator.maxTouchPoints > 0, mobile: /Mobile/.test(navigator.userAgent), pixels: devicePixelRatio,
  asked: JSON.parse(document.querySelector('pre').textContent),
})"""
"""What a page sees of its browser, to be evaluated in a page of the mirror."""

_HEAD = (
    "<!doctype html><meta name=viewport content=width=device-width>"
    "<style>pre { white-space: pre-wrap; overflow-wrap: anywhere }</style>"
)


class Mirror:
    """What is known of the requests that came.

    Attributes:
        port: of this host.
        users: those who were let through.
        refused: how many requests had no credentials.
    """

    def __init__(self) -> None:
        self.port = 0
        self.users: list[str] = []
        self.refused = 0

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scheme, _, credentials = self.headers.get("Proxy-Authorization", "").partition(" ")
            if scheme != "Basic":
                mirror.refused += 1
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="mirror"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            mirror.users.append(base64.b64decode(credentials).decode())
            asked = {
                name.lower(): value for name, value in self.headers.items() if name.lower() != "proxy-authorization"
            }
            body = f"{_HEAD}<pre>{json.dumps({**asked, 'url': self.path})}</pre>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def reflecting() -> Iterator[Mirror]:
    """Serve on a free port of this host."""
    mirror = Mirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(mirror))
    server.daemon_threads = True
    mirror.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
