"""Feeds from a server and from a command: what is asked, what is taken, what is refused and what is followed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.clock import ManualClock, SystemClock
from core.domain.messages import FlowDescription
from core.errors import BadInput, QueueUnavailable
from core.process.command import CommandFeed
from core.queue import http_feed
from core.queue.feed import FeedDefaults
from core.queue.http_feed import HttpFeed, is_address
from core.queue.intake import Intake
from core.queue.memory import MemoryQueue
from core.queue.port import Reconciled
from core.queue.remote import RemoteFollower, RemoteReader
from tests.server import QueueServer, redirect

pytestmark = pytest.mark.usefixtures("no_proxy")
CHILDREN = Path(__file__).parents[1] / "children"
TOKEN = "s3cret-token"
NO_NETRC = {"NETRC": "/nonexistent/netrc"}


def feed(server: QueueServer, path: str = "/queue.json", **env: str) -> HttpFeed:
    return HttpFeed(server.url(path), {**NO_NETRC, **env})


def refused(one: Any) -> str:
    with pytest.raises(BadInput) as caught:
        one.fetch()
    return str(caught.value)


def test_a_feed_is_fetched_once_and_then_asked_for_by_its_etag(server):
    """The server says 304 until it changes."""
    server.answers["/queue.json"] = '["a"]'
    one = feed(server)
    assert one.fetch() == b'["a"]'
    assert one.fetch() is None
    server.answers["/queue.json"] = '["b"]'
    assert one.fetch() == b'["b"]'
    assert server.sent == [200, 304, 200]


def web_page(handler):
    """Answer as what stands before a server does that wants to know who asks."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html; charset=utf-8")
    handler.end_headers()
    handler.wfile.write(b"\n<!doctype html><title>Log in</title>")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "expected a queue, found 404 Not Found"),
        (redirect("/loop"), "expected a queue, found more than 5 redirects, or one that leads nowhere (302)"),
        (redirect("file:///etc/passwd"), "or one that leads nowhere (302)"),
        (redirect("ftp://127.0.0.1/q"), "a redirect away from https, or to something that is no server"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "something that is not HTTP"),
        (lambda handler: handler.send_error(500, "boom"), "found 500 Internal Server Error"),
        (lambda handler: handler.send_error(401), "found 401 Unauthorized (OSTLER_FEED_TOKEN has a bearer token, ~/.netrc"),
        (lambda handler: handler.send_error(403), "found 403 Forbidden (OSTLER_FEED_TOKEN has a bearer token, ~/.netrc"),
        (web_page, "expected a queue, found a web page, such as one to log in at"),
        (lambda handler: handler.send_response(304) or handler.end_headers(), "(304)"),
    ],
)  # fmt: skip
def test_what_is_no_queue_is_said_in_a_line(server, answer, said):
    """With the address, and why."""
    server.answers["/queue.json"] = server.answers["/loop"] = answer
    message = refused(feed(server))
    assert said in message
    assert message.startswith(server.url())
    assert "\n" not in message


def absurd_length(handler):
    """Announce more bytes than a number can be read for."""
    handler.send_response(200)
    handler.send_header("Content-Length", "9" * 5000)
    handler.end_headers()
    handler.wfile.write(b"[]")


@pytest.mark.parametrize(
    "answer",
    [absurd_length, redirect("http://[::1"), redirect("http://a..b/"), redirect(f"http://{'a' * 70}.test/")],
)
def test_a_length_or_a_redirect_without_sense_is_a_wrong_answer(server, answer):
    """Whoever serves the queue cannot end a run that follows it."""
    server.answers["/queue.json"] = answer
    assert "expected a whole answer" in refused(feed(server))


@pytest.mark.parametrize("token", ["s3cr3t\n", "s3cr3t\r\nX: y", "s3cr3t€", "s3cr3t\udc80"])
def test_a_token_that_cannot_be_sent_is_not_shown(server, token):
    """The message names the variable."""
    server.answers["/queue.json"] = "[]"
    message = refused(feed(server, OSTLER_FEED_TOKEN=token))
    assert "OSTLER_FEED_TOKEN" in message
    assert "s3cr3t" not in message
    assert not server.asked


