"""``state/limits.jsonl``: when things that a key limits were begun, and what the feeds limit.

A line for each that is let in, appended before it is, and one when it has begun; the file is rewritten when most of it no
longer counts. It is not synced: a kill loses nothing, and after a power cut the host takes longer to come back than most
periods last.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from core.domain.limits import LONGEST_PERIOD, MOST, Limit, merged
from core.durable import bytes_of, ensure_directory, write_bytes
from core.errors import DurableWriteFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from core.clock import Clock

NAME = "limits.jsonl"
_SPARE = 1000
"""Lines that may have become useless before the file is rewritten, beside as many as still count."""
log = structlog.get_logger(__name__)


class _LetIn(msgspec.Struct, frozen=True, tag="let_in"):
    key: str
    at: float


class _Start(msgspec.Struct, frozen=True, tag="start"):
    key: str
    at: float
    let_in: float | None = None


class _Feed(msgspec.Struct, frozen=True, tag="feed"):
    feed: str
    limits: dict[str, Limit]


_Said = _LetIn | _Start | _Feed
_DECODER: msgspec.json.Decoder[_Said] = msgspec.json.Decoder(_Said)


class FileLimitRecord:
    """A ``LimitRecord`` in a file that belongs to whoever holds the state directory.

    Args:
        state_dir: where it is.
        clock: tells what is older than any period.

    Raises:
        DurableWriteFailed: the file cannot be read or written.
    """

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._path = state_dir / NAME
        self._clock = clock
        self._starts: dict[str, deque[float]] = {}
        self._let_in: dict[str, deque[float]] = {}
        self._feeds: dict[str, dict[str, Limit]] = {}
        self._turn = threading.Lock()
        self._lines = 0
        self._is_torn = False
        ensure_directory(state_dir)
        for line in self._read().splitlines():
            try:
                said = _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # the end of a write that a power cut broke off
            self._take(said)
        now = clock.now()
        for key, let_in in self._let_in.items():
            self._of(self._starts, key).extend(now for _ in let_in)
        self._let_in.clear()
        self._file = self._rewrite()

    def starts(self) -> Mapping[str, Sequence[float]]:
        """Return all starts; see the port."""
        with self._turn:
            keys = self._starts.keys() | self._let_in.keys()
            return {key: (*self._starts.get(key, ()), *self._let_in.get(key, ())) for key in keys}

    def note(self, key: str, at: float) -> None:
        """Remember that somebody is let in."""
        self._append(_LetIn(key, at))

    def began(self, key: str, let_in: float, at: float) -> None:
        """Remember when that was."""
        self._append(_Start(key, at, let_in))

    def keep_feed(self, feed: str, limits: Mapping[str, Limit]) -> None:
        """Remember what a feed limits: a run that is given no feed goes on with it."""
        if limits != self._feeds.get(feed, {}):
            self._append(_Feed(feed, dict(limits)))

    def feed_limits(self, feed: str | None = None) -> Mapping[str, Limit]:
        """Return what a feed limits, or what all do: of a key that several have, what was read last."""
        with self._turn:
            if feed is not None:
                return self._feeds.get(feed, {})
            found: Mapping[str, Limit] = {}
            for limits in self._feeds.values():
                found = merged(limits, found)
            return found

    def close(self) -> None:
        """Release the file; the object is not used again."""
        os.close(self._file)

    def _read(self) -> bytes:
        try:
            return bytes_of(self._path) or b""
        except OSError as exc:
            raise DurableWriteFailed(self._path, exc.errno, exc.strerror or str(exc)) from exc

    def _take(self, said: _Said) -> None:
        if isinstance(said, _LetIn):
            self._of(self._let_in, said.key).append(said.at)
        elif isinstance(said, _Start):
            let_in = self._of(self._let_in, said.key)
            if said.let_in is not None and said.let_in in let_in:
                let_in.remove(said.let_in)
            self._of(self._starts, said.key).append(said.at)
        else:
            self._feeds.pop(said.feed, None)  # what is read last stands last
            self._feeds[said.feed] = said.limits

    @staticmethod
    def _of(times: dict[str, deque[float]], key: str) -> deque[float]:
        return times.setdefault(key, deque(maxlen=MOST))

    def _append(self, said: _Said) -> None:
        with self._turn:
            self._take(said)
            line = (b"\n" if self._is_torn else b"") + msgspec.json.encode(said) + b"\n"
            try:
                self._is_torn = os.write(self._file, line) < len(line)
                self._lines += 1
                if self._lines > 2 * sum(map(len, (*self._starts.values(), *self._let_in.values()))) + _SPARE:
                    before, self._file = self._file, self._rewrite()
                    os.close(before)
            except (OSError, DurableWriteFailed) as exc:
                # it holds in this run all the same; a disk that is full is not asked for a new file each time
                self._is_torn, self._lines = True, 0
                log.warning("limit_not_recorded", reason=str(exc))

    def _rewrite(self) -> int:
        """Write down what still counts; return a descriptor that appends to it."""
        oldest = self._clock.now() - LONGEST_PERIOD
        for times in (self._starts, self._let_in):
            for key, starts in list(times.items()):
                while starts and starts[0] < oldest:
                    starts.popleft()
                if not starts:
                    del times[key]
        lines: list[_Said] = [_Feed(feed, limits) for feed, limits in self._feeds.items() if limits]
        lines += [_Start(key, at) for key, starts in self._starts.items() for at in starts]
        lines += [_LetIn(key, at) for key, let_in in self._let_in.items() for at in let_in]
        write_bytes(self._path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines), fsync=False)
        self._lines = len(lines)
        self._is_torn = False
        try:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as exc:
            raise DurableWriteFailed(self._path, exc.errno, exc.strerror or str(exc)) from exc
