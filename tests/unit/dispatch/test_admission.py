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


async def test_the_gate_spaces_starts() -> None:
    """Two starts are at least the interval apart, and the first need not wait."""
    clock = SystemClock(seed=1)
    gate = LaunchGate(0.05, clock)
    begin = clock.monotonic()
    assert await gate.passage(anyio.Event())
    first = clock.monotonic() - begin
    assert await gate.passage(anyio.Event())
    assert first < 0.05 <= clock.monotonic() - begin


async def test_nobody_waits_at_a_gate_that_is_closed() -> None:
    """However long the interval, closing the gate sends all who wait away."""
    gate = LaunchGate(3600, SystemClock(seed=1))
    closed = anyio.Event()
    assert await gate.passage(closed)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                assert not await gate.passage(closed)

            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            closed.set()


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
