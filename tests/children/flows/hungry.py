"""A flow without a browser that takes memory."""

from __future__ import annotations

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """How much, in megabytes; ``ledger`` is of other flows."""

    megabytes: int
    ledger: str = ""


flow = Flow("hungry", params=Params, browser=False)


@flow.step
async def eat(ctx: Context) -> None:
    """Take so much, page by page."""
    taken = [b"x" * 1024 * 1024 for _ in range(ctx.params.megabytes)]
    ctx.outputs["taken"] = len(taken)
