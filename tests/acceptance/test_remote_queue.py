"""A queue on a server and one that a command prints, run as a user runs them."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import Authority
from tests.fleet import BRISK, FLOWS, Fleet
from tests.server import QueueServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "t0ken-of-the-feed"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch) -> Fleet:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OSTLER_FEED_TOKEN", TOKEN)
    return Fleet(directory=tmp_path)


@pytest.fixture
def server() -> Iterator[QueueServer]:
    one = QueueServer()
    yield one
    one.close()


def queue(fleet: Fleet, *jobs: Any) -> str:
    shared = {"flow": str(FLOWS / "quick.py"), "params": {"ledger": str(fleet.ledger_file)}}
    return json.dumps({"defaults": shared, "jobs": jobs})


def done(fleet: Fleet, name: str) -> Any:
    return ("done",) in fleet.query(f"SELECT state FROM jobs WHERE id = '{name}'")


def test_a_queue_on_a_server_is_run_and_followed(fleet, server):
    """What is added there is run; a broken version is warned of and changes nothing; the token stays here."""
    server.answers["/queue.json"] = queue(fleet, "anna")
    running = fleet.start(*BRISK, server.url(), "--watch", "--watch-interval", 1)
    try:
        fleet.wait_for(lambda: (fleet.state / "queue.db").exists() and done(fleet, "anna"))
        fleet.wait_for(lambda: 304 in server.sent)
        server.answers["/queue.json"] = queue(fleet, "anna")[:-3]
        fleet.wait_for(
            lambda: [event for event in fleet.events() if "problem" in event and server.url() in event["problem"]]
        )
        server.answers["/queue.json"] = queue(fleet, "anna", "bert")
        fleet.wait_for(lambda: done(fleet, "bert"))
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()
    assert {asked[1]["Authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
    assert {name for name, _ in fleet.effects()} == {"anna", "bert"}
    written = [path.read_bytes() for path in (*fleet.logs.rglob("*"), *fleet.state.rglob("*")) if path.is_file()]
    assert not any(TOKEN.encode() in text for text in (*written, fleet.output().encode()))
    assert fleet.leftovers() == []


def test_a_queue_is_run_over_tls_if_its_server_can_be_trusted(fleet, tmp_path, monkeypatch):
    """With an authority of one's own; without it nothing is launched, and the token is not sent."""
    authority = Authority(tmp_path / "authority")
    server = QueueServer(authority.context("DNS:localhost,IP:127.0.0.1"))
    try:
        server.answers["/queue.json"] = queue(fleet, "anna")
        refused = fleet.run(*BRISK, server.url())
        assert refused.returncode == 2
        assert (
            "expected a certificate that can be trusted, found unable to get local issuer certificate" in refused.stderr
        )
        assert not fleet.state.exists()
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert fleet.run(*BRISK, server.url()).returncode == 0
        assert {name for name, _ in fleet.effects()} == {"anna"}
        assert server.asked[0][1]["Authorization"] == f"Bearer {TOKEN}"
    finally:
        server.close()


def test_a_queue_that_a_command_prints(fleet):
    """It is run like any other, and a second run has nothing to do."""
    (fleet.directory / "queue.txt").write_text(queue(fleet, "anna", "bert"), "utf-8")
    command = f"{sys.executable} -c \"print(open('queue.txt').read())\""
    assert fleet.run(*BRISK, "--queue-command", command).returncode == 0
    assert {name for name, _ in fleet.effects()} == {"anna", "bert"}
    again = fleet.run(*BRISK, "--queue-command", command)
    assert again.returncode == 0
    assert "2 done, nothing to do" in again.stdout
    assert fleet.leftovers() == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["http://127.0.0.1:{port}/none.json"], "/none.json: expected a queue, found 404 Not Found"),
        (["http://127.0.0.1:{port}/broken.json"], "/broken.json:1:"),
        (["https://anna:secret@127.0.0.1/"], "expected an address without credentials, found some"),
        (["--queue-command", "false"], "--queue-command: expected a command that succeeds, found exit code 1"),
        (["--queue-command", "cat", "queue.json"], "expected a queue argument or --queue-command, found both"),
        (
            ["--queue-command", "cat", "--max-concurrent", "0"],
            "--max-concurrent: expected a whole number",
        ),
        (
            ["--queue-command", "cat", "--watch-interval", "0"],
            "--watch-interval: expected a number of seconds, 1 to 604800, found",
        ),
    ],
)
def test_what_cannot_be_had_is_bad_input(fleet, server, typed, said):
    """Exit 2, a line that says why, nothing launched and nothing written."""
    server.answers["/broken.json"] = '["anna", '
    port = server.url().rpartition(":")[2].partition("/")[0]
    found = fleet.run(*(one.format(port=port) for one in typed))
    assert found.returncode == 2
    assert said in found.stderr
    assert "secret" not in found.stderr
    assert "Traceback" not in found.stderr
    assert not fleet.state.exists()
