"""The demo flow: a mailbox, a shop account, an API key, two-step sign-in, an order.

It shows what makes a step safe to kill at any moment:

- What the step is about to do is remembered *before* it is done (the mail address, the password, the TOTP secret).
- Its post-condition asks the site whether it has happened, in a way that works from any browser: by signing in.
- "I could not find out" is not "no": an error page or a broken connection raises, and the step is tried again.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode, urlsplit

import msgspec
import pyotp

from workers.steps import Flow, by_label, by_role, by_test_id, by_text, css, needs_person

if TYPE_CHECKING:
    from playwright.async_api import Locator, Response

    from workers.steps import Context

KEPT_PORT = Path(__file__).resolve().parents[2] / "state" / "demo" / "port"
READS = 4
PAUSE = 0.3
KNOWN_STATE = "[data-testid=login-state][data-state]"
SIGNED_IN_OR_NOT = f"{KNOWN_STATE}, [role=alert]"
CODE_FIELD = "input[name=code]"
HINT = 9


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a job may say.

    Attributes:
        port: the site's; otherwise it is read from ``port_file``.
        port_file: where the site keeps its port; that of the checkout's ``state/`` by default.
        product: what is ordered.
        amount: how many.
        slow: milliseconds that the site is to wait before each request of this job.
        fail: share of this job's requests that the site is to answer with an error.
        drop: share of this job's connections that the site is to break.
        second_step: who knows the code of the second step: the flow itself, or a person who is asked for it.
    """

    port: int | None = None
    port_file: str | None = None
    product: Literal["tea", "coffee", "cocoa"] = "tea"
    amount: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    slow: float | None = None
    fail: float | None = None
    drop: float | None = None
    second_step: Literal["own", "person"] = "own"


flow = Flow("demo", params=Params, commit="cookies")


@flow.prepare
async def open_site(ctx: Context) -> None:
    """Tell the site, with each request, whom it is for: its ledger is kept by profile and attempt."""
    headers = {"X-Demo-Profile": ctx.profile_id, "X-Demo-Attempt": str(ctx.attempt)}
    for name in ("slow", "fail", "drop"):
        if (trouble := getattr(ctx.params, name)) is not None:
            headers[f"X-Demo-{name.title()}"] = str(trouble)
    await ctx.context.set_extra_http_headers(headers)
    await visit(ctx, "id", "/me")


# --- mail ------------------------------------------------------------------------------------------------------------


@flow.step(flag="mail_created", timeout=60, retries=3)
async def create_mail(ctx: Context) -> None:
    """Open a mailbox, at an address that no earlier try can have given away to somebody else."""
    address = ctx.recall("address") or f"{ctx.profile_id.lower()}.{secrets.token_hex(3)}@mail.localhost"
    ctx.remember("address", address)
    ctx.identity.email = address
    ctx.identity.password = ctx.identity.password or secrets.token_urlsafe(12)
    await visit(ctx, "mail", "/signup")
    await fill(ctx, "Address", address)
    await fill(ctx, "Password", ctx.identity.password)
    await press(ctx, "Create mailbox")


@create_mail.postcondition
async def mail_exists(ctx: Context) -> bool:
    """Whether the mailbox opens."""
    if not ctx.identity.email:
        return False
    await visit(ctx, "mail", "/inbox")
    return await shown(ctx, "mailbox") == ctx.identity.email or await sign_in(ctx, "mail", "Address")


# --- shop ------------------------------------------------------------------------------------------------------------


@flow.step(flag="shop_signup", requires=("mail_created",), timeout=60, retries=3)
async def join_shop(ctx: Context) -> None:
    """Join with the code that the shop sends to the mailbox."""
    tried = ctx.recall("tried")
    ctx.remember("tried", True)  # noqa: FBT003 - a note, no switch
    if tried and await is_member(ctx):
        return
    await visit(ctx, "shop", "/join")
    await fill(ctx, "E-mail", ctx.identity.email)
    await press(ctx, "Send me a code")
    ctx.progress("waiting for the code")
    code = await newest_code(ctx)
    await visit(ctx, "shop", f"/confirm?{urlencode({'email': ctx.identity.email})}")
    await fill(ctx, "Code", code)
    await fill(ctx, "Choose a password", ctx.identity.password)
    await press(ctx, "Join")


@join_shop.postcondition
async def is_member(ctx: Context) -> bool:
    """Whether the shop knows the account."""
    await visit(ctx, "shop", "/account")
    return await shown(ctx, "member") == ctx.identity.email or await sign_in(ctx, "shop")


