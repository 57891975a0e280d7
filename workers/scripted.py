"""A control channel without another side, and artifacts in memory: for tests, and for trying a flow in a notebook."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

import anyio

from core.domain.messages import Go, Launch, LimitAsked, LimitGiven
from workers.artifacts import numbered, safe_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.domain.messages import Up, Word
    from workers.port import AttemptKey

M = TypeVar("M")


class ScriptedControl:
    """Keeps what was sent, and says what it is told to.

    Attributes:
        sent: everything the worker said, in order.
        victim: the directory whose browser would be killed.
        lets_in: whether whoever asks for what a key limits may go on at once.
    """

    def __init__(self, *, go: bool = True) -> None:
        self.sent: list[Up] = []
        self.victim: str | None = None
        self.lets_in = True
        self.on_send: Callable[[Up], None] | None = None
        self._words: deque[Word | None] = deque([Go(), Launch()] if go else [])
        self._changed = anyio.Event()

    def say(self, word: Word | None) -> None:
        """Let the other side say something; None: it is gone."""
        self._words.append(word)
        self._changed.set()

    def all(self, kind: type[M]) -> list[M]:
        """Return what was sent of one kind, in order."""
        return [message for message in self.sent if isinstance(message, kind)]

    def send(self, message: Up) -> None:
        """Keep it."""
        self.sent.append(message)
        if self.on_send is not None:
            self.on_send(message)
        if self.lets_in and isinstance(message, LimitAsked):
            self.say(LimitGiven(ticket=message.ticket))

    async def receive(self) -> Word | None:
        """Return the next word; None for ever once the other side is gone."""
        while not self._words:
            self._changed = anyio.Event()
            await self._changed.wait()
        return self._words[0] if self._words[0] is None else self._words.popleft()

    def kill_on_silence(self, user_data_dir: str | None) -> None:
        """Keep it."""
        self.victim = user_data_dir

    async def drain(self, seconds: float) -> None:
        """Nothing waits here."""


class MemoryArtifacts:
    """Keeps files in a dict; several attempts may share it.

    Attributes:
        files: content by path.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._kinds: set[tuple[str, str, str]] = set()

    def keep(self, of: AttemptKey, name: str, data: bytes) -> str:
        """Keep bytes; see the port."""
        directory, number = f"artifacts/{of.profile_id}/{of.number}", 1
        while (path := f"{directory}/{numbered(safe_name(name), number)}") in self.files:
            number += 1
        self.files[path] = data
        return path

    def take_in(self, of: AttemptKey, name: str, file: Path) -> str:
        """Move a file in; see the port."""
        kept = self.keep(of, name, file.read_bytes())
        file.unlink()
        return kept

    def is_first(self, of: AttemptKey, kind: str) -> bool:
        """Whether this kind was not asked for before; see the port."""
        asked = (of.profile_id, of.job, kind)
        first = asked not in self._kinds
        self._kinds.add(asked)
        return first
