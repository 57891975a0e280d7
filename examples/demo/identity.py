"""Keyring: accounts with two-step sign-in. Being logged in takes two things: a cookie, and a token in localStorage."""

from __future__ import annotations

import secrets
from html import escape
from typing import TYPE_CHECKING

import pyotp
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from examples.demo.mail import LEAST_PASSWORD
from examples.demo.page import Brand, field, form, page, paragraph
from examples.demo.store import hash_password, hash_token, password_fits
from examples.demo.visit import sign_in, sign_out, signed_in, visitor

if TYPE_CHECKING:
    import sqlite3

    from starlette.requests import Request

    from examples.demo.store import Store

KEYRING = Brand(
    "Keyring", "#17694a", (("/me", "Me"), ("/security", "Security"), ("/join", "Join"), ("/login", "Sign in"))
)
# an account that is there from the start, for whoever wants to log in to one: docs/tutorial.md
SAMPLE_EMAIL = "ada@mail.localhost"
SAMPLE_PASSWORD = "in plain sight"  # noqa: S105 - of a demo
SAMPLE_TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ME_SCRIPT = """<script>
(async () => {
  const state = document.querySelector('[data-testid=login-state]');
  try {
    const answer = await fetch('/api/me', {headers: {'X-Device-Token': localStorage.getItem('device_token') || ''}});
    const me = await answer.json();
    state.textContent = me.logged_in ? 'Logged in as ' + me.account : 'Not logged in. Missing: ' + me.missing.join(', ');
    state.dataset.state = me.logged_in ? 'in' : 'out';
  } catch {
    state.textContent = 'We could not find out whether you are logged in.';
    state.dataset.state = 'unknown';
  }
})();
</script>"""


