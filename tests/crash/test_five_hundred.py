"""Five hundred profiles of which a tenth fail in eight ways: each class gets its policy, and the sums are those of the ledger."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from core.domain.failure import Code
from tests.fleet import BRISK, FLOWS, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MANY, BAD = 500, 50
# way: code of its last attempt, how often it is begun, where it ends
WAYS = {
    "refused": ("connection_refused", 3, "failed"),
    "mistake": ("flow_error", 3, "failed"),
    "killed": ("worker_killed", 3, "quarantined"),
    "captcha": ("captcha_asked", 1, "parked"),
    "told": ("bad_params", 1, "failed"),
    "login": ("login_lost", 2, "parked"),
    "late": ("step_timeout", 3, "failed"),
    "full": ("", 3, "done"),
}


def test_each_class_gets_its_policy_and_the_counts_are_the_ledgers(tmp_path: Path) -> None:
    """Whoever fails is tried as often as its code says, whoever does not once; the report, the events and the ledger agree."""
    fleet = Fleet(directory=tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
    names = list(WAYS)
    ways = {f"p{n:03d}": names[n // 10 % len(names)] if n % (MANY // BAD) == 0 else "well" for n in range(MANY)}
    shared = {"closed": closed, "ledger": str(fleet.ledger_file)}
    jobs = [{"profile_id": name, "params": {"way": way, **shared}} for name, way in ways.items()]
    queue = tmp_path / "queue.json"
    queue.write_text(json.dumps({"defaults": {"flow": str(FLOWS / "ways.py")}, "jobs": jobs}))
    result = fleet.run(queue, *BRISK, "--max-concurrent", 8, timeout=1500)
    assert result.returncode == 1, result.stdout[-3000:] + result.stderr
    said = subprocess.run(
        [sys.executable, "-m", "core.cli.main", "report", "--json", "--state-dir", fleet.state, "--log-dir", fleet.logs],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    report = json.loads(said)
    expected = {name: WAYS.get(way, ("", 1, "done")) for name, way in ways.items()}
    assert {row["job"]: (row["code"], row["attempts"], row["outcome"]) for row in report["jobs"]} == expected
    assert report["counts"] == Counter(end for _, _, end in expected.values())
    acted = Counter(line["profile_id"] for line in fleet.ledger() if line["effect"] == "acted")
    assert acted == {row["job"]: row["attempts"] for row in report["jobs"]}
    ends = Counter(event["job"] for event in fleet.events("attempt_ended"))
    assert ends == acted
    # what is the host's fault cost nothing
    full = [name for name, way in ways.items() if way == "full"]
    faults = Counter(event["job"] for event in fleet.events("attempt_ended") if event["code"] == Code.DISK_FULL)
    assert faults == dict.fromkeys(full, 2)
    assert fleet.query("SELECT sum(failures) FROM jobs WHERE state = 'done'") == [(0,)]
    assert fleet.leftovers() == []