def test_a_netrc_file_that_is_no_text_is_said(server, tmp_path):
    """Without what stands in it."""
    (tmp_path / "netrc").write_bytes(b"machine 127.0.0.1 login a password \xff\xfe\n")
    (tmp_path / "netrc").chmod(0o600)
    assert "no text" in refused(feed(server, NETRC=str(tmp_path / "netrc")))


@pytest.mark.parametrize("url", ["http://127.0.0.1/ü", "http://ü€.test/", "http://127.0.0.1/\udc80"])
def test_an_address_that_is_not_ascii_says_how_to_write_it(url):
    """Nothing is asked for."""
    with pytest.raises(BadInput, match="what is not ASCII"):
        HttpFeed(url, NO_NETRC)


def test_nobody_there(server):
    """A closed port is an answer, too."""
    url = server.url()
    server.close()
    assert "Connection refused" in refused(HttpFeed(url, NO_NETRC))


def test_a_redirect_is_followed_without_the_token_for_others(server):
    """Credentials go to the server that was named and to no other; a path elsewhere on it gets them again."""
    other = QueueServer()
    try:
        other.answers["/end"] = '["a"]'
        server.answers["/queue.json"] = redirect("/second", 307)
        server.answers["/second"] = redirect(other.url("/end"))
        assert feed(server, OSTLER_FEED_TOKEN=TOKEN).fetch() == b'["a"]'
        assert [asked[1].get("Authorization") for asked in server.asked] == [f"Bearer {TOKEN}"] * 2
        assert "Authorization" not in other.asked[0][1]
    finally:
        other.close()


def test_a_redirect_never_leaves_https():
    """What was asked for in private is not answered in public."""
    one = HttpFeed("https://host.invalid/q", NO_NETRC)
    assert one.redirected("https://host.invalid/q", "https://other.invalid/q").full_url == "https://other.invalid/q"
    with pytest.raises(BadInput, match="a redirect away from https"):
        one.redirected("https://host.invalid/q", "http://host.invalid/q")


