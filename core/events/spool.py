"""Events of others: what commands and programs have to say goes into ``state/announced.jsonl``, and the orchestrator passes it on.

Only an orchestrator writes ``logs/events.jsonl``. While one runs it looks here every second; else the next one does, at its
start. An event keeps the time at which it happened.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from core import durable
from core.domain.events import encode
from core.errors import DurableWriteFailed
from core.events.tail import event_of

if TYPE_CHECKING:
    from core.domain.events import Event

log = structlog.get_logger(__name__)
MOST_BYTES = 1024 * 1024
"""What is kept where no orchestrator ever comes; beyond that, events are lost, and said to be."""


class EventSpool:
    """An ``EventSink`` for whoever is no orchestrator, and the ``LeftEvents`` of the orchestrator."""

    def __init__(self, state_dir: Path | str) -> None:
        self._path = Path(state_dir) / "announced.jsonl"

    def emit(self, event: Event) -> None:
        """Leave one event; a disk that refuses costs the event, and nothing else."""
        try:
            line = encode(event)
            durable.ensure_directory(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                self._append(descriptor, line)
            finally:
                os.close(descriptor)
        except (OSError, DurableWriteFailed) as exc:
            log.warning("event_not_announced", type=type(event).__name__, reason=str(exc))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
            log.warning("event_not_announced", type=type(event).__name__, reason=type(exc).__name__)

    def take(self) -> list[Event]:
        """Return what was left, the oldest first, and forget it; torn lines and kinds this version does not know are left out."""
        try:
            if not self._path.stat().st_size:
                return []
            turn = durable.take_turn(self._path)
            try:
                lines = self._path.read_bytes().split(b"\n")
                os.truncate(self._path, 0)
            finally:
                if turn is not None:
                    os.close(turn)
        except FileNotFoundError:
            return []
        except OSError as exc:
            log.warning("events_not_taken", path=str(self._path), reason=exc.strerror)
            return []
        return [event for line in lines if line and (event := event_of(line)) is not None]

    def _append(self, descriptor: int, line: bytes) -> None:
        turn = durable.take_turn(self._path)
        try:
            size = os.fstat(descriptor).st_size
            if size + len(line) > MOST_BYTES:
                log.warning("event_not_announced", reason=f"{self._path} holds {size} bytes: no orchestrator took them")
                return
            if os.write(descriptor, line) < len(line):
                os.ftruncate(descriptor, size)  # a part of it would spoil the next one, too
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            if turn is not None:
                os.close(turn)
