"""Feeds that are fetched: from a server or from a command. Whoever follows one never waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import structlog

from core.errors import BadInput, Problem
from core.queue.feed import MAX_JSON, read_feed_text
from core.queue.feed_order import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.clock import Clock
    from core.queue.feed import Feed, FeedDefaults
    from core.queue.intake import Intake
    from core.queue.port import JobQueue, Reconciled

log = structlog.get_logger(__name__)

MAX_FETCHED = MAX_JSON
FETCH_LIMIT = 60.0
"""Seconds for all of a fetch."""
_MARGIN = 2.0
"""Seconds in which a fetch that is at its limit ends by itself, and says more about why."""


class RemoteFeed(Protocol):
    """Something that gives a feed's text when asked.

    Attributes:
        place: what messages call it; no secrets.
        name: the key of its jobs; no secrets.
        suffix: of a file's name, which says its form; or nothing.
    """

    place: str
    name: str
    suffix: str

    def fetch(self) -> bytes | None:
        """Return the text, at most ``MAX_FETCHED`` bytes, or None if it is the same as last time.

        Raises:
            BadInput: it cannot be had, with why.
        """
        ...

    def close(self) -> None:
        """Give up a fetch that is under way."""
        ...


class _Fetch(threading.Thread):
    """One fetch, in a thread that nobody has to wait for."""

    def __init__(self, remote: RemoteFeed, since: float) -> None:
        super().__init__(daemon=True, name="fetch")
        self._remote = remote
        self.since = since
        self.text: bytes | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self.text = self._remote.fetch()
        except Exception as exc:  # noqa: BLE001 - whoever asked raises it again
            self.failure = exc

    def result(self) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        return self.text


class RemoteReader:
    """Reads a remote feed: the first time by waiting, later by looking whether there is something new."""

    def __init__(
        self, remote: RemoteFeed, clock: Clock, *, cwd: Path, defaults: FeedDefaults, limit: float = FETCH_LIMIT
    ) -> None:
        self._remote = remote
        self._clock = clock
        self._cwd = cwd
        self._defaults = defaults
        self._limit = limit
        self._text: bytes | None = None
        self._fetch: _Fetch | None = None
        self._last = clock.monotonic()
        self.source = remote.place

    def read(self) -> Feed:
        """Return the feed in the text that was fetched last, after a first fetch if there was none.

        Raises:
            BadInput: it cannot be had, or with everything that is wrong in it.
        """
        if self._text is None:
            fetch = self._start()
            fetch.join(self._limit + _MARGIN)
            if fetch.is_alive():
                self._remote.close()
                raise self._late()
            self._text = fetch.result() or b""
            self._fetch = None
        return read_feed_text(
            self._text, place=self._remote.place, name=self._remote.name, suffix=self._remote.suffix,
            cwd=self._cwd, defaults=self._defaults,
        )  # fmt: skip

    def look(self, interval: float) -> bool | None:
        """Whether something new was fetched, for ``read`` to return; None if no fetch came to its end.

        Begins a fetch when it is time, and waits for none.

        Raises:
            BadInput: it could not be had.
        """
        now = self._clock.monotonic()
        if self._fetch is None:
            if now - self._last >= interval:
                self._start()
            return None
        if self._fetch.is_alive():
            if now - self._fetch.since > self._limit + _MARGIN:
                # whatever holds it holds no later one
                self._fetch = None
                raise self._late()
            return None
        done, self._fetch = self._fetch, None
        text = done.result()
        # a server without ETags gives the same again and again
        if text is None or text == self._text:
            return False
        self._text = text
        return True

    def close(self) -> None:
        """Give up a fetch that is under way."""
        self._remote.close()

    def _start(self) -> _Fetch:
        self._last = self._clock.monotonic()
        self._fetch = _Fetch(self._remote, self._last)
        self._fetch.start()
        return self._fetch

    def _late(self) -> BadInput:
        found = "none; it was given up"
        return BadInput(
            [Problem(place=self._remote.place, expected=f"all of it within {self._limit:g} s", found=found)]
        )


class RemoteFollower:
    """Follows a remote feed; what is bad or cannot be had leaves the queue as the last good version made it."""

    def __init__(self, reader: RemoteReader, intake: Intake, queue: JobQueue, clock: Clock, *, interval: float) -> None:
        self._reader = reader
        self._intake = intake
        self._queue = queue
        self._clock = clock
        self._interval = interval
        self._waiting: Feed | None = None
        self._refused = False
        self._said = ""
        self.source = reader.source

    def look(self) -> Callable[[], Reconciled | str] | str | None:
        """Look once, without touching the queue; see ``core.dispatch.ports.FeedFollower``."""
        try:
            found = self._reader.look(self._interval)
            # what was refused may be right by now without having changed: a flow that it names has been put there
            if found or (found is False and self._refused):
                self._refused = True
                self._waiting = self._intake.accept()
                self._refused = False
            if found is not None:
                self._said = ""
        except BadInput as exc:
            return self._rejected(exc)
        feed = self._waiting
        if feed is None:
            return None

        def bring_in() -> Reconciled | str:
            try:
                refuse_unknown(feed, self._queue.known)
                changes = self._queue.reconcile(feed.name, feed.specs, now=self._clock.now())
            except BadInput as exc:
                self._waiting = None
                return str(exc)
            self._intake.taken(feed)
            # not before: what the queue could not take now is brought in later
            self._waiting = None
            return changes

        return bring_in

    def _rejected(self, exc: BadInput) -> str | None:
        """Return what is wrong, once: a server that is down for a night is not worth a thousand lines."""
        if str(exc) == self._said:
            return None
        self._said = str(exc)
        log.warning("feed_rejected", source=self.source, problems=len(exc.problems))
        return self._said
