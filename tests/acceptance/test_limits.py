"""What a user does with limits by key: a rate and a desk that all workers share, a worker killed at the desk, a run by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet import BRISK, FLOWS, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

WORKERS, VISITS, NUMBER, PERIOD = 6, 2, 5, 2.0
ROUNDING = 0.005
"""A worker looks at the clock a moment after it was let in, and wall clocks are adjusted."""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


def limit(queue: Path, limits: dict[str, Any]) -> Path:
    queue.write_text(json.dumps({**json.loads(queue.read_text()), "limits": limits}))
    return queue


def starts(fleet: Fleet) -> list[float]:
    return sorted(line["at"] for line in fleet.ledger() if line["effect"] == "visit")


def closest(times: list[float]) -> float:
    """Return the shortest time in which there was one start more than allowed."""
    return min(last - first for first, last in zip(times, times[NUMBER:], strict=False))


def test_six_workers_share_a_rate_and_a_desk_and_a_killed_one_frees_it(fleet: Fleet) -> None:
    """Never more than five visits in any two seconds, never two at the desk; one worker is killed there, and nobody waits for it."""
    ids = [f"p{number}" for number in range(WORKERS)]
    feed = fleet.write_queue(ids, flow=FLOWS / "visits.py", visits=VISITS, die=["p2"])
    queue = limit(feed, {"shop.example": f"{NUMBER}/2s", "desk": {"concurrency": 1}})
    result = fleet.run(queue, *BRISK, "--max-concurrent", WORKERS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(starts(fleet)) == WORKERS * VISITS
    assert closest(starts(fleet)) >= PERIOD - ROUNDING
    desk = [
        (line["effect"], line["profile_id"], line["attempt"]) for line in fleet.ledger() if line["effect"] != "visit"
    ]
    killed = desk.index(("sits", "p2", 1))
    del desk[killed]
    assert [effect for effect, _, _ in desk] == ["sits", "rises"] * WORKERS
    assert all(desk[at][1:] == desk[at + 1][1:] for at in range(0, len(desk), 2))
    held = Counter(event["key"] for event in fleet.events("limit_held"))
    assert held["shop.example"] > 0
    assert {event["reason"] for event in fleet.events("limit_held") if event["key"] == "shop.example"} == {"5/2s"}
    assert Counter(event["key"] for event in fleet.events("limit_passed")) == held
    assert "waits for shop.example: 5/2s" in result.stdout
    assert fleet.leftovers() == []


@pytest.mark.slow
def test_a_restart_is_no_second_burst(fleet: Fleet) -> None:
    """Killed in the middle of its visits: what was begun before still counts for the next run, which is given no queue."""
    ids = [f"p{number}" for number in range(WORKERS)]
    queue = limit(fleet.write_queue(ids, flow=FLOWS / "visits.py", visits=2), {"shop.example": "5/3s"})
    orchestrator = fleet.start(queue, *BRISK, "--max-concurrent", WORKERS)
    fleet.wait_for(lambda: len(starts(fleet)) >= NUMBER, deadline=60)
    orchestrator.kill()
    orchestrator.wait()
    result = fleet.run(*BRISK, "--max-concurrent", WORKERS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert closest(starts(fleet)) >= 3.0 - ROUNDING
    assert fleet.leftovers() == []


def test_by_hand_the_limits_of_the_settings_hold(fleet: Fleet) -> None:
    """For the one worker that there is; where it waits, that is said."""
    command = [
        sys.executable, str(ROOT / "run.py"), "anna", "--flow", str(FLOWS / "visits.py"),
        "--param", f"ledger={fleet.ledger_file}", "--param", "visits=2",
        "--state-dir", str(fleet.state), "--log-dir", str(fleet.logs),
    ]  # fmt: skip
    env = {**os.environ, "OSTLER_LIMITS": '{"shop.example": "1/1s", "desk": {"concurrency": 1}}'}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = starts(fleet)
    assert second - first >= 1.0 - ROUNDING
