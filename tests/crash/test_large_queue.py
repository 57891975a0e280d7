"""A large queue starts as soon as a small one, and costs no memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.fleet import BRISK, Fleet

if TYPE_CHECKING:
    from pathlib import Path

JOBS = 100_000
MEMORY = 150 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_jobs(tmp_path: Path) -> None:
    """First worker soon, after a kill too; memory stays below 150 MB and flat while jobs run. The bounds on time are wide."""
    fleet = Fleet(directory=tmp_path)
    queue = fleet.write_queue([f"q{number:06d}" for number in range(JOBS)])
    for visit in ("first", "after a kill"):
        before = len(fleet.events("attempt_started"))
        began = time.time()
        orchestrator = fleet.start("--max-concurrent", 2, queue, *BRISK)
        try:
            started = fleet.wait_for(lambda: fleet.events("attempt_started")[before:], deadline=60)  # noqa: B023
            soon = started[0]["at"] - began
            memory = [psutil.Process(orchestrator.pid).memory_info().rss]
            for ended in (10, 30, 50):
                fleet.wait_for(lambda: len(fleet.events("attempt_started")) >= before + ended, deadline=120)  # noqa: B023
                memory.append(psutil.Process(orchestrator.pid).memory_info().rss)
        finally:
            orchestrator.kill()
            orchestrator.wait()
        print(f"{visit}: first worker after {soon:.2f} s, memory {[round(one / 2**20) for one in memory]} MB")
        assert soon < 15
        assert max(memory) <= MEMORY
        assert memory[-1] - memory[0] < 10 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_poisoned_profile_among_a_hundred(tmp_path: Path) -> None:
    """It is quarantined after three crashes; the other 99 finish."""
    fleet = Fleet(directory=tmp_path)
    ids = [f"p{number:03d}" for number in range(100)]
    result = fleet.run("--max-concurrent", 5, fleet.write_queue(ids, die=["p042"]), *BRISK, timeout=500)
    assert result.returncode == 3, result.stdout[-2000:] + result.stderr
    states = dict(fleet.query("SELECT id, state FROM jobs"))
    assert states.pop("p042") == "quarantined"
    assert set(states.values()) == {"done"}
    crashes = [event for event in fleet.events("attempt_ended") if event["job"] == "p042"]
    assert [event["outcome"] for event in crashes] == ["crashed"] * 3
    assert fleet.leftovers() == []
