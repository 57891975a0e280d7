"""What others change while a run is under way: the feed, and the queue itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog

from core.domain import events
from core.errors import Fenced, QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.dispatch.off_loop import Blocking
    from core.dispatch.ports import DispatchSettings, FeedFollower, Ports
    from core.events.port import LeftEvents

log = structlog.get_logger(__name__)


class Edits:
    """Looks for edits, again and again.

    Args:
        ports: the queue, the clock, and where events go.
        settings: how often to look.
        blocking: threads for what may wait.
        changed: called after an edit, so that there is a new plan.
        overtaken: called when a newer orchestrator has the queue.
    """

    def __init__(
        self,
        ports: Ports,
        settings: DispatchSettings,
        blocking: Blocking,
        *,
        changed: Callable[[], None],
        overtaken: Callable[[Fenced], None],
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._blocking = blocking
        self._changed = changed
        self._overtaken = overtaken

    async def notice_others(self, seen: int) -> None:
        """Ask for a new plan when an operator has changed the queue: nothing else says so."""
        while True:
            await anyio.sleep(self._settings.notice_interval)
            try:
                now = await self._blocking.queue(self._ports.queue.changes_of_others)
            except QueueUnavailable:
                continue  # the next plan says it
            if now != seen:
                seen = now
                self._changed()

    async def pass_on(self, left: LeftEvents) -> None:
        """Tell what others left to be told."""
        while True:
            for event in await self._blocking.files(left.take):
                self._ports.events.emit(event)
            await anyio.sleep(self._settings.notice_interval)

    async def follow(self, follower: FeedFollower) -> None:
        """Bring edits of the feed into the queue; a bad one is said and changes nothing."""
        while True:
            await anyio.sleep(self._settings.follow_interval)
            try:
                edit = await self._blocking.files(follower.look)
                found = await self._blocking.queue(edit) if callable(edit) else edit
            except QueueUnavailable as exc:
                log.error("queue_unavailable", reason=str(exc))
                continue
            except Fenced as exc:
                self._overtaken(exc)
                return
            if found is None:
                continue
            now = self._ports.clock.now()
            if isinstance(found, str):
                self._ports.events.emit(events.FeedRejected(at=now, source=follower.source, problem=found))
            else:
                self._ports.events.emit(
                    events.FeedRead(at=now, source=follower.source, **msgspec.structs.asdict(found))
                )
            self._changed()
