"""Notifications to a server: one POST each, within one deadline, and no redirects."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import BadInput, Problem
from core.notify.port import NotDelivered
from core.queue.http_transport import Deadline, opener, said

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "OSTLER_NOTIFY_TOKEN"  # noqa: S105 - the variable's name
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_LATER = frozenset({408, 425, 429})
"""Refusals that say that another try may help; so do all of the server's own failures."""
_SERVERS_FAULT = 500


class HttpDestination:
    """Sends each notification to an address, whose path and query may be secret and are never shown.

    Args:
        url: the address.
        env: of this process: ``OSTLER_NOTIFY_TOKEN`` is sent as a bearer token.
        limit: seconds for all of an answer.
        place: what named it, for messages.

    Raises:
        BadInput: no address, one with credentials in it, or a token that others could read on its way.
    """

    def __init__(self, url: str, env: Mapping[str, str], *, limit: float, place: str) -> None:
        try:
            parts = urlsplit(url)
            known = bool(parts.hostname) and parts.port != 0 and all("!" <= one <= "~" for one in url)
        except ValueError:
            known = False
        expected, found, hint = "", "", ""
        if not known:
            expected, found = "a command, or an address https://host/…", "something else"
        elif parts.username is not None or parts.password is not None:
            expected, found, hint = "an address without credentials", "some", f"{TOKEN} has a bearer token"
        elif (token := env.get(TOKEN)) and parts.scheme.lower() != "https" and parts.hostname not in _LOCAL:
            expected, found = f"https, for {TOKEN} is sent", "http"
        elif token and any(not "!" <= one <= "~" for one in token):
            expected, found = f"a {TOKEN} that can be sent", "a line end, a space or what is not ASCII in it"
        if expected:
            raise BadInput([Problem(place=place, expected=expected, found=found, hint=hint)])
        self.place = f"{parts.scheme}://{parts.netloc}"
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "ostler"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._limit = limit
        self._turn = threading.Lock()
        self._under_way: set[Deadline] = set()
        self._closed = False

    def deliver(self, body: bytes) -> None:
        """See ``Destination``."""
        deadline = Deadline(self._limit, self._limit)
        with self._turn:
            if self._closed:
                raise NotDelivered("this is the end", again=False)
            self._under_way.add(deadline)
        request = urllib.request.Request(self._url, data=body, headers=self._headers, method="POST")  # noqa: S310 - http and https only, by is_address
        try:
            # what it answers is nobody's business; that it did is
            opener(deadline, ssl.create_default_context).open(request).close()
        except urllib.error.HTTPError as exc:
            exc.close()
            name = http.client.responses.get(exc.code, "")
            again = exc.code in _LATER or exc.code >= _SERVERS_FAULT
            raise NotDelivered(f"{exc.code} {name}".strip(), again=again) from None
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if deadline.is_over():
                raise NotDelivered(f"no answer within {self._limit:g} s") from None
            # the library's messages for a ValueError may repeat what was sent
            reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
            text = (
                "something that is not HTTP"
                if isinstance(reason, ValueError) and not isinstance(reason, OSError)
                else said(reason)
            )
            raise NotDelivered(text) from None
        finally:
            with self._turn:
                self._under_way.discard(deadline)

    def close(self) -> None:
        """See ``Destination``."""
        with self._turn:
            self._closed = True
            for deadline in self._under_way:
                deadline.give_up()
