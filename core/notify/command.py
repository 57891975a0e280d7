"""Notifications to a command: without a shell, on its standard input, within a limit."""

from __future__ import annotations

import contextlib
import shlex
import threading
from pathlib import PurePath
from typing import TYPE_CHECKING

from core.errors import BadInput, Problem
from core.notify.port import NotDelivered
from core.process.command import Running, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST = 64 * 1024


class CommandDestination:
    """Starts a command for each notification, and ends it with all that it started when it has had its time.

    Args:
        command: with its arguments, quoted as for a shell; none is started.
        env: its environment.
        cwd: its working directory.
        limit: seconds it may take.
        place: what named it, for messages.

    Raises:
        BadInput: it cannot be taken apart.
    """

    def __init__(self, command: str, env: Mapping[str, str], *, cwd: Path, limit: float, place: str) -> None:
        found = ""
        try:
            self._command = shlex.split(command)
            if not self._command:
                found = "nothing"
            elif "\0" in command:
                found = "one with a zero in it"
        except ValueError as exc:
            found = f"one that cannot be taken apart: {exc}"
        if found:
            raise BadInput([Problem(place=place, expected="a command, or an address https://…", found=found)])
        self.place = PurePath(self._command[0]).name
        self._env = dict(env)
        self._cwd = cwd
        self._limit = limit
        self._turn = threading.Lock()
        self._running: set[Running] = set()
        self._closed = False

    def deliver(self, body: bytes) -> None:
        """See ``Destination``."""
        with contextlib.closing(self._start(body)) as running:
            try:
                printed = running.output(self._limit, _MOST)
            finally:
                with self._turn:
                    self._running.discard(running)
        said = one_line(running.said)
        if len(printed) > _MOST:
            raise NotDelivered("it printed too much", again=False)
        if running.code is None:
            raise NotDelivered(f"it did not end within {self._limit:g} s")
        if running.code != 0:
            raise NotDelivered(f"exit code {running.code}{f': {said}' if said else ''}")

    def close(self) -> None:
        """See ``Destination``."""
        with self._turn:
            self._closed = True
            for running in self._running:
                running.end()

    def _start(self, body: bytes) -> Running:
        with self._turn:
            if self._closed:
                raise NotDelivered("this is the end", again=False)
            try:
                running = Running(self._command, self._env, self._cwd, body)
            except OSError as exc:
                raise NotDelivered(exc.strerror or type(exc).__name__) from None
            self._running.add(running)
            return running
