"""The flow behind the pictures: no browser, steps that take a while, and trouble of several kinds, by the number in the profile's ID."""

from __future__ import annotations

import anyio

from workers.steps import Context, Flow, fail, needs_person

flow = Flow("shop", browser=False)


@flow.step(always=True, name="log in")
async def log_in(ctx: Context) -> None:
    """Take a while."""
    number = int(ctx.profile_id.rpartition("-")[2])
    await anyio.sleep(0.6 + number % 5 * 0.2)
    if number % 16 == 9:
        needs_person("type the code that the shop sent to the phone")


@flow.step(flag="ordered", name="order")
async def order(ctx: Context) -> None:
    """Take longer, or fail."""
    number = int(ctx.profile_id.rpartition("-")[2])
    await anyio.sleep(1.0 + number % 7 * 0.4)
    if number % 11 == 5:
        fail("the site broke off the connection", code="site_down")
    if number % 13 == 7:
        fail("the button 'Buy now' is not on the page", code="selector_gone")


@flow.step(flag="paid", name="pay")
async def pay(ctx: Context) -> None:
    """Take a while."""
    await anyio.sleep(0.8)
    ctx.outputs["paid"] = True
