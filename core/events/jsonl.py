"""Events on disk: ``logs/events.jsonl``, one JSON line each, appended with a single write.

It is rotated as soon as it is large enough, also in the middle of a run: one with ``--watch`` may last for months. Whoever
follows it goes on with the next part (``core/line_tail.py``). A disk that is full costs events, never the run: what could not be written is kept for a while, tried again, counted, and
said once.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from core.clock import SystemClock
from core.domain.events import encode
from core.rotation import rotate

if TYPE_CHECKING:
    from pathlib import Path

    from core.clock import Clock
    from core.domain.events import Event

log = structlog.get_logger(__name__)

MAX_BYTES = 16 * 1024 * 1024
KEPT_IN_MEMORY = 10_000
RETRY_AFTER = 1.0


class JsonlSink:
    """Appends events to a file, 0600.

    Attributes:
        lost: events that will never be written; those that are none of the catalogue's among them.
    """

    def __init__(self, path: Path, clock: Clock | None = None, *, max_bytes: int = MAX_BYTES, keep: int = 3) -> None:
        """Nothing is opened yet, and nothing is raised here either.

        Args:
            path: the file; its directory is made, 0700, if there is none.
            clock: for the pause between two tries after an error; None: the system's.
            max_bytes: size from which the file is rotated before the next event.
            keep: how many rotated files stay; 0 keeps none.
        """
        self.lost = 0
        self._path = path
        self._clock = SystemClock() if clock is None else clock
        self._descriptor: int | None = None
        self._torn = False
        self._failing = False
        self._retry_at = 0.0
        self._unwritten: deque[bytes] = deque()
        self._refused: set[str] = set()
        self._max_bytes = max_bytes
        self._keep = keep
        self._rotate_at = max_bytes

    def emit(self, event: Event) -> None:
        """Append one event; if that fails, keep it and try again with a later one."""
        try:
            line = encode(event)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
            self._refuse(type(event).__name__, exc)
            return
        if len(self._unwritten) >= KEPT_IN_MEMORY:
            self._unwritten.popleft()
            self.lost += 1
        self._unwritten.append(line)
        if self._clock.monotonic() >= self._retry_at:
            self._write_out()

    def close(self) -> None:
        """Try once more to write what is left, say what is lost, and release the file."""
        if self._unwritten:
            self._write_out()
        self.lost += len(self._unwritten)
        self._unwritten.clear()
        if self.lost:
            _say(logging.ERROR, "events_lost", path=str(self._path), lost=self.lost)
        self._release()

    def _refuse(self, kind: str, exc: Exception) -> None:
        """Leave out an event that nobody could read, and name it, the first of its kind: it must not end a fleet."""
        self.lost += 1
        if kind not in self._refused:
            self._refused.add(kind)
            # msgspec names fields and types, never what stands there
            why = str(exc) if isinstance(exc, msgspec.ValidationError) else type(exc).__name__
            _say(logging.ERROR, "event_not_written", type=kind, reason=why)

    def _write_out(self) -> None:
        try:
            while self._unwritten:
                self._append(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as exc:
            self._retry_at = self._clock.monotonic() + RETRY_AFTER
            self._release()
            if not self._failing:
                self._failing = True
                _say(logging.ERROR, "events_not_written", path=str(self._path), reason=exc.strerror, errno=exc.errno)
            return
        self._retry_at = 0.0
        if self._failing:
            self._failing = False
            _say(logging.INFO, "events_written_again", path=str(self._path), lost=self.lost)

    def _append(self, line: bytes) -> None:
        descriptor = self._open()
        if (size := os.fstat(descriptor).st_size) >= self._rotate_at:
            self._put_aside(size)
            descriptor = self._open()
        data = b"\n" + line if self._torn else line
        written = os.write(descriptor, data)
        self._torn = written != len(data)
        if self._torn:
            # a full disk takes a part; the next line starts on its own, and readers skip the torn one
            raise OSError(None, f"only {written} of {len(data)} bytes were taken")

    def _open(self) -> int:
        if self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0:
            self._release()  # somebody removed the file under us
        if self._descriptor is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            os.fchmod(self._descriptor, 0o600)
            size = os.fstat(self._descriptor).st_size
            self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        return self._descriptor

    def _put_aside(self, size: int) -> None:
        """Rotate; where that cannot be done it is tried again after as many bytes more."""
        self._release()
        self._rotate_at = self._max_bytes
        try:
            rotate(self._path, self._max_bytes, self._keep)
        except OSError as exc:
            self._rotate_at = size + self._max_bytes
            _say(logging.WARNING, "events_not_rotated", path=str(self._path), reason=exc.strerror)

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _say(level: int, event: str, **fields: Any) -> None:
    # our own log is likely on the same full disk
    with contextlib.suppress(OSError):
        log.log(level, event, **fields)
