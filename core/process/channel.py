"""The control channel: one JSON object a line, both ways, on a socket pair; both sides use this file.

The orchestrator's side is asynchronous. The worker reads in a thread, so that it learns of its orchestrator's death while
user code blocks its loop. End of file means the other side is gone. What cannot be read is logged and skipped: it never
takes the channel down. Its content is not logged, it may be secret.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import msgspec
import structlog

from core.domain.messages import Down, Up
from core.errors import ControlLost
from core.text import encodable_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTROL_VARIABLE = "OSTLER_CONTROL_FD"
"""Environment variable of a worker: the number of its end's descriptor."""
MAX_LINE = 1024 * 1024
"""Bytes of the longest message that is read."""
_CHUNK = 64 * 1024

M = TypeVar("M")
_log = structlog.get_logger()
_up: msgspec.json.Decoder[Up] = msgspec.json.Decoder(Up)
_down: msgspec.json.Decoder[Down] = msgspec.json.Decoder(Down)


def encode(message: Up | Down) -> bytes:
    """Return the message as one line, with its newline; lone surrogates in its texts are spelled out.

    Raises:
        TypeError, ValueError: it holds what JSON has no form for.
    """
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(encodable_within(msgspec.to_builtins(message))) + b"\n"


def decode_up(line: bytes) -> Up:
    """Return what a worker said.

    Raises:
        msgspec.DecodeError: not JSON, or not a message of the catalogue.
        UnicodeDecodeError: a string in it is not UTF-8.
        RecursionError: nested too deep.
    """
    return _up.decode(line)


def decode_down(line: bytes) -> Down:
    """Return what an orchestrator said; errors as for ``decode_up``."""
    return _down.decode(line)


def adopt(fd: int) -> socket.socket:
    """Take the inherited end of the channel, so that nothing this process starts inherits it.

    Raises:
        OSError: no such descriptor, or no socket.
    """
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    control.settimeout(None)
    return control


class Framing(Generic[M]):
    """Turns bytes as they arrive into messages; knows nothing of sockets. Holds at most ``MAX_LINE`` bytes and a read."""

    def __init__(self, decode: Callable[[bytes], M], *, limit: int = MAX_LINE) -> None:
        self._decode = decode
        self._limit = limit
        self._partial = bytearray()
        self._too_long = 0

    def feed(self, data: bytes) -> Iterator[M]:
        """Yield the messages that these bytes complete."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._keep(end)
            line = bytes(self._partial)
            self._partial.clear()
            if self._too_long:
                _log.warning("control_line_skipped", reason="too long", size=self._too_long)
                self._too_long = 0
                continue
            try:
                yield self._decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
                _log.warning("control_line_skipped", reason=type(exc).__name__, size=len(line))
        self._keep(rest)

    def _keep(self, part: bytes) -> None:
        if self._too_long:
            self._too_long += len(part)
        elif len(self._partial) + len(part) > self._limit:
            self._too_long = len(self._partial) + len(part)
            self._partial.clear()
        else:
            self._partial += part


class BlockingChannel(Generic[M]):
    """One side, for threads: ``receive`` blocks one thread while any other may ``send``.

    Args:
        control: a connected stream socket; owned from now on.
        decode: ``decode_down`` in a worker.
    """

    def __init__(self, control: socket.socket, decode: Callable[[bytes], M]) -> None:
        self._socket = control
        self._socket.settimeout(None)
        self._framing = Framing(decode)
        self._messages: deque[M] = deque()
        self._sending = threading.Lock()

    def send(self, message: Up | Down) -> None:
        """Send a message whole; blocks while the other side does not read.

        Raises:
            ControlLost: the other side is gone, or this one is closed.
        """
        with self._sending:
            try:
                self._socket.sendall(encode(message))
            except OSError as exc:
                raise ControlLost("the other side of the control channel is gone") from exc

    def receive(self) -> M | None:
        """Return the next message; None at end of file, and after ``close`` in another thread."""
        while not self._messages:
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                return None
            if not data:
                return None
            self._messages.extend(self._framing.feed(data))
        return self._messages.popleft()

    def close(self) -> None:
        """End the conversation and wake up a thread that receives; safe to call twice."""
        # not connected any more: the other side, or an earlier close, was first
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class AsyncChannel(Generic[M]):
    """One side, for a loop: one task receives, any number send.

    Args:
        control: a connected stream socket; owned from now on.
        decode: ``decode_up`` in an orchestrator.
    """

    def __init__(self, control: socket.socket, decode: Callable[[bytes], M]) -> None:
        self._socket = control
        self._socket.settimeout(0)
        self._framing = Framing(decode)
        self._messages: deque[M] = deque()
        self._outgoing = bytearray()
        self._sending = anyio.Lock()
        self._closed = False

    async def send(self, message: Up | Down) -> None:
        """Send a message whole; waits while the other side does not read.

        If the caller is cancelled meanwhile, the rest of the line goes out before the next message: a line is never torn.

        Raises:
            ControlLost: the other side is gone, or this one is closed.
        """
        line = encode(message)
        async with self._sending:
            self._outgoing += line
            while self._outgoing:
                try:
                    sent = self._socket.send(self._outgoing)
                except BlockingIOError:
                    await self._wait(anyio.wait_writable)
                except OSError as exc:
                    raise ControlLost("the other side of the control channel is gone") from exc
                else:
                    del self._outgoing[:sent]

    async def receive(self) -> M | None:
        """Return the next message; None at end of file or once this side is closed."""
        while not self._messages:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                try:
                    await self._wait(anyio.wait_readable)
                except ControlLost:
                    return None
                continue
            except OSError:
                return None
            if not data:
                return None
            self._messages.extend(self._framing.feed(data))
        return self._messages.popleft()

    async def _wait(self, ready: Callable[[socket.socket], object]) -> None:
        if self._closed:
            raise ControlLost("the control channel is closed")
        try:
            await ready(self._socket)  # type: ignore[misc]  # anyio's waiters are coroutine functions
        except anyio.ClosedResourceError as exc:
            raise ControlLost("the control channel is closed") from exc

    def close(self) -> None:
        """End the conversation and wake up whoever waits on it; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        anyio.notify_closing(self._socket)
        self._socket.close()
