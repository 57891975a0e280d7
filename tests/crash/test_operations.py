"""SIGKILL and a full disk at points of everything that changes the data of profiles: never half of it, never without a way on."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.crash.faults import Child, Trial
from tests.crash.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser
SEED = 20261125
SAMPLES = pytest.mark.parametrize("number", [2, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.close()


@pytest.fixture(params=list(OPERATIONS))
def trial(request: pytest.FixtureRequest, real_state: Path, fast_path: Path, child: Child) -> Trial:
    """An operation of the table, ready to be struck."""
    return Trial(request.param, real_state, fast_path, child)


def _chosen(trial: Trial, fault: str, number: int) -> list[int]:
    """Return this many of its points, always the same ones; all of them, if there are not so many."""
    chance = random.Random(f"{SEED} {trial.operation.name} {fault}")
    return sorted(chance.sample(range(1, trial.points + 1), min(number, trial.points)))


@SAMPLES
def test_whatever_strikes_leaves_the_old_or_the_new(trial: Trial, number: int) -> None:
    """Killed before a change of the file system or in its midst, or without room from there on: whole, and the next run cleans up."""
    for fault in ("kill", "torn", "full"):
        points = _chosen(trial, fault, number)
        ends = Counter(trial.strike(fault, point) for point in points)
        print(f"{trial.operation.name}: {fault} at {len(points)} of {trial.points} points: {dict(ends)}")
        # unlinking needs no room: not every operation is refused on a full disk
        assert ends["killed" if fault != "full" else "done"] == len(points) or fault == "full"
