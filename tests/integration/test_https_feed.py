"""Feeds over TLS: from a real server with certificates of an authority of our own, and from servers that are not to be trusted."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import BadInput
from core.queue.http_feed import HttpFeed
from tests.certificates import Authority
from tests.server import QueueServer, redirect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_NETRC = {"NETRC": "/nonexistent/netrc"}
HERE = "DNS:localhost,IP:127.0.0.1"
TRUST = "SSL_CERT_FILE names a file with an authority of your own"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: Any) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture
def serve() -> Iterator[Callable[..., QueueServer]]:
    """Start servers, and stop them in the end."""
    with contextlib.ExitStack() as stack:

        def start(context: ssl.SSLContext | None = None) -> QueueServer:
            one = QueueServer(context)
            stack.callback(one.close)
            one.answers["/queue.json"] = '["a"]'
            return one

        yield start


def trusting(authority: Authority, **env: str) -> dict[str, str]:
    return {**NO_NETRC, "SSL_CERT_FILE": str(authority.file), **env}


def refused(url: str, env: dict[str, str]) -> str:
    with pytest.raises(BadInput) as caught:
        HttpFeed(url, env).fetch()
    return str(caught.value).removeprefix(url)


def test_a_feed_is_fetched_over_tls(authority, serve):
    """By name and by number, with its ETag and a token that travels in private."""
    server = serve(authority.context(HERE))
    for host in ("localhost", "127.0.0.1"):
        one = HttpFeed(server.url(host=host), trusting(authority, OSTLER_FEED_TOKEN="t0ken"))
        assert one.fetch() == b'["a"]'
        assert one.fetch() is None
    assert server.sent == [200, 304] * 2
    assert {headers["Authorization"] for _, headers in server.asked} == {"Bearer t0ken"}


def test_a_large_feed_is_fetched_over_tls(authority, serve):
    """In many records."""
    server = serve(authority.context(HERE))
    server.answers["/queue.json"] = text = "[" + ",".join(f'"p{n}"' for n in range(200_000)) + "]"
    assert HttpFeed(server.url(), trusting(authority)).fetch() == text.encode()


def test_an_authority_that_nobody_knows_is_refused(authority, serve):
    """With what to do about it; nothing is asked of such a server."""
    server = serve(authority.context(HERE))
    said = refused(server.url(), dict(NO_NETRC))
    assert (
        said == f": expected a certificate that can be trusted, found unable to get local issuer certificate ({TRUST})"
    )
    assert server.asked == []


def test_a_certificate_of_somebody_else_is_refused(authority, serve):
    """The one at localhost is not the one that was asked for."""
    server = serve(authority.context("DNS:other.example"))
    said = refused(server.url(host="localhost"), trusting(authority))
    assert said.startswith(
        ": expected a certificate that can be trusted, found Hostname mismatch, certificate is not valid for"
    )
    assert "SSL_CERT_FILE" not in said
    assert "IP address mismatch" in refused(server.url(), trusting(authority))
    assert server.asked == []


def test_an_expired_certificate_is_refused(authority, serve):
    """As such."""
    server = serve(authority.context(HERE, expired=True))
    said = refused(server.url(), trusting(authority))
    assert said == ": expected a certificate that can be trusted, found certificate has expired"
    assert server.asked == []


def test_a_certificate_signed_by_itself_is_refused(authority, serve, tmp_path):
    """However well it fits."""
    lone = Authority(tmp_path / "lone")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(lone.file, lone.file.with_name("authority.key"))
    assert f"found self-signed certificate ({TRUST})" in refused(serve(context).url(), trusting(authority)).replace(
        "self signed", "self-signed"
    )


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_authorities_that_is_none_is_said(authority, serve, tmp_path, content):
    """The library would take it for an empty one, and blame the server."""
    if content is not None:
        (tmp_path / "own.pem").write_bytes(content)
    found = "No such file or directory" if content is None else "no certificates"
    said = refused(serve(authority.context(HERE)).url(), {**NO_NETRC, "SSL_CERT_FILE": str(tmp_path / "own.pem")})
    assert said == f": expected certificates in the file that SSL_CERT_FILE names, found {found}"


def test_a_server_without_tls_and_one_with_it_are_told_apart(authority, serve):
    """The address says the wrong thing of either."""
    plain, secret = serve(), serve(authority.context(HERE))
    said = refused(plain.url().replace("http:", "https:"), trusting(authority))
    assert said.startswith(": expected an answer, found no TLS (")
    assert "expected a whole answer, found" in refused(secret.url().replace("https:", "http:"), trusting(authority))


def test_a_redirect_is_followed_to_tls_and_never_away_from_it(authority, serve):
    """What was asked for in private is not answered in public; the certificate of the second server counts like the first's."""
    plain, secret, other = serve(), serve(authority.context(HERE)), serve(authority.context("DNS:other.example"))
    plain.answers["/up"] = redirect(secret.url())
    assert HttpFeed(plain.url("/up"), trusting(authority)).fetch() == b'["a"]'
    secret.answers["/down"] = redirect(plain.url())
    assert "a redirect away from https" in refused(secret.url("/down"), trusting(authority))
    secret.answers["/over"] = redirect(other.url())
    assert "found IP address mismatch" in refused(secret.url("/over"), trusting(authority))
    assert other.asked == []


def test_a_feed_is_fetched_through_a_proxy(authority, serve, monkeypatch):
    """Which sees where it goes to, and nothing else."""
    server = serve(authority.context(HERE))
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen.append(data)
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def proxy() -> None:
        client, _ = listener.accept()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        seen.append(head)
        host, _, port = head.split()[1].decode().partition(":")
        with client, socket.create_connection((host, int(port))) as there:
            client.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(there, client))
            back.start()
            pass_on(client, there)
            back.join(10)

    thread = threading.Thread(target=proxy)
    thread.start()
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    assert HttpFeed(server.url(), trusting(authority, OSTLER_FEED_TOKEN="t0ken")).fetch() == b'["a"]'
    thread.join(10)
    listener.close()
    assert seen[0].startswith(b"CONNECT 127.0.0.1:")
    assert not any(b"t0ken" in data for data in seen)
