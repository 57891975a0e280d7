"""What keys limit, shared by all workers of a run."""

from __future__ import annotations

import time

import anyio
import msgspec
import pytest

from core.clock import ManualClock, SystemClock
from core.control.port import LimitedJob
from core.dispatch import turnstiles
from core.dispatch.attempt import AttemptLimits
from core.dispatch.off_loop import OffLoop
from core.dispatch.turnstiles import Turnstiles
from core.domain import events
from core.domain.limits import read_limits
from core.domain.messages import Finished, LimitAsked, LimitBegun, LimitGiven, LimitLeft
from core.domain.outcome import ExitCode, Interrupted
from core.process.scripted import AwaitLimit, AwaitStop, CloseControl, Crash, Exit, Hang, Hold
from core.state.memory import MemoryLimitRecord
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

ASKS, BEGINS, LEAVES = (
    say(kind) for kind in (LimitAsked(ticket=1, key="k"), LimitBegun(ticket=1), LimitLeft(ticket=1))
)
THROUGH = (ASKS, AwaitLimit(), BEGINS, LEAVES)
INSIDE = (ASKS, AwaitLimit(), BEGINS, Hold(), LEAVES)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch) -> None:
    monkeypatch.setattr(turnstiles, "PATIENCE", 0.02)


def limited(plan, said, *, record=None, **changes) -> Bench:
    settings = msgspec.structs.replace(SETTINGS, max_concurrent=9, **changes)
    return Bench(plan, settings, limits=lambda: read_limits(said), limit_record=record)


def given(child) -> list[int]:
    return [message.ticket for message in child.sent if isinstance(message, LimitGiven)]


async def test_what_nobody_limits_lets_everybody_through() -> None:
    """At once, and without a word of it; numbers that nobody knows, and those said twice, change nothing."""
    strange = (say(LimitBegun(ticket=7)), say(LimitLeft(ticket=7)), ASKS, ASKS, AwaitLimit(), *THROUGH[2:], LEAVES)
    bench = limited(lambda _c, _n: worker(*strange, *DONE), {"other": "1/d"})
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    assert [given(child) for child in bench.launcher.spawned] == [[1], [1]]
    assert bench.seen(events.LimitHeld) == []


async def test_one_at_a_time_in_the_order_they_asked() -> None:
    """The second waits until the first has left, the third until the second has; what takes long is told, and shown."""
    bench = limited(lambda _c, _n: worker(*INSIDE, *DONE), {"k": {"concurrency": 1}})
    bench.add("a", "b", "c")
    order: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.LimitHeld, nth=2)
            view = bench.dispatcher.steering.view()
            held = [event.job for event in bench.seen(events.LimitHeld)]
            assert view.limited == tuple(LimitedJob(job=job, why="k: 1 of 1 at a time") for job in held)
            while len(order) < 3:
                inside = next(
                    child for child in bench.launcher.spawned if given(child) and child.command.job_id not in order
                )
                assert sum(bool(given(child)) for child in bench.launcher.spawned) == len(order) + 1
                order.append(inside.command.job_id)
                inside.release()
                if len(order) < 3:
                    await bench.sink.wait_for(events.LimitPassed, nth=len(order))
                    await anyio.wait_all_tasks_blocked()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert order[1:] == [event.job for event in bench.seen(events.LimitHeld)][:2]
    assert {event.reason for event in bench.seen(events.LimitHeld)} == {"1 of 1 at a time"}
    assert all(event.seconds > 0 and event.key == "k" for event in bench.seen(events.LimitPassed))


async def test_a_rate_is_kept_over_all_workers_and_over_restarts() -> None:
    """Two in any second, whoever they are; what an earlier run began still counts."""
    record = MemoryLimitRecord()
    earlier = time.time()
    for _ in range(2):
        record.note("k", earlier)
    bench = limited(lambda _c, _n: worker(*THROUGH, *DONE), {"k": "2/s"}, record=record)
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    starts = record.starts()["k"]
    assert len(starts) == 4
    for first, last in zip(starts, starts[2:], strict=False):
        assert last >= first + 0.999
    assert {event.reason for event in bench.seen(events.LimitHeld)} == {"2/s"}


async def test_a_worker_that_dies_gives_back_what_it_holds() -> None:
    """Killed inside: the one that waits gets its turn, and the dead one's place in the window is its own."""
    dies = worker(ASKS, AwaitLimit(), Hold(), Crash())
    bench = limited(
        lambda c, nth: dies if c.profile_id == "a" and nth == 1 else worker(*THROUGH, *DONE),
        {"k": {"concurrency": 1}},
    )
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched)
            await anyio.wait_all_tasks_blocked()
            bench.queue.reconcile(
                "other", [msgspec.structs.replace(bench.queue.job("a").spec, id="b", profile_id="b")], now=0.0
            )
            bench.dispatcher._change_seen()
            await bench.sink.wait_for(events.LimitHeld, job="b")
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert bench.states() == {"a": "done", "b": "done"}


async def test_waiting_costs_no_time() -> None:
    """Longer than every limit of an attempt, and it is stopped only by the operator; its place in line is free then."""
    limits = AttemptLimits(start=5, progress=0.05, hard=0.1)
    stops = (AwaitStop(), say(Finished(outcome=Interrupted(reason="told"))), Exit(code=6))
    holder = (say(LimitAsked(ticket=1, key="k")), AwaitLimit(), *stops)
    bench = limited(lambda _c, _n: worker(*holder), {"k": {"concurrency": 1}}, limits=limits)
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.LimitHeld)
            [waits] = [event.job for event in bench.seen(events.LimitHeld)]
            # the one inside makes no progress and is stopped for that; the one that waits is not, however long it is
            await bench.sink.wait_for(events.AttemptEnded)
            assert bench.seen(events.AttemptEnded)[0].job != waits
            bench.stop.at_once()

        tasks.start_soon(operate)
        await bench.run()
    ended = {event.job: event.outcome for event in reversed(bench.seen(events.AttemptEnded))}
    assert sorted(ended.values()) == ["interrupted", "timed_out"]


