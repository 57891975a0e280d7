"""Signals become one of two wishes: drain (start nothing more), then stop (end what runs)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop:
    """What the operator, or a rule of theirs, asked for. ``now`` implies ``drain``.

    Attributes:
        why: what is said of an attempt that ``now`` ends.
    """

    def __init__(self) -> None:
        self.why = "stopped by the operator"
        self.drain = anyio.Event()
        self.now = anyio.Event()

    def ask(self) -> str:
        """Go one step further; return ``drain`` or ``now``."""
        if self.drain.is_set():
            self.now.set()
            return "now"
        self.drain.set()
        return "drain"

    def at_once(self, why: str = "") -> None:
        """Ask for both; ``why`` where it was not the operator."""
        self.why = why or self.why
        self.drain.set()
        self.now.set()


async def obey_signals(stop: Stop, tell: Callable[[str], None]) -> None:
    """Turn SIGINT and SIGTERM into wishes until cancelled; ``tell`` hears each. Handlers are restored on leaving."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            tell(stop.ask())
