"""A step that waits for its turn: ``ctx.limit``, ``@flow.step(limit=…)``."""

from __future__ import annotations

import anyio
import pytest

from core.domain.messages import LimitAsked, LimitBegun, LimitGiven, LimitLeft, Stop
from core.domain.outcome import Done, Failed, Interrupted
from tests.unit.workers.stage import Theatre
from workers.steps import Flow
from workers.steps.time_limit import TimeLimit

WORDS = (LimitAsked, LimitBegun, LimitLeft)


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def said(theatre: Theatre) -> list[tuple[str, int]]:
    return [(type(one).__name__, one.ticket) for one in theatre.control.sent if isinstance(one, WORDS)]


async def test_a_turn_is_asked_for_begun_and_left(theatre):
    """In this order; that it has begun is said when the body has had its first go, so that no start counts too early."""
    flow = Flow(browser=False)
    seen = []

    @flow.step
    async def shop(ctx):
        async with ctx.limit("shop.example"):
            seen.append(said(theatre))
            await anyio.lowlevel.checkpoint()
            seen.append(said(theatre))

    assert await theatre.play(flow) == Done()
    assert [one.key for one in theatre.control.all(LimitAsked)] == ["shop.example"]
    assert seen == [[("LimitAsked", 1)], [("LimitAsked", 1), ("LimitBegun", 1)]]
    assert said(theatre) == [*seen[1], ("LimitLeft", 1)]


async def test_a_step_may_wait_as_a_whole(theatre):
    """Each try of it asks anew; a body that does not wait for anything says at once that it has left."""
    flow = Flow(browser=False)
    tries = []

    @flow.step(limit="desk", retries=1)
    async def sit(ctx):
        tries.append(said(theatre))
        if len(tries) == 1:
            raise RuntimeError("not yet")

    assert await theatre.play(flow) == Done()
    assert tries[0] == [("LimitAsked", 1)]
    assert [one for one in said(theatre) if one[0] != "LimitBegun"] == [
        (word, ticket) for ticket in (1, 2) for word in ("LimitAsked", "LimitLeft")
    ]


async def test_waiting_costs_a_step_no_time(theatre):
    """It waits for longer than it may take, twice at once even, and has all of its time afterwards."""
    flow = Flow(browser=False)
    theatre.control.lets_in = False

    @flow.step(timeout=0.3)
    async def shop(ctx):
        async def visit(key):
            async with ctx.limit(key):
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(visit, "a")
            group.start_soon(visit, "b")

    async def let_in():
        while len(theatre.control.all(LimitAsked)) < 2:
            await anyio.sleep(0.01)
        theatre.control.say(LimitGiven(ticket=1))
        theatre.control.say(LimitGiven(ticket=99))
        await anyio.sleep(0.6)
        theatre.control.say(LimitGiven(ticket=2))

    async with anyio.create_task_group() as group:
        group.start_soon(let_in)
        assert await theatre.play(flow) == Done()


async def test_time_goes_on_for_who_holds_what_others_wait_for(theatre):
    """Or two could wait for each other for ever: the step times out, and gives back what it holds."""
    flow = Flow(browser=False)
    theatre.control.lets_in = False
    theatre.control.on_send = lambda one: (
        theatre.control.say(LimitGiven(ticket=1, holds=True)) if one == LimitAsked(ticket=1, key="a") else None
    )

    @flow.step(timeout=0.2)
    async def shop(ctx):
        async with ctx.limit("a"), ctx.limit("b"):
            raise AssertionError("nobody lets it in")

    outcome = await theatre.play(flow)
    assert isinstance(outcome, Failed)
    assert "did not end within 0.2 s" in outcome.reason
    assert {one.ticket for one in theatre.control.all(LimitLeft)} == {1, 2}


async def test_a_stop_ends_the_wait(theatre):
    """The line is left."""
    flow = Flow(browser=False)
    theatre.control.lets_in = False
    theatre.control.on_send = lambda one: (
        theatre.control.say(Stop(reason="enough", grace=1)) if isinstance(one, LimitAsked) else None
    )

    @flow.step(limit="a")
    async def shop(ctx):
        raise AssertionError("nobody lets it in")

    assert isinstance(await theatre.play(flow), Interrupted)
    assert said(theatre) == [("LimitAsked", 1), ("LimitLeft", 1)]


@pytest.mark.parametrize("wrong", ["", " ", 5])
def test_a_key_is_a_name(wrong):
    """On the author's own line."""
    with pytest.raises(ValueError, match="limit must be the key of a limit"):
        Flow().step(limit=wrong)(_nothing)


async def _nothing(ctx):
    """A body."""


async def test_a_limit_strikes_when_its_own_time_is_over():
    """What was left before a pause is left after it; without a limit a pause is nothing."""
    limit = TimeLimit()
    with limit.paused():
        pass
    with limit.of(30) as outer:
        with limit.of(0.05) as inner:
            with limit.paused():
                assert inner.deadline == float("inf")
            await anyio.sleep(5)
        assert inner.cancelled_caught
        with limit.paused():
            assert outer.deadline == float("inf")
        assert outer.deadline < anyio.current_time() + 31
