"""The worker's end of the control channel.

A thread reads, so that the death of the other side is noticed while user code blocks the loop; a thread writes, so that a
parent that is frozen never holds up the run. At end of file the run is asked to stop; if this process is still there
``FATE_GRACE`` seconds later, the thread kills the browser and ends the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from core.domain.messages import Heartbeat, Hello, Stop
from core.domain.outcome import ExitCode
from core.errors import ControlLost
from core.process.channel import BlockingChannel, adopt, decode_down

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from core.domain.messages import Down, Up, Word

FATE_GRACE = 8.0
"""Seconds from the end of the other side to the end of this process, whatever user code does."""
HEARTBEAT = 2.0
_log = structlog.get_logger()
_MOST_QUEUED = 10_000
_LEAST_NICE_SIGNAL_GRACE = 10.0


class WorkerChannel:
    """Implements ``workers.port.Control`` over an inherited socket.

    Args:
        control: this process's end.
        kill: ends the browser that runs in a directory, and all else that this attempt started; called in a thread.
    """

    def __init__(self, control: socket.socket, kill: Callable[[str | None], object]) -> None:
        self._channel: BlockingChannel[Down] = BlockingChannel(control, decode_down)
        self._kill = kill
        self._victim: str | None = None
        self._words: deque[Word | None] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._outgoing: deque[Up] = deque()
        self._writing = threading.Condition()
        self._busy = False
        self._lost = False

    def hello(self) -> Hello | None:
        """Wait for the job; None if the other side ends first. Before the loop runs."""
        while True:
            message = self._channel.receive()
            if message is None or isinstance(message, Hello):
                return message

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read, write and beat while the body runs."""
        self._loop = asyncio.get_running_loop()
        for target, name in ((self._read, "ostler-control-reader"), (self._write, "ostler-control-writer")):
            threading.Thread(target=target, name=name, daemon=True).start()
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    def interrupt(self, reason: str) -> None:
        """A signal asked this process to end. On the loop's thread."""
        self._arrive(Stop(reason=reason, grace=_LEAST_NICE_SIGNAL_GRACE))

    # --- workers.port.Control ----------------------------------------------------------------------------------------

    def send(self, message: Up) -> None:
        """Queue a message; a heartbeat only if nothing waits before it."""
        with self._writing:
            if self._lost or (isinstance(message, Heartbeat) and (self._outgoing or self._busy)):
                return
            if len(self._outgoing) >= _MOST_QUEUED:
                # the other side has been frozen for long: the oldest is of least use
                self._outgoing.popleft()
            self._outgoing.append(message)
            self._writing.notify()

    async def receive(self) -> Word | None:
        """Return the next word; None, again and again, once the other side is gone."""
        while not self._words:
            self._arrived.clear()
            await self._arrived.wait()
        return None if self._words[0] is None else self._words.popleft()

    def kill_on_silence(self, user_data_dir: str | None) -> None:
        """Say which browser goes down with this process."""
        self._victim = user_data_dir

    async def drain(self, seconds: float) -> None:
        """Wait until everything queued is sent, at most that long."""
        deadline = time.monotonic() + seconds
        # a thread sends: there is no event of the loop to wait for
        while (self._outgoing or self._busy) and not self._lost and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    # --- threads -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        while True:
            message = self._channel.receive()
            if isinstance(message, Hello):
                continue
            self._on_loop(message)
            if message is None:
                break
        time.sleep(FATE_GRACE)
        try:
            self._kill(self._victim)
        finally:
            os._exit(ExitCode.INTERRUPTED)

    def _write(self) -> None:
        while True:
            with self._writing:
                self._busy = False
                while not self._outgoing:
                    self._writing.wait()
                message = self._outgoing.popleft()
                self._busy = True
            try:
                self._channel.send(message)
            except ControlLost:
                with self._writing:
                    self._lost = True
                    self._outgoing.clear()
                    self._busy = False
                return
            except Exception as exc:  # noqa: BLE001 - one message that cannot be said must not silence all that follow
                # its content may be secret
                _log.warning("control_message_not_sent", message=type(message).__name__, reason=type(exc).__name__)

    def _on_loop(self, word: Word | None) -> None:
        loop = self._loop
        if loop is not None:
            # the loop may have ended: then nobody is left to be told
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._arrive, word)

    def _arrive(self, word: Word | None) -> None:
        self._words.append(word)
        self._arrived.set()

    async def _beat(self) -> None:
        while True:
            self.send(Heartbeat())
            await asyncio.sleep(HEARTBEAT)


def inherited(descriptor: int, kill: Callable[[str | None], object]) -> WorkerChannel:
    """Return the channel on an inherited descriptor, which nothing below this process inherits.

    Raises:
        OSError: there is no socket on it.
    """
    return WorkerChannel(adopt(descriptor), kill)
