"""What can be done to one attempt from outside while it is supervised."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.dispatch.turn import Turn
    from core.domain.events import AttemptParked
    from core.domain.model import Claim, ProcessStamp


class Handle:
    """One attempt under way.

    Attributes:
        claim: which.
        turn: its way to a slot.
        stamp: its worker; None before there is one.
        launched: whether it was allowed to start its browser.
        parked: the event that says that it waits for a person; None while it does not.
        limited: why it waits for what a key limits; empty while it does not, or not for long.
        yields: set once it is to end after its step.
        asked: set once somebody wants its end.
        answers: what a person answered, secret; None if none is waited for any more.
        decided: set once it is known which.
        by: who: ``operator`` or ``cancel``; goes into ``Exit.stopped_by``.
        reason: the sentence that goes with it.
        stopped: who stopped it in the end, and why; None if it ended by itself.
    """

    def __init__(self, claim: Claim, turn: Turn) -> None:
        self.claim = claim
        self.turn = turn
        self.stamp: ProcessStamp | None = None
        self.launched = False
        self.parked: AttemptParked | None = None
        self.limited = ""
        self.answers: dict[str, str] | None = None
        self.decided = anyio.Event()
        self.yields = anyio.Event()
        self.yields_to = ""
        self.asked = anyio.Event()
        self.stopped: tuple[str, str] | None = None
        self.by = ""
        self.reason = ""

    def park(self, parked: AttemptParked) -> None:
        """It waits for a person from now on."""
        self.parked, self.answers, self.decided = parked, None, anyio.Event()

    def resume(self, answers: dict[str, str]) -> bool:
        """A person is done; whether that was not decided before."""
        if self.decided.is_set():
            return False
        self.answers = answers
        self.decided.set()
        return True

    def dismiss(self) -> None:
        """No person is waited for any more."""
        self.decided.set()

    @property
    def profile_id(self) -> str:
        """Whose attempt it is."""
        return self.claim.job.spec.profile_id

    def ask_to_yield(self, reason: str) -> None:
        """Ask it to end after its step, to be queued again."""
        self.yields_to = reason
        self.yields.set()

    def stop(self, by: str, reason: str) -> None:
        """Ask for its end; whoever asks first is whom it is put down to."""
        if not self.asked.is_set():
            self.by, self.reason = by, reason
            self.asked.set()


class Handles:
    """All attempts that are supervised now, in the order they began."""

    def __init__(self) -> None:
        self._handles: dict[str, Handle] = {}

    @property
    def parked(self) -> list[Handle]:
        """Those that wait for a person."""
        return [handle for handle in self if handle.parked is not None]

    def of(self, job_id: str) -> Handle | None:
        """Return the attempt of a job that is under way, None if there is none."""
        return next((handle for handle in self if handle.claim.job.spec.id == job_id), None)

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
