"""What a failure is, after all that the browser showed; and what a flow's author says it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from playwright.async_api import Error as PlaywrightError

from core.domain.failure import Code
from core.domain.messages import StepProblem
from core.domain.outcome import Busy, Done, Failed, HostFault, Waiting
from core.domain.policy import POLICIES, Cost
from core.errors import LocateFailed, StepFailed
from core.state.port import LoginState
from tests.unit.workers.stage import PROFILE, Theatre
from workers.classify import code_of
from workers.steps import Flow, fail, needs_person


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def answer(page: Any, status: int, *, navigates: bool = True, framed: bool = False) -> SimpleNamespace:
    """A response, as Playwright tells of it."""
    frame = SimpleNamespace(page=page, parent_frame="main" if framed else None)
    request = SimpleNamespace(is_navigation_request=lambda: navigates)
    return SimpleNamespace(status=status, frame=frame, request=request)


def failing(error: Exception, *told: Any) -> Flow:
    """A flow whose step sees these things and then raises."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        for one in told:
            one(ctx)
        raise error

    return flow


def answered(status: int, **how: Any) -> Any:
    return lambda ctx: ctx.context.tell("response", answer(ctx.page, status, **how))


def crashed(ctx: Any) -> None:
    ctx.page.tell("crash")


GONE = LocateFailed("button", ["css('#a')"])


@pytest.mark.parametrize(
    ("error", "told", "code"),
    [
        (GONE, [], Code.SELECTOR_GONE),
        (GONE, [answered(200)], Code.SELECTOR_GONE),
        (GONE, [answered(404)], Code.SELECTOR_GONE),
        (GONE, [answered(429)], Code.RATE_LIMITED),
        (GONE, [answered(500)], Code.SITE_ERROR),
        (GONE, [answered(503)], Code.SITE_ERROR),
        (GONE, [answered(407)], Code.PROXY_AUTH),
        (RuntimeError("no price"), [answered(502)], Code.SITE_ERROR),
        (StepFailed("", "no price"), [answered(502)], Code.SITE_ERROR),
        # the last answer counts, and only that to the page itself
        (GONE, [answered(503), answered(200)], Code.SELECTOR_GONE),
        (GONE, [answered(503, navigates=False)], Code.SELECTOR_GONE),
        (GONE, [answered(503, framed=True)], Code.SELECTOR_GONE),
        (GONE, [lambda ctx: ctx.context.tell("response", answer("another page", 503))], Code.SELECTOR_GONE),
        # a page that crashed shows nothing; one that was loaded again does
        (GONE, [crashed], Code.PAGE_CRASHED),
        (GONE, [answered(503), crashed], Code.PAGE_CRASHED),
        (GONE, [crashed, answered(200)], Code.SELECTOR_GONE),
        # what is certain needs no explanation
        (ConnectionRefusedError(), [answered(503)], Code.CONNECTION_REFUSED),
        (StepFailed("", "no", "login_lost"), [answered(503)], Code.LOGIN_LOST),
        (StepFailed("", "no", "selector_gone"), [answered(503)], Code.SELECTOR_GONE),
    ],
)
async def test_what_the_browser_showed_explains_a_failure(theatre, error, told, code):
    """How the page was answered, whether it crashed; the step's problem and the attempt's end say the same."""
    outcome = await theatre.play(failing(error, *told))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.step) == (code, "pay")
    because = {Code.PAGE_CRASHED: "; the page had crashed"}.get(code, "; the page was answered with ")
    explained = code_of(error) is not code
    assert (because in outcome.reason) == explained
    [problem] = theatre.control.all(StepProblem)
    assert problem.code is code


async def test_a_closed_page_and_a_strange_answer_are_forgotten(theatre):
    """What a page showed goes with it, and a service worker's answer is nobody's."""

    def strange(ctx: Any) -> None:
        class Response:
            status = 503
            request = SimpleNamespace(is_navigation_request=lambda: True)

            @property
            def frame(self) -> None:
                raise PlaywrightError("Service Worker requests do not have an associated frame.")

        ctx.context.tell("response", Response())

    def closed(ctx: Any) -> None:
        ctx.page.tell("close")

    outcome = await theatre.play(failing(GONE, strange, answered(503), crashed, closed))
    assert outcome.code is Code.SELECTOR_GONE


async def test_a_fresh_page_is_watched_too(theatre):
    """After a step that hung, its next try is on a new page, which may crash as well."""
    flow = Flow()

    @flow.step(timeout=0.01, retries=1)
    async def pay(ctx):
        if len(theatre.control.all(StepProblem)) == 0:
            await anyio.sleep_forever()
        crashed(ctx)
        raise GONE

    assert (await theatre.play(flow)).code is Code.PAGE_CRASHED
    assert [problem.code for problem in theatre.control.all(StepProblem)] == [Code.STEP_TIMEOUT, Code.PAGE_CRASHED]


async def test_prepare_is_explained_as_well(theatre):
    """The page it could not lead to answered with an error of the site."""
    flow = Flow()

    @flow.prepare
    async def lead(ctx):
        answered(500)(ctx)
        raise GONE

    @flow.step
    async def pay(ctx): ...

    outcome = await theatre.play(flow)
    assert (outcome.code, outcome.step) == (Code.SITE_ERROR, "prepare")
    theatre.again()

    flow.on_prepare = None

    @flow.prepare
    async def say(ctx):
        fail("the shop is closed", code="site_down")

    outcome = await theatre.play(flow, attempt=2)
    assert (outcome.code, outcome.step) == (Code.SITE_DOWN, "prepare")
    assert outcome.reason.endswith(": the shop is closed")


