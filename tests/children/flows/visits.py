"""A flow without a browser whose visits to a site are limited by key: each begins and ends with a line in a ledger."""

from __future__ import annotations

import os
import signal

import anyio
import msgspec

from tests.children.flows.quick import write
from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        ledger: file that each visit appends lines to.
        visits: how many each profile makes, as fast as it may.
        seconds: how long it stays at the desk.
        die: profiles whose worker kills itself at the desk, once.
    """

    ledger: str
    visits: int = 3
    seconds: float = 0.0
    die: list[str] = []


flow = Flow("visits", params=Params, browser=False)


@flow.step
async def look(ctx: Context) -> None:
    """Visit the shop, again and again."""
    for _ in range(ctx.params.visits):
        async with ctx.limit("shop.example"):
            write(ctx, "visit")


@flow.step(limit="desk", timeout=5)
async def sit(ctx: Context) -> None:
    """Be at the desk."""
    write(ctx, "sits")
    if ctx.profile_id in ctx.params.die and ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    await anyio.sleep(ctx.params.seconds)
    write(ctx, "rises")
