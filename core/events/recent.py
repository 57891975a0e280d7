"""Reads the event log from its end, through its older parts: what is the case by now was said last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.events.tail import event_of
from core.rotation import open_parts

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from core.domain.events import Event

MOST = 64 * 1024 * 1024
"""How much of the log's end is looked at, in bytes: all that is kept, unless events were larger than usual."""


def newest_first(path: Path, kinds: Sequence[str], most: int = MOST) -> Generator[Event]:
    """Yield the events of these kinds, the newest first; torn lines and kinds this version does not know are left out.

    Args:
        path: of the log.
        kinds: names of types, as ``type`` has them; most lines are of others, and parsing only these keeps it quick.
        most: bytes that are looked at.

    Raises:
        OSError: the log may not be read, or is no file.
    """
    marks = [f'"{kind}"'.encode() for kind in kinds]
    parts = open_parts(path)
    try:
        for _, part in parts:
            start = max(part.seek(0, os.SEEK_END) - most, 0)
            part.seek(start)
            data = part.read()
            most -= len(data)
            for line in reversed(data.split(b"\n")):
                if any(mark in line for mark in marks) and (event := event_of(line)) is not None:
                    yield event
            if start:
                return
    finally:
        for _, part in parts:
            part.close()
