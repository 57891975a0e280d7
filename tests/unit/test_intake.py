"""Following a feed's file: no edit is missed, and none that the queue could not take is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.clock import SystemClock
from core.domain.messages import FlowDescription
from core.errors import BadInput, DurableWriteFailed, QueueUnavailable
from core.kernel_lock import KernelLock
from core.queue.feed import FeedDefaults, read_feed
from core.queue.intake import FileFollower, Intake, signature
from core.queue.memory import MemoryQueue
from core.queue.port import Reconciled

if TYPE_CHECKING:
    from collections.abc import Sequence


class Agreeable:
    """Takes all parameters."""

    def describe(self, flow: Path, params: Sequence[dict[str, Any]]) -> FlowDescription:
        return FlowDescription(name=flow.stem, steps=())


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """A feed of one job."""
    (tmp_path / "f.py").touch()
    path = tmp_path / "queue.json"
    path.write_text('["a"]')
    return path


def intake(feed: Path) -> Intake:
    defaults = FeedDefaults(flag_flow=str(feed.with_name("f.py")))
    with Path("/dev/null").open("rb") as nothing:
        return Intake(lambda: read_feed(str(feed), stdin=nothing, cwd=feed.parent, defaults=defaults), Agreeable())


def taken(follower: FileFollower) -> Reconciled | str:
    bring_in = follower.look() or follower.look()  # the second one finds it at rest
    assert callable(bring_in)
    return bring_in()


def test_an_edit_between_the_first_reading_and_the_first_look_is_seen(feed: Path) -> None:
    """Checking flows takes seconds, in which a person may save the file."""
    queue, clock = MemoryQueue(), SystemClock()
    queue.begin_run(0.0)
    seen = signature(feed)
    intake(feed).accept()
    feed.write_text('["a", "b"]')
    follower = FileFollower(feed, intake(feed), queue, clock, seen=seen)
    assert taken(follower) == Reconciled(added=2)
    assert follower.look() is None


def test_an_edit_that_the_queue_could_not_take_is_taken_later(feed: Path) -> None:
    """A full disk delays an edit; a bad edit is said once."""

    class Full(MemoryQueue):
        full = True

        def reconcile(self, *args: Any, **how: Any) -> Reconciled:
            if self.full:
                raise QueueUnavailable(Path("queue.db"), "disk full")
            return super().reconcile(*args, **how)

    queue = Full()
    queue.begin_run(0.0)
    follower = FileFollower(feed, intake(feed), queue, SystemClock(), seen=None)
    with pytest.raises(QueueUnavailable):
        taken(follower)
    queue.full = False
    assert taken(follower) == Reconciled(added=1)
    feed.write_text('["a",')
    assert follower.look() is None
    assert isinstance(follower.look(), str)
    assert follower.look() is None


def test_what_is_being_written_is_not_read(feed: Path) -> None:
    """Neither its halves nor a moment without it are an edit; what never comes to rest is one after a while."""
    queue = MemoryQueue()
    queue.begin_run(0.0)
    follower = FileFollower(feed, intake(feed), queue, SystemClock(), seen=signature(feed))
    assert follower.look() is None
    feed.write_text("")
    assert follower.look() is None
    feed.write_text('["a", ')
    assert follower.look() is None
    feed.write_text('["a", "b"]')
    assert taken(follower) == Reconciled(added=2)
    feed.unlink()
    assert follower.look() is None
    feed.write_text('["c"]')
    assert taken(follower) == Reconciled(added=1, cancelled=2)
    for length in range(3):
        feed.write_text(f'["c"{" " * length}, ')
        assert follower.look() is None
    feed.write_text(f'["c"{" " * 9}, ')
    assert isinstance(follower.look(), str)


def test_an_edit_that_names_nobody_is_rejected(feed: Path) -> None:
    """A job that it comes after is looked for in the queue; the last good version stays."""
    queue = MemoryQueue()
    queue.begin_run(0.0)
    follower = FileFollower(feed, intake(feed), queue, SystemClock(), seen=None)
    assert taken(follower) == Reconciled(added=1)
    feed.write_text('[{"profile_id": "b", "after": ["x"]}]')
    assert 'found "x"' in str(taken(follower))
    feed.write_text('[{"profile_id": "b", "after": ["b"]}]')
    assert follower.look() is None
    assert "b after b" in str(follower.look())
    assert [job.spec.id for job in queue.jobs()] == ["a"]
    feed.write_text('[{"profile_id": "b", "after": ["a"]}]')
    assert taken(follower) == Reconciled(added=1, cancelled=1)


def test_a_feed_with_mistakes_is_not_accepted(feed: Path) -> None:
    """The same reading at the start raises."""
    feed.write_text('["a", "a"]')
    with pytest.raises(BadInput):
        intake(feed).accept()


def test_a_lock_that_cannot_be_opened_is_not_said_to_be_held(tmp_path: Path) -> None:
    """Whoever may not write there is told so, and not sent to look for a holder."""
    (tmp_path / "x.lock").mkdir()
    with (
        pytest.raises(DurableWriteFailed, match=r"x\.lock"),
        KernelLock(tmp_path / "x.lock", tmp_path / "x.holder", SystemClock()).hold("x", "a test"),
    ):
        pass


def test_what_the_queue_took_is_told(feed: Path) -> None:
    """Not what it refused, or could not take yet."""
    queue = MemoryQueue()
    queue.begin_run(0.0)
    told: list[str] = []
    taking = intake(feed)
    taking.taken = lambda taken: told.extend(taken.limits)
    follower = FileFollower(feed, taking, queue, SystemClock(), seen=None)
    feed.write_text('{"limits": {"a": "1/s"}, "jobs": ["a"]}')
    taken(follower)
    feed.write_text('{"limits": {"b": "often"}, "jobs": ["a"]}')
    assert isinstance(follower.look() or follower.look(), str)
    assert told == ["a"]
