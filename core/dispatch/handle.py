"""What can be done to one attempt from outside while it is supervised."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.dispatch.turn import Turn
    from core.domain.model import Claim


class Handle:
    """One attempt under way.

    Attributes:
        claim: which.
        turn: its way to a slot.
        launched: whether it was allowed to start its browser.
        asked: set once somebody wants its end.
        by: who: ``operator`` …; goes into ``Exit.stopped_by``.
        reason: the sentence that goes with it.
    """

    def __init__(self, claim: Claim, turn: Turn) -> None:
        self.claim = claim
        self.turn = turn
        self.launched = False
        self.asked = anyio.Event()
        self.by = ""
        self.reason = ""

    def stop(self, by: str, reason: str) -> None:
        """Ask for its end; whoever asks first is whom it is put down to."""
        if not self.asked.is_set():
            self.by, self.reason = by, reason
            self.asked.set()


class Handles:
    """All attempts that are supervised now, in the order they began."""

    def __init__(self) -> None:
        self._handles: dict[str, Handle] = {}

    def __iter__(self) -> Iterator[Handle]:
        return iter(tuple(self._handles.values()))

    @contextmanager
    def listed(self, claim: Claim, turn: Turn) -> Iterator[Handle]:
        """Make an attempt known while the body supervises it."""
        nonce = claim.attempt.nonce
        handle = self._handles[nonce] = Handle(claim, turn)
        try:
            yield handle
        finally:
            del self._handles[nonce]
