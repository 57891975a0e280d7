"""A fleet that is launched as a panel would: batches, one attempt, and the copy of what failed kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path

FLOW = """\
from workers.steps import Flow
flow = Flow("hello", browser=False)
@flow.step(flag="greeted")
async def greet(ctx):
    if ctx.profile_id == "sick":
        raise ValueError("not today")
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Three profiles, one of which fails."""
    (tmp_path / "hello.py").write_text(FLOW, "utf-8")
    (tmp_path / "queue.json").write_text('["anna", "sick", "bert"]', "utf-8")
    return Fleet(directory=tmp_path)


def test_a_launch_configuration_runs_a_fleet(fleet):
    """Its batches, its delay and its one attempt; a flag is stronger; what it warns of is said."""
    launch = {"batchSize": 2, "delayBetweenBatches": 1000, "concurrentBrowsers": "2", "timeoutPerProfile": 60_000}
    (fleet.directory / "launch.json").write_text(json.dumps(launch), "utf-8")
    command = ("--flow", "hello.py", "--launch-config", "launch.json", "--launch-interval", 0, "--batch-delay", 0.01)
    found = fleet.run(*command, "queue.json")
    assert found.returncode == 1
    assert "launch.json: concurrentBrowsers: expected a whole number" in found.stderr
    assert [event["jobs"] for event in fleet.events("batch_started")] == [["anna", "sick"], ["bert"]]
    assert [event["max_concurrent"] for event in fleet.events("run_started")] == [2]
    assert [event["attempt"] for event in fleet.events("attempt_ended") if event["job"] == "sick"] == [1]
    assert fleet.leftovers() == []


def test_a_wrong_one_launches_nothing(fleet):
    """Everything that is wrong with it is said."""
    (fleet.directory / "launch.json").write_text(
        '{"batchSize": 50, "system": {"resources": {"cpuThreshold": 5}}}', "utf-8"
    )
    found = fleet.run("--flow", "hello.py", "--launch-config", "launch.json", "queue.json")
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "launch.json: batchSize: expected a whole number of 1 to 20 (jobs), found 50",
        "launch.json: system.resources.cpuThreshold: expected a number of 0 to 1, found 5",
    ]
    assert not fleet.state.exists()