def test_netrc_is_asked_for_the_host(server, tmp_path):
    """And a mistake in it is said without what stands there."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login anna password {TOKEN}\n")
    server.answers["/queue.json"] = '["a"]'
    feed(server, NETRC=str(netrc)).fetch()
    assert server.asked[0][1]["Authorization"].startswith("Basic ")
    netrc.write_text(f"{TOKEN} 127.0.0.1\n")
    message = refused(feed(server, NETRC=str(netrc)))
    assert "a mistake in line 1" in message
    assert TOKEN not in message


def test_a_token_is_not_sent_in_the_clear():
    """Plain HTTP to another host is refused before anything is sent."""
    message = refused(HttpFeed("http://host.invalid/q.json", {**NO_NETRC, "OSTLER_FEED_TOKEN": TOKEN}))
    assert "expected https, for credentials are sent, found http" in message
    assert TOKEN not in message


@pytest.mark.parametrize(
    "url", [f"https://anna:{TOKEN}@host/q", "https://", "http://h:0/", "http://h:x/", "http://h/a b"]
)
def test_addresses_that_are_none(url):
    """Nor may one hold a password: every user of the host could read it."""
    with pytest.raises(BadInput) as caught:
        HttpFeed(url, NO_NETRC)
    assert TOKEN not in str(caught.value)


def test_the_query_of_an_address_is_never_shown(server):
    """It may be a secret; it tells feeds apart all the same."""
    server.answers["/queue.json"] = "nonsense {"
    one, two = feed(server, f"/queue.json?key={TOKEN}"), feed(server, "/queue.json?key=other")
    assert one.name != two.name
    assert TOKEN not in one.name + one.place
    one.fetch()
    assert TOKEN in server.asked[0][0]
    assert is_address("HTTPS://x")
    assert not is_address("queue.json")


def test_too_much_is_refused(server, monkeypatch):
    """Whatever was announced; it is not read to its end."""
    monkeypatch.setattr(http_feed, "MAX_FETCHED", 1000)
    server.answers["/queue.json"] = "x" * 5000
    assert "expected at most 32 MB, found more" in refused(feed(server))


def test_a_cut_answer_is_no_queue(server):
    """Less than was announced."""

    def cut(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b'["a"]')

    server.answers["/queue.json"] = cut
    assert "expected 10 bytes, as was announced, found 5" in refused(feed(server))


def test_a_server_that_is_silent_is_given_up(server, monkeypatch):
    """Without a byte for so long."""
    monkeypatch.setattr(http_feed, "SOCKET_LIMIT", 0.2)
    server.answers["/queue.json"] = lambda _: server.released.wait(20)
    assert "expected an answer, found nothing for 0.2 s" in refused(feed(server))


class Dripping:
    """A server that sends what it has byte by byte, without end, and notes when it was left."""

    def __init__(self, *pieces: bytes, drop: bytes = b" ") -> None:
        self._pieces = pieces
        self._drop = drop
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.left = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/queue.json"

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            for piece in self._pieces:
                connection.sendall(piece)
            while True:
                connection.sendall(self._drop)
                time.sleep(0.02)
        self.left.set()

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "a status": Dripping,
    "a head": lambda: Dripping(OK, b"X: ", drop=b"x"),
    "heads": lambda: Dripping(OK, drop=b"X: y\r\n"),
    "one continue after the other": lambda: Dripping(drop=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": lambda: Dripping(OK, b"Content-Length: 100000\r\n\r\n"),
    "a body without length": lambda: Dripping(OK, b"\r\n"),
    "a size of a chunk": lambda: Dripping(OK, b"Transfer-Encoding: chunked\r\n\r\n", drop=b"0"),
    "chunks": lambda: Dripping(OK, b"Transfer-Encoding: chunked\r\n\r\n", drop=b"1\r\n \r\n"),
    "trailers": lambda: Dripping(OK, b"Transfer-Encoding: chunked\r\n\r\n0\r\n", drop=b"X: y\r\n"),
}


@pytest.mark.parametrize("case", DRIPS)
def test_a_server_that_drips_is_given_up_at_the_limit_of_all(case):
    """Whatever it is that comes byte by byte: the limit is one for the whole fetch, and nothing of it is left."""
    before = set(threading.enumerate())
    one = DRIPS[case]()
    began = time.monotonic()
    message = refused(HttpFeed(one.url(), NO_NETRC, limit=0.7))
    assert "expected all of it within 0.7 s, found less; it was given up" in message
    assert 0.7 <= time.monotonic() - began < 5
    assert one.left.wait(5)
    one.close()
    assert set(threading.enumerate()) <= before


def test_a_handshake_that_drips_is_given_up_at_the_limit_of_all():
    """A server that begins to speak TLS, and never comes to its end."""
    one = Dripping(b"\x16\x03\x03\x40\x00", drop=b"\x00")
    assert "expected all of it within 0.7 s" in refused(HttpFeed(one.url("https"), NO_NETRC, limit=0.7))
    assert one.left.wait(5)
    one.close()


def test_redirects_share_one_limit(server):
    """Each may be quick; all of them together take too long."""

    def slow(handler: Any) -> None:
        server.released.wait(0.4)
        redirect(f"/{len(server.asked)}")(handler)

    server.answers.update({"/queue.json": slow, **{f"/{n}": slow for n in range(9)}})
    assert "expected all of it within 0.7 s" in refused(HttpFeed(server.url(), NO_NETRC, limit=0.7))
    assert len(server.asked) == 2


def test_a_name_that_is_looked_up_without_end_is_given_up(monkeypatch):
    """The system's look-up cannot be interrupted; it holds up nobody."""
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(20) and [])
    assert "expected all of it within 0.5 s" in refused(HttpFeed("http://slow.invalid/", NO_NETRC, limit=0.5))
    answered.set()


