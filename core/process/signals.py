"""Signals that ask a process to end, heard on its loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: Callable[[str], object]) -> None:
    """Call ``stop`` on the loop's thread, with a sentence that names the signal, as often as it comes."""
    why = f"{number.name} received"
    try:
        loop.add_signal_handler(number, stop, why)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop, why))
