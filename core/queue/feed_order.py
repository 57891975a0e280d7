"""Which job of a feed comes after which: no circles, and nobody who is not there."""

from __future__ import annotations

import difflib
import graphlib
from typing import TYPE_CHECKING, Any

from core.errors import BadInput, Problem
from core.queue.feed_job import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from core.queue.feed import Feed

SHOWN = 20
_COMPARED = 5_000
"""Among how many IDs one that is much like it is looked for."""
_LISTED = 12


def outside_ids(feed: Feed, place: str) -> Mapping[str, int]:
    """Return the IDs that its jobs come after and that none of it has, with the number of the first job that names each.

    Args:
        feed: right in all else.
        place: what the user calls it.

    Raises:
        BadInput: some of its jobs come after each other in a circle.
    """
    parents: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, int] = {}
    names = set()
    for number, spec in enumerate(feed.specs):
        names.add(spec.id)
        if spec.after:
            parents[spec.id] = spec.after
            numbers[spec.id] = number
    _refuse_circles(feed, place, parents, numbers)
    outside: dict[str, int] = {}
    for job_id, first in parents.items():
        for name in first:
            if name not in names:
                outside.setdefault(name, numbers[job_id])
    return outside


def refuse_unknown(feed: Feed, known: Callable[[Collection[str]], set[str]]) -> None:
    """Refuse a feed whose jobs come after jobs that neither it nor the queue has.

    Args:
        feed: read.
        known: says which IDs the queue has.

    Raises:
        BadInput: naming the first 20 of them.
    """
    missing = feed.outside.keys() - known(feed.outside.keys()) if feed.outside else set()
    if not missing:
        return
    names = [spec.id for _, spec in zip(range(_COMPARED), feed.specs, strict=False)]
    wrong = sorted(missing, key=feed.outside.__getitem__)
    problems = [
        Problem(
            place=feed.name,
            expected="the ID of a job of this feed or of the queue",
            found=quoted(name),
            hint=_like(name, names),
            **_where(feed, feed.outside[name]),
        )
        for name in wrong[:SHOWN]
    ]
    if len(wrong) > SHOWN:
        problems.append(Problem(place=feed.name, expected="no mistakes", found=f"{len(wrong) - SHOWN} more like these"))
    raise BadInput(problems)


def _refuse_circles(feed: Feed, place: str, parents: Mapping[str, tuple[str, ...]], numbers: Mapping[str, int]) -> None:
    graph = dict(parents)
    problems: list[Problem] = []
    while len(problems) < SHOWN:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            break
        except graphlib.CycleError as exc:
            circle: Sequence[str] = exc.args[1][:0:-1]
        first = min(range(len(circle)), key=lambda at: numbers[circle[at]])
        ordered = [*circle[first:], *circle[:first], circle[first]]
        said = ordered if len(ordered) <= _LISTED else [*ordered[: _LISTED - 2], "…", ordered[-1]]
        found = f"a circle: {' after '.join(said)}"
        where = _where(feed, numbers[circle[first]])
        problems.append(Problem(place=place, expected="jobs that can be put in order", found=found, **where))
        graph.pop(circle[first])
    if problems:
        raise BadInput(problems)


def _where(feed: Feed, number: int) -> dict[str, Any]:
    at = feed.place_of(number, "", "after")
    return {"line": at.line, "column": at.column, "field": at.path}


def _like(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, 0.8)
    return f"did you mean {quoted(close[0])}?" if close else ""
