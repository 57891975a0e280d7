"""Slots, the launch gate, and the two wishes of a signal."""

from __future__ import annotations

import os
import signal

import anyio

from core.clock import SystemClock
from core.dispatch.admission import LaunchGate, Slots
from core.dispatch.shutdown import Stop, obey_signals


async def test_no_more_than_the_limit_hold_a_slot() -> None:
    """The peak overlap of many takers is the limit, and all are free in the end."""
    slots = Slots(3)
    peak = 0

    async def use() -> None:
        nonlocal peak
        async with slots.take():
            peak = max(peak, slots.taken)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(use)
    assert (peak, slots.taken, repr(slots)) == (3, 0, "<Slots 0/3>")


async def test_a_cancelled_holder_gives_its_slot_back() -> None:
    """Cancellation frees the slot."""
    slots = Slots(1)
    with anyio.CancelScope() as scope:
        async with slots.take():
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert slots.taken == 0


async def test_a_seat_takes_and_gives_up_at_will() -> None:
    """Taken twice it is one slot; given up it is free for others; leaving leaves none."""
    slots = Slots(2)
    async with slots.seat() as seat, slots.seat() as other:
        await seat.take()
        await seat.take()
        await other.take()
        assert slots.taken == 2
        seat.give_up()
        seat.give_up()
        assert slots.taken == 1
    assert slots.taken == 0


async def test_the_limit_changes_while_slots_are_held() -> None:
    """Lowered, it takes nobody's slot and lets nobody new in; raised, it lets in who waits."""
    slots = Slots(2)
    order: list[str] = []
    async with anyio.create_task_group() as tasks, slots.seat() as first, slots.seat() as second:

        async def join() -> None:
            async with slots.take():
                order.append("joined")

        await first.take()
        await second.take()
        slots.limit = 1
        tasks.start_soon(join)
        await anyio.wait_all_tasks_blocked()
        second.give_up()
        await anyio.wait_all_tasks_blocked()
        assert (slots.limit, slots.taken, order) == (1, 1, [])
        slots.limit = 3
        await anyio.wait_all_tasks_blocked()
        assert order == ["joined"]


async def test_the_gate_spaces_starts() -> None:
    """Two starts are at least the interval apart, and the first need not wait."""
    clock = SystemClock(seed=1)
    with anyio.fail_after(10):
        assert await LaunchGate(3600, clock).passage()
    gate = LaunchGate(0.05, clock)
    begin = clock.monotonic()
    assert await gate.passage()
    assert await gate.passage()
    assert clock.monotonic() - begin >= 0.05


async def test_nobody_waits_at_a_gate_that_is_closed() -> None:
    """However long the interval, closing the gate sends all who wait away, and all who come later."""
    gate = LaunchGate(3600, SystemClock(seed=1))
    assert await gate.passage()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                assert not await gate.passage()

            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            gate.close()
        assert not await gate.passage()


async def test_a_held_gate_lets_through_once_every_reason_is_gone() -> None:
    """Two reasons hold it; one alone still does; the interval counts from the last start, not from the wait."""
    gate = LaunchGate(0, SystemClock(seed=1))
    gate.hold("paused")
    gate.hold("memory")
    passed: list[bool] = []
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            passed.append(await gate.passage())

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        gate.let_go("paused")
        gate.let_go("never said")
        await anyio.wait_all_tasks_blocked()
        assert (gate.held, passed) == (("memory",), [])
        gate.let_go("memory")
    assert passed == [True]


async def test_the_first_signal_drains_and_the_second_stops() -> None:
    """Each signal is heard, and goes one step further."""
    stop, heard = Stop(), []
    async with anyio.create_task_group() as tasks:

        def hear(how: str) -> None:
            heard.append(how)
            if how == "now":
                tasks.cancel_scope.cancel()
            else:
                assert not stop.now.is_set()
                os.kill(os.getpid(), signal.SIGTERM)

        tasks.start_soon(obey_signals, stop, hear)
        await anyio.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGINT)
    assert heard == ["drain", "now"]
    assert stop.now.is_set()


def test_at_once_is_both_wishes() -> None:
    """A newer holder makes us stop without a drain."""

    async def check() -> None:
        stop = Stop()
        stop.at_once()
        assert stop.drain.is_set() and stop.now.is_set()

    anyio.run(check)
