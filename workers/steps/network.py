"""What an attempt's browsers ask of the network: requests, failures and bytes by host."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.domain.messages import Network
from core.domain.model import HostTraffic

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_HOSTS = 20
"""That are named; the rest is in the totals."""
MOST_COUNTED = 5000
"""Hosts that are told apart; requests to more of them count as ``(others)``."""
MOST_ASKED = 200
"""Questions about sizes that may be open at a time; beyond that bytes are not measured."""
OTHERS = "(others)"
_USUAL = {"http": 80, "https": 443}
_BAD_STATUS = 400


@dataclass
class _Counts:
    requests: int = 0
    failures: int = 0
    received: int = 0
    sent: int = 0


@dataclass
class NetworkAccount:
    """Counts what contexts ask for. Sizes are asked of the driver, which costs about 0.3 ms of this process a request.

    A request counts from its beginning. How much travelled is known only once it has come to its end: of what is still under
    way then (a stream, or a body that nobody read), or was broken off in the middle, it is not.

    Attributes:
        proxy: host and port that everything goes through; None: directly.
        unmeasured: requests that ended and whose size is not known.
    """

    proxy: str | None = None
    unmeasured: int = 0
    _hosts: dict[str, _Counts] = field(default_factory=dict)
    _asking: set[asyncio.Task[None]] = field(default_factory=set)
    _under_way: dict[int, Any] = field(default_factory=dict)
    """By identity; the request itself is kept, so that no other gets its number."""

    def watch(self, context: Any) -> None:
        """Count what this Playwright context asks for from now on."""
        context.on("request", self._begun)
        context.on("requestfinished", self._finished)
        context.on("requestfailed", self._failed)

    async def settle(self, seconds: float) -> None:
        """Wait until all sizes are known, at most that long; those that are not are given up."""
        if self._asking:
            await asyncio.wait(self._asking, timeout=seconds)
        for task in self._asking:
            task.cancel()

    def summary(self, mask: Callable[[str], str]) -> Network:
        """Return what was counted so far.

        Args:
            mask: takes secrets out of host names.
        """
        total = _Counts()
        for counts in self._hosts.values():
            total.requests += counts.requests
            total.failures += counts.failures
            total.received += counts.received
            total.sent += counts.sent
        busiest = sorted(self._hosts.items(), key=lambda item: (-item[1].requests, item[0]))[:MOST_HOSTS]
        return Network(
            **vars(total),
            unmeasured=self.unmeasured + len(self._asking) + len(self._under_way),
            proxy=self.proxy,
            hosts=tuple(HostTraffic(host=mask(host), **vars(counts)) for host, counts in busiest),
            more_hosts=len(self._hosts) - len(busiest),
        )

    def _begun(self, request: Any) -> None:
        counts = self._of(request.url)
        if counts is not None:
            counts.requests += 1
            self._under_way[id(request)] = request

    def _finished(self, request: Any) -> None:
        counts = self._ended(request)
        if counts is None:
            return
        if len(self._asking) >= MOST_ASKED:
            self.unmeasured += 1
            return
        task = asyncio.ensure_future(self._measure(request, counts))
        self._asking.add(task)
        task.add_done_callback(self._measured)

    def _failed(self, request: Any) -> None:
        # with an answer it was broken off in the middle, by a download for one: of that no size is told
        self.unmeasured += self._ended(request) is not None and request.existing_response is not None

    def _ended(self, request: Any) -> _Counts | None:
        counts = self._of(request.url)
        if counts is not None:
            # what began before we listened counts now
            counts.requests += self._under_way.pop(id(request), None) is None
            response = request.existing_response
            counts.failures += response is None or response.status >= _BAD_STATUS
        return counts

    async def _measure(self, request: Any, counts: _Counts) -> None:
        from playwright.async_api import Error as PlaywrightError  # noqa: PLC0415 - loaded by now; not for flows without a browser

        try:
            sizes = await request.sizes()
        except PlaywrightError:
            # its page, or the browser, went before the answer came
            self.unmeasured += 1
            return
        # of what the browser had kept the body is said to be as much too small as the headers are large: nothing travelled
        received = sizes["responseHeadersSize"] + sizes["responseBodySize"]
        if received > 0:
            counts.received += received
            counts.sent += max(sizes["requestHeadersSize"], 0) + max(sizes["requestBodySize"], 0)

    def _measured(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self.unmeasured += task.cancelled()

    def _of(self, url: str) -> _Counts | None:
        """Return the counts of a URL's host; None where nothing goes over the network."""
        host = host_of(url)
        if host is None:
            return None
        if host not in self._hosts and len(self._hosts) >= MOST_COUNTED:
            host = OTHERS
        return self._hosts.setdefault(host, _Counts())


def host_of(url: str) -> str | None:
    """Return host, and port where it is not the scheme's usual one, without credentials; None for what is no web address."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.scheme in ("data", "blob", "chrome-extension", "file", "about"):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if port is None or port == _USUAL.get(parts.scheme) else f"{host}:{port}"
