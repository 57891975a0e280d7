"""From a feed to jobs in the queue: read, checked with the flows' own words, reconciled; and followed, if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from core.errors import BadInput, FlowLoadError, HostFailed, Problem
from core.queue.feed_order import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.clock import Clock
    from core.domain.messages import FlowDescription
    from core.queue.feed import Feed
    from core.queue.port import JobQueue, Reconciled

log = structlog.get_logger(__name__)

SHOWN = 20
PATIENCE = 3
"""How many looks in a row may find a file changed before it is read all the same."""


class FlowChecker(Protocol):
    """Says what a flow is and whether it takes these parameters."""

    def describe(self, flow: Path, params: Sequence[dict[str, Any]]) -> FlowDescription:
        """Return its description, with what is wrong with the parameter sets.

        Raises:
            FlowLoadError: it cannot be loaded.
            HostFailed: the host could not do it.
        """
        ...


class Intake:
    """Takes feeds in. Nothing reaches the queue unless all of a feed is right.

    Attributes:
        taken: called with each edited feed that the queue has taken, in a thread.
    """

    def __init__(self, read: Callable[[], Feed], checker: FlowChecker) -> None:
        self.taken: Callable[[Feed], None] = lambda _: None
        self._read = read
        self._checker = checker

    def accept(self) -> Feed:
        """Return the feed, read and checked.

        Raises:
            BadInput: with everything that is wrong.
        """
        feed = self.read()
        self.check(feed)
        return feed

    def read(self) -> Feed:
        """Return the feed, right in itself; nothing is touched.

        Raises:
            BadInput: with everything that is wrong.
        """
        return self._read()

    def check(self, feed: Feed) -> None:
        """Ask the flows whether they take the jobs' parameters.

        Raises:
            BadInput: with everything that is wrong.
        """
        users: dict[str, dict[bytes, tuple[int, str]]] = {}
        for index, spec in enumerate(feed.specs):
            params = msgspec.json.encode(spec.params, order="deterministic")
            users.setdefault(spec.flow, {}).setdefault(params, (index, spec.id))
        problems = [problem for flow, sets in users.items() for problem in self._check(feed, flow, sets)]
        if problems:
            raise BadInput(_shortened(problems, feed.name))

    def _check(self, feed: Feed, flow: str, sets: dict[bytes, tuple[int, str]]) -> list[Problem]:
        first = list(sets.values())
        try:
            description = self._checker.describe(Path(flow), [msgspec.json.decode(one) for one in sets])
        except FlowLoadError as exc:
            return [Problem(place=str(exc.path), line=exc.line, expected="a flow", found=exc.reason)]
        problems = []
        for found in description.problems[:SHOWN]:
            index, job_id = first[found.index]
            at = feed.place_of(index, found.field)
            expected = f"what {Path(flow).name} takes"
            problems.append(
                Problem(
                    place=feed.name,
                    line=at.line,
                    column=at.column,
                    field=at.path,
                    expected=expected,
                    found=found.message,
                    hint=f"job {job_id}",
                )
            )
        rest = len(description.problems) - SHOWN
        if rest > 0:
            problems.append(Problem(place=feed.name, expected="no mistakes", found=f"{rest} more like these"))
        return problems


class FileFollower:
    """Follows the edits of a feed's file; a bad edit leaves the queue as the last good version made it.

    An edit is read when a second look finds the file as the first one left it, so that nothing half-written is; one that is
    written on and on is read all the same. ``seen`` is the file's ``signature`` from before it was first read: an edit since
    then is followed as well.
    """

    def __init__(
        self, path: Path, intake: Intake, queue: JobQueue, clock: Clock, *, seen: tuple[int, int, int] | None
    ) -> None:
        self._path = path
        self._intake = intake
        self._queue = queue
        self._clock = clock
        self._seen = seen
        self._told = ""
        self._settling: tuple[int, int, int] | None = seen
        self._unsettled = 0
        self.source = str(path)

    def look(self) -> Callable[[], Reconciled | str] | str | None:
        """Look once, without touching the queue; see ``core.dispatch.ports.FeedFollower``."""
        now = signature(self._path)
        if now == self._seen:
            return None
        if now != self._settling and self._unsettled < PATIENCE:
            self._settling = now
            self._unsettled += 1
            return None
        self._unsettled = 0
        try:
            feed = self._intake.accept()
        except BadInput as exc:
            return self._rejected(exc, now)
        except HostFailed as exc:
            # the edit may be good: it is looked at again, and told once
            told, self._told = self._told, str(exc)
            return None if told == self._told else self._told

        def bring_in() -> Reconciled | str:
            try:
                refuse_unknown(feed, self._queue.known)
                changes = self._queue.reconcile(feed.name, feed.specs, now=self._clock.now())
            except BadInput as exc:
                return self._rejected(exc, now)
            self._intake.taken(feed)
            # not before: an edit that the queue could not take now is looked at again
            self._seen = now
            return changes

        return bring_in

    def _rejected(self, exc: BadInput, seen: tuple[int, int, int] | None) -> str:
        log.warning("feed_rejected", source=self.source, problems=len(exc.problems))
        self._seen = seen
        return str(exc)


def signature(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with an edit of the file, None if it cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _shortened(problems: Sequence[Problem], place: str) -> list[Problem]:
    more = len(problems) - SHOWN
    if more <= 0:
        return list(problems)
    rest = Problem(place=place, expected="no mistakes", found=f"{more} more like these")
    return [*problems[:SHOWN], rest]
