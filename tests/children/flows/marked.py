"""Looks whether the profile's extension has marked a page, and how often its worker was asked so far."""

from __future__ import annotations

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        url: a page.
        runs: whether the extension is to be waited for.
    """

    url: str
    runs: bool = True


flow = Flow("marked", params=Params)


@flow.step(always=True)
async def look(ctx: Context) -> None:
    """Open the page, and bring out what the extension says."""
    await ctx.page.goto(ctx.params.url)
    if ctx.params.runs:
        await ctx.page.wait_for_selector("html[data-marked]", state="attached")
    ctx.outputs["marked"] = await ctx.page.evaluate("document.documentElement.dataset.marked || 'no'")
