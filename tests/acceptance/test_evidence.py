"""What a run with a real browser leaves for people: evidence of a failure, files of the author, the network account."""

from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.children import site
from tests.fleet import FLOWS, Fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.browser


def test_a_failure_leaves_evidence_once(tmp_path: Path) -> None:
    """Page, console and requests at the first of two attempts that fail alike; a screenshot and traces as asked for."""
    fleet = Fleet(directory=tmp_path)
    with site.serving() as origin:
        queue = fleet.write_queue(
            [{"profile_id": "p1", "max_attempts": 2, "params": {"origin": origin}}], flow=FLOWS / "breaks.py"
        )
        keep = ("--screenshots", "on-failure", "--trace", "on-failure")
        done = fleet.run(queue, "--retry-delay", 0.1, "--launch-interval", 0, *keep)
    assert done.returncode == 1, done.stdout + done.stderr
    first, second = (fleet.state / "artifacts" / "p1" / number for number in "12")
    name = "look-TimeoutError"
    assert {path.name for path in first.iterdir()} == {
        f"{name}.html", f"{name}.console.txt", f"{name}.requests.txt", f"SENSITIVE-{name}.png", "SENSITIVE-trace.zip"
    }  # fmt: skip
    assert {path.name for path in second.iterdir()} == {"SENSITIVE-trace.zip"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in first.iterdir())
    page = (first / f"{name}.html").read_text()
    assert "<h1>Sorry</h1>" in page
    assert not {word for word in ("493817", "magic-link-value", "stored", "hidden-word") if word in page}
    for kept in ("Kept</h2>", '"kept-id"', "kept choice", "kept label", "kept text", "kept link", "kept oddity"):
        assert kept in page
    console = (first / f"{name}.console.txt").read_text()
    assert "error: no such thing\n" in console
    assert "nobody caught this" in console
    requests = (first / f"{name}.requests.txt").read_text()
    assert "net::ERR_" in requests and "http://127.0.0.1:1/" in requests
    assert (first / f"SENSITIVE-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert zipfile.is_zipfile(first / "SENSITIVE-trace.zip")
    kept = [(event["attempt"], event["why"], event["sensitive"]) for event in fleet.events("artifacts_kept")]
    assert kept == [(1, "TimeoutError", True), (1, "trace", True), (2, "trace", True)]
    assert "evidence, below the state directory: artifacts/p1/1, artifacts/p1/2\n" in done.stdout
    assert fleet.leftovers() == []


def test_what_a_flow_keeps_and_asks_of_the_network(tmp_path: Path) -> None:
    """Downloads and artifacts under safe names, nothing overwritten; requests, failures and bytes as event and in the report."""
    fleet = Fleet(directory=tmp_path)
    with site.serving() as origin:
        queue = fleet.write_queue(
            [{"profile_id": "p1", "params": {"origin": origin, "works": True}}], flow=FLOWS / "breaks.py"
        )
        done = fleet.run(queue, "--launch-interval", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    downloads = {path.name: path.read_text() for path in (fleet.state / "downloads" / "p1").iterdir()}
    assert len(downloads) == 2, "the same file again is kept once"
    assert sorted(downloads.values()) == ["other", "same"]
    assert all(name.endswith(("ceipt.txt", "ceipt-2.txt")) for name in downloads)
    assert (fleet.state / "artifacts" / "p1" / "1" / "heading.txt").read_text() == "Sorry"
    [used] = fleet.events("network_used")
    hosts = {host["host"]: host for host in used["hosts"]}
    here = hosts[origin.removeprefix("http://")]
    assert used["unmeasured"] == 0, "the flow reads all that it asks for"
    assert (here["requests"], here["failures"]) == (2, 0) and 300 < here["received"] < 400
    assert hosts["127.0.0.1:1"] == {"host": "127.0.0.1:1", "requests": 1, "failures": 1, "received": 0, "sent": 0}
    assert used["proxy"] is None
    assert f"network: {used['requests']} requests, 1 failed, 0.0 MB\n" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_frozen_browser_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A step fails in a browser that answers no more: the attempt ends with the step's own reason, seconds later."""
    fleet = Fleet(directory=tmp_path)
    with site.serving() as origin:
        params = {"origin": origin, "freeze": str(tmp_path)}
        queue = fleet.write_queue([{"profile_id": "p1", "max_attempts": 1, "params": params}], flow=FLOWS / "breaks.py")
        keep = ("--screenshots", "on-failure", "--trace", "always", "--launch-interval", 0)
        done = fleet.run(queue, *keep, timeout=90)
    assert done.returncode == 1, done.stdout + done.stderr
    [failed], [ended] = fleet.events("step_failed"), fleet.events("attempt_ended")
    assert "the browser is frozen" in ended["reason"]
    assert ended["at"] - failed["at"] < 25, "of these the closing of a frozen browser takes about ten"
    assert {path.suffix for path in (fleet.state / "artifacts" / "p1" / "1").iterdir()} == {".txt", ".zip"}
    assert fleet.leftovers() == []
