"""Corner Shop: prices, sign-up with an e-mailed code, and an order form whose markup is not the same twice."""

from __future__ import annotations

import csv
import io
import secrets
import zlib
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from examples.demo.mail import LEAST_PASSWORD, deliver
from examples.demo.page import Brand, field, form, hidden, page, paragraph, table
from examples.demo.store import hash_password, password_fits
from examples.demo.visit import sign_in, signed_in, visitor

if TYPE_CHECKING:
    import sqlite3

    from starlette.requests import Request

    from examples.demo.chaos import Chaos
    from examples.demo.store import Store

SHOP = Brand(
    "Corner Shop",
    "#9a4a12",
    (("/prices", "Prices"), ("/order", "Order"), ("/orders", "My orders"), ("/join", "Join"), ("/login", "Sign in")),
)
PRODUCTS = {
    "tea": ("Black tea", "100 g, loose"),
    "coffee": ("Coffee", "250 g, beans"),
    "cocoa": ("Cocoa", "200 g, powder"),
}
CENTS = {"tea": 420, "coffee": 890, "cocoa": 560}
MOST = 99
CODE_TRIES = 5
# one meaning, three ways to write it: what a new release of a shop does to whoever automates it
ORDER_BUTTONS = (
    '<button id="buy" type="submit">Order now</button>',
    '<input id="submit-order" class="button" type="submit" value="Place order">',
    """<div class="button cta" data-testid="order-cta" role="button" tabindex="0"
onclick="this.closest('form').requestSubmit()" onkeydown="if(event.key==='Enter')this.click()">Buy</div>""",
)


