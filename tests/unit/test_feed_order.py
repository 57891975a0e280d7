"""Which job of a feed comes after which: asked of the feed, then of the queue. Circles are in ``test_bad_feeds``."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import BadInput
from core.queue.feed import Feed, FeedDefaults, read_feed
from core.queue.feed_order import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def read(folder: Path, *jobs: Any) -> Feed:
    (folder / "f.py").touch()
    (folder / "q.json").write_text(json.dumps(jobs, indent=1))
    return read_feed("q.json", stdin=io.BytesIO(), cwd=folder, defaults=FeedDefaults(flag_flow="f.py"))


def after(name: str, *parents: str) -> dict[str, Any]:
    return {"profile_id": name, "after": list(parents)}


def nothing(job_ids: Collection[str]) -> set[str]:
    assert job_ids
    return set()


def test_jobs_may_stand_in_any_order(tmp_path: Path) -> None:
    """A job may be named before it is there, twice, and by many."""
    feed = read(tmp_path, after("c", "a", "b", "a"), after("b", "a"), "a")
    assert [spec.after for spec in feed] == [("a", "b"), ("a",), ()]
    assert feed.outside == {}
    refuse_unknown(feed, nothing)


def test_what_the_queue_has_may_be_named(tmp_path: Path) -> None:
    """Only that is asked for which the feed does not have."""
    feed = read(tmp_path, after("b", "old", "a"), "a")
    asked: list[str] = []

    def known(job_ids: Collection[str]) -> set[str]:
        asked.extend(job_ids)
        return {"old"}

    refuse_unknown(feed, known)
    assert asked == ["old"]


def test_what_nobody_has_is_refused(tmp_path: Path) -> None:
    """With its place, and the name that was probably meant."""
    feed = read(tmp_path, "job-anna", after("b", "job-ana"), after("c", "zzz"))
    with pytest.raises(BadInput) as caught:
        refuse_unknown(feed, nothing)
    place, expected = tmp_path / "q.json", "expected the ID of a job of this feed or of the queue"
    assert str(caught.value).splitlines() == [
        f'{place}:5:12: [1].after: {expected}, found "job-ana" (did you mean "job-anna"?)',
        f'{place}:11:12: [2].after: {expected}, found "zzz"',
    ]


def test_of_many_twenty_are_said(tmp_path: Path) -> None:
    """And how many more there are."""
    feed = read(tmp_path, *(after(f"p{number}", f"x{number}") for number in range(50)))
    with pytest.raises(BadInput) as caught:
        refuse_unknown(feed, nothing)
    assert len(caught.value.problems) == 21
    assert str(caught.value).endswith("found 30 more like these")


def test_a_long_chain_is_no_circle(tmp_path: Path) -> None:
    """Each of 20,000 after the one before: no depth of calls is reached."""
    feed = read(tmp_path, "p0", *(after(f"p{number}", f"p{number - 1}") for number in range(1, 20_000)))
    assert feed.outside == {}
