"""A run that waits for a person, its browser open."""

from __future__ import annotations

import pytest

from core.domain.failure import Code
from core.domain.messages import Dismiss, Parked, Resume, SecretLearnt, StepStarted, Stop
from core.domain.outcome import Done, Interrupted, Waiting
from tests.unit.workers.stage import Theatre
from workers.steps import Flow, needs_person


@pytest.fixture
def theatre():
    return Theatre()


@pytest.fixture
def asking():
    """A flow whose second step wants a code, and what was answered, try by try."""
    flow, told = Flow(), []

    @flow.step
    async def one(ctx):
        """Nothing to ask."""

    @flow.step
    async def two(ctx):
        told.append(ctx.answer("code"))
        if ctx.answer("code") is None:
            needs_person("type the code", code="needs_code", asks=["code"])

    return flow, told


def when_parked(theatre, *words):
    """Say these, one each time it parks."""
    left = list(words)
    theatre.control.on_send = lambda message: theatre.control.say(left.pop(0)) if isinstance(message, Parked) else None


async def test_the_same_step_goes_on_with_the_answer(theatre, asking):
    """In the same browser; the first step is not run again, and what was answered is masked from then on."""
    flow, told = asking
    when_parked(theatre, Resume(answers={"code": "314159"}))
    assert await theatre.play(flow, park=True) == Done()
    assert told == [None, "314159"]
    assert len(theatre.browsers.opened) == 1
    [parked] = theatre.control.all(Parked)
    assert parked == Parked(step="two", why="type the code", code=Code.NEEDS_CODE, asks=("code",))
    assert [message.step for message in theatre.control.all(StepStarted)] == ["one", "two", "two"]
    assert SecretLearnt(value="314159") in theatre.control.sent


async def test_it_parks_as_often_as_it_asks(theatre, asking):
    """An answer that does not help is asked for again."""
    flow, told = asking
    when_parked(theatre, Resume(), Resume(answers={"code": "2"}))
    assert await theatre.play(flow, park=True) == Done()
    assert told == [None, None, "2"]


async def test_dismissed_it_ends_and_the_job_waits(theatre, asking):
    """The browser is closed, what was committed stays, and the outcome is that of a flow that asks for a person."""
    flow, _ = asking
    when_parked(theatre, Dismiss())
    assert await theatre.play(flow, park=True) == Waiting(step="two", why="type the code", code=Code.NEEDS_CODE)
    assert theatre.browsers.closed == 1
    assert theatre.session.completion_flags == {"one": True}


async def test_a_stop_ends_the_wait(theatre, asking):
    """Stopped while it waits: interrupted, to begin the step anew."""
    flow, _ = asking
    when_parked(theatre, Stop(reason="told", grace=1))
    assert await theatre.play(flow, park=True) == Interrupted(reason="told")


async def test_where_nobody_lets_it_park_it_ends_at_once(theatre, asking):
    """By hand, and in a fleet that waits for nobody."""
    flow, _ = asking
    assert await theatre.play(flow) == Waiting(step="two", why="type the code", code=Code.NEEDS_CODE)
    assert theatre.control.all(Parked) == []


async def test_prepare_may_need_a_person_too(theatre, asking):
    """The same hand-off, before any step."""
    flow, _ = asking
    asked = []

    @flow.prepare
    async def prepare(ctx):
        asked.append(ctx.answer("code"))
        if ctx.answer("code") is None:
            needs_person("unlock it", asks=["code"])

    when_parked(theatre, Resume(answers={"code": "1"}))
    assert await theatre.play(flow, park=True) == Done()
    assert asked == [None, "1"]


async def test_a_flow_without_a_browser_has_nothing_to_keep_open(theatre):
    """It ends, as ever."""
    flow = Flow(browser=False)

    @flow.step
    async def one(ctx):
        needs_person("you")

    assert await theatre.play(flow, park=True) == Waiting(step="one", why="you")
