"""Look into the mirror: what a page sees of this browser becomes an output; a file is downloaded."""

from __future__ import annotations

from tests.children.mirror import SEEN
from workers.steps import Flow

flow = Flow("look")


@flow.step(always=True)
async def look(ctx):
    await ctx.page.goto("http://mirror.invalid/page")
    ctx.outputs["seen"] = await ctx.page.evaluate(SEEN)
    await ctx.page.set_content("<a href='data:text/plain,paid' download=receipt.txt>receipt</a>")
    ctx.outputs["file"] = str(await ctx.download(ctx.page.get_by_text("receipt")))
