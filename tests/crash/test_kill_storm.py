"""The promise as a whole: whatever is killed, whenever, the fleet ends, and nothing committed is done twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.crash.storm import DEMO_EFFECTS, Storm, demo_site

if TYPE_CHECKING:
    from pathlib import Path

ARGS = ("--max-concurrent", 5, "--launch-interval", 0.2, "--retry-delay", 0.2)
PATIENT = ("--poison-limit", 1000, "--max-attempts", 1000)


SEEDS = range(20, 40) if os.environ.get("OSTLER_TEST_FULL") else (20,)
"""``make crash`` has one storm of full size, ``make crash-full`` twenty."""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("profiles", "kills", "deadline", "seed"),
    [
        pytest.param(6, 12, 240, 20, marks=pytest.mark.timeout(300)),
        *(pytest.param(40, 60, 1500, seed, marks=[pytest.mark.slow, pytest.mark.timeout(1600)]) for seed in SEEDS),
    ],
)
def test_a_kill_storm_loses_and_repeats_nothing(
    tmp_path: Path, profiles: int, kills: int, deadline: float, seed: int
) -> None:
    """SIGKILLs at seeded moments over orchestrator, workers, drivers and browsers: all done, each step once, nothing left."""
    storm = Storm(directory=tmp_path)
    with demo_site(tmp_path / "site") as port:
        queue = storm.demo_queue(profiles, port)
        code = storm.rage(queue, *ARGS, *PATIENT, kills=kills, seed=seed, deadline=deadline)
    assert code == 0, storm.output()[-3000:]
    assert storm.repeated_after_commit() == []
    effects = storm.effects()
    ids = [f"storm{number:03d}" for number in range(profiles)]
    assert {(profile, effect) for profile in ids for effect in DEMO_EFFECTS} == set(effects)
    assert storm.leftovers() == []
    print(dict(storm.kills), "effects more than once:", {key: n for key, n in effects.items() if n > 1})


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_orchestrator_kills_burn_no_retry(tmp_path: Path) -> None:
    """Only the orchestrator is killed, eight times: no failure and no crash is counted against any job."""
    storm = Storm(directory=tmp_path)
    with demo_site(tmp_path / "site") as port:
        queue = storm.demo_queue(5, port)
        for _ in range(8):
            orchestrator = storm.start(queue, *ARGS)
            before = len(storm.events("step_started"))
            storm.wait_for(lambda: len(storm.events("step_started")) > before or orchestrator.poll() is not None)  # noqa: B023
            orchestrator.kill()
            orchestrator.wait()
        result = storm.run(queue, *ARGS, timeout=200)
    assert result.returncode == 0, result.stdout + result.stderr
    assert storm.query("SELECT sum(failures), sum(crash_streak) FROM jobs") == [(0, 0)]
    assert storm.repeated_after_commit() == []
    assert storm.leftovers() == []
