"""What a run shows and writes for people: its console."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from core.console.open import open_console
from core.errors import UnknownJob
from core.events.pace import earlier_pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.clock import Clock
    from core.console.open import RunConsole
    from core.queue.feed import Feed
    from core.queue.port import JobQueue


def console_of(log: Path, queue: JobQueue, feed: Feed | None, clock: Clock) -> RunConsole:
    """Return what standard output shows of a run; earlier runs, in the event log, say how long jobs usually take."""
    earlier = earlier_pace(log, of_flows(queue, feed))
    return open_console(sys.stdout, clock, term=os.environ.get("TERM", ""), earlier=earlier)


def of_flows(queue: JobQueue, feed: Feed | None) -> Callable[[str], bool]:
    """Return what says whether a known job is of one of a feed's flows: what such jobs took is what these will take."""
    flows = None if feed is None else {spec.flow for spec in feed.specs}

    def is_alike(job: str) -> bool:
        try:
            return flows is None or queue.job(job).spec.flow in flows
        except UnknownJob:
            return False

    return is_alike
