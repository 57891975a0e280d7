"""Keeps looking at a page for a while in its first attempt: time enough to freeze what it runs on."""

from __future__ import annotations

import anyio

from examples.demo import flow as demo
from workers.steps import Context, Flow

flow = Flow("pausing", params=demo.Params)
flow.prepare(demo.open_site)


@flow.step(flag="looked", timeout=10)
async def look_around(ctx: Context) -> None:
    """Ask the page for its title, again and again."""
    for _ in range(100 if ctx.attempt == 1 else 1):
        await ctx.page.title()
        await anyio.sleep(0.1)
