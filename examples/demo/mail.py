"""Postbox: the mail service. Whoever wants a mailbox gets one; addresses are given once."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from examples.demo.page import Brand, field, form, page, paragraph, table
from examples.demo.store import hash_password, password_fits
from examples.demo.visit import sign_in, sign_out, signed_in, visitor

if TYPE_CHECKING:
    from starlette.requests import Request

    from examples.demo.store import Store, Writing

POSTBOX = Brand("Postbox", "#2456b8", (("/inbox", "Inbox"), ("/signup", "New mailbox"), ("/login", "Sign in")))
LEAST_PASSWORD = 8


def deliver(store: Store, writing: Writing, *, address: str, sender: str, subject: str, body: str) -> bool:
    """Put a mail into a mailbox, within a transaction; False: there is no such mailbox."""
    if store.one("SELECT 1 FROM mailboxes WHERE address = ?", address) is None:
        return False
    writing.run(
        "INSERT INTO mails (address, sender, subject, body, at) VALUES (?, ?, ?, ?, ?)",
        address,
        sender,
        subject,
        body,
        writing.now,
    )
    return True


class Mail:
    """The pages of ``mail.localhost``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def router(self) -> Router:
        """Return the service."""
        return Router(
            [
                Route("/", self.home),
                Route("/signup", self.signup, methods=["GET", "POST"]),
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/logout", self.logout, methods=["POST"]),
                Route("/inbox", self.inbox),
                Route("/inbox/{number:int}", self.message),
            ]
        )

    async def home(self, _: Request) -> Response:
        """Lead to the inbox, or to the sign-in."""
        return RedirectResponse("/inbox", 303)

    async def signup(self, request: Request) -> Response:
        """Open a mailbox: effect ``mail_created``. A second address is a second mailbox."""
        if request.method == "GET":
            return self._signup_page()
        given = await request.form()
        address, password = str(given.get("address", "")).strip().lower(), str(given.get("password", ""))
        if not address.endswith("@mail.localhost") or not address.removesuffix("@mail.localhost"):
            return self._signup_page(address, "An address here ends in @mail.localhost.", 422)
        if len(password) < LEAST_PASSWORD:
            return self._signup_page(address, f"The password needs at least {LEAST_PASSWORD} characters.", 422)
        if self._store.one("SELECT 1 FROM mailboxes WHERE address = ?", address) is not None:
            return self._signup_page(address, "This address is taken.", 409)
        with self._store.writing() as writing:
            writing.run("INSERT INTO mailboxes VALUES (?, ?, ?)", address, hash_password(password), writing.now)
            writing.effect(visitor(request), "mail_created")
            deliver(
                self._store,
                writing,
                address=address,
                sender="hello@mail.localhost",
                subject="Welcome to Postbox",
                body="Your mailbox is ready.",
            )
        return sign_in(self._store, request, RedirectResponse("/inbox", 303), "mail", address, keep=True)

    def _signup_page(self, address: str = "", error: str = "", status: int = 200) -> Response:
        return page(
            POSTBOX,
            "New mailbox",
            form(
                "/signup",
                field("Address", "address", "email", value=address, hint="ends in @mail.localhost"),
                field("Password", "password", "password", extra='autocomplete="new-password"'),
                button="Create mailbox",
            ),
            error=error,
            status=status,
        )

    async def login(self, request: Request) -> Response:
        """Sign in."""
        address, error, status = "", "", 200
        if request.method == "POST":
            given = await request.form()
            address = str(given.get("address", "")).strip().lower()
            row = self._store.one("SELECT password FROM mailboxes WHERE address = ?", address)
            if row is not None and password_fits(str(given.get("password", "")), row["password"]):
                return sign_in(self._store, request, RedirectResponse("/inbox", 303), "mail", address, keep=True)
            error, status = "Unknown address or wrong password.", 401
        return page(
            POSTBOX,
            "Sign in",
            form(
                "/login",
                field("Address", "address", "email", value=address),
                field("Password", "password", "password", extra='autocomplete="current-password"'),
                button="Sign in",
            ),
            '<p>No mailbox yet? <a href="/signup">Create one</a>.</p>',
            error=error,
            status=status,
        )

    async def logout(self, _: Request) -> Response:
        """Sign out."""
        return sign_out(RedirectResponse("/login", 303), "mail")

    async def inbox(self, request: Request) -> Response:
        """List the mails, newest first."""
        address = signed_in(self._store, request, "mail")
        if address is None:
            return RedirectResponse("/login", 303)
        mails = self._store.all("SELECT * FROM mails WHERE address = ? ORDER BY id DESC LIMIT 100", address)
        rows = [
            (
                f'<a href="/inbox/{mail["id"]}">{escape(mail["subject"])}</a>',
                escape(mail["sender"]).replace("@", "@<wbr>"),
                f"<time>{time.strftime('%H:%M', time.localtime(mail['at']))}</time>",
            )
            for mail in mails
        ]
        return page(
            POSTBOX,
            "Inbox",
            f'<p>Mailbox of <b data-testid="mailbox">{escape(address)}</b></p>',
            table(("Subject", "From", "At"), rows),
            form("/logout", button="Sign out", quiet=True),
            account=address,
        )

    async def message(self, request: Request) -> Response:
        """Show one mail."""
        address = signed_in(self._store, request, "mail")
        number = request.path_params["number"]
        mail = self._store.one("SELECT * FROM mails WHERE id = ? AND address = ?", number, address)
        if address is None or mail is None:
            return page(POSTBOX, "No such mail", '<p><a href="/inbox">Back to the inbox</a></p>', status=404)
        return page(
            POSTBOX,
            mail["subject"],
            paragraph(f"From {mail['sender']}"),
            f'<p class="code" data-testid="mail-body">{escape(mail["body"])}</p>',
            '<p><a href="/inbox">Back to the inbox</a></p>',
            account=address,
        )
