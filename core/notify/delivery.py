"""Takes what is worth telling from the events, and sends it from threads of its own: a fleet never waits for who is told."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from core.domain.notification import Told, notice
from core.notify.port import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from core.domain.events import Event
    from core.domain.notification import About, Notification
    from core.notify.port import Destination

log = structlog.get_logger(__name__)

MOST_WAITING = 1000
AT_A_TIME = 2
PAUSES = (1.0, 4.0)
"""Seconds before each further try."""
FLUSH_WITHIN = 10.0
_END_WITHIN = 3.0
"""Seconds for what was given up."""


class Notifier:
    """A sink. What cannot be delivered is logged; what is too much to wait is dropped, logged and counted.

    Args:
        destination: where to.
        about: what of.
        pauses: before each further try.

    Attributes:
        lost: notifications that never arrived.
    """

    def __init__(self, destination: Destination, about: Collection[About], *, pauses: Sequence[float] = PAUSES) -> None:
        self.lost = 0
        self._destination = destination
        self._about = frozenset(about)
        self._pauses = (0.0, *pauses)
        self._told = Told()
        self._waiting: deque[Notification] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._given_up = threading.Event()
        self._threads: list[threading.Thread] = []

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._told, notification = notice(self._told, event)
        if notification is None or notification.about not in self._about:
            return
        with self._changed:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                self._lose(notification, "too many wait", 0)
                return
            self._waiting.append(notification)
            if len(self._threads) < AT_A_TIME:
                # a daemon: whatever it hangs in, it keeps nobody from ending
                self._threads.append(threading.Thread(target=self._work, daemon=True, name="notify"))
                self._threads[-1].start()
            self._changed.notify()

    def close(self, patience: float = FLUSH_WITHIN) -> None:
        """Deliver what waits, as far as that is possible within ``patience`` seconds, and then no more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._join(patience)
        self._given_up.set()
        self._destination.close()
        self._join(_END_WITHIN)
        with self._changed:
            while self._waiting:
                self._lose(self._waiting.popleft(), "there was no more time", 0)

    def _join(self, patience: float) -> None:
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    def _work(self) -> None:
        while (notification := self._next()) is not None:
            self._deliver(notification)

    def _next(self) -> Notification | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting and not self._given_up.is_set() else None

    def _deliver(self, notification: Notification) -> None:
        body = msgspec.json.encode(notification)
        reason, tries = "", 0
        for pause in self._pauses:
            if self._given_up.wait(pause):
                reason = reason or "there was no more time"
                break
            tries += 1
            try:
                self._destination.deliver(body)
            except NotDelivered as exc:
                reason = exc.reason
                if not exc.again:
                    break
            except Exception as exc:
                log.exception("notifier_failed", to=self._destination.place)
                reason = type(exc).__name__
                break
            else:
                return
        with self._changed:
            self._lose(notification, reason, tries)

    def _lose(self, notification: Notification, reason: str, tries: int) -> None:
        self.lost += 1
        log.warning(
            "notification_not_delivered", to=self._destination.place, about=notification.about, id=notification.id,
            job=notification.job, reason=reason, tries=tries,
        )  # fmt: skip
