"""Serving the site: its port, its life, and its end with its parent.

The port is chosen once and kept in ``<state>/demo/port``: logins are tied to it (localStorage belongs to host *and* port). If
another program has taken it since, a new one is chosen, written there, and said.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from core.durable import write_bytes
from examples.demo.application import SERVICES
from examples.demo.chaos import AbortableProtocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from starlette.types import ASGIApp

HOST = "127.0.0.1"
# below the range that systems take outgoing connections' ports from, so that none of those is ever in the way
FIRST_PORT, LAST_PORT = 20_000, 29_999
PORT_TRIES = 50
WATCH_SECONDS = 0.3
END_SECONDS = 3.0


class PortTaken(Exception):
    """The port that was asked for belongs to another program."""


def bind(directory: Path, asked: int | None) -> socket.socket:
    """Return a listening socket, and keep its port in ``<directory>/port``.

    Args:
        directory: the site's own.
        asked: the port that it must be; None: the one that was kept, or a new one.

    Raises:
        PortTaken: the port that was asked for is not free.
    """
    path = directory / "port"
    if asked is not None:
        bound = _try(asked)
        if bound is None:
            raise PortTaken(f"port {asked} is taken by another program")
        _keep(path, bound)
        return bound
    kept = kept_port(directory)
    bound = _try(kept) if kept is not None else None
    if bound is None:
        bound = _choose()
        if kept is not None:
            new = bound.getsockname()[1]
            sys.stderr.write(f"demo site: port {kept} is taken by another program; it moves to {new}\n")
    _keep(path, bound)
    return bound


def kept_port(directory: Path) -> int | None:
    """Return the port that was kept, None if there is none."""
    try:
        return int((directory / "port").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _keep(path: Path, bound: socket.socket) -> None:
    content = f"{bound.getsockname()[1]}\n"
    if not path.exists() or path.read_text() != content:
        write_bytes(path, content.encode())


def _try(port: int) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # a site that was just killed must get its port back; on Windows this means something else
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(256)
    except OSError:
        bound.close()
        return None
    return bound


def _choose() -> socket.socket:
    for _ in range(PORT_TRIES):
        bound = _try(random.randint(FIRST_PORT, LAST_PORT))  # noqa: S311 - any will do
        if bound is not None:
            return bound
    raise PortTaken(f"no free port was found from {FIRST_PORT} to {LAST_PORT}")


def ready_line(port: int) -> str:
    """Return the line that says where the site is."""
    return f"ready http://{HOST}:{port} " + " ".join(f"http://{name}.localhost:{port}" for name in SERVICES)


class Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready; with a parent, ^C in the terminal is the parent's business."""

    def __init__(self, app: ASGIApp, bound: socket.socket, *, parent: bool) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=AbortableProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=1,
            )
        )
        self._bound = bound
        self._parent = parent

    def serve_until_end(self) -> None:
        """Serve until a signal, or ``end``."""
        self.run(sockets=[self._bound])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        sys.stdout.write(ready_line(self._bound.getsockname()[1]) + "\n")
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End on a signal; but a first ^C lets the parent's work come to its end, and that work needs the site."""
        if not (self._parent and sig == signal.SIGINT):
            super().handle_exit(sig, frame)

    def end(self) -> None:
        """End soon, from any thread."""
        self.should_exit = True


def watch_parent(pid: int | None, end: Callable[[], None]) -> None:
    """Call ``end`` when the parent is gone, from a thread; if the process still lives some seconds later, end it.

    Args:
        pid: the parent's process ID; None: the parent holds the other end of standard input, whose end of file tells.
        end: called once.
    """
    begun_by_it = pid == os.getppid()

    def watch() -> None:
        if pid is None:
            # not sys.stdin: its lock, held by a thread at the interpreter's end, would abort the process
            while os.read(0, 4096):
                pass
        else:
            while os.getppid() == pid if begun_by_it else _lives(pid):
                time.sleep(WATCH_SECONDS)
        end()
        time.sleep(END_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def already_served(directory: Path) -> int | None:
    """Return the port at which another process serves from this directory, None if none answers there."""
    port = kept_port(directory)
    if port is None:
        return None
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", "/_status")
        status = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return port if status.get("directory") == str(directory) else None
