"""Trouble on request: answers that come late, are errors, or never come.

A service that answers with an error, or not at all, may have done its work all the same: half of the failures and of the
broken connections strike before a request is worked on, half after.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, ClassVar

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 1_000_000
MOST_SLOW = 60_000


class Chaos(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much trouble.

    Attributes:
        slow: milliseconds before a request is worked on.
        fail: how likely an answer is an error 500, 0 to 1.
        drop: how likely the connection breaks without an answer, 0 to 1.
        variant: which markup the order form has, for everybody; None: by profile.
    """

    slow: float = 0.0
    fail: float = 0.0
    drop: float = 0.0
    variant: int | None = None

    def problem(self) -> str | None:
        """Say what is wrong with the numbers; None: nothing."""
        if not 0 <= self.slow <= MOST_SLOW:
            return f"slow is in milliseconds, 0 to {MOST_SLOW}"
        if not 0 <= self.fail <= 1 or not 0 <= self.drop <= 1:
            return "fail and drop are probabilities, 0 to 1"
        return None

    def change(self, fields: bytes) -> None:
        """Take over the fields that a JSON object names.

        Raises:
            ValueError: it is no such object; nothing was changed.
        """
        given = msgspec.json.decode(fields)
        if not isinstance(given, dict):
            raise ValueError("expected an object")  # noqa: TRY004 - bad input, whatever its type
        changed = msgspec.convert({**msgspec.structs.asdict(self), **given}, Chaos)
        if wrong := changed.problem():
            raise ValueError(wrong)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(changed, name))

    def for_request(self, headers: Headers) -> Chaos:
        """Return what applies to one request: its ``X-Demo-Slow``, ``X-Demo-Fail`` and ``X-Demo-Drop`` come first."""
        asked = Chaos(variant=self.variant)
        for name in ("slow", "fail", "drop"):
            try:
                setattr(asked, name, float(headers.get(f"X-Demo-{name}", getattr(self, name))))
            except ValueError:
                return self
        return self if asked.problem() else asked


class AbortableProtocol(H11Protocol):
    """A connection that the application can break."""

    open: ClassVar[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection by the client's address, as the application sees it."""
        super().connection_made(transport)
        if self.client is not None:
            self.open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        if self.client is not None:
            self.open.pop(self.client, None)


class Troubled:
    """The application, with trouble before and after it. Paths that begin with ``/_`` are spared."""

    def __init__(self, app: ASGIApp, chaos: Chaos, seed: int | None) -> None:
        self._app = app
        self._chaos = chaos
        self._dice = random.Random(seed)  # noqa: S311 - luck, no secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A browser sends a request again, even a POST and without a word, when a connection that it had used before breaks.
        # So no connection is used twice: what the ledger shows twice, was asked for twice.
        send = _closing(send)
        if scope["path"].startswith("/_"):
            await self._app(scope, receive, send)
            return
        body = await _body_of(receive)
        chaos = self._chaos.for_request(Headers(scope=scope))
        if body is None or (chaos.slow and await _gone_within(receive, chaos.slow / 1000)):
            return  # whoever hangs up before the work begins has ordered nothing
        fail, drop = self._dice.random() < chaos.fail, self._dice.random() < chaos.drop
        if not fail and not drop:
            await self._app(scope, _replay(body, receive), send)
            return
        if self._dice.random() < 0.5:  # noqa: PLR2004 - see the module's docstring
            await self._app(scope, _replay(body, receive), _nowhere)
        if drop:
            await _break(scope, receive)
        else:
            await HTMLResponse("<h1>Something went wrong</h1>", 500)(scope, receive, send)


def _closing(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
        await send(message)

    return closing


async def _nowhere(_: Message) -> None:
    """Take an answer that nobody will see."""


async def _body_of(receive: Receive) -> bytes | None:
    """Return the request's body; None: the client is gone, or sends too much."""
    body = b""
    while len(body) <= MOST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body
    return None


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _gone_within(receive: Receive, seconds: float) -> bool:
    """Wait; return True as soon as the client hangs up."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _break(scope: Scope, receive: Receive) -> None:
    transport = AbortableProtocol.open.get(tuple(scope["client"]))
    if transport is not None:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
