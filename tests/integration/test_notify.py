"""Telling somebody: real commands, a real server, threads, and a fleet that is never disturbed by it."""

from __future__ import annotations

import json
import shlex
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from core.domain import events as ev
from core.domain.notification import About
from core.errors import BadInput
from core.notify import delivery
from core.notify.command import CommandDestination
from core.notify.delivery import Notifier
from core.notify.http import HttpDestination
from core.notify.open import make_notifiers
from core.notify.port import NotDelivered
from tests.fleet import BRISK, Fleet
from tests.server import redirect

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_proxy")
TOKEN = "s3cret-token"
SECRET = "/T0/very-secret"
ENDED = ev.RunEnded(at=9.0, run=1, exit_code=0, counts={"done": 1}, seconds=3.0)


def quarantined(job: str) -> ev.JobChanged:
    return ev.JobChanged(at=5.0, profile_id=job, job=job, state="quarantined")


def command(tmp_path: Path, source: str, *, limit: float = 20.0, **env: str) -> CommandDestination:
    """A destination that runs Python."""
    typed = f"{shlex.quote(sys.executable)} -c {shlex.quote(source)} argument"
    return CommandDestination(typed, env, cwd=tmp_path, limit=limit, place="--notify")


def refused(destination, body: bytes = b"{}") -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        destination.deliver(body)
    return caught.value


# --- a command --------------------------------------------------------------------------------------------------------


def test_a_command_reads_it_from_its_standard_input(tmp_path):
    """However long it is; no shell, nothing of it in its arguments, and the environment that it was given."""
    destination = command(
        tmp_path,
        "import os, sys; open('seen', 'w').write(repr((len(sys.stdin.read()), sys.argv[1:], os.environ['ONE'])))",
        ONE="1",
    )
    destination.deliver(b"x" * 300_000)
    assert (tmp_path / "seen").read_text("utf-8") == repr((300_000, ["argument"], "1"))


def test_a_command_need_not_read(tmp_path):
    """What it does not read costs nothing."""
    command(tmp_path, "").deliver(b"x" * 300_000)


@pytest.mark.parametrize(
    ("source", "reason", "again"),
    [
        ("import sys; sys.exit('no\\x1b[31m way')", "exit code 1: no [31m way", True),
        ("import time; time.sleep(60)", "it did not end within 1 s", True),
        ("print('x' * 100_000)", "it printed too much", False),
    ],
)
def test_why_a_command_failed_is_said(tmp_path, source, reason, again):
    """In one line, and whether another try may help."""
    error = refused(command(tmp_path, source, limit=1.0 if "sleep" in source else 20.0))
    assert (error.reason, error.again) == (reason, again)


def test_a_command_that_is_not_there_is_said(tmp_path):
    """Neither it nor its directory."""
    for cwd in (tmp_path, tmp_path / "gone"):
        destination = CommandDestination("/no/such/program", {}, cwd=cwd, limit=20.0, place="--notify")
        assert "No such file or directory" in refused(destination).reason


