"""A feed that a command prints: run without a shell, within limits, and ended with all that it started."""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO

PLACE = "--queue-command"
_SHOWN = 500
_BLOCK = 64 * 1024
_GRACE = 0.5
"""Seconds for what a command that was stopped at the limit had printed."""


class CommandFeed:
    """What a command prints is the feed's text; the ``RemoteFeed`` of ``core.queue.remote``.

    Args:
        command: with its arguments, quoted as for a shell; none is started.
        env: its environment.
        cwd: its working directory.
        limit: seconds it may take.
        most: bytes it may print.

    Raises:
        BadInput: it cannot be taken apart.
    """

    suffix = ""
    place = PLACE

    def __init__(self, command: str, env: Mapping[str, str], *, cwd: Path, limit: float, most: int) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as exc:
            raise self._wrong("a command", f"one that cannot be taken apart: {exc}") from None
        if not self._command:
            raise self._wrong("a command", "nothing")
        # the whole of it tells feeds apart, and may hold what is nobody's business
        self.name = f"command:{PurePath(self._command[0]).name}?{hashlib.sha256(command.encode()).hexdigest()[:12]}"
        self._env = dict(env)
        self._cwd = cwd
        self._limit = limit
        self._most = most
        self._last = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._closed = False

    def fetch(self) -> bytes | None:
        """Return what it prints, or None if that is the same as last time.

        Raises:
            BadInput: it failed, took too long or printed too much.
        """
        with tempfile.TemporaryFile() as errors:
            process = self._start(errors)
            late = threading.Event()
            timer = threading.Timer(self._limit, self._end, [process, late])
            timer.daemon = True
            timer.start()
            try:
                text = self._output(process)
                # its end is seen, but its number not given back: what is left of its group can still be told from others
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            finally:
                timer.cancel()
                timer.join()
                with self._turn:
                    self._end(process)
                    self._process = None
                code = process.wait()
            said = _tail(errors)
        if late.is_set():
            raise self._wrong(f"a command that ends within {self._limit:g} s", "one that was stopped", said)
        if len(text) > self._most:
            raise self._wrong(f"at most {self._most / 1024 / 1024:g} MB", "more")
        if code != 0:
            raise self._wrong("a command that succeeds", f"exit code {code}", said)
        digest = hashlib.sha256(text).hexdigest()
        if digest == self._last:
            return None
        self._last = digest
        return text

    def close(self) -> None:
        """End a command that is running, and start none any more."""
        with self._turn:
            self._closed = True
            if self._process is not None:
                self._end(self._process)

    def _start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        # by way of a small program that asks the kernel to end the command with us, even if we are killed
        bound = [sys.executable, "-P", "-m", "core.process.bound", str(os.getpid()), *self._command]
        with self._turn:
            if self._closed:
                raise self._wrong("a command", "none, for this is the end")
            try:
                self._process = subprocess.Popen(  # noqa: S603 - what the user asked for, and no shell
                    bound, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=self._env,
                    cwd=self._cwd, start_new_session=True,
                )  # fmt: skip
            except OSError as exc:
                raise self._wrong("a command that runs", exc.strerror or type(exc).__name__) from None
            return self._process

    def _output(self, process: subprocess.Popen[bytes]) -> bytes:
        """Return what is printed, up to one byte more than it may be."""
        text = bytearray()
        if process.stdout is not None:
            # never longer than the limit: a daemon in a session of its own outlives its group, and may hold the pipe open
            deadline = time.monotonic() + self._limit + _GRACE
            with process.stdout, selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while len(text) <= self._most and selector.select(max(deadline - time.monotonic(), 0)):
                    block = os.read(process.stdout.fileno(), _BLOCK)
                    if not block:
                        break
                    text += block
        if len(text) > self._most:
            self._end(process)
        return bytes(text)

    def _end(self, process: subprocess.Popen[bytes], late: threading.Event | None = None) -> None:
        """Kill the command with all that is in its group; also what it left there after its own end."""
        if late is not None:
            late.set()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    @staticmethod
    def _wrong(expected: str, found: str, said: str = "") -> BadInput:
        hint = f"it said: {said}" if said else ""
        return BadInput([Problem(place=PLACE, expected=expected, found=found, hint=hint)])


def _tail(errors: IO[bytes]) -> str:
    """Return the end of what it said, in one line."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _SHOWN))
    text = errors.read(_SHOWN).decode("utf-8", "replace")
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