def test_each_address_of_a_name_is_tried(server, monkeypatch):
    """The first may be one where nobody is."""
    (real,) = socket.getaddrinfo("127.0.0.1", int(server.url().split(":")[2].split("/")[0]), type=socket.SOCK_STREAM)
    nobody = (*real[:4], ("127.0.0.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nobody, real])
    server.answers["/queue.json"] = '["a"]'
    assert feed(server).fetch() == b'["a"]'
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nobody])
    assert "Connection refused" in refused(feed(server))


def test_closing_ends_a_fetch(server):
    """At once, and there is none after it."""
    server.answers["/queue.json"] = lambda _: server.released.wait(20)
    one = feed(server)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(refused(one)))
    thread.start()
    until(lambda: server.asked)
    one.close()
    thread.join(5)
    assert "given up" in said[0]
    assert "given up" in refused(one)
    assert len(server.asked) == 1


def test_what_a_server_sends_as_its_etag_cannot_spoil_later_fetches(server):
    """What could not be sent back is not kept: it is fetched as a whole again."""

    def folded(handler: Any) -> None:
        handler.wfile.write(OK + b'ETag: "a\r\n b"\r\nLast-Modified: \xe9\r\nContent-Length: 2\r\n\r\n[]')

    server.answers["/queue.json"] = folded
    one = feed(server)
    assert [one.fetch(), one.fetch()] == [b"[]", b"[]"]
    assert all("If-None-Match" not in headers for _, headers in server.asked)


# --- a command -------------------------------------------------------------------------------------------------------


def command(script: str, tmp_path: Path, *, limit: float = 20, most: int = 1000) -> CommandFeed:
    typed = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    return CommandFeed(typed, os.environ, cwd=tmp_path, limit=limit, most=most)


def test_what_a_command_prints_is_the_feed(tmp_path):
    """And nothing new if it is the same again; no shell sees what is in it."""
    (tmp_path / "n").write_text('["$HOME", "a;b"]')
    one = command("print(open('n').read(), end='')", tmp_path)
    assert one.fetch() == b'["$HOME", "a;b"]'
    assert one.fetch() is None
    (tmp_path / "n").write_text("[]")
    assert one.fetch() == b"[]"
    assert "print" not in one.name


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('no access\\n\\x1b[31m')", "found exit code 1 (it said: no access [31m)"),
        ("print('x' * 5000)", "expected at most"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "found exit code -15"),
        ("import sys; sys.stderr.write('x' * 10**6 + 'the end'); sys.exit(3)", "xxthe end)"),
    ],
)
def test_a_command_that_fails_gives_no_feed(tmp_path, script, said):
    """What it said to standard error is shown, in one line."""
    message = refused(command(script, tmp_path))
    assert message.startswith("--queue-command: expected")
    assert said in message


def test_a_working_directory_that_is_gone_is_said(tmp_path):
    """Nothing can be started there."""
    with pytest.raises(BadInput, match="a command that runs, found No such file"):
        CommandFeed("true", os.environ, cwd=tmp_path / "gone", limit=5, most=10).fetch()


@pytest.mark.parametrize("typed", ["", "'", "no-such-command-here --x"])
def test_what_is_no_command(typed, tmp_path):
    """It is said, and is bad input."""
    with pytest.raises(BadInput, match="--queue-command: expected a command"):
        CommandFeed(typed, os.environ, cwd=tmp_path, limit=5, most=10).fetch()


HIDDEN = ["session", "environment", "orphan"]


def leaving(tmp_path: Path, *arguments: str, limit: float = 20) -> CommandFeed:
    """A command that leaves a daemon; see ``tests/children/queue_command.py``."""
    typed = shlex.join([sys.executable, str(CHILDREN / "queue_command.py"), *arguments])
    return CommandFeed(typed, os.environ, cwd=tmp_path, limit=limit, most=100_000)


