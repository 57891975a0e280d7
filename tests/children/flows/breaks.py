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

HIDDEN = """
    <!-- hidden-word --><h2 data-token="hidden-word" data-testid="kept-id" onclick="pay('hidden-word')">Kept</h2>
    <select><option value="hidden-word" selected>kept choice</option></select>
    <input type=radio value=hidden-word><button value='hidden-word'>kept label</button>
    <img src="data:image/png;base64,hidden-word" alt="kept text"><a href="java&#10;script:say('hidden-word')">kept link</a>
    <div style="background: url('data:text/plain,hidden-word)')"></div><user-card secret=hidden-word></user-card>
    <div contenteditable>hidden-word <div>hidden-word</div></div><iframe srcdoc="<p>hidden-word"></iframe>
    <p ""='x' x-data="{a: 'hidden-word'}" 'odd'="hidden-word">kept oddity</p><noscript><p class=hidden-word></noscript>
"""
"""What a page holds and does not show; ``hidden-word`` is all that nobody may read later, what begins with ``kept`` stays."""


@flow.step
async def look(ctx: Context) -> None:
    """See a page, and miss what is not on it."""
    await ctx.page.goto(f"{ctx.params.origin}/login?token=magic-link-value")
    await ctx.page.evaluate(
        """async hidden => {
            document.body.innerHTML += '<input id=code><h1>Sorry</h1>';
            document.querySelector('#code').setAttribute('value', '493817');
            document.body.insertAdjacentHTML('beforeend', hidden);
            document.body.append(document.createComment('a > hidden-word'));
            console.error('no such thing');
            setTimeout(() => { throw new Error('nobody caught this') });
            await (await fetch('/missing')).text();
            await fetch('http://127.0.0.1:1/').catch(() => null);
        }""",
        HIDDEN,
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
