"""Makes the table of jobs follow a feed, set by set: the length of the queue costs no memory and no round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from core.domain.lifecycle import JOB, JobEvent, advance
from core.domain.model import JobState
from core.queue.following import CANCELLABLE, GONE, Action, fate
from core.queue.port import Reconciled
from core.queue.rows import spec_row
from core.queue.statements import read_statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from core.domain.failure import Code
    from core.domain.model import JobSpec

_STATEMENTS = read_statements("reconcile.sql")


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Statements(Protocol):
    """What runs SQL: a connection inside a transaction."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Rows:
        """Run one statement for each set of parameters, as they come."""
        ...


class Reading(NamedTuple):
    """How a feed is followed; see ``JobQueue.reconcile``."""

    feed: str
    now: float
    again: bool
    retry_failed: Collection[Code]
    cancel_missing: bool


def load(connection: Statements, specs: Iterable[JobSpec]) -> int:
    """Put a feed into a temporary table, without holding it in memory; return how many jobs it has."""
    connection.execute("DROP TABLE IF EXISTS temp.incoming")
    connection.execute(_STATEMENTS["create"])
    total = connection.executemany(_STATEMENTS["load"], map(spec_row, specs)).rowcount
    connection.execute(_STATEMENTS["index"])
    return total


def follow(connection: Statements, reading: Reading, total: int) -> tuple[Reconciled, bool]:
    """Reconcile the jobs with what ``load`` left, in the caller's transaction; return the counts, and whether any moved."""
    counted = dict.fromkeys(Reconciled.__struct_fields__, 0)
    todo: set[tuple[Action, JobState, JobState]] = set()
    codes = msgspec.json.encode(sorted(reading.retry_failed)).decode()
    for name, same, retry, recurs, count in list(connection.execute(_STATEMENTS["known"], {"codes": codes})):
        total -= count
        state = JobState(name)
        decided = fate(state, same=bool(same), again=reading.again, retry=bool(retry), recurs=bool(recurs))
        counted[decided.counted] += count
        if decided.action is not Action.KEEP:
            todo.add((decided.action, state, decided.state))
    # A job belongs to the feed that named it last. First: what a statement below moves must be owned already.
    moved = connection.execute(_STATEMENTS["own"], {"feed": reading.feed}).rowcount
    if reading.cancel_missing:
        for before in CANCELLABLE:
            after = advance(JOB, before, JobEvent.CANCELLED)
            given = {"feed": reading.feed, "now": reading.now, "reason": GONE, "before": before, "after": after}
            counted["cancelled"] += connection.execute(_STATEMENTS["cancel"], given).rowcount
        # What ended and is no longer asked for is nobody's: a failure of last week is not this feed's.
        moved += connection.execute(_STATEMENTS["release"], {"feed": reading.feed}).rowcount
    # Updating the pending ones comes first: the others become pending.
    for action, before, after in sorted(todo, key=lambda one: one[0] is not Action.UPDATE):
        given = {"now": reading.now, "before": before, "after": after, "again": reading.again, "codes": codes}
        connection.execute(_STATEMENTS[action.value], given)
    if total:
        given = {"feed": reading.feed, "now": reading.now, "after": JobState.QUEUED}
        counted["added"] += connection.execute(_STATEMENTS["add"], given).rowcount
    changed = bool(moved or todo or total or counted["cancelled"])
    if changed:
        connection.execute(_STATEMENTS["unrelate"])
        connection.execute(_STATEMENTS["relate"])
    return msgspec.convert(counted, Reconciled), changed
