"""Where a run waits for a person: its browser stays open, and the other side says when it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from core.domain.failure import Code
from core.domain.messages import Dismiss, Parked, Resume
from core.errors import NeedsPerson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from workers.report import Reporter
    from workers.steps.context import Context

T = TypeVar("T")


class HandOff:
    """Parks a run, as often as it needs a person.

    Args:
        reporter: tells the other side.
        allowed: whether there is another side that lets the browser stay open.
    """

    def __init__(self, reporter: Reporter, *, allowed: bool) -> None:
        self._reporter = reporter
        self._allowed = allowed
        self._word: Resume | Dismiss | None = None
        self._arrived = anyio.Event()

    def hear(self, word: Resume | Dismiss) -> None:
        """The other side has decided."""
        self._word = word
        self._arrived.set()

    async def until_done(self, ctx: Context, body: Callable[[], Awaitable[T]]) -> T:
        """Return the body's value; where it needs a person, wait for one, and do it again.

        Raises:
            NeedsPerson: nobody is waited for, or not any more.
        """
        while True:
            try:
                return await body()
            except NeedsPerson as exc:
                if not self._allowed:
                    raise
                ctx.tell(await self._parked(exc))

    async def _parked(self, error: NeedsPerson) -> dict[str, str]:
        self._word, self._arrived = None, anyio.Event()
        why = self._reporter.secrets.mask(error.reason)
        code = Code(error.code or Code.NEEDS_PERSON)
        self._reporter.send(Parked(step=error.step, why=why, code=code, asks=error.asks))
        self._reporter.log.info("parked", step=error.step, why=why, asks=error.asks)
        await self._arrived.wait()
        if not isinstance(self._word, Resume):
            raise error
        for answer in self._word.answers.values():
            self._reporter.secrets.learn(answer)
        self._reporter.log.info("resumed", step=error.step)
        return self._word.answers
