"""A feed on a server: HTTP or HTTPS, asked with the ETag of what is known, so that an unchanged one costs next to nothing.

Relative paths in it start from the working directory: a server that may name flows is one to be trusted with what they do.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import netrc
import ssl
import urllib.error
import urllib.request
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import BadInput, Problem
from core.queue.http_transport import Deadline, opener, said
from core.queue.remote import FETCH_LIMIT, MAX_FETCHED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage, HTTPResponse

TOKEN = "OSTLER_FEED_TOKEN"  # noqa: S105 - the variable's name
AUTHORITIES = "SSL_CERT_FILE"
"""The variable that OpenSSL reads, too."""
SOCKET_LIMIT = 10.0
"""Seconds without a byte."""
MAX_REDIRECTS = 5
_BLOCK = 64 * 1024
_UNCHANGED = 304
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_VALUE = 1000
_PERMISSION = f"{TOKEN} has a bearer token, ~/.netrc a name and a password"
_UNKNOWN_SIGNERS = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's X509_V_ERR_… for certificates, or chains of them, that are signed by themselves or by nobody known."""


def is_address(argument: str) -> bool:
    """Whether a queue argument names a feed on a server."""
    return argument.lower().startswith(("http://", "https://"))


class HttpFeed:
    """A ``RemoteFeed`` on a server.

    Args:
        url: where it is.
        env: where credentials come from: ``OSTLER_FEED_TOKEN`` for a bearer token, else ``NETRC`` or ``~/.netrc``.
        limit: seconds for all of an answer.

    Raises:
        BadInput: no address, or one with credentials in it, which others could see.
    """

    def __init__(self, url: str, env: Mapping[str, str], *, limit: float = FETCH_LIMIT) -> None:
        self._url = url
        self._env = env
        self._limit = limit
        self._known: dict[str, str] = {}
        self.place = self.name = url.partition("?")[0].partition("#")[0]
        try:
            parts = urlsplit(url)
            known = bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known or any(not "!" <= character <= "~" for character in url):
            self.place = "queue"
            hint = "" if url.isascii() else "what is not ASCII is written as %C3%BC in a path, as xn--… in a host"
            raise self._wrong("an address such as https://host/queue.json", "something else", hint)
        if parts.username is not None or parts.password is not None:
            self.place = f"{parts.scheme}://{parts.hostname}{parts.path}"
            hint = f"they belong into {TOKEN}, or into ~/.netrc"
            raise self._wrong("an address without credentials", "some", hint)
        if parts.query:  # it tells feeds apart, and may be a secret
            self.name += f"?{hashlib.sha256(parts.query.encode()).hexdigest()[:12]}"
        self.suffix = PurePosixPath(parts.path).suffix.lower()
        self._origin = _origin(url)
        self._deadline: Deadline | None = None
        self._closed = False

    def fetch(self) -> bytes | None:
        """See ``RemoteFeed``."""
        deadline = self._deadline = Deadline(self._limit, SOCKET_LIMIT)
        if self._closed:
            deadline.give_up()
        request = self.request(self._url)
        try:
            with opener(deadline, self._context, _Redirects(self)).open(request) as response:
                text = self._body(response)
                if deadline.is_over():
                    raise TimeoutError  # nobody waits for it any more, and it is not what is known
                names = {
                    "If-None-Match": response.headers["ETag"],
                    "If-Modified-Since": response.headers["Last-Modified"],
                }
                self._known = {name: value for name, value in names.items() if value and _can_be_sent(value)}
                return text
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == _UNCHANGED and self._known:
                return None
            raise self._wrong("a queue", self._status(exc), _PERMISSION if exc.code in {401, 403} else "") from None
        except urllib.error.URLError as exc:
            raise self._failed(exc.reason, deadline, "an answer") from None
        except (OSError, http.client.HTTPException) as exc:
            raise self._failed(exc, deadline, "a whole answer") from None
        except (
            ValueError
        ):  # the library's, for a length or a redirect that is none; its message may repeat what was sent
            raise self._wrong("a whole answer", "a length or a redirect that makes no sense") from None

    def close(self) -> None:
        """See ``RemoteFeed``."""
        self._closed = True
        if self._deadline is not None:
            self._deadline.give_up()

    def _context(self) -> ssl.SSLContext:
        """Return what certificates are checked with: the system's authorities, and the user's own.

        Raises:
            BadInput: there is no such file.
        """
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        # the library takes a file that is not there for an empty one
        if authorities := self._env.get(AUTHORITIES):
            try:
                context.load_verify_locations(authorities)
            except (OSError, ValueError) as exc:  # a zero in it is a ValueError
                found = "no certificates" if isinstance(exc, ssl.SSLError) else said(exc)
                raise self._wrong(f"certificates in the file that {AUTHORITIES} names", found) from None
        return context

    def _failed(self, reason: Any, deadline: Deadline, expected: str) -> BadInput:
        """Return why there is no answer; a fetch that was given up fails in any way."""
        if deadline.is_over():
            return self._wrong(f"all of it within {self._limit:g} s", "less; it was given up")
        if isinstance(reason, TimeoutError):
            return self._wrong("an answer", f"nothing for {SOCKET_LIMIT:g} s")
        if isinstance(reason, ssl.SSLCertVerificationError):
            return self._wrong("a certificate that can be trusted", said(reason), _certificate_hint(reason))
        return self._wrong(expected, said(reason))

    def request(self, url: str) -> urllib.request.Request:
        """Return what is asked, with credentials if the address is for them.

        Raises:
            BadInput: credentials would travel where others can read them.
        """
        headers = {"Accept": "application/json, text/plain;q=0.9, */*;q=0.5", "User-Agent": "ostler", **self._known}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http and https only, by is_address and _Redirects
        credentials = self._credentials(url)
        if credentials is not None:
            parts = urlsplit(url)
            if parts.scheme.lower() != "https" and parts.hostname not in _LOCAL:
                raise self._wrong("https, for credentials are sent", "http")
            request.add_unredirected_header("Authorization", credentials)
        return request

    def _credentials(self, url: str) -> str | None:
        """Return those for an address: the token for the server that was named, else what netrc has for the host."""
        token = self._env.get(TOKEN)
        if token and _origin(url) == self._origin:
            if any(not "!" <= character <= "~" for character in token):
                raise self._wrong(f"a {TOKEN} that can be sent", "a line end, a space or what is not ASCII in it")
            return f"Bearer {token}"
        try:
            found = netrc.netrc(self._env.get("NETRC") or None).authenticators(urlsplit(url).hostname or "")
        except FileNotFoundError:
            return None
        except netrc.NetrcParseError as exc:  # its message may repeat what stands there
            found_there = f"a mistake in line {exc.lineno}, or a file that others may read"
            raise self._wrong("a netrc file of one's own", found_there) from None
        except UnicodeDecodeError:
            raise self._wrong("a netrc file", "one that is no text") from None
        except OSError as exc:
            raise self._wrong("a netrc file", exc.strerror or type(exc).__name__) from None
        if found is None:
            return None
        return "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()

    def _body(self, response: HTTPResponse) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise self._wrong("text as it is", f"one that is encoded as {encoding[:20]!r}")
        text = bytearray()
        while block := response.read1(_BLOCK):
            text += block
            if len(text) > MAX_FETCHED:
                raise self._wrong("at most 32 MB", "more")
        if response.headers.get_content_type() == "text/html" and text.lstrip()[:1] == b"<":
            raise self._wrong("a queue", "a web page, such as one to log in at")
        length = response.headers.get("Content-Length")
        if length is not None and length.isdecimal() and int(length) != len(text):
            raise self._wrong(f"{int(length)} bytes, as was announced", f"{len(text)}")
        return bytes(text)

    @staticmethod
    def _status(exc: urllib.error.HTTPError) -> str:
        if 300 <= exc.code < 400:  # noqa: PLR2004 - redirects
            return f"more than {MAX_REDIRECTS} redirects, or one that leads nowhere ({exc.code})"
        return f"{exc.code} {http.client.responses.get(exc.code, '')}".strip()

    def _wrong(self, expected: str, found: str, hint: str = "") -> BadInput:
        return BadInput([Problem(place=self.place, expected=expected, found=found, hint=hint)])

    def redirected(self, old: str, new: str) -> urllib.request.Request:
        """Return what is asked of the next server.

        Raises:
            BadInput: it may not be asked.
        """
        if not is_address(new) or (old.lower().startswith("https:") and not new.lower().startswith("https:")):
            raise self._wrong("a queue", "a redirect away from https, or to something that is no server")
        return self.request(new)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A few, to servers only, and never from https to http; each server gets only its own credentials."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 1

    def __init__(self, feed: HttpFeed) -> None:
        self._feed = feed

    def redirect_request(  # noqa: PLR0917 - as the library calls it
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request:
        del fp, code, msg, headers
        return self._feed.redirected(req.full_url, newurl)

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        """Follow, without reading what came along: it may be of any size."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port


def _certificate_hint(reason: ssl.SSLCertVerificationError) -> str:
    """Return what to do about a certificate that nobody known has signed."""
    return f"{AUTHORITIES} names a file with an authority of your own" if reason.verify_code in _UNKNOWN_SIGNERS else ""


def _can_be_sent(value: str) -> bool:
    """Whether the header of an answer may be one of a request: a server may send what it could not be asked with."""
    return len(value) <= _LONGEST_VALUE and all(" " <= character <= "~" for character in value)