def noted(path: Path) -> int:
    return int(until(lambda: path.exists() and path.read_text()))


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_daemon_of_a_command_is_ended_with_the_fetch(tmp_path, kind):
    """Wherever it hides, and though it holds the output open; what the command itself printed is the feed."""
    before = set(Path("/proc/self/fd").iterdir())
    assert leaving(tmp_path, kind).fetch() == b"[]"
    assert gone(noted(tmp_path / "daemon"))
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_daemon_that_prints_without_end_does_not_hold_the_fetch(tmp_path):
    """What it printed may be too much by then, or no feed."""
    with contextlib.suppress(BadInput):
        leaving(tmp_path, "printing").fetch()
    assert gone(noted(tmp_path / "daemon"))


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_daemon_of_a_command_that_hangs_is_ended_at_the_limit(tmp_path, kind):
    """With the command."""
    assert "ends within 3 s" in refused(leaving(tmp_path, kind, "hang", limit=3))
    assert gone(noted(tmp_path / "daemon"))
    assert gone(noted(tmp_path / "own"))


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_command_ends_with_whoever_asked_for_it(tmp_path, kind):
    """Kill -9 of us leaves neither it nor its daemons, though it does not end when it is asked to."""
    typed = shlex.join([sys.executable, str(CHILDREN / "queue_command.py"), kind, "hang"])
    fetch = (
        "import os, pathlib, sys; from core.process.command import CommandFeed;"
        "CommandFeed(sys.argv[1], os.environ, cwd=pathlib.Path.cwd(), limit=60, most=1000).fetch()"
    )
    asking = subprocess.Popen([sys.executable, "-c", fetch, typed], cwd=tmp_path)
    pids = [noted(tmp_path / "daemon"), noted(tmp_path / "own")]
    asking.kill()
    asking.wait()
    assert all(gone(pid) for pid in pids)


def test_a_command_that_ends_its_own_group_is_said_to_have_failed(tmp_path):
    """It is the leader of one; nobody else is in it."""
    message = refused(command("import os, signal; os.killpg(0, signal.SIGKILL)", tmp_path))
    assert "found exit code -9" in message


def test_a_command_that_complains_without_end_fills_nothing(tmp_path, monkeypatch):
    """Only the end of what it says is kept, in memory; and it is ended at the limit."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    message = refused(command("import sys\nwhile True: sys.stderr.write('no' * 1000)", tmp_path, limit=1))
    assert "ends within 1 s" in message
    assert len(message) < 1000


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path):
    """At its limit, children in its group among it."""
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pid', 'w').write(str(child.pid)); sys.stderr.write('waiting'); sys.stderr.flush(); time.sleep(60)"
    )
    message = refused(command(script, tmp_path, limit=1.5))
    assert "expected a command that ends within 1.5 s, found one that was stopped (it said: waiting)" in message
    assert gone(int((tmp_path / "pid").read_text()))


def test_closing_ends_a_command(tmp_path):
    """Nothing of it outlives the run."""
    one = command("import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)", tmp_path)
    reader = RemoteReader(one, SystemClock(), cwd=tmp_path, defaults=FeedDefaults())
    reader._start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    reader.close()
    assert gone(int((tmp_path / "pid").read_text()))
    with pytest.raises(BadInput):
        one.fetch()


def until(happened: Any, deadline: float = 15) -> Any:
    end = time.monotonic() + deadline
    while not (found := happened()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def gone(pid: int) -> bool:
    def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return bool(until(is_gone))


# --- following -------------------------------------------------------------------------------------------------------


class Agreeable:
    """Takes all parameters."""

    def describe(self, flow: Path, params: Any) -> FlowDescription:
        return FlowDescription(name=flow.stem, steps=())


class Following:
    """A follower of a server's feed on a queue in memory, and a clock that is moved by hand."""

    def __init__(self, server: QueueServer, folder: Path, queue: MemoryQueue) -> None:
        (folder / "f.py").touch()
        self.clock = ManualClock()
        self.queue = queue
        queue.begin_run(0.0)
        self.server = server
        defaults = FeedDefaults(flag_flow="f.py")
        self.reader = RemoteReader(feed(server), self.clock, cwd=folder, defaults=defaults, limit=60)
        intake = Intake(self.reader.read, Agreeable())
        first = intake.accept()
        queue.reconcile(first.name, first.specs, now=0.0)
        self.follower = RemoteFollower(self.reader, intake, queue, self.clock, interval=30)

    def after(self, seconds: float) -> Any:
        """Return what a look gives after so long, once the fetch that it began has ended."""
        self.clock.advance(seconds)
        assert self.follower.look() is None
        if self.reader._fetch is not None:
            self.reader._fetch.join(10)
        return self.follower.look()


