"""Parts that freeze are noticed, and their trees are gone."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.crash.storm import demo_site
from tests.fleet import FLOWS, Fleet, children_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["driver", "browser", "worker"])
def test_a_frozen_part_is_noticed(tmp_path: Path, kind: str) -> None:
    """SIGSTOP of the driver, the browser or the worker in a step: the attempt ends, all of it is gone, the next one is done."""
    fleet = Fleet(directory=tmp_path)
    with demo_site(tmp_path / "site") as port:
        queue = tmp_path / "queue.json"
        feed = {"defaults": {"flow": str(FLOWS / "pausing.py"), "params": {"port": port}}, "jobs": ["one"]}
        queue.write_text(json.dumps(feed))
        limits = ["--progress-timeout", 5, "--stop-grace", 5, "--retry-delay", 0.1]
        orchestrator = fleet.start(queue, *limits)
        fleet.wait_for(lambda: [e for e in fleet.events("step_started") if e["step"] == "look_around"])
        [*frozen] = children_of(orchestrator.pid)[kind]
        assert frozen
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        assert orchestrator.wait(200) == 0, fleet.output()
    outcomes = [event["outcome"] for event in fleet.events("attempt_ended")]
    assert outcomes[-1] == "done" and len(outcomes) >= 2, outcomes
    assert not any(process.is_running() and process.status() != "zombie" for process in frozen)
    assert fleet.leftovers() == []
