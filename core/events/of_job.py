"""Reads back all that the event log and its older parts hold of one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.events.tail import event_of
from core.rotation import open_parts

if TYPE_CHECKING:
    from pathlib import Path

    from core.domain.events import Event


def events_of_job(path: Path, job_id: str) -> list[Event]:
    """Return the events of a job, the oldest first; torn lines and kinds this version does not know are left out.

    Args:
        path: of the log.
        job_id: whose.

    Raises:
        OSError: the log may not be read, or is no file.
    """
    # parsing only what looks right keeps it quick
    mark = b'"job":' + msgspec.json.encode(job_id)
    found: list[Event] = []
    parts = open_parts(path)
    try:
        for _, part in sorted(parts, key=lambda one: -one[0]):
            lines = part.read().split(b"\n")
            events = (event_of(line) for line in lines if mark in line)
            found += [event for event in events if event is not None and getattr(event, "job", None) == job_id]
    finally:
        for _, part in parts:
            part.close()
    return found
