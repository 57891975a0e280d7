"""A flow without a browser: one line in a ledger of its own, fsynced, and done. Parameters say how it misbehaves."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import anyio
import msgspec

from workers.steps import Context, Flow, needs_person


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        ledger: file that each real effect appends a line to.
        die: profiles whose worker kills itself.
        fail: profiles whose step raises.
        ask: profiles whose step needs a person.
        seconds: how long the step works.
        blocked: seconds for which the step blocks the whole process.
    """

    ledger: str
    die: list[str] = []
    fail: list[str] = []
    ask: list[str] = []
    seconds: float = 0.0
    blocked: float = 0.0


flow = Flow("quick", params=Params, browser=False)


@flow.step(flag="first_done")
async def first(ctx: Context) -> None:
    """Have an effect."""
    write(ctx, "first")


@flow.step(flag="second_done", requires=("first_done",))
async def second(ctx: Context) -> None:
    """Misbehave as asked, or have an effect."""
    if ctx.profile_id in ctx.params.die:
        os.kill(os.getpid(), signal.SIGKILL)
    if ctx.profile_id in ctx.params.fail:
        message = "asked to fail"
        raise RuntimeError(message)
    if ctx.profile_id in ctx.params.ask:
        needs_person("asked for one")
    time.sleep(ctx.params.blocked)
    await anyio.sleep(ctx.params.seconds)
    write(ctx, "second")


def write(ctx: Context, effect: str) -> None:
    """Append one fsynced line."""
    line = {
        "profile_id": ctx.profile_id,
        "effect": effect,
        "attempt": ctx.attempt,
        "pid": os.getpid(),
        "at": time.time(),
    }
    with Path(ctx.params.ledger).open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(line) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())
