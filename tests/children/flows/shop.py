"""Logs in at a tiny shop by cookie and localStorage, and looks whether that lasted."""

from __future__ import annotations

import os
import signal
import time

import msgspec

from workers.steps import Context, Flow, by_role


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        url: the shop's.
        kill: the worker and its browser go down in the second step of the first attempt.
        block: the second step blocks the worker's loop.
    """

    url: str
    kill: bool = False
    block: bool = False


flow = Flow("shop", params=Params)


@flow.prepare
async def open_shop(ctx: Context) -> None:
    """Lead the page to the shop."""
    await ctx.page.goto(ctx.params.url)


@flow.step
async def log_in(ctx: Context) -> None:
    """Log in, which sets a persistent cookie, a session cookie and an entry in localStorage."""
    button = await ctx.locate("log in", "#never", by_role("button", name="Log in"))
    await button.click()
    await ctx.page.get_by_test_id("state").get_by_text("set").wait_for()


@log_in.postcondition
async def logged_in(ctx: Context) -> bool:
    """Whether the page says so."""
    await ctx.page.reload()
    return "cookie=yes session=yes storage=yes" in await ctx.page.inner_text("body")


@flow.step
async def look(ctx: Context) -> None:
    """Look whether the login is there, and keep what the page says."""
    if ctx.params.kill and ctx.attempt == 1:
        for line in os.popen("ps -wweo pid,args").read().splitlines():
            pid, _, args = line.strip().partition(" ")
            if f"--user-data-dir={os.environ['SHOP_STATE']}" in args:
                os.kill(int(pid), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if ctx.params.block:
        print("blocking now")
        time.sleep(120)
    ctx.outputs["seen"] = (await ctx.page.inner_text("body")).split("|")[0].strip()


@flow.step(always=True)
async def download(ctx: Context) -> None:
    """Fetch a file by a click."""
    path = await ctx.download(ctx.page.get_by_role("link", name="Receipt"))
    ctx.outputs["receipt"] = path.read_text()
