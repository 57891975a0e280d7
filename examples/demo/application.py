"""The application: four services by host name, a front page, and two control paths.

``GET /_status`` tells what has happened, ``POST /_chaos`` takes a JSON object with any of ``slow``, ``fail``, ``drop``, ``variant``.
Both are on every host.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Host, Route

from examples.demo.chaos import Troubled
from examples.demo.dev import Dev
from examples.demo.identity import Identity
from examples.demo.mail import Mail
from examples.demo.page import Brand, page, paragraph
from examples.demo.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from examples.demo.chaos import Chaos
    from examples.demo.store import Store

FRONT = Brand("Demo web", "#333b4a", ())
SERVICES = {
    "mail": ("Postbox", "mailboxes at @mail.localhost"),
    "shop": ("Corner Shop", "sign-up with an e-mailed code, orders"),
    "dev": ("Workbench", "a developer portal with API keys"),
    "id": ("Keyring", "accounts with two-step sign-in"),
}


class Site:
    """Everything that answers."""

    def __init__(self, store: Store, chaos: Chaos, *, seed: int | None, directory: str) -> None:
        self._store = store
        self._chaos = chaos
        self._directory = directory
        services: dict[str, Callable[[], ASGIApp]] = {
            "mail": Mail(store).router,
            "shop": Shop(store, chaos).router,
            "dev": Dev(store).router,
            "id": Identity(store).router,
        }
        control = [Route("/_status", self.status), Route("/_chaos", self.trouble, methods=["POST"])]
        hosts = [Host(f"{name}.localhost", make()) for name, make in services.items()]
        self._app = Troubled(Starlette(routes=[*control, *hosts, Route("/", self.front)]), chaos, seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)

    async def front(self, request: Request) -> Response:
        """Lead to the services."""
        port = request.url.port
        cards = "".join(
            f'<li><b><a href="http://{name}.localhost:{port}/">{title}</a></b>{text}</li>'
            for name, (title, text) in SERVICES.items()
        )
        return page(
            FRONT,
            "Four services to automate",
            f'<ul class="cards">{cards}</ul>',
            paragraph("They run on this computer only."),
        )

    async def status(self, _: Request) -> Response:
        """Return ``{"pid", "directory", "chaos", "effects": {profile: {effect: n}}, "logins": {profile: {service: n}}}``."""
        return JSONResponse(
            {
                "pid": os.getpid(),
                "directory": self._directory,
                "chaos": msgspec.to_builtins(self._chaos),
                "effects": self._counted("SELECT profile_id, effect, count(*) FROM effects GROUP BY 1, 2"),
                "logins": self._counted("SELECT profile_id, service, count(*) FROM logins GROUP BY 1, 2"),
            }
        )

    def _counted(self, sql: str) -> dict[str, Counter[str]]:
        counted: dict[str, Counter[str]] = {}
        for profile_id, name, count in self._store.all(sql):
            counted.setdefault(profile_id, Counter())[name] = count
        return counted

    async def trouble(self, request: Request) -> Response:
        """Change the trouble; return what applies from now on."""
        try:
            self._chaos.change(await request.body())
        except ValueError as exc:
            return JSONResponse({"error": str(exc)}, 422)
        return JSONResponse(msgspec.to_builtins(self._chaos))
