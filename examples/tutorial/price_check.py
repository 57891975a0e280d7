"""Reads a price from a page, anew in every run, and warns when it is above a limit."""

from __future__ import annotations

from typing import Literal

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a job may say."""

    product: Literal["tea", "coffee", "cocoa"] = "tea"
    limit: float | None = None
    site: str = "http://shop.localhost:8800"


flow = Flow("price_check", params=Params)


# always: this step states no fact about the profile, so it runs in every attempt
@flow.step(always=True, timeout=30, retries=2)
async def read_price(ctx: Context) -> None:
    """Brings the price out; the session keeps the newest."""
    await ctx.page.goto(f"{ctx.params.site}/prices")
    text = await ctx.page.get_by_test_id(f"price-{ctx.params.product}").inner_text()
    price = float(text.removesuffix("€"))
    ctx.outputs[f"price_of_{ctx.params.product}"] = price
    if ctx.params.limit is not None and price > ctx.params.limit:
        ctx.log.warning("too_expensive", product=ctx.params.product, price=price, limit=ctx.params.limit)
