"""Who is asking: the profile that a request names, and the account that its cookie proves."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from examples.demo.store import Visitor, hash_token

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from examples.demo.store import Store

PROFILE_HEADER = "X-Demo-Profile"
ATTEMPT_HEADER = "X-Demo-Attempt"
A_MONTH = 30 * 24 * 3600


def visitor(request: Request) -> Visitor:
    """Return whom the flow says it works for; a person at the keyboard sends no such header and is ``visitor``."""
    attempt = request.headers.get(ATTEMPT_HEADER, "")
    profile_id = request.headers.get(PROFILE_HEADER, "")[:64] or "visitor"
    return Visitor(profile_id, int(attempt) if attempt.isascii() and attempt.isdigit() else 0)


def signed_in(store: Store, request: Request, service: str) -> str | None:
    """Return the account that the service's cookie proves, or None."""
    token = request.cookies.get(f"{service}_session")
    if token is None:
        return None
    row = store.one("SELECT account FROM logins WHERE token = ? AND service = ?", hash_token(token), service)
    return None if row is None else str(row["account"])


def sign_in(store: Store, request: Request, response: Response, service: str, account: str, *, keep: bool) -> Response:
    """Give the response a cookie that proves ``account``; with ``keep`` it outlives the browser's window."""
    token = secrets.token_urlsafe(24)
    who = visitor(request)
    with store.writing() as writing:
        writing.run(
            "INSERT INTO logins (token, service, account, profile_id, attempt, at) VALUES (?, ?, ?, ?, ?, ?)",
            hash_token(token),
            service,
            account,
            who.profile_id,
            who.attempt,
            writing.now,
        )
    response.set_cookie(f"{service}_session", token, max_age=A_MONTH if keep else None, httponly=True, samesite="lax")
    return response


def sign_out(response: Response, service: str) -> Response:
    """Take the cookie away."""
    response.delete_cookie(f"{service}_session")
    return response
