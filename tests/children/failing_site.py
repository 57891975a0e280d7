"""Servers of one kind of trouble each, on this host: a site, one with a certificate that nobody trusts, proxies, and a port where
nobody listens.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAGE = b"<!doctype html><button id=off disabled>no</button><button>one</button><button>two</button>"


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Site(_Quiet):
    """``/200`` answers with that status and a page, ``/drop`` and ``/hang`` do not answer, ``/loop`` leads to itself."""

    def do_GET(self) -> None:
        where = self.path.strip("/")
        if where == "hang":
            _released.wait(60)
        elif where == "loop":
            self.answer(302, Location="/loop")
        elif where.isdecimal():
            self.answer(int(where), _PAGE, Content_Type="text/html")
        elif where != "drop":
            self.answer(404)


class _AskingProxy(_Quiet):
    def do_GET(self) -> None:
        self.answer(407, Proxy_Authenticate='Basic realm="proxy"')

    def do_CONNECT(self) -> None:
        self.do_GET()


class _RefusingProxy(_Quiet):
    def do_CONNECT(self) -> None:
        self.answer(502)


_released = threading.Event()


@dataclass(frozen=True)
class Trouble:
    """Where to find which trouble; all are origins but ``asking`` and ``refusing``, which are proxies."""

    site: str
    tls: str
    closed: str
    asking: str
    refusing: str


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Trouble]:
    """Serve on free ports.

    Args:
        directory: where the certificate is made.
    """
    _released.clear()
    with contextlib.ExitStack() as stack:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(directory))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            closed = free.getsockname()[1]
        site, asking, refusing = (stack.enter_context(_server(kind)) for kind in (_Site, _AskingProxy, _RefusingProxy))
        tls = stack.enter_context(_server(_Site, context))
        stack.callback(_released.set)
        yield Trouble(
            site=f"http://127.0.0.1:{site}",
            tls=f"https://127.0.0.1:{tls}",
            closed=f"http://127.0.0.1:{closed}",
            asking=f"http://127.0.0.1:{asking}",
            refusing=f"http://127.0.0.1:{refusing}",
        )


@contextlib.contextmanager
def _server(kind: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """A browser that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), kind)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        _released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(directory: Path) -> tuple[Path, Path]:
    chain, key = directory / "chain.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", chain], check=True, capture_output=True, timeout=60)
    return chain, key
