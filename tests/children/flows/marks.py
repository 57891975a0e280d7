"""A flow without a browser that appends one fsynced line to a file for each thing that happens, and then does as told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        marks: file of lines.
        then: what the second step does the first time: ``end``, ``block``, ``wait``, ``die`` ….
    """

    marks: str
    then: str = "end"


_left: list[asyncio.Task[None]] = []
flow = Flow("marks", params=Params, browser=False)


@flow.step
async def first(ctx: Context) -> None:
    """Be done at once."""
    print("the author says hello")
    mark(ctx, "first")


@flow.step
async def second(ctx: Context) -> None:
    """Do as told, if nobody has done it before."""
    told = ctx.params.then if ctx.recall("seen") is None else "end"
    ctx.remember("seen", True)  # noqa: FBT003 - a note, no switch
    mark(ctx, "second begins")
    if told == "block":
        time.sleep(120)
    elif told == "wait":
        await anyio.sleep(120)
    elif told == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif told == "lone surrogate":
        ctx.progress("half \ud83d")
        print("half \ud83d")
        raise RuntimeError("the page said \ud83d")
    elif told == "stubborn task":
        _left.append(asyncio.create_task(_never_end()))
        await anyio.lowlevel.checkpoint()
    elif told == "thread":
        threading.Thread(target=time.sleep, args=(120,)).start()
    mark(ctx, "second")


async def _never_end() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


def mark(ctx: Context, text: str) -> None:
    """Append one fsynced line."""
    with Path(ctx.params.marks).open("a", encoding="utf-8") as marks:
        marks.write(text + "\n")
        marks.flush()
        os.fsync(marks.fileno())
