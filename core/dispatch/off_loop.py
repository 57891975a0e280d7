"""Blocking calls off the loop: how the engine talks to the queue and to files."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class OffLoop:
    """Runs blocking functions in threads, at most ``at_once`` together, and never abandons one half-way."""

    def __init__(self, at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)

    async def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what ``function`` returns; a cancelled caller waits for it first."""
        call = functools.partial(function, *args, **kwargs)
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=False, limiter=self._limiter)


class Blocking:
    """The two kinds of blocking work, so that a slow copy never holds up the queue."""

    def __init__(self) -> None:
        self.queue = OffLoop(1)
        self.files = OffLoop(4)
