"""Types secrets into fields that are not there, so that everything that quotes what was typed gets its chance."""

from __future__ import annotations

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct):
    """What the test wants.

    Attributes:
        crash: fail with the secret in a traceback, instead of typing it.
    """

    crash: bool = False


flow = Flow("typist", params=Params)


@flow.step(flag="typed", timeout=20)
async def type_secrets(ctx: Context) -> None:
    """Print them, log them, bring one out, and type them where nothing takes them."""
    password, seed, key = ctx.identity.password, ctx.identity.two_fa_secret, ctx.identity.api_key
    assert password
    ctx.outputs["api_key"] = key
    ctx.remember("session_token", key)
    print("a careless author prints", password, seed)
    ctx.log.info("careless", password=password, text=f"seed {seed}")
    ctx.progress(f"typing {password}")
    await ctx.page.goto("data:text/html,<title>nothing here</title>")
    await ctx.page.evaluate(
        """([password, seed, key]) => {
            document.body.innerHTML = `<p></p><input type=password><script>var seed = ${JSON.stringify(seed)}</script>`;
            document.querySelector("p").textContent = `${password} ${seed} ${key}`;
            document.querySelector("input").setAttribute("value", password);
            console.error("a careless page prints", password, seed, key, btoa(key));
            return fetch(`http://127.0.0.1:9/?password=${encodeURIComponent(password)}&key=${key}`).catch(() => null);
        }""",
        [password, seed, key],
    )
    await ctx.artifact("careless.txt", f"{password} {seed} {key}")
    if ctx.params.crash:
        raise RuntimeError(f"a careless message with {seed} and {key}")
    await ctx.page.fill("#password", password, timeout=300)