async def test_two_that_wait_for_each_other_do_not_do_so_for_ever() -> None:
    """Whoever waits while others wait for it has its time run out like any other that makes no progress."""
    limits = AttemptLimits(start=5, progress=0.2, hard=20)

    def crossed(first: str, then: str):
        ask = (say(LimitAsked(ticket=1, key=first)), AwaitLimit(), say(LimitAsked(ticket=2, key=then)))
        return worker(*ask, AwaitLimit(ticket=2), Hang())

    keys = {"k": {"concurrency": 1}, "l": {"concurrency": 1}}
    bench = limited(
        lambda c, nth: (crossed("k", "l") if c.profile_id == "a" else crossed("l", "k")) if nth == 1 else worker(*DONE),
        keys,
        limits=limits,
    )
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    assert "timed_out" in [event.outcome for event in bench.seen(events.AttemptEnded)]


async def test_who_no_longer_waits_is_passed_over() -> None:
    """It leaves the line, and the next one moves up."""
    leaves = worker(ASKS, Hold(), LEAVES, *DONE)
    plans = {"a": worker(*INSIDE, *DONE), "b": leaves, "c": worker(*THROUGH, *DONE)}
    bench = limited(lambda c, _n: plans[c.profile_id], {"k": {"concurrency": 1}})
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched)
            await anyio.wait_all_tasks_blocked()
            spec = bench.queue.job("a").spec
            more = [msgspec.structs.replace(spec, id=name, profile_id=name) for name in "bc"]
            bench.queue.reconcile("other", more, now=0.0)
            bench.dispatcher._change_seen()
            await bench.sink.wait_for(events.LimitHeld, nth=2)
            bench.launcher.of("b")[0].release()
            await bench.sink.wait_for(events.LimitPassed, job="b")
            bench.launcher.of("a")[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert given(bench.launcher.of("b")[0]) == []
    assert given(bench.launcher.of("c")[0]) == [1]


async def test_a_worker_that_hangs_up_in_line_is_no_error() -> None:
    """Nobody is there to be told that it is its turn."""
    closes = worker(ASKS, CloseControl(), Exit(code=1))
    bench = limited(lambda _c, nth: closes if nth == 1 else worker(*DONE), {})
    bench.add("a")
    assert await bench.run() is ExitCode.DONE


async def test_limits_may_change_while_some_wait() -> None:
    """A key that is limited no more lets all through; one that is new holds from now on."""
    limits = read_limits({"k": {"concurrency": 1}, "m": "5/s"})
    stiles = Turnstiles(lambda: limits, SystemClock())
    assert await stiles.visit("m").admitted(str)
    first, second = stiles.visit("k"), stiles.visit("k")
    assert await first.admitted(str)
    async with anyio.create_task_group() as tasks:
        told: list[bool] = []

        async def wait() -> None:
            told.append(await second.admitted(str))

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        limits = read_limits({"l": {"concurrency": 1}})
        stiles.look_again()
    assert told == [True]
    assert await stiles.visit("l").admitted(str)
    late = stiles.visit("l")
    late.leave()
    assert not await late.admitted(str)


async def test_an_edit_of_the_feed_changes_what_holds() -> None:
    """The one that waits is let through as soon as the edit is taken in."""

    class Follower:
        source = "feed"

        def look(self):
            return None

    said = {"k": {"concurrency": 1}}
    bench = Bench(
        lambda _c, _n: worker(*INSIDE, *DONE),
        msgspec.structs.replace(SETTINGS, watch=True),
        limits=lambda: read_limits(said),
        follower=Follower(),
    )
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.LimitHeld)
            del said["k"]
            await bench.sink.wait_for(events.LimitPassed)
            await anyio.wait_all_tasks_blocked()
            for child in bench.launcher.spawned:
                child.release()
            bench.stop.ask()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_two_hundred_wait_in_line_and_each_gets_its_turn() -> None:
    """First come, first served, whoever leaves the line meanwhile."""
    stiles = Turnstiles(lambda: read_limits({"k": {"concurrency": 2}}), SystemClock())
    order: list[int] = []
    visits = [stiles.visit("k") for _ in range(200)]

    async def go(number: int) -> None:
        if await visits[number].admitted(lambda _: None):
            order.append(number)
            await anyio.lowlevel.checkpoint()
            visits[number].began()
            visits[number].leave()

    async with anyio.create_task_group() as tasks:
        for number in reversed(range(200)):
            tasks.start_soon(go, number)
        await anyio.lowlevel.checkpoint()
        for number in range(50, 200, 3):
            visits[number].leave()
    assert order == sorted(order)
    assert len(order) >= 150


async def test_a_start_counts_for_a_later_run_from_when_it_began() -> None:
    """Not from when it was let in: a slow worker would make two bursts of one. Who leaves without a word began at the latest then."""
    record, clock = MemoryLimitRecord(), ManualClock(1000.0)
    stiles = Turnstiles(lambda: read_limits({"k": "5/min"}), clock, record=record, files=OffLoop(1))
    slow, mute = stiles.visit("k"), stiles.visit("k")
    assert await slow.admitted(lambda _: None) and await mute.admitted(lambda _: None)
    assert record.starts() == {"k": (1000.0, 1000.0)}
    clock.advance(7)
    slow.began()
    slow.leave()
    clock.advance(1)
    mute.leave()
    await stiles.write_begun()
    assert record.starts() == {"k": (1007.0, 1008.0)}
