"""An event loop whose time passes only when everybody waits: then it jumps to whatever is due next.

Nothing outside reaches it: no signals, no sockets, no threads. What runs on it twice runs in the same order twice, in whatever
process: tasks are kept in sets, so each has its number for a hash instead of its address.
"""

from __future__ import annotations

import asyncio
import selectors
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")


class Deadlock(Exception):
    """Everybody waits for somebody else, and no time will end it."""


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: it says that the time is over."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self.passed += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``time()`` begins at 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        numbers = count()

        class Numbered(asyncio.Task[Any]):
            def __init__(self, coroutine: Coroutine[Any, Any, Any], **how: Any) -> None:
                self.number = next(numbers)
                super().__init__(coroutine, **how)

            def __hash__(self) -> int:
                return self.number

        self.set_task_factory(lambda loop, coroutine, **how: Numbered(coroutine, loop=loop, **how))

    def time(self) -> float:
        return self._jump.passed

    def add_signal_handler(self, *_ignored: Any) -> None:
        """Signals are meant for whoever runs the simulation."""

    def remove_signal_handler(self, _ignored: int) -> bool:
        return True


def run(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an asynchronous function in virtual time; return what it returns.

    Raises:
        Deadlock: nobody could go on any more.
    """
    return anyio.run(function, *args, backend="asyncio", backend_options={"loop_factory": VirtualLoop})
