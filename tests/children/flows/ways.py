"""Fails in the way that its job's parameter names, without a browser; one that is named ``well`` does not."""

from __future__ import annotations

import errno
import os
import signal
import urllib.request

import anyio
import msgspec
from quick import write

from workers.steps import Context, Flow, fail, needs_person


class Params(msgspec.Struct):
    """The way, an address where nobody listens, and the file that each time the step is begun appends a line to."""

    way: str
    closed: str
    ledger: str


flow = Flow("ways", params=Params, browser=False)


@flow.step(timeout=5)
async def act(ctx: Context) -> None:
    """Write a line that says so, and fail."""
    write(ctx, "acted")
    match ctx.params.way:
        case "refused":
            urllib.request.urlopen(ctx.params.closed, timeout=5)  # noqa: ASYNC210 - nobody listens
        case "mistake":
            raise KeyError(ctx.params.way)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "captcha":
            needs_person("solve the picture puzzle", code="captcha_asked")
        case "told":
            fail("the account is blocked", code="bad_params")
        case "login":
            fail("it asks for the password", code="login_lost")
        case "late":
            await anyio.sleep(60)
        case "full" if ctx.attempt < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
