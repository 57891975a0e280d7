"""SIGKILL and a full disk at points of everything that changes the data of profiles: never half of it, never without a way on."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

import pytest

from tests import fast
from tests.crash.faults import Child, Trial
from tests.crash.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser
SEED = 20261125
ROOM = 256 * 1024**2
FEW = {"kill": 2, "torn": 1, "full": 1}
MANY = dict.fromkeys(FEW, 50)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.close()


@pytest.fixture(scope="module", params=list(OPERATIONS))
def trial(
    request: pytest.FixtureRequest, real_state: Path, tmp_path_factory: pytest.TempPathFactory, child: Child
) -> Iterator[Trial]:
    """An operation of the table, ready to be struck."""
    with fast.directory(tmp_path_factory.mktemp("trial")) as root:
        yield Trial(request.param, real_state, root, child)


def _chosen(trial: Trial, fault: str, number: int) -> list[int]:
    """Return this many of its points, always the same ones; all of them, if there are not so many.

    Each kind of call has its turn: among hundreds of files that are copied or removed, one rename would hardly ever be met.
    """
    chance = random.Random(f"{SEED} {trial.operation.name} {fault}")
    kinds: dict[str, list[int]] = {}
    for point, call in enumerate(trial.calls, 1):
        kinds.setdefault(call, []).append(point)
    shuffled = [chance.sample(points, len(points)) for points in kinds.values()]
    in_turn = (point for points in zip_longest(*shuffled) for point in points if point is not None)
    return sorted(islice(in_turn, number))


@contextmanager
def _small_disk(where: Path) -> Iterator[None]:
    """Mount a file system of its own, in memory."""
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "none", where], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def _leave(disk: Path, free: int) -> None:
    """Let a file system have this many bytes that are free."""
    found = os.statvfs(disk)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    subprocess.run(["mount", "-o", f"remount,size={used + free}", disk], check=True)


@pytest.mark.parametrize(
    "number", [1, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])], ids=["few", "many"]
)
def test_a_disk_that_fills_up_leaves_the_old_or_the_new(trial: Trial, tmp_path: Path, number: int) -> None:
    """A real file system with room for a part of it: refused or done, and with room again the next run cleans up."""
    chance = random.Random(f"{SEED} {trial.operation.name}")
    disk = tmp_path / "disk"
    with _small_disk(disk):
        ends: Counter[str] = Counter()
        for _ in range(number):
            # room for a mark or two, for a part of a copy, for a copy and little else
            free = chance.randrange(chance.choice([64 * 1024, trial.size, 2 * trial.size]))
            leave = partial(_leave, disk)
            ended = trial.strike("crowded", 0, disk / "state", before=partial(leave, free), after=partial(leave, ROOM))
            ends[ended] += 1
    print(f"{trial.operation.name}: full at {number} sizes: {dict(ends)}")
    assert ends.total() == number
    assert ends["killed"] == 0


@pytest.mark.parametrize(
    "numbers", [FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])], ids=["few", "many"]
)
def test_whatever_strikes_leaves_the_old_or_the_new(trial: Trial, numbers: dict[str, int]) -> None:
    """Killed before a change of the file system or in its midst, or without room from there on: whole, and the next run cleans up."""
    for fault, number in numbers.items():
        points = _chosen(trial, fault, number)
        ends = Counter(trial.strike(fault, point) for point in points)
        print(f"{trial.operation.name}: {fault} at {len(points)} of {len(trial.calls)} points: {dict(ends)}")
        # unlinking needs no room: not every operation is refused on a full disk
        assert ends["killed" if fault != "full" else "done"] == len(points) or fault == "full"