class Identity:
    """The pages of ``id.localhost``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # who has given the password and still owes the code; a restart asks for the password again
        self._half_way: dict[str, str] = {}
        if self._account(SAMPLE_EMAIL) is None:
            with store.writing() as writing:
                writing.run(
                    "INSERT INTO accounts (email, password, totp, at) VALUES (?, ?, ?, ?)",
                    SAMPLE_EMAIL,
                    hash_password(SAMPLE_PASSWORD),
                    SAMPLE_TOTP,
                    writing.now,
                )

    def router(self) -> Router:
        """Return the service."""
        both = ["GET", "POST"]
        return Router(
            [
                Route("/", self.home),
                Route("/join", self.join, methods=both),
                Route("/login", self.login, methods=both),
                Route("/login/code", self.login_code, methods=both),
                Route("/logout", self.logout, methods=["POST"]),
                Route("/security", self.security, methods=both),
                Route("/security/code", self.enrol, methods=both),
                Route("/me", self.me),
                Route("/api/me", self.api_me),
                Route("/whoami", self.whoami),
            ]
        )

    def _account(self, email: str | None) -> sqlite3.Row | None:
        return self._store.one("SELECT * FROM accounts WHERE email = ?", email)

    async def home(self, _: Request) -> Response:
        """Lead to the account."""
        return RedirectResponse("/me", 303)

    async def join(self, request: Request) -> Response:
        """Open an account. Nothing comes of it before the second step is set up."""
        email, error, status = "", "", 200
        if request.method == "POST":
            given = await request.form()
            email, password = str(given.get("email", "")).strip().lower(), str(given.get("password", ""))
            if "@" not in email or len(password) < LEAST_PASSWORD:
                error, status = f"An e-mail address and a password of {LEAST_PASSWORD} characters, please.", 422
            elif self._account(email) is not None:
                error, status = "There is an account with this address.", 409
            else:
                with self._store.writing() as writing:
                    writing.run(
                        "INSERT INTO accounts (email, password, at) VALUES (?, ?, ?)",
                        email,
                        hash_password(password),
                        writing.now,
                    )
                return sign_in(self._store, request, RedirectResponse("/security", 303), "id", email, keep=True)
        return page(
            KEYRING,
            "Open an account",
            form("/join", *_credentials(email, "new-password"), button="Open account"),
            error=error,
            status=status,
        )

    async def login(self, request: Request) -> Response:
        """Take address and password; then the code, where the account has a second step."""
        email, error, status = "", "", 200
        if request.method == "POST":
            given = await request.form()
            email = str(given.get("email", "")).strip().lower()
            row = self._account(email)
            if row is not None and password_fits(str(given.get("password", "")), row["password"]):
                if row["totp"] is None:
                    return self._welcome(request, email)
                ticket = secrets.token_urlsafe(24)
                self._half_way[ticket] = email
                half = RedirectResponse("/login/code", 303)
                half.set_cookie("id_half", ticket, httponly=True, samesite="lax", max_age=300)
                return half
            error, status = "Unknown address or wrong password.", 401
        return page(
            KEYRING,
            "Sign in",
            form("/login", *_credentials(email, "current-password"), button="Sign in"),
            error=error,
            status=status,
        )

    async def login_code(self, request: Request) -> Response:
        """Take the code of the second step."""
        ticket = request.cookies.get("id_half", "")
        row = self._account(self._half_way.get(ticket))
        if row is None:
            return RedirectResponse("/login", 303)
        error, status = "", 200
        if request.method == "POST":
            if _code_fits(row["totp"], str((await request.form()).get("code", ""))):
                del self._half_way[ticket]
                return self._welcome(request, row["email"])
            error, status = "This code is wrong or too old.", 401
        return page(
            KEYRING, "One more step", form("/login/code", _code_field(), button="Continue"), error=error, status=status
        )

    async def logout(self, _: Request) -> Response:
        """Sign out."""
        return sign_out(RedirectResponse("/login", 303), "id")

    def _welcome(self, request: Request, email: str) -> Response:
        """Log in for good: a cookie that lasts, and a token that this page's script puts into localStorage."""
        token = secrets.token_urlsafe(24)
        with self._store.writing() as writing:
            writing.run("INSERT INTO devices VALUES (?, ?, ?)", hash_token(token), email, writing.now)
        welcome = page(
            KEYRING,
            "Welcome",
            '<p role="status">Making this browser known …</p>',
            f"<script>localStorage.setItem('device_token', '{token}'); location.replace('/me');</script>",
            account=email,
        )
        welcome.delete_cookie("id_half")
        return sign_in(self._store, request, welcome, "id", email, keep=True)

    async def security(self, request: Request) -> Response:
        """Show whether there is a second step; a post makes a secret that waits for its first code."""
        row = self._account(signed_in(self._store, request, "id"))
        if row is None:
            return RedirectResponse("/login", 303)
        if request.method == "POST":
            with self._store.writing() as writing:
                writing.run("UPDATE accounts SET totp_pending = ? WHERE email = ?", pyotp.random_base32(), row["email"])
            return RedirectResponse("/security/code", 303)
        enrolled = row["totp"] is not None
        return page(
            KEYRING,
            "Security",
            f'<p role="status" data-testid="two-step" data-state="{"in" if enrolled else "out"}">'
            f"Two-step sign-in is {'on' if enrolled else 'off'}.</p>",
            form("/security", button="Replace the authenticator" if enrolled else "Set up two-step sign-in"),
            account=row["email"],
        )

    async def enrol(self, request: Request) -> Response:
        """Take the first code of the new secret: effect ``two_fa_enabled``. A replaced authenticator is a second effect."""
        row = self._account(signed_in(self._store, request, "id"))
        if row is None:
            return RedirectResponse("/login", 303)
        if row["totp_pending"] is None:
            return RedirectResponse("/security", 303)
        error, status = "", 200
        if request.method == "POST":
            if _code_fits(row["totp_pending"], str((await request.form()).get("code", ""))):
                with self._store.writing() as writing:
                    writing.run(
                        "UPDATE accounts SET totp = totp_pending, totp_pending = NULL WHERE email = ?", row["email"]
                    )
                    writing.effect(visitor(request), "two_fa_enabled")
                return self._welcome(request, row["email"])
            error, status = "This code is wrong or too old.", 422
        return page(
            KEYRING,
            "Set up two-step sign-in",
            paragraph("Add this key to your authenticator, then type the code that it shows."),
            f'<p class="code" data-testid="totp-secret">{escape(row["totp_pending"])}</p>',
            form("/security/code", _code_field(), button="Turn on"),
            account=row["email"],
            error=error,
            status=status,
        )

    async def me(self, request: Request) -> Response:
        """Say who is logged in, once the page's script has shown both proofs."""
        account = signed_in(self._store, request, "id")
        return page(
            KEYRING,
            "Your account",
            '<p role="status" data-testid="login-state">Checking …</p>',
            ME_SCRIPT,
            form("/logout", button="Sign out", quiet=True)
            if account
            else '<p><a class="button" href="/login">Sign in</a></p>',
            account=account,
        )

    async def api_me(self, request: Request) -> Response:
        """Return ``{"logged_in", "account", "missing"}``: cookie and token must prove the same account."""
        account = signed_in(self._store, request, "id")
        token = request.headers.get("x-device-token", "")
        device = self._store.one("SELECT account FROM devices WHERE token = ?", hash_token(token))
        known = device is not None and account in {None, device["account"]}
        missing = [name for name, there in (("cookie", account is not None), ("device token", known)) if not there]
        return JSONResponse({"logged_in": not missing, "account": account, "missing": missing})

    async def whoami(self, request: Request) -> Response:
        """Return the account that the cookie alone proves; 401 without."""
        account = signed_in(self._store, request, "id")
        return JSONResponse({"account": account}, 200 if account else 401)


def _credentials(email: str, autocomplete: str) -> tuple[str, str]:
    return (
        field("E-mail", "email", "email", value=email),
        field("Password", "password", "password", extra=f'autocomplete="{autocomplete}"'),
    )


def _code_field() -> str:
    return field("Code", "code", extra='inputmode="numeric" autocomplete="one-time-code" maxlength="6"')


def _code_fits(secret: str, code: str) -> bool:
    # a code may be used again within its minute: a real service would refuse that, and the demo would wait
    return pyotp.TOTP(secret).verify(code.strip(), valid_window=1)