def with_login(answers: list[bool]) -> tuple[Flow, list[str]]:
    """A flow whose check says these things, and whose second step misses its button until told otherwise."""
    flow, wanted = Flow("shop"), ["fail"]

    @flow.authenticated
    async def check(ctx):
        return answers.pop(0)

    @flow.step(always=True)
    async def look(ctx): ...

    @flow.step
    async def pay(ctx):
        if wanted:
            raise GONE

    return flow, wanted


async def test_a_login_that_was_there_and_is_gone_explains_what_is_missing(theatre):
    """Once the check has found one. Where a step was committed meanwhile, which may be the one that logs in, it explains nothing."""
    flow, wanted = with_login([True, False, False, False])
    assert (await theatre.play(flow)).code is Code.SELECTOR_GONE
    assert theatre.session.logged_in == ["shop"]
    flow.steps.reverse()
    theatre.again()
    outcome = await theatre.play(flow, attempt=2)
    assert outcome.code is Code.LOGIN_LOST
    assert outcome.reason.endswith("; the login that was there before is gone")
    flow.steps.reverse()
    theatre.again()
    # the first step was committed
    assert (await theatre.play(flow, attempt=3)).code is Code.SELECTOR_GONE
    wanted.clear()
    theatre.again()
    assert await theatre.play(flow, attempt=4) == Done()


async def test_a_login_that_never_was_is_not_lost(theatre):
    """A flow that logs in by itself, and cannot find the form, has lost a selector."""
    flow, _ = with_login([False])
    flow.steps.reverse()
    theatre.logins.write(PROFILE, LoginState(cookies=[{"name": "n"}]), fence=1)
    assert (await theatre.play(flow)).code is Code.SELECTOR_GONE
    assert theatre.session.logged_in == []


async def test_a_flow_without_a_check_notes_no_login(theatre):
    """Nobody has looked."""
    flow = Flow()

    @flow.step
    async def pay(ctx): ...

    assert await theatre.play(flow) == Done()
    assert theatre.session.logged_in == []


@pytest.mark.parametrize("code", Code)
async def test_an_author_says_what_it_is(theatre, code):
    """Any code that costs an attempt, or asks for a person; what would cost nothing is a mistake of the flow."""
    flow = Flow()

    @flow.step
    async def pay(ctx):
        fail("look: {x}", code=code)

    outcome = await theatre.play(flow)
    policy = POLICIES[code]
    if policy.cost is Cost.ATTEMPT:
        assert outcome.code is code
    elif code in (Code.NEEDS_PERSON, Code.CAPTCHA_ASKED, Code.NEEDS_CODE):
        assert outcome == Waiting(step="pay", why="look: {x}", code=code)
    else:
        assert isinstance(outcome, Failed)
        assert outcome.code is Code.FLOW_ERROR
        assert f"{str(code)!r} is no code that may be said here; expected one of " in outcome.reason


async def test_an_author_need_not_say(theatre):
    """Without a code the flow says that it cannot go on, and a person is a person."""
    outcome = await theatre.play(failing(StepFailed("", "no")))
    assert outcome.code is Code.STEP_FAILED
    flow = Flow()

    @flow.step
    async def pay(ctx):
        if ctx.attempt == 2:
            fail("no stock")
        needs_person("look", code="needs_code" if ctx.attempt == 3 else "needs_person")

    theatre.again()
    assert await theatre.play(flow) == Waiting(step="pay", why="look")
    theatre.again()
    outcome = await theatre.play(flow, attempt=2)
    assert (outcome.code, outcome.step) == (Code.STEP_FAILED, "pay")
    assert outcome.reason.startswith("test_signs.py:") and outcome.reason.endswith(": no stock")
    theatre.again()
    assert await theatre.play(flow, attempt=3) == Waiting(step="pay", why="look", code=Code.NEEDS_CODE)
    with pytest.raises(ValueError, match=r"'site_down' is no code .* one of captcha_asked, needs_code, needs_person"):
        needs_person("look", code="site_down")


async def test_the_hosts_fault_inside_a_step_is_the_hosts(theatre):
    """A disk that is full while a step writes costs the job nothing; neither does a profile that was taken over."""
    outcome = await theatre.play(failing(OSError(28, "No space left on device")))
    assert isinstance(outcome, HostFault)
    assert (outcome.code, outcome.step) == (Code.DISK_FULL, "pay")
    flow = Flow()

    @flow.step
    async def take(ctx):
        theatre.sessions.write(theatre.session, fence=99)

    theatre.again()
    assert isinstance(await theatre.play(flow, attempt=2), Busy)


async def test_a_dead_driver_is_told_from_a_dead_browser(theatre):
    """Both end the step at once; a kill for want of memory is told from either."""
    flow = Flow()
    died = {"driver": False}

    @flow.step
    async def pay(ctx):
        browser = theatre.browsers.opened[-1]
        browser.driver_died = died["driver"]
        theatre.oom_kills = died.get("kills", 0)
        browser.lost.set()
        await anyio.sleep_forever()

    assert (await theatre.play(flow)).code is Code.BROWSER_CRASHED
    died["driver"] = True
    theatre.again()
    assert (await theatre.play(flow, attempt=2)).code is Code.DRIVER_LOST
    died["kills"] = 1
    theatre.again()
    assert (await theatre.play(flow, attempt=3)).code is Code.OUT_OF_MEMORY
    theatre.oom_kills = died["kills"] = None
    theatre.again()
    assert (await theatre.play(flow, attempt=4)).code is Code.DRIVER_LOST
