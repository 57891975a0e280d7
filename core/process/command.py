"""A feed that a command prints: run without a shell, within limits, and ended with all that it started."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import selectors
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.process.identity import stamp
from core.process.table import ATTEMPT_VARIABLE
from core.process.tree import Marks, kill_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

PLACE = "--queue-command"
_SHOWN = 500
_BLOCK = 64 * 1024
_PIPE_FULL = 16
"""Blocks that a pipe holds at most."""
_KILL_WITHIN = 2.0
"""Seconds for what is stuck in the kernel."""


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
        self._running: Running | None = None
        self._turn = threading.Lock()
        self._closed = False

    def fetch(self) -> bytes | None:
        """Return what it prints, or None if that is the same as last time.

        Raises:
            BadInput: it failed, took too long or printed too much.
        """
        with contextlib.closing(self._start()) as running:
            text = running.output(self._limit, self._most)
            with self._turn:
                self._running = None
        said = one_line(running.said)
        if len(text) > self._most:
            raise self._wrong(f"at most {self._most / 1024 / 1024:g} MB", "more")
        if running.code is None:
            raise self._wrong(f"a command that ends within {self._limit:g} s", "one that was stopped", said)
        if running.code != 0:
            raise self._wrong("a command that succeeds", f"exit code {running.code}", said)
        digest = hashlib.sha256(text).hexdigest()
        if digest == self._last:
            return None
        self._last = digest
        return text

    def close(self) -> None:
        """End a command that is running, and start none any more."""
        with self._turn:
            self._closed = True
            if self._running is not None:
                self._running.end()

    def _start(self) -> Running:
        with self._turn:
            if self._closed:
                raise self._wrong("a command", "none, for this is the end")
            try:
                self._running = Running(self._command, self._env, self._cwd)
            except OSError as exc:
                raise self._wrong("a command that runs", exc.strerror or type(exc).__name__) from None
            return self._running

    @staticmethod
    def _wrong(expected: str, found: str, said: str = "") -> BadInput:
        hint = f"it said: {said}" if said else ""
        return BadInput([Problem(place=PLACE, expected=expected, found=found, hint=hint)])


class Running:
    """A command under way, and all that it starts: below ``core.process.bound``, which waits for its end and for ours.

    Args:
        command: and its arguments.
        env: its environment.
        cwd: its working directory.
        given: what it finds on standard input.

    Attributes:
        code: its exit code; None if it did not come to its end.
        said: the last that it wrote to standard error.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, given: bytes = b"") -> None:
        self.code: int | None = None
        self.said = bytearray()
        nonce = secrets.token_hex(16)
        self._status, writing = os.pipe()
        bound = [sys.executable, "-P", "-m", "core.process.bound", str(os.getpid()), str(writing), *command]
        try:
            with _standard_input(given) as stdin:
                self._process = subprocess.Popen(  # noqa: S603 - what the user asked for, and no shell
                    bound, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    cwd=cwd, env={**env, ATTEMPT_VARIABLE: nonce}, start_new_session=True, pass_fds=[writing],
                )  # fmt: skip
        except OSError:
            os.close(self._status)
            raise
        finally:
            os.close(writing)
        self._marks = Marks(worker=stamp(self._process.pid), nonce=nonce)
        self._stdout, self._stderr = self._process.stdout.fileno(), self._process.stderr.fileno()  # type: ignore[union-attr]  # pipes

    def output(self, limit: float, most: int) -> bytes:
        """Return what it printed until its end, up to one byte more than it may; then nothing of it is left.

        Args:
            limit: seconds it may take.
            most: bytes it may print.
        """
        text = bytearray()
        into = {self._stdout: text, self._stderr: self.said}
        deadline = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            for fd in (self._status, *into):
                selector.register(fd, selectors.EVENT_READ)
            ended = False
            while not ended and len(text) <= most and (ready := selector.select(max(deadline - time.monotonic(), 0))):
                for key, _ in ready:
                    if key.fd == self._status:
                        ended = True
                    elif not self._take(key.fd, into[key.fd]):
                        selector.unregister(key.fd)
        if ended:
            status = os.read(self._status, _BLOCK)
            self.code = int(status) if status else self._process.wait()
        # what was written is in the pipes by now; whoever holds them open may be a daemon, and is ended
        self.end()
        for fd, data in into.items():
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(_PIPE_FULL):
                    if not self._take(fd, data):
                        break
        return bytes(text)

    def _take(self, fd: int, into: bytearray) -> bool:
        """Read some; whether there was anything. Of what it says only the end is kept."""
        block = os.read(fd, _BLOCK)
        into += block
        if into is self.said:
            del into[:-_SHOWN]
        return bool(block)

    def end(self) -> None:
        """Kill the command and all that it started."""
        kill_tree(self._marks, within=_KILL_WITHIN)
        self._process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self.end()
        os.close(self._status)
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()  # type: ignore[union-attr]  # it has both


@contextlib.contextmanager
def _standard_input(given: bytes) -> Iterator[IO[bytes] | int]:
    """Give what a command reads: a file, not a pipe, so that nobody waits for one that does not read."""
    if not given:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file


def one_line(said: bytearray) -> str:
    """Return what it said in one line."""
    text = said.decode("utf-8", "replace")
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
