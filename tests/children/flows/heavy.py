"""A flow without a browser that needs much memory for a while."""

from __future__ import annotations

import anyio
import msgspec

from workers.steps import Context, Flow

_PAGE = 4096


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        megabytes: how much it holds.
        seconds: for how long.
    """

    megabytes: int = 200
    seconds: float = 3.0


flow = Flow("heavy", params=Params, browser=False)


@flow.step(flag="held")
async def hold(ctx: Context) -> None:
    """Touch every page, and keep it."""
    data = bytearray(ctx.params.megabytes * 1024 * 1024)
    data[::_PAGE] = b"x" * len(data[::_PAGE])
    await anyio.sleep(ctx.params.seconds)
    ctx.outputs["bytes"] = len(data)


@flow.step(flag="rested", requires=("held",))
async def rest(ctx: Context) -> None:
    """A second step, so that one that is asked to yield has something left to do."""
    await anyio.sleep(0.1)