class Shop:
    """The pages of ``shop.localhost``."""

    def __init__(self, store: Store, chaos: Chaos) -> None:
        self._store = store
        self._chaos = chaos

    def router(self) -> Router:
        """Return the service."""
        both = ["GET", "POST"]
        return Router(
            [
                Route("/", self.home),
                Route("/prices", self.prices),
                Route("/prices.csv", self.price_list),
                Route("/join", self.join, methods=both),
                Route("/confirm", self.confirm, methods=both),
                Route("/login", self.login, methods=both),
                Route("/account", self.account),
                Route("/order", self.order, methods=both),
                Route("/orders", self.orders),
            ]
        )

    def _member(self, request: Request) -> sqlite3.Row | None:
        email = signed_in(self._store, request, "shop")
        return self._store.one("SELECT * FROM shop_members WHERE email = ? ORDER BY id DESC", email)

    async def home(self, _: Request) -> Response:
        """Show what there is."""
        cards = "".join(f"<li><b>{escape(name)}</b>{escape(text)}</li>" for name, text in PRODUCTS.values())
        return page(
            SHOP,
            "Good things, around the corner",
            f'<ul class="cards">{cards}</ul>',
            '<p><a class="button" href="/order">Order</a> or <a href="/join">join first</a></p>',
        )

    async def prices(self, _: Request) -> Response:
        """Show what everything costs."""
        rows = [
            (f"<b>{escape(name)}</b>", escape(text), f"<span data-testid='price-{key}'>{_price(key)} €</span>")
            for key, (name, text) in PRODUCTS.items()
        ]
        return page(
            SHOP,
            "Prices",
            table(("Product", "Pack", "Price"), rows),
            '<p><a href="/prices.csv">Download the price list</a> (CSV)</p>',
        )

    async def price_list(self, _: Request) -> Response:
        """Give the prices as a file."""
        lines = io.StringIO()
        writer = csv.writer(lines)
        writer.writerow(("product", "pack", "price"))
        writer.writerows((name, text, _price(key)) for key, (name, text) in PRODUCTS.items())
        attached = {"content-disposition": 'attachment; filename="price-list.csv"', "cache-control": "no-store"}
        return Response(lines.getvalue(), media_type="text/csv", headers=attached)

    async def join(self, request: Request) -> Response:
        """Take an e-mail address and send a code there; an earlier code is void from then on."""
        error, status = "", 200
        if request.method == "POST":
            email = str((await request.form()).get("email", "")).strip().lower()
            code = f"{secrets.randbelow(10**6):06}"
            with self._store.writing() as writing:
                sent = deliver(
                    self._store,
                    writing,
                    address=email,
                    sender="welcome@shop.localhost",
                    subject="Your code for Corner Shop",
                    body=f"Your code is {code}. It works once.",
                )
                if sent:
                    writing.run("INSERT OR REPLACE INTO shop_codes VALUES (?, ?, 0)", email, code)
            if sent:
                return RedirectResponse(f"/confirm?{urlencode({'email': email})}", 303)
            error, status = "We could not send a mail to this address.", 422
        return page(
            SHOP,
            "Join Corner Shop",
            paragraph("We send you a code to see that the address is yours."),
            form("/join", field("E-mail", "email", "email"), button="Send me a code"),
            error=error,
            status=status,
        )

    async def confirm(self, request: Request) -> Response:
        """Take the code: effect ``shop_signup``. Whoever joins again gets a second membership, as a new number."""
        if request.method == "GET":
            return self._confirm_page(request.query_params.get("email", ""))
        given = await request.form()
        email, password = str(given.get("email", "")), str(given.get("password", ""))
        row = self._store.one("SELECT * FROM shop_codes WHERE email = ?", email)
        if row is None or row["tries"] >= CODE_TRIES:
            return self._confirm_page(email, "No code is waiting for this address; ask for a new one.", 409)
        if len(password) < LEAST_PASSWORD:
            return self._confirm_page(email, f"The password needs at least {LEAST_PASSWORD} characters.", 422)
        with self._store.writing() as writing:
            if not secrets.compare_digest(row["code"].encode(), str(given.get("code", "")).strip().encode()):
                writing.run("UPDATE shop_codes SET tries = tries + 1 WHERE email = ?", email)
                right = False
            else:
                writing.run("DELETE FROM shop_codes WHERE email = ?", email)
                writing.run(
                    "INSERT INTO shop_members (email, password, at) VALUES (?, ?, ?)",
                    email,
                    hash_password(password),
                    writing.now,
                )
                writing.effect(visitor(request), "shop_signup")
                right = True
        if not right:
            return self._confirm_page(email, "This is not the code that we sent.", 422)
        return sign_in(self._store, request, RedirectResponse("/account", 303), "shop", email, keep=False)

    def _confirm_page(self, email: str, error: str = "", status: int = 200) -> Response:
        return page(
            SHOP,
            "Confirm your address",
            paragraph(f"We have sent a code to {email}."),
            form(
                "/confirm",
                hidden("email", email),
                field("Code", "code", extra='inputmode="numeric" autocomplete="one-time-code" maxlength="6"'),
                field("Choose a password", "password", "password", extra='autocomplete="new-password"'),
                button="Join",
            ),
            error=error,
            status=status,
        )

    async def login(self, request: Request) -> Response:
        """Sign in."""
        email, error, status = "", "", 200
        if request.method == "POST":
            given = await request.form()
            email = str(given.get("email", "")).strip().lower()
            row = self._store.one("SELECT password FROM shop_members WHERE email = ? ORDER BY id DESC", email)
            if row is not None and password_fits(str(given.get("password", "")), row["password"]):
                return sign_in(self._store, request, RedirectResponse("/account", 303), "shop", email, keep=False)
            error, status = "Unknown address or wrong password.", 401
        return page(
            SHOP,
            "Sign in",
            form(
                "/login",
                field("E-mail", "email", "email", value=email),
                field("Password", "password", "password", extra='autocomplete="current-password"'),
                button="Sign in",
            ),
            error=error,
            status=status,
        )

    async def account(self, request: Request) -> Response:
        """Show the membership."""
        member = self._member(request)
        if member is None:
            return RedirectResponse("/login", 303)
        return page(
            SHOP,
            "Your membership",
            f"<dl><dt>E-mail</dt><dd data-testid='member'>{escape(member['email'])}</dd>"
            f"<dt>Member number</dt><dd>{1000 + member['id']}</dd></dl>",
            '<p><a class="button" href="/order">Order something</a></p>',
            account=member["email"],
        )

    async def order(self, request: Request) -> Response:
        """Take an order: effect ``order_placed``. The same reference of the same member is the same order."""
        member = self._member(request)
        if member is None:
            return RedirectResponse("/login", 303)
        if request.method == "GET":
            return self._order_page(request, member["email"])
        given = await request.form()
        reference, product, amount = (str(given.get(name, "")).strip() for name in ("reference", "product", "amount"))
        if not reference or product not in PRODUCTS:
            return self._order_page(request, member["email"], "Choose a product, and give a reference.", 422)
        if not (amount.isascii() and amount.isdigit() and 1 <= int(amount) <= MOST):
            return self._order_page(request, member["email"], f"The amount is a number from 1 to {MOST}.", 422)
        if self._find(member["email"], reference) is None:
            with self._store.writing() as writing:
                writing.run(
                    "INSERT INTO orders (email, reference, product, amount, at) VALUES (?, ?, ?, ?, ?)",
                    member["email"],
                    reference,
                    product,
                    int(amount),
                    writing.now,
                )
                writing.effect(visitor(request), "order_placed")
        return RedirectResponse(f"/orders?{urlencode({'reference': reference})}", 303)

    def _find(self, email: str, reference: str) -> sqlite3.Row | None:
        return self._store.one("SELECT * FROM orders WHERE email = ? AND reference = ?", email, reference)

    def _order_page(self, request: Request, email: str, error: str = "", status: int = 200) -> Response:
        options = "".join(f'<option value="{key}">{escape(name)}</option>' for key, (name, _) in PRODUCTS.items())
        return page(
            SHOP,
            "Order",
            '<form method="post" action="/order" data-testid="order-form">',
            f'<label>Product<select name="product">{options}</select></label>',
            field("Amount", "amount", "number", value="1", extra=f'min="1" max="{MOST}"'),
            field(
                "Your reference",
                "reference",
                hint="an order with the same reference is made once",
                extra='maxlength="200"',
            ),
            self._order_button(request),
            "</form>",
            account=email,
            error=error,
            status=status,
        )

    def _order_button(self, request: Request) -> str:
        """Return the button in the markup that the request, the switch of ``/_chaos`` or the profile's ID chooses."""
        asked = request.query_params.get("variant", "")
        chosen = int(asked) if asked.isascii() and asked.isdigit() else self._chaos.variant
        if chosen is None:
            chosen = zlib.crc32(visitor(request).profile_id.encode())
        return ORDER_BUTTONS[chosen % len(ORDER_BUTTONS)]

    async def orders(self, request: Request) -> Response:
        """List the orders, or the one with the reference that is asked for."""
        member = self._member(request)
        if member is None:
            return RedirectResponse("/login", 303)
        asked = request.query_params.get("reference")
        if asked is not None and (order := self._find(member["email"], asked)) is not None:
            return page(
                SHOP,
                "Thank you for your order",
                f"<dl><dt>Order number</dt><dd data-testid='order-id'>{_number(order)}</dd>"
                f"<dt>Product</dt><dd>{escape(PRODUCTS[order['product']][0])}</dd>"
                f"<dt>Amount</dt><dd>{order['amount']}</dd>"
                f"<dt>Your reference</dt><dd>{escape(order['reference'])}</dd></dl>",
                '<p><a href="/orders">All orders</a></p>',
                account=member["email"],
            )
        orders = self._store.all("SELECT * FROM orders WHERE email = ? ORDER BY id DESC", member["email"])
        rows = [
            (
                f"<b>{_number(order)}</b>",
                escape(PRODUCTS[order["product"]][0]),
                str(order["amount"]),
                f"<code>{escape(order['reference'])}</code>",
            )
            for order in orders
        ]
        return page(
            SHOP,
            "Your orders",
            table(("Order", "Product", "Amount", "Your reference"), rows) if rows else paragraph("No orders yet."),
            account=member["email"],
        )


def _price(product: str) -> str:
    return f"{CENTS[product] / 100:.2f}"


def _number(order: sqlite3.Row) -> str:
    return f"CS-{10_000 + order['id']}"