async def newest_code(ctx: Context) -> str:
    """Return the code of the shop's newest mail."""
    if not await mail_exists(ctx):
        raise RuntimeError("the mailbox does not open")
    link = await ctx.locate(
        "mail with the code", by_role("link", name="Your code for Corner Shop"), by_text("Your code for")
    )
    await follow(ctx, link)
    found = re.search(r"\b\d{6}\b", await shown(ctx, "mail-body"))
    if found is None:
        raise RuntimeError("the mail holds no code")
    return found[0]


# --- developer portal ------------------------------------------------------------------------------------------------


@flow.step(flag="dev_registration", requires=("mail_created",), timeout=60, retries=3)
async def register_developer(ctx: Context) -> None:
    """Register and keep the API key, which is shown once; where a try was cut off in between, make a new key."""
    tried = ctx.recall("tried")
    ctx.remember("tried", True)  # noqa: FBT003 - a note, no switch
    if tried and await sign_in(ctx, "dev"):
        await press(ctx, "Make a new key")
    else:
        await visit(ctx, "dev", "/register")
        await fill(ctx, "Name", f"Profile {ctx.profile_id}")
        await fill(ctx, "E-mail", ctx.identity.email)
        await fill(ctx, "Password", ctx.identity.password)
        await press(ctx, "Register")
    ctx.outputs["api_key"] = await shown(ctx, "api-key")


@register_developer.postcondition
async def has_api_key(ctx: Context) -> bool:
    """Whether the key that we hold is the one in force."""
    key = ctx.outputs.get("api_key")
    if not key:
        return False
    await visit(ctx, "dev", "/keys")
    if path_of(ctx) == "/login" and not await sign_in(ctx, "dev"):
        return False
    return await shown(ctx, "key-hint") == str(key)[:HINT]


# --- identity --------------------------------------------------------------------------------------------------------


@flow.step(flag="two_fa_enabled", requires=("mail_created",), timeout=60, retries=3)
async def enable_two_step(ctx: Context) -> None:
    """Open an account and turn two-step sign-in on; the secret is durable before the site takes it."""
    tried = ctx.recall("tried")
    ctx.remember("tried", True)  # noqa: FBT003 - a note, no switch
    if tried and await two_step_is_on(ctx):
        return
    await visit(ctx, "id", "/join")
    await fill(ctx, "E-mail", ctx.identity.email)
    await fill(ctx, "Password", ctx.identity.password)
    await press(ctx, "Open account")
    if path_of(ctx) == "/join" and not await sign_in_with_code(ctx):
        raise RuntimeError("there is an account with this address, and it does not let us in")
    await visit(ctx, "id", "/security")
    begin = await ctx.locate(
        "set up two-step", by_role("button", name="Set up two-step"), by_role("button", name="Replace")
    )
    await follow(ctx, begin)
    secret = await shown(ctx, "totp-secret")
    ctx.identity.two_fa_secret = secret
    await fill(ctx, "Code", pyotp.TOTP(secret).now())
    await press(ctx, "Turn on", shows=SIGNED_IN_OR_NOT)


@enable_two_step.postcondition
async def two_step_is_on(ctx: Context) -> bool:
    """Whether we are let in, and the account has its second step. Ends where the login's localStorage can be exported."""
    if not await is_logged_in(ctx) and not await sign_in_with_code(ctx):
        return False
    await visit(ctx, "id", "/security")
    return await ctx.page.get_by_test_id("two-step").get_attribute("data-state") == "in"


@flow.step(always=True, requires=("two_fa_enabled",), timeout=60, retries=3)
async def log_in(ctx: Context) -> None:
    """Be logged in: mostly the profile still is."""
    if await is_logged_in(ctx):
        ctx.progress("still logged in")
        return
    if not await sign_in_with_code(ctx):
        raise RuntimeError("the sign-in was refused")
    ctx.progress("logged in again")


@log_in.postcondition
async def is_logged_in(ctx: Context) -> bool:
    """Whether the site's own page says so: it wants the cookie and the token in localStorage."""
    await visit(ctx, "id", "/me")
    return await login_state(ctx)


async def login_state(ctx: Context) -> bool:
    """Return what the page says, once its script has found out."""
    known = ctx.page.locator(KNOWN_STATE)
    await known.wait_for()
    state = await known.get_attribute("data-state")
    if state not in {"in", "out"}:
        raise RuntimeError("the page could not find out whether we are logged in")
    return state == "in"


async def sign_in_with_code(ctx: Context) -> bool:
    """Sign in at the identity service, with both steps where there are two; whether it worked."""
    await visit(ctx, "id", "/login")
    await fill(ctx, "E-mail", ctx.identity.email)
    await fill(ctx, "Password", ctx.identity.password)
    await press(ctx, "Sign in", shows=f"{SIGNED_IN_OR_NOT}, {CODE_FIELD}")
    if await ctx.page.locator(CODE_FIELD).count():
        code = code_of(ctx)
        if code is None:
            return False
        await fill(ctx, "Code", code)
        await press(ctx, "Continue", shows=SIGNED_IN_OR_NOT)
    return path_of(ctx) == "/me" and await login_state(ctx)


