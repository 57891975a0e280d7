"""The control socket of a state directory: ``state/control.sock``, 0600, for this user only."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog
from anyio.streams.buffered import BufferedByteReceiveStream

from core.control.port import Answer, Request
from core.errors import NotUnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.abc import SocketStream

NAME = "control.sock"
LONGEST = 100
"""Bytes of a path that every system takes for a socket."""
_MAX_LINE = 64 * 1024
_IDLE = 30.0
_ANSWER_WITHIN = 10.0
_AT_ONCE = 32

log = structlog.get_logger(__name__)
_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


class ControlSocket:
    """Implements ``Commands``. Whoever holds the state directory's lock owns the socket; an old one is replaced."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME
        self._places = anyio.CapacityLimiter(_AT_ONCE)

    async def serve(self, obey: Callable[[Request], Answer]) -> None:
        """Answer requests until cancelled. Where there can be no socket, say so: the run goes on without."""
        try:
            with _short(self._path) as path:
                listener = await anyio.create_unix_listener(path, mode=0o600)
        except (OSError, NotImplementedError, AttributeError) as exc:
            log.warning("no_control_socket", path=str(self._path), reason=str(exc))
            return
        try:
            await listener.serve(partial(self._converse, obey))
        finally:
            with anyio.CancelScope(shield=True):
                await listener.aclose()
            self._path.unlink(missing_ok=True)

    async def _converse(self, obey: Callable[[Request], Answer], stream: SocketStream) -> None:
        """Answer one client until it goes, says nothing for long, or says what is no request."""
        try:
            async with self._places, stream:
                lines = BufferedByteReceiveStream(stream)
                while True:
                    with anyio.fail_after(_IDLE):
                        line = await lines.receive_until(b"\n", _MAX_LINE)
                    answer = obey(_request.decode(line))
                    with anyio.fail_after(_IDLE):
                        await stream.send(msgspec.json.encode(answer) + b"\n")
        except (
            anyio.EndOfStream,
            anyio.IncompleteRead,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            TimeoutError,
        ):
            return
        except (msgspec.MsgspecError, anyio.DelimiterNotFound, UnicodeDecodeError, RecursionError) as exc:
            # what it said may be secret
            log.warning("control_request_not_understood", error=type(exc).__name__)


def ask(state_dir: Path, request: Request) -> Answer:
    """Ask the orchestrator that runs on a state directory.

    Raises:
        NotUnderWay: none runs there, or it does not answer.
    """
    path = state_dir / NAME
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.settimeout(_ANSWER_WITHIN)
        try:
            with _short(path) as short:
                client.connect(short)
            client.sendall(msgspec.json.encode(request) + b"\n")
            with client.makefile("rb") as lines:
                line = lines.readline(_MAX_LINE * 16)
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise NotUnderWay(
                state_dir, "no orchestrator runs there; --state-dir names the fleet that is meant"
            ) from exc
        except OSError as exc:
            raise NotUnderWay(state_dir, f"its orchestrator does not answer ({exc.strerror or exc})") from exc
    try:
        return msgspec.json.decode(line, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise NotUnderWay(state_dir, "its orchestrator hung up; is it of another version?") from exc


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name of the socket that is short enough.

    Raises:
        OSError: there is none on this system.
    """
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    if sys.platform != "linux":
        raise OSError(f"a socket's path has at most {LONGEST} bytes")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
