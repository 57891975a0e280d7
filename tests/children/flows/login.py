"""Logs in at the demo site's identity service, waits to be killed, and then says whether the login is still there."""

from __future__ import annotations

import anyio

from examples.demo import flow as demo
from workers.steps import Context, Flow

flow = Flow("login", params=demo.Params)
flow.prepare(demo.open_site)


@flow.step(flag="logged_in")
async def log_in(ctx: Context) -> None:
    """Open an account and sign in, with a persistent cookie and a token in localStorage."""
    ctx.identity.email = f"{ctx.profile_id}@mail.localhost"
    ctx.identity.password = "not a secret of anybody"
    await demo.visit(ctx, "id", "/join")
    await demo.fill(ctx, "E-mail", ctx.identity.email)
    await demo.fill(ctx, "Password", ctx.identity.password)
    await demo.press(ctx, "Open account")
    assert await demo.sign_in_with_code(ctx)


@flow.step(flag="checked", timeout=300)
async def check(ctx: Context) -> None:
    """Stay to be killed, the first time; look without logging in, the next."""
    if ctx.attempt == 1:
        await anyio.sleep(240)
    ctx.outputs["still_logged_in"] = await demo.is_logged_in(ctx)
