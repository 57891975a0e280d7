"""Fails in the way that its job's parameter names, in a real browser; one that is named ``well`` does not."""

from __future__ import annotations

import os
import signal

import msgspec
from quick import write

from workers.steps import Context, Flow, fail, needs_person


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        way: how it fails.
        site: origin of a site that answers ``/200`` and the like.
        closed: origin where nobody listens.
        ledger: file that each time the step is begun appends a line to.
        mends: from which attempt on it does not fail any more.
    """

    way: str
    site: str = ""
    closed: str = ""
    ledger: str = ""
    mends: int = 99


flow = Flow("fails", params=Params)


@flow.step
async def arrive(ctx: Context) -> None:
    """Have a step that is done."""
    await ctx.page.goto("about:blank")


@flow.step(timeout=20)
async def act(ctx: Context) -> None:  # noqa: C901 - one for each way
    """Write a line that says so, and fail."""
    write(ctx, "acted")
    if ctx.attempt >= ctx.params.mends:
        return
    page, params = ctx.page, ctx.params
    match params.way:
        case "refused":
            await page.goto(f"{params.closed}/")
        case "selector":
            await page.goto(f"{params.site}/200")
            await page.click("#never", timeout=200)
        case "busy site":
            await page.goto(f"{params.site}/429")
            await page.click("#never", timeout=200)
        case "broken site":
            await page.goto(f"{params.site}/503")
            await page.click("#never", timeout=200)
        case "mistake":
            raise KeyError(params.way)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "no browser":
            # a script may stand between it and its driver
            browser = [line for line in os.popen("ps -wweo pid,args") if _is_ours(line, ctx)][-1]
            os.kill(int(browser.split()[0]), signal.SIGKILL)
            await page.goto(f"{params.site}/200")
        case "captcha":
            needs_person("solve the picture puzzle", code="captcha_asked")
        case "told":
            fail("the account is blocked", code="bad_params")
        case "proxy":
            await page.goto("http://shop.example/")
            await page.click("#never", timeout=200)


def _is_ours(line: str, ctx: Context) -> bool:
    return f"/workspaces/{ctx.profile_id}-" in line and "--user-data-dir=" in line and "--type=" not in line