def test_a_command_under_way_is_ended_and_none_is_begun_after_the_end(tmp_path):
    """With all that it started."""
    destination = command(tmp_path, "import time; open('began', 'w').close(); time.sleep(60)", limit=60.0)
    errors: list[NotDelivered] = []
    thread = threading.Thread(target=lambda: errors.append(refused(destination)))
    thread.start()
    end = time.monotonic() + 20
    while not (tmp_path / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    destination.close()
    thread.join(20)
    assert not thread.is_alive() and errors[0].reason.startswith("exit code ")
    assert refused(destination).again is False


# --- a server ---------------------------------------------------------------------------------------------------------


def posts_to(url: str, limit: float = 20.0, **env: str) -> HttpDestination:
    return HttpDestination(url, env, limit=limit, place="--notify")


def test_a_server_gets_it_posted_as_json(server):
    """With a token, if there is one; what is shown of the address is its host."""
    destination = posts_to(server.url(SECRET), OSTLER_NOTIFY_TOKEN=TOKEN)
    destination.deliver(b'{"v":1}')
    [(path, headers, body)] = server.posted
    assert (path, body) == (SECRET, b'{"v":1}')
    assert headers["Content-Type"] == "application/json" and headers["Authorization"] == f"Bearer {TOKEN}"
    assert destination.place == server.url("")
    posts_to(server.url(SECRET)).deliver(b"{}")
    assert "Authorization" not in server.posted[1][1]


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (403, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_a_refusal_is_said_and_whether_it_may_change(server, status, again):
    """Without the address."""
    server.answers[SECRET] = [status]
    error = refused(posts_to(server.url(SECRET)))
    assert error.again is again and error.reason.startswith(f"{status} ") and SECRET not in error.reason


def test_redirects_are_not_followed(server):
    """They could lead the token elsewhere."""
    server.answers[SECRET] = redirect(server.url("/other"), 307)
    error = refused(posts_to(server.url(SECRET), OSTLER_NOTIFY_TOKEN=TOKEN))
    assert error.reason.startswith("307") and not error.again and len(server.posted) == 1


def test_a_server_that_is_not_there_or_speaks_no_http_is_said(server):
    """In the system's words."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert refused(posts_to(f"http://127.0.0.1:{port}/x")).reason == "Connection refused"
    server.answers[SECRET] = lambda handler: handler.wfile.write(b"hello\r\n\r\n")
    assert "not HTTP" in refused(posts_to(server.url(SECRET))).reason
    server.answers[SECRET] = redirect("http://[", 302)
    assert refused(posts_to(server.url(SECRET))).reason.startswith("302")


def test_a_server_that_does_not_answer_has_its_time_and_no_more(server):
    """And is given up at the end."""
    server.answers[SECRET] = lambda _: server.released.wait(30)
    assert refused(posts_to(server.url(SECRET), limit=0.3)).reason == "no answer within 0.3 s"
    destination = posts_to(server.url(SECRET), limit=60.0)
    errors: list[NotDelivered] = []
    thread = threading.Thread(target=lambda: errors.append(refused(destination)))
    thread.start()
    end = time.monotonic() + 20
    while len(server.posted) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    destination.close()
    thread.join(20)
    assert not thread.is_alive() and errors
    assert refused(destination).again is False


# --- what can be asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "about", "env", "said"),
    [
        ("https://user:pass@host/x", "finished", {}, "expected an address without credentials, found some"),
        ("https:///x", "finished", {}, "expected a command, or an address"),
        ("https://[x", "finished", {}, "expected a command, or an address"),
        ("https://host/a b", "finished", {}, "expected a command, or an address"),
        ("http://host/x", "finished", {"OSTLER_NOTIFY_TOKEN": TOKEN}, "expected https, for OSTLER_NOTIFY_TOKEN is sent"),
        ("https://host/x", "finished", {"OSTLER_NOTIFY_TOKEN": "a\nb"}, "expected a OSTLER_NOTIFY_TOKEN that can be sent"),
        ("'", "finished", {}, "one that cannot be taken apart"),
        ("tell-me \0", "finished", {}, "one with a zero in it"),
        (" ", "finished", {}, "found nothing"),
        ("ftp://host/pass", "finished", {}, "found an address of another kind"),
        ("/no/such/program pass", "finished", {}, "found '/no/such/program', which is no program here"),
        ("no-such-program", "finished", {"PATH": "/no/such"}, "which is no program here"),
        ("true", "finished,done", {}, "--notify-on: expected some of finished, needs_person, quarantined, pressure"),
        (None, "", {}, "found ''"),
    ],
)  # fmt: skip
def test_what_is_no_destination_is_a_mistake(to, about, env, said):
    """Said before anything is launched, without what may be secret."""
    with pytest.raises(BadInput) as caught:
        make_notifiers(to, about, env)
    assert said in str(caught.value) and "pass" not in str(caught.value) and TOKEN not in str(caught.value)


def test_nobody_is_told_where_nobody_asked():
    """And whoever is gets only what is meant for a command."""
    assert make_notifiers(None, "finished", {}) == []
    assert len(make_notifiers("true", "finished, pressure", {"A": "1", "B": "2"}, private={"B"})) == 1


# --- delivery ---------------------------------------------------------------------------------------------------------


class Scripted:
    """A destination that does what a test says, and notes what arrived and how many came at a time."""

    place = "scripted"

    def __init__(self, *outcomes: Exception | None, gate: threading.Event | None = None) -> None:
        self.outcomes = list(outcomes)
        self.gate = gate
        self.arrived: list[str] = []
        self.tries = 0
        self.at_once = 0
        self.peak = 0
        self.lock = threading.Lock()

    def deliver(self, body: bytes) -> None:
        with self.lock:
            self.tries += 1
            self.at_once += 1
            self.peak = max(self.peak, self.at_once)
            outcome = self.outcomes.pop(0) if self.outcomes else None
        try:
            if self.gate is not None:
                self.gate.wait(30)
            if outcome is not None:
                raise outcome
            with self.lock:
                self.arrived.append(json.loads(body)["id"])
        finally:
            with self.lock:
                self.at_once -= 1

    def close(self) -> None:
        if self.gate is not None:
            self.gate.set()


def test_only_what_was_asked_for_is_delivered_and_all_of_it_before_the_end():
    """Closing waits for it."""
    destination = Scripted()
    notifier = Notifier(destination, {About.FINISHED})
    for event in (quarantined("a"), ENDED):
        notifier.emit(event)
    notifier.close()
    assert destination.arrived == ["1.2"] and notifier.lost == 0


def test_a_failure_is_tried_again_and_a_final_one_is_not():
    """At most three times; then it is logged, and the next is tried all the same."""
    with capture_logs() as logs:
        destination = Scripted(NotDelivered("busy"), NotDelivered("busy"))
        notifier = Notifier(destination, About, pauses=(0.0, 0.0))
        notifier.emit(ENDED)
        notifier.close()
        assert (destination.arrived, destination.tries, notifier.lost, logs) == (["1.1"], 3, 0, [])
        final = NotDelivered("never", again=False)
        for outcomes, tries in ((3 * [NotDelivered("busy")], 3), ([final], 1), ([ValueError("a bug")], 1)):
            destination = Scripted(*outcomes)
            notifier = Notifier(destination, About, pauses=(0.0, 0.0))
            notifier.emit(ENDED)
            notifier.close()
            assert (destination.arrived, destination.tries, notifier.lost) == ([], tries, 1)
    lost = [log for log in logs if log["event"] == "notification_not_delivered"]
    assert [(log["to"], log["about"], log["id"], log["reason"], log["tries"]) for log in lost] == [
        ("scripted", "finished", "1.1", "busy", 3),
        ("scripted", "finished", "1.1", "never", 1),
        ("scripted", "finished", "1.1", "ValueError", 1),
    ]


def test_a_slow_destination_holds_up_nobody(monkeypatch):
    """A few at a time; what is too much to wait is dropped and counted; at the end it has its time and no more."""
    monkeypatch.setattr(delivery, "MOST_WAITING", 3)
    destination = Scripted(gate=threading.Event())
    notifier = Notifier(destination, About)
    with capture_logs() as logs:
        for number in range(delivery.AT_A_TIME):
            notifier.emit(quarantined(str(number)))
        end = time.monotonic() + 20
        while destination.at_once < delivery.AT_A_TIME:
            assert time.monotonic() < end
            time.sleep(0.01)
        for number in range(5):
            notifier.emit(quarantined(f"more {number}"))
        assert notifier.lost == 2
        notifier.close(patience=0.05)
        notifier.emit(ENDED)
    assert destination.peak == delivery.AT_A_TIME
    assert len(destination.arrived) == delivery.AT_A_TIME and notifier.lost == 6
    reasons = [log["reason"] for log in logs]
    assert reasons.count("there was no more time") == 3 and reasons.count("too many wait") == 3


def test_a_pause_before_another_try_ends_with_the_run():
    """It is not waited for longer than the rest."""
    destination = Scripted(NotDelivered("busy"))
    notifier = Notifier(destination, About, pauses=(60.0,))
    with capture_logs() as logs:
        notifier.emit(ENDED)
        notifier.close(patience=0.2)
    assert notifier.lost == 1 and [log["reason"] for log in logs] == ["busy"]


# --- a fleet ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_fleet_tells_what_happens_and_its_workers_hear_of_nothing(tmp_path, server, monkeypatch):
    """A job in quarantine, one for a person, and the end, each once; no token and no address in logs, or in a worker."""
    monkeypatch.setenv("OSTLER_NOTIFY_TOKEN", TOKEN)
    monkeypatch.setenv("OSTLER_NOTIFY", server.url(SECRET))
    fleet = Fleet(directory=tmp_path)
    flow = tmp_path / "strict.py"
    flow.write_text(
        "import os\n"
        "from workers.steps import Flow, needs_person\n"
        'flow = Flow("strict", browser=False)\n'
        '@flow.step(flag="looked")\n'
        "async def look(ctx):\n"
        f'    if any("NOTIFY" in name or {SECRET!r} in value for name, value in os.environ.items()):\n'
        '        raise ValueError("heard of it")\n'
        '    if ctx.profile_id == "dies":\n'
        "        os.kill(os.getpid(), 9)\n"
        '    if ctx.profile_id == "asks":\n'
        '        needs_person("the code")\n',
        "utf-8",
    )
    queue = tmp_path / "ids.txt"
    queue.write_text("good\ndies\nasks\n", "utf-8")
    server.answers[SECRET] = [503, 204]
    done = fleet.run("--flow", flow, queue, "--poison-limit", "1", *BRISK)
    assert (done.returncode, fleet.query("SELECT state FROM jobs WHERE id='good'")) == (3, [("done",)])
    bodies = {(body := json.loads(text))["about"]: body for _, _, text in server.posted}
    assert len(server.posted) == 4 and set(bodies) == {"quarantined", "needs_person", "finished"}
    assert (bodies["quarantined"]["job"], bodies["needs_person"]["reason"]) == ("dies", "the code")
    assert (bodies["finished"]["exit_code"], bodies["finished"]["counts"]["done"]) == (3, 1)
    for log in fleet.logs.iterdir():
        text = log.read_text("utf-8")
        assert SECRET not in text and TOKEN not in text