@pytest.fixture
def following(server, tmp_path) -> Following:
    server.answers["/queue.json"] = '["a"]'
    return Following(server, tmp_path, MemoryQueue())


def names(queue: MemoryQueue) -> list[str]:
    return [job.spec.id for job in queue.jobs()]


def test_a_change_on_the_server_reaches_the_queue(following):
    """At the interval, not before, and only if there is one."""
    following.after(29)
    assert len(following.server.asked) == 1
    assert following.after(1) is None
    assert following.server.sent == [200, 304]
    following.server.answers["/queue.json"] = '["a", "b"]'
    assert following.after(30)() == Reconciled(added=1, unchanged=1)
    assert names(following.queue) == ["a", "b"]
    assert following.after(30) is None


def test_a_broken_answer_keeps_the_last_good_version(following):
    """It is said once, where it is wrong; so is a server that is down; what comes after is taken."""
    following.server.answers["/queue.json"] = '["a",\n "b"'
    said = following.after(30)
    assert f"{following.server.url()}:2:" in said
    assert following.after(30) is None
    del following.server.answers["/queue.json"]
    assert "404 Not Found" in following.after(30)
    assert following.after(30) is None
    assert names(following.queue) == ["a"]
    following.server.answers["/queue.json"] = '["c"]'
    assert following.after(30)() == Reconciled(added=1, cancelled=1)
    del following.server.answers["/queue.json"]
    assert "404 Not Found" in following.after(30)


def test_what_was_refused_is_looked_at_again_though_it_is_the_same(following, tmp_path):
    """A flow that it names may be there by now; it is not complained of again meanwhile."""
    following.server.answers["/queue.json"] = '["a", {"profile_id": "b", "flow": "later.py"}]'
    assert "expected an existing flow file" in following.after(30)
    assert following.after(30) is None
    assert following.server.sent[-1] == 304
    (tmp_path / "later.py").touch()
    assert following.after(30)() == Reconciled(added=1, unchanged=1)
    assert names(following.queue) == ["a", "b"]
    assert following.after(30) is None


def test_a_server_without_etags_is_not_read_again_while_it_says_the_same(following):
    """What it gives is compared with what is known."""
    body = b'["a", "b"]'

    def plain(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    following.server.answers["/queue.json"] = plain
    assert following.after(30)() == Reconciled(added=1, unchanged=1)
    assert following.after(30) is None
    assert following.server.sent[-2:] == [200, 200]


def test_a_slow_server_holds_nobody_up(following):
    """A look never waits; a fetch that takes too long is said once, and the next is begun when it is time."""
    following.server.answers["/queue.json"] = lambda _: following.server.released.wait(20)
    following.clock.advance(30)
    assert following.follower.look() is None
    held = following.reader._fetch
    assert following.follower.look() is None
    following.clock.advance(63)
    assert "expected all of it within 60 s, found none" in following.follower.look()
    following.server.answers["/queue.json"] = '["b"]'
    assert held.is_alive()
    assert following.after(1)() == Reconciled(added=1, cancelled=1)
    following.server.released.set()
    held.join(10)


def test_what_the_queue_cannot_take_now_is_taken_later(server, tmp_path):
    """A full disk delays an edit."""

    class Full(MemoryQueue):
        full = False

        def reconcile(self, *args: Any, **how: Any) -> Reconciled:
            if self.full:
                raise QueueUnavailable(Path("queue.db"), "disk full")
            return super().reconcile(*args, **how)

    server.answers["/queue.json"] = '["a"]'
    queue = Full()
    one = Following(server, tmp_path, queue)
    server.answers["/queue.json"] = json.dumps(["a", "b"])
    queue.full = True
    with pytest.raises(QueueUnavailable):
        one.after(30)()
    queue.full = False
    assert one.follower.look()() == Reconciled(added=1, unchanged=1)
    assert one.follower.look() is None
