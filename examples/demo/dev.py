"""Workbench: the developer portal. An API key is shown once; whoever loses it makes a new one."""

from __future__ import annotations

import secrets
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from examples.demo.mail import LEAST_PASSWORD
from examples.demo.page import Brand, field, form, hidden, page, paragraph
from examples.demo.store import hash_password, hash_token, password_fits
from examples.demo.visit import sign_in, signed_in, visitor

if TYPE_CHECKING:
    import sqlite3

    from starlette.requests import Request

    from examples.demo.store import Store

WORKBENCH = Brand("Workbench", "#3f3d8f", (("/keys", "API keys"), ("/register", "Register"), ("/login", "Sign in")))


class Dev:
    """The pages of ``dev.localhost``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def router(self) -> Router:
        """Return the service."""
        both = ["GET", "POST"]
        return Router(
            [
                Route("/", self.home),
                Route("/register", self.register, methods=both),
                Route("/login", self.login, methods=both),
                Route("/keys", self.keys, methods=both),
                Route("/v1/me", self.me),
            ]
        )

    def _developer(self, email: str | None) -> sqlite3.Row | None:
        return self._store.one("SELECT * FROM developers WHERE email = ? ORDER BY id DESC", email)

    async def home(self, _: Request) -> Response:
        """Say what this is."""
        return page(
            WORKBENCH,
            "Build with our API",
            paragraph("Register, get a key, call GET /v1/me with it."),
            '<p><a class="button" href="/register">Register</a></p>',
        )

    async def register(self, request: Request) -> Response:
        """Register: effect ``dev_registration``. A second form that is filled in is a second registration."""
        if request.method == "GET":
            return self._register_page()
        given = await request.form()
        name, email, password, sent_form = (
            str(given.get(key, "")).strip() for key in ("name", "email", "password", "form")
        )
        if not name or "@" not in email or len(password) < LEAST_PASSWORD:
            return self._register_page(f"Name, e-mail and a password of {LEAST_PASSWORD} characters, please.", 422)
        # a browser may send one form twice when a connection breaks; that is no second registration
        if self._store.one("SELECT 1 FROM developers WHERE form = ?", sent_form) is not None:
            return self._register_page("This form was sent before: you are registered.", 409)
        key = _new_key()
        with self._store.writing() as writing:
            writing.run(
                "INSERT INTO developers (email, name, password, api_key, key_hint, form, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                email,
                name,
                hash_password(password),
                hash_token(key),
                _hint(key),
                sent_form,
                writing.now,
            )
            writing.effect(visitor(request), "dev_registration")
        return sign_in(self._store, request, self._key_page(email, key), "dev", email, keep=True)

    def _register_page(self, error: str = "", status: int = 200) -> Response:
        return page(
            WORKBENCH,
            "Register as a developer",
            form(
                "/register",
                hidden("form", secrets.token_urlsafe(12)),
                field("Name", "name"),
                field("E-mail", "email", "email"),
                field("Password", "password", "password", extra='autocomplete="new-password"'),
                button="Register",
            ),
            error=error,
            status=status,
        )

    def _key_page(self, email: str, key: str) -> Response:
        return page(
            WORKBENCH,
            "Your API key",
            '<p role="status">Keep it now: this is the only time that we show it.</p>',
            f'<p class="code" data-testid="api-key">{escape(key)}</p>',
            '<p><a href="/keys">I have kept it</a></p>',
            account=email,
        )

    async def login(self, request: Request) -> Response:
        """Sign in."""
        email, error, status = "", "", 200
        if request.method == "POST":
            given = await request.form()
            email = str(given.get("email", "")).strip()
            row = self._developer(email)
            if row is not None and password_fits(str(given.get("password", "")), row["password"]):
                return sign_in(self._store, request, RedirectResponse("/keys", 303), "dev", email, keep=True)
            error, status = "Unknown address or wrong password.", 401
        return page(
            WORKBENCH,
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

    async def keys(self, request: Request) -> Response:
        """Show how the key begins; a post makes a new one, and the old one is void."""
        developer = self._developer(signed_in(self._store, request, "dev"))
        if developer is None:
            return RedirectResponse("/login", 303)
        if request.method == "POST":
            key = _new_key()
            with self._store.writing() as writing:
                writing.run(
                    "UPDATE developers SET api_key = ?, key_hint = ? WHERE id = ?",
                    hash_token(key),
                    _hint(key),
                    developer["id"],
                )
            return self._key_page(developer["email"], key)
        return page(
            WORKBENCH,
            "API keys",
            f"<dl><dt>Developer</dt><dd>{escape(developer['name'])}</dd>"
            f"<dt>Key</dt><dd><code data-testid='key-hint'>{escape(developer['key_hint'])}</code>…</dd></dl>",
            paragraph("Lost it? A new key makes the old one void."),
            form("/keys", button="Make a new key"),
            account=developer["email"],
        )

    async def me(self, request: Request) -> Response:
        """Say whose key it is that the ``Authorization`` header bears."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        row = self._store.one("SELECT email FROM developers WHERE api_key = ?", hash_token(key))
        if row is None:
            return JSONResponse({"error": "unknown key"}, 401)
        return JSONResponse({"email": row["email"]})


def _new_key() -> str:
    return f"wb_{secrets.token_urlsafe(24)}"


def _hint(key: str) -> str:
    return key[:9]
