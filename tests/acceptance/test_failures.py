"""Every way to fail, in real browsers, through a fleet: each gets the policy of its code, and is explained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.domain.failure import Code
from tests.children import failing_site
from tests.fleet import FLOWS, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate; it is not installed"),
]
# way: code, how often it is tried with three attempts allowed, where it ends
WAYS = {
    "refused": (Code.CONNECTION_REFUSED, 3, "failed"),
    "selector": (Code.SELECTOR_GONE, 3, "failed"),
    "busy site": (Code.RATE_LIMITED, 4, "failed"),
    "broken site": (Code.SITE_ERROR, 3, "failed"),
    "mistake": (Code.FLOW_ERROR, 3, "failed"),
    "killed": (Code.WORKER_KILLED, 3, "quarantined"),
    "no browser": (Code.BROWSER_CRASHED, 3, "failed"),
    "captcha": (Code.CAPTCHA_ASKED, 1, "parked"),
    "told": (Code.BAD_PARAMS, 1, "failed"),
    "proxy": (Code.PROXY_AUTH, 2, "failed"),
}
PASSWORD = "hunter-of-proxies"


def ostler(fleet: Fleet, *args: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "core.cli.main", *map(str, args), "--state-dir", fleet.state, "--log-dir", fleet.logs],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def name_of(way: str) -> str:
    return way.replace(" ", "-")


def test_each_way_to_fail_gets_its_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code, number of attempts and end, as the table and the user's own number say; one that mends is done; the sums agree."""
    fleet = Fleet(directory=tmp_path)
    with failing_site.serving(tmp_path) as trouble:
        params = {"site": trouble.site, "closed": trouble.closed, "ledger": str(fleet.ledger_file)}
        jobs = [{"profile_id": name_of(way), "params": {"way": way, **params}} for way in WAYS]
        jobs[-1]["proxy"] = trouble.asking.replace("http://", f"http://user:{PASSWORD}@")
        jobs += [{"profile_id": "mended", "params": {"way": "selector", "mends": 2, **params}}]
        jobs += [{"profile_id": "well", "params": {"way": "well", **params}}]
        queue = tmp_path / "queue.json"
        queue.write_text(json.dumps({"defaults": {"flow": str(FLOWS / "fails.py")}, "jobs": jobs}))
        config = tmp_path / "ostler.toml"
        config.write_text("[failures.rate_limited]\nattempts = 4\n")
        monkeypatch.setenv("OSTLER_CONFIG", str(config))
        brisk = ("--max-concurrent", 3, "--launch-interval", 0, "--retry-delay", "0.05", "--retries", 2)
        result = fleet.run(queue, *brisk, timeout=300)
    assert result.returncode == 1, result.stdout + result.stderr
    rows = {row["job"]: row for row in json.loads(ostler(fleet, "report", "--json"))["jobs"]}
    found = {
        way: (rows[name_of(way)]["code"], rows[name_of(way)]["attempts"], rows[name_of(way)]["outcome"]) for way in WAYS
    }
    assert found == {way: (str(code), times, end) for way, (code, times, end) in WAYS.items()}
    assert {name: (rows[name]["outcome"], rows[name]["attempts"]) for name in ("mended", "well")} == {
        "mended": ("done", 2), "well": ("done", 1),
    }  # fmt: skip
    # the step's own ledger counts what the queue counts
    acted = Counter(line["profile_id"] for line in fleet.ledger() if line["effect"] == "acted")
    assert acted == {name: row["attempts"] for name, row in rows.items()}
    ends = [event for event in fleet.events("attempt_ended") if event["code"]]
    assert Counter((event["job"], event["code"]) for event in ends) == {
        (name, code): times for name, code, times in
        [*((name_of(way), str(code), times) for way, (code, times, _) in WAYS.items()), ("mended", "selector_gone", 1)]
    }  # fmt: skip
    assert "waiting" not in {row["outcome"] for row in rows.values()}
    _each_is_explained(fleet)
    _classes_are_asked_for(fleet)
    # what waits for a person keeps its copy
    assert fleet.leftovers() == ["workspace captcha-1"]
    assert PASSWORD not in result.stdout + result.stderr
    assert all(PASSWORD not in path.read_text("utf-8", "replace") for path in fleet.logs.iterdir())


def _each_is_explained(fleet: Fleet) -> None:
    """What happened in each attempt, with its code; nothing is missing; JSON is as published."""
    schema = json.loads((ROOT / "docs" / "schemas" / "explain.json").read_text())
    for way, (code, times, end) in WAYS.items():
        told: dict[str, Any] = json.loads(ostler(fleet, "explain", name_of(way), "--json"))
        jsonschema.validate(told, schema)
        assert (told["state"], told["missing"]) == (end, [])
        assert [attempt["error"]["code"] for attempt in told["attempts"]] == [code] * times
        assert told["attempts"][0]["committed"] == ["arrive"]
        assert {attempt["step"] for attempt in told["attempts"]} == {"act"}
        assert told["do"].startswith(told["error"]["suggested_action"])
    text = ostler(fleet, "explain", "proxy")
    assert PASSWORD not in text
    assert "the page was answered with 407" in text
    assert "it was failing attempt 2 of 3, and 2 of 2 that may end by proxy_auth" in text
    assert "it was attempt 4 of 4 that may end by rate_limited" in ostler(fleet, "explain", "busy-site")
    assert "it was crash 3 of 3 with nothing committed between" in ostler(fleet, "explain", "killed")


def _classes_are_asked_for(fleet: Fleet) -> None:
    """A type and a code, in the queue's list and in a retry."""
    listed = json.loads(ostler(fleet, "queue", "list", "--class", "network", "--json"))["jobs"]
    assert [job["id"] for job in listed] == ["refused", "busy-site", "broken-site"]
    assert ostler(fleet, "queue", "retry", "--class", "rate_limited,site_error").splitlines() == [
        "2 queued again", "busy-site", "broken-site",
    ]  # fmt: skip
    status = json.loads(ostler(fleet, "status", "--json"))
    assert status["codes"]["connection_refused"] == 1 and "rate_limited" not in status["codes"]
