"""HTTP and HTTPS within one deadline, which holds for all of a fetch: looking up names, connecting, redirects, head and body.

A time limit of the library is one for each wait, so that a server that sends a byte now and then is never too late.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import socket
import ssl
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from http.client import HTTPResponse

_DESCRIPTION_LIMIT = 200
Address = tuple[Any, Any, int, str, Any]


class Deadline:
    """The moment at which a fetch must be over, whatever it waits for.

    Args:
        seconds: from now.
        silence: seconds that it may wait for the next byte.
    """

    def __init__(self, seconds: float, silence: float) -> None:
        self._end = time.monotonic() + seconds
        self._silence = silence
        self._given_up = threading.Event()
        self._socket: socket.socket | None = None

    def is_over(self) -> bool:
        """Whether it has passed, or the fetch was given up."""
        return self._given_up.is_set() or time.monotonic() >= self._end

    def wait(self) -> float:
        """Return how many seconds may be waited for the next thing.

        Raises:
            TimeoutError: none.
        """
        if self.is_over():
            raise TimeoutError
        return min(self._silence, max(self._end - time.monotonic(), 0.001))

    def watch(self, sock: socket.socket) -> None:
        """Remember the socket that is waited for, so that it can be given up."""
        self._socket = sock

    def give_up(self) -> None:
        """End what waits, from another thread."""
        self._given_up.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may not be connected yet, or no longer
                # not the method of an SSL socket, which takes itself apart while another thread reads from it
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def opener(
    deadline: Deadline, context: Callable[[], ssl.SSLContext], *others: urllib.request.BaseHandler
) -> urllib.request.OpenerDirector:
    """Return what opens addresses of servers, and nothing else.

    Args:
        deadline: until when.
        context: gives what certificates are checked with.
        others: further handlers.
    """
    found = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), _Handler(deadline, context), urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(), *others,
    ):  # fmt: skip
        found.add_handler(handler)
    return found


class _Handler(urllib.request.AbstractHTTPHandler):
    def __init__(self, deadline: Deadline, context: Callable[[], ssl.SSLContext]) -> None:
        super().__init__()
        self._deadline = deadline
        self._context = context

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(functools.partial(_Connection, deadline=self._deadline), request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        connection = functools.partial(_SecureConnection, deadline=self._deadline, context=self._context())
        return self.do_open(connection, request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, *, deadline: Deadline, timeout: float) -> None:
        del timeout  # the library's, for each wait
        super().__init__(host)
        self._deadline = deadline

    def connect(self) -> None:
        self.sock = _connected(self.host, self.port, self._deadline)
        if self._tunnel_host:  # type: ignore[attr-defined]  # the library's subclass does the same
            self._tunnel()  # type: ignore[attr-defined]  # as above

    def response_class(self, sock: socket.socket, *args: Any, **how: Any) -> HTTPResponse:  # type: ignore[override]  # it makes one
        return _Response(sock, self._deadline, *args, **how)


class _SecureConnection(_Connection):
    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, *, deadline: Deadline, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, deadline=deadline, timeout=timeout)
        self._context = context

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._deadline.wait())
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._tunnel_host or self.host)  # type: ignore[attr-defined]
        self._deadline.watch(self.sock)


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, deadline: Deadline, *args: Any, **how: Any) -> None:
        super().__init__(sock, *args, **how)
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach(), deadline))


class _Timed(io.RawIOBase):
    """What a socket receives, each piece of it in the time that is left."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: Deadline) -> None:
        self._socket = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._deadline.wait())
        size: int | None = self._raw.readinto(buffer)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def _connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    failure: OSError | None = None
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            deadline.watch(sock)
            sock.settimeout(deadline.wait())
            sock.connect(address)
            sock.settimeout(deadline.wait())
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    raise failure or OSError("it has no address")


def _addresses(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
    """Look up a name; since that cannot be interrupted, in a thread that ends when the system gives up."""
    found: list[Sequence[Address]] = []
    failures: list[Exception] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as exc:
            failures.append(exc)

    thread = threading.Thread(target=look_up, daemon=True, name="look-up")
    thread.start()
    thread.join(deadline.wait())
    if failures:
        raise failures[0]
    if not found:
        raise TimeoutError
    return found[0]


def said(reason: Any) -> str:
    """Return what the system says, without what we sent."""
    if isinstance(reason, http.client.HTTPException):
        return f"something that is not HTTP ({type(reason).__name__})"
    if isinstance(reason, socket.gaierror):
        return "no such host"
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLCertVerificationError):
        return f"no TLS ({str(reason.reason or type(reason).__name__).replace('_', ' ').lower()})"
    if isinstance(reason, OSError):
        said = getattr(reason, "verify_message", None) or reason.strerror
        return str(said or type(reason).__name__)[:_DESCRIPTION_LIMIT]
    return str(reason)[:_DESCRIPTION_LIMIT]
