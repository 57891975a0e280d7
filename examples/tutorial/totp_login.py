"""Logs in with a password and the code of an authenticator; a profile that is still logged in types nothing."""

from __future__ import annotations

import msgspec
import pyotp

from workers.steps import Context, Flow, needs_person


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a job may say. Passwords never stand in a queue: they are in the profile's identity."""

    site: str = "http://id.localhost:8800"


# storage: this site keeps a part of the login in localStorage
flow = Flow("totp_login", params=Params, commit="storage")


@flow.authenticated
async def is_logged_in(ctx: Context) -> bool:
    """Asks the site. Whether a login is there cannot be told from cookies alone."""
    await ctx.page.goto(f"{ctx.params.site}/me")
    state = ctx.page.locator("[data-testid=login-state][data-state]")
    await state.wait_for()
    return await state.get_attribute("data-state") == "in"


@flow.step(always=True, timeout=45, retries=1)
async def log_in(ctx: Context) -> None:
    """Types what the identity holds; without it, a person is asked."""
    if await is_logged_in(ctx):
        ctx.log.info("still_logged_in")
        return
    if not ctx.identity.password or not ctx.identity.two_fa_secret:
        needs_person(f"give {ctx.profile_id} its e-mail address, password and two_fa_secret: ostler identity set")
    await ctx.page.goto(f"{ctx.params.site}/login")
    await ctx.page.get_by_label("E-mail").fill(ctx.identity.email)
    await ctx.page.get_by_label("Password").fill(ctx.identity.password)
    await ctx.page.get_by_role("button", name="Sign in").click()
    await ctx.page.get_by_label("Code").fill(pyotp.TOTP(ctx.identity.two_fa_secret).now())
    await ctx.page.get_by_role("button", name="Continue").click()
    await ctx.page.wait_for_url("**/me")
    ctx.log.info("logged_in")


# asked after the body: a page that looks right is not yet a login
log_in.postcondition(is_logged_in)
