"""Finding an element: the cached selector first, then the candidates; learning only what was confirmed."""

from __future__ import annotations

import pytest

from core.clock import ManualClock
from core.errors import LocateFailed
from core.state.memory import MemorySelectorCache
from tests.unit.workers.stage import Page, Theatre
from workers.steps import Flow, by_role, by_text, css
from workers.steps import locate as module
from workers.steps.locate import Locator, origin_of

ORIGIN = "https://shop.example"


@pytest.fixture
def cache():
    return MemorySelectorCache()


@pytest.fixture
def page():
    return Page()


@pytest.fixture
def locator(cache):
    return Locator(cache, "flow", "p1", ManualClock())


async def test_first_visible_candidate(locator, page):
    """The first candidate that is visible wins, in the author's order; a string is CSS."""
    page.visible = {"text:Pay", "css=#pay"}
    found = await locator.locate(page, "pay", [by_role("button", name="Pay"), "#pay", by_text("Pay")])
    assert found.selector == "css=#pay"


async def test_candidate_that_appears_later(locator, page):
    """All candidates share one timeout: a missing first one does not use it up."""
    checks = []

    class Slow(Page):
        def locator(self, selector):
            checks.append(selector)
            if len(checks) == 2:
                self.visible.add("css=#pay")
            return super().locator(selector)

    found = await locator.locate(Slow(), "pay", [by_text("never"), "#pay"])
    assert found.selector == "css=#pay"


async def test_nothing_found_names_what_was_tried(locator, page):
    """The error names label and candidates."""
    with pytest.raises(LocateFailed, match=r"'pay' was not found; tried css\('#pay'\), role\('button', name='Pay'\)"):
        await locator.locate(page, "pay", ["#pay", by_role("button", name="Pay")], timeout=0.05)


async def test_learns_only_when_confirmed(locator, page, cache):
    """A selector is learnt when the step's post-condition has held, and not when the try failed."""
    page.visible = {"css=#pay"}
    await locator.locate(page, "pay", ["#pay"])
    locator.forget()
    locator.confirm()
    assert cache.get(ORIGIN, "flow", "pay") is None
    await locator.locate(page, "pay", ["#pay"])
    assert cache.get(ORIGIN, "flow", "pay") is None
    locator.confirm()
    assert cache.get(ORIGIN, "flow", "pay") == css("#pay")


async def test_cached_selector_comes_first(locator, page, cache):
    """What worked last time is tried before the candidates, even if it is none of them."""
    cache.learn(ORIGIN, "flow", "pay", css("#old"), profile_id="p2", now=1.0)
    page.visible = {"css=#old", "css=#pay"}
    assert (await locator.locate(page, "pay", ["#pay"])).selector == "css=#old"
    assert page.asked == ["css=#old"]


async def test_cached_selector_that_fails_is_demoted(locator, page, cache, monkeypatch):
    """A cached selector that is not there gives way to the candidates, and after some failures is not tried any more."""
    monkeypatch.setattr(module, "HEAD_START", 0.01)
    cache.learn(ORIGIN, "flow", "pay", css("#old"), profile_id="p2", now=1.0)
    page.visible = {"css=#pay"}
    for _ in range(10):
        assert (await locator.locate(page, "pay", ["#pay"])).selector == "css=#pay"
        locator.forget()
    assert cache.get(ORIGIN, "flow", "pay") is None


async def test_cached_selector_is_still_asked_beside_the_candidates(cache, monkeypatch):
    """A page that is slow to show the cached selector's element does not demote it: the head start is not its only chance."""
    monkeypatch.setattr(module, "HEAD_START", 0.01)
    cache.learn(ORIGIN, "flow", "pay", css("#old"), profile_id="p2", now=1.0)

    class Slow(Page):
        def locator(self, selector):
            if self.asked.count("css=#pay") == 2:
                self.visible.add("css=#old")
            return super().locator(selector)

    locator = Locator(cache, "flow", "p1", ManualClock())
    for _ in range(10):
        assert (await locator.locate(Slow(), "pay", ["#pay"])).selector == "css=#old"
    assert cache.get(ORIGIN, "flow", "pay") == css("#old")


async def test_candidates_are_asked_within_a_short_timeout(locator, page, cache):
    """The cached selector's head start never uses up the whole timeout."""
    cache.learn(ORIGIN, "flow", "pay", css("#old"), profile_id="p2", now=1.0)
    page.visible = {"css=#pay"}
    assert (await locator.locate(page, "pay", ["#pay"], timeout=0.2)).selector == "css=#pay"


async def test_step_confirms_with_its_commit():
    """In a run: the failed try's find is not learnt, the committed one's is, under origin, flow and label."""
    theatre, flow, tries = Theatre(), Flow("shop"), []

    @flow.step(retries=1)
    async def pay(ctx):
        tries.append(1)
        ctx.page.visible = {"css=#wrong", "css=#right"}
        await ctx.locate("pay", "#wrong" if len(tries) == 1 else "#right")
        assert theatre.selectors.get(ORIGIN, "shop", "pay") is None
        if len(tries) == 1:
            raise RuntimeError("the wrong one")

    await theatre.play(flow)
    assert theatre.selectors.get(ORIGIN, "shop", "pay") == css("#right")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example/cart?x", "https://shop.example"),
        ("http://user:secret@shop.example:81/", "http://shop.example:81"),
        ("about:blank", "about:"),
    ],
)
def test_origin(url, origin):
    """Scheme, host and port; never credentials."""
    assert origin_of(url) == origin