def code_of(ctx: Context) -> str | None:
    """Return the code of the second step; None if there is nobody to know it."""
    if ctx.params.second_step == "person":
        return ctx.answer("code") or needs_person(
            "type the code that the authenticator app shows", code="needs_code", asks=["code"]
        )
    return pyotp.TOTP(ctx.identity.two_fa_secret).now() if ctx.identity.two_fa_secret else None


# --- order -----------------------------------------------------------------------------------------------------------


@flow.step(flag="order_placed", requires=("shop_signup", "two_fa_enabled"), timeout=60, retries=3)
async def place_order(ctx: Context) -> None:
    """Order once: the key is the same in every try, and the shop makes one order of it."""
    if not await is_member(ctx):
        raise RuntimeError("the shop does not know us")
    await visit(ctx, "shop", "/order")
    await ctx.page.get_by_label("Product").select_option(ctx.params.product)
    await fill(ctx, "Amount", str(ctx.params.amount))
    reference = await ctx.locate("reference", by_label("Your reference"), css("input[name=reference]"))
    await reference.fill(ctx.once_key)
    button = await ctx.locate(
        "order button",
        by_role("button", name="Order now"),
        css("#submit-order"),
        by_test_id("order-cta"),
        css("form .button"),
    )
    await follow(ctx, button)


@place_order.postcondition
async def order_is_there(ctx: Context) -> bool:
    """Whether the shop has an order with our key; brings out its number."""
    if not await is_member(ctx):
        return False
    await visit(ctx, "shop", f"/orders?{urlencode({'reference': ctx.once_key})}")
    if not await ctx.page.get_by_test_id("order-id").count():
        return False
    ctx.outputs["order_id"] = await shown(ctx, "order-id")
    return True


# --- the site --------------------------------------------------------------------------------------------------------


async def visit(ctx: Context, service: str, path: str) -> None:
    """Open a page. Reading may be repeated, so an error or a broken connection is tried again before it counts."""
    from playwright.async_api import Error  # noqa: PLC0415 - describing the flow must not load Playwright

    url = f"http://{service}.localhost:{port(ctx.params)}{path}"
    for left in reversed(range(READS)):
        try:
            _expect_answer(await ctx.page.goto(url))
        except (Error, RuntimeError):
            if not left:
                raise
            # after a broken connection Chromium first shows a page of its own, which would interrupt the next try
            await asyncio.sleep(PAUSE)
        else:
            return


async def fill(ctx: Context, label: str, text: str | None) -> None:
    """Fill in the field with this label."""
    await ctx.page.get_by_label(label).fill(text or "")


async def press(ctx: Context, button: str, shows: str | None = None) -> None:
    """Press a button that leads to another page; see ``follow``."""
    await follow(ctx, ctx.page.get_by_role("button", name=button, exact=True), shows)


async def follow(ctx: Context, link: Locator, shows: str | None = None) -> None:
    """Click on what leads to another page, and wait for it.

    Args:
        ctx: the step's.
        link: what to click on.
        shows: CSS of what is seen at the end, where one page leads on to the next by itself.
    """
    async with ctx.page.expect_navigation(wait_until="commit" if shows else "load") as navigation:
        await link.click()
    _expect_answer(await navigation.value)
    if shows:
        await ctx.page.locator(shows).first.wait_for()


async def sign_in(ctx: Context, service: str, name_field: str = "E-mail") -> bool:
    """Sign in at a service that wants a password only; whether it worked."""
    await visit(ctx, service, "/login")
    await fill(ctx, name_field, ctx.identity.email)
    await fill(ctx, "Password", ctx.identity.password)
    await press(ctx, "Sign in")
    return path_of(ctx) != "/login"


async def shown(ctx: Context, test_id: str) -> str:
    """Return the text of an element, empty if the page has none."""
    element = ctx.page.get_by_test_id(test_id)
    return (await element.inner_text()).strip() if await element.count() else ""


def path_of(ctx: Context) -> str:
    """Return the path of the page that is open."""
    return urlsplit(ctx.page.url).path


def port(params: Params) -> int:
    """Return the site's port.

    Raises:
        RuntimeError: nobody says.
    """
    if params.port is not None:
        return params.port
    kept = Path(params.port_file) if params.port_file is not None else KEPT_PORT
    try:
        return int(kept.read_text())
    except (OSError, ValueError) as exc:
        raise RuntimeError(
            f"no port in {kept}: start the site with `python -m examples.demo`, or give params.port"
        ) from exc


def _expect_answer(response: Response | None) -> None:
    if response is not None and response.status >= 500:  # noqa: PLR2004 - HTTP
        raise RuntimeError(f"the site answered {response.status}")
