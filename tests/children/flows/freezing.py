"""Freezes its worker in the first attempt, in a step that may not take long."""

from __future__ import annotations

import os
import signal

from workers.steps import Context, Flow

flow = Flow("freezing", browser=False)


@flow.step(flag="thawed", timeout=10)
async def freeze(ctx: Context) -> None:
    """Stop, as a worker does on a host that was suspended in parts."""
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
