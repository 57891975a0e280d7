"""What a short-lived process answers: waited for is the process, not the end of its output, which others may hold open."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import IO, TYPE_CHECKING

from core.errors import HostFailed
from core.process.table import ATTEMPT_VARIABLE
from core.process.tree import Marks, kill_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ANSWER = 64 * 1024 * 1024
MAX_SAID = 64 * 1024
_CHUNK = 64 * 1024
_TICK_MS = 20
_PIPES_FULL = 64
_KILL_WITHIN = 2.0


def ask(
    command: Sequence[str], given: bytes, *, nonce: str, timeout: float, env: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    """Run a program; return its exit code, what it wrote to standard output, and the last it wrote to standard error.

    Whatever else it started is killed when it ends.

    Args:
        command: the program and its arguments.
        given: its standard input.
        nonce: a word of its own, in the environment of all that it starts.
        timeout: seconds until it is killed.
        env: the rest of its environment.

    Raises:
        TimeoutError: it did not end in time.
        HostFailed: it could not be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the caller's own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**env, ATTEMPT_VARIABLE: nonce},
        )
    except OSError as exc:
        raise HostFailed(f"could not start {command[0]}: {exc.strerror or exc}") from exc
    try:
        with process.stdin as stdin, process.stdout as stdout, process.stderr as stderr:  # type: ignore[union-attr]
            talk = _Talk(stdin, stdout, stderr, given)
            deadline = time.monotonic() + timeout
            while process.poll() is None:
                if time.monotonic() >= deadline:
                    raise TimeoutError
                talk.go_on(_TICK_MS)
            # what it wrote before its end is in the pipe already; others may go on writing for ever
            for _ in range(_PIPES_FULL):
                if not talk.go_on(0):
                    break
            return process.returncode, bytes(talk.answer), bytes(talk.said)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        kill_tree(Marks(nonce=nonce), within=_KILL_WITHIN)


class _Talk:
    """Writes to and reads from a process, in bounded memory, without ever waiting for longer than it is told."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], given: bytes) -> None:
        self.answer = bytearray()
        self.said = bytearray()
        self._stdin = stdin
        self._given = memoryview(given)
        self._out, self._err, self._in = stdout.fileno(), stderr.fileno(), stdin.fileno()
        self._poll = select.poll()
        for fd, what in ((self._out, select.POLLIN), (self._err, select.POLLIN), (self._in, select.POLLOUT)):
            os.set_blocking(fd, False)
            self._poll.register(fd, what)

    def go_on(self, wait_ms: float) -> bool:
        """Move what can be moved; whether there was anything."""
        ready = [fd for fd, _ in self._poll.poll(wait_ms)]
        for fd in ready:
            if fd == self._in:
                self._give()
            else:
                self._take(fd)
        return bool(ready)

    def _give(self) -> None:
        try:
            self._given = self._given[os.write(self._in, self._given) :]
        except BlockingIOError:
            return
        except OSError:
            # it does not want to read any more
            self._given = self._given[len(self._given) :]
        if not self._given:
            self._poll.unregister(self._in)
            self._stdin.close()

    def _take(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        if not data:
            self._poll.unregister(fd)
        elif fd == self._err:
            self.said += data
            del self.said[:-MAX_SAID]
        elif len(self.answer) < MAX_ANSWER:
            self.answer += data
