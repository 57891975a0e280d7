"""Opens a page that complains and asks for what is not there; then fails on it or, if told so, keeps files."""

from __future__ import annotations

import os
import signal

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """What a test wants of it.

    Attributes:
        origin: of the site.
        works: do not fail.
        freeze: part of the command lines of processes that are stopped before it fails.
        ledger: of other flows.
    """

    origin: str
    works: bool = False
    freeze: str = ""
    ledger: str = ""


flow = Flow("breaks", params=Params)


@flow.step
async def look(ctx: Context) -> None:
    """See a page, and miss what is not on it."""
    await ctx.page.goto(f"{ctx.params.origin}/login?token=magic-link-value")
    await ctx.page.evaluate(
        """async () => {
            document.body.innerHTML += '<input id=code><h1>Sorry</h1>';
            document.querySelector('#code').setAttribute('value', '493817');
            console.error('no such thing');
            setTimeout(() => { throw new Error('nobody caught this') });
            await fetch('/missing');
            await fetch('http://127.0.0.1:1/').catch(() => null);
        }"""
    )
    if ctx.params.freeze:
        for line in os.popen("ps -wweo pid,args").read().splitlines():
            pid, _, args = line.strip().partition(" ")
            if f"--user-data-dir={ctx.params.freeze}" in args:
                os.kill(int(pid), signal.SIGSTOP)
        raise ValueError("the browser is frozen")
    if not ctx.params.works:
        await ctx.page.click("#never", timeout=200)
    await ctx.artifact("heading.txt", await ctx.page.inner_text("h1"))
    for _ in range(2):
        await ctx.download(lambda: ctx.page.evaluate(_DOWNLOAD, "same"))
    await ctx.download(lambda: ctx.page.evaluate(_DOWNLOAD, "other"))


_DOWNLOAD = """text => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text]));
    link.download = '../.re:ceipt.txt';
    link.click();
}"""
