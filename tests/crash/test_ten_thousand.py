"""Ten thousand profiles: the orchestrator at the end is as light and as quick as at the start."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from tests.fleet import BRISK, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

JOBS = int(os.environ.get("OSTLER_TEST_JOBS", "10000"))
MB = 1024 * 1024
STUBS = ROOT / "tests" / "children" / "stub_fleet.py"


class Sample(NamedTuple):
    """What the orchestrator has: bytes of memory, descriptors, threads."""

    memory: int
    descriptors: int
    threads: int


def samples_of(process: subprocess.Popen[bytes]) -> list[Sample]:
    """Look at a process twice a second until it has ended."""
    found, seen = [], psutil.Process(process.pid)
    while True:
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            with seen.oneshot():
                found.append(Sample(seen.memory_info().rss, seen.num_fds(), seen.num_threads()))
        else:
            return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_end_is_as_light_and_as_quick_as_the_start(tmp_path: Path) -> None:
    """Memory, descriptors and threads are flat; the last tenth is dispatched as fast as the first. All are done, each once."""
    fleet = Fleet(directory=tmp_path)
    queue = fleet.write_queue([f"p{number:05d}" for number in range(JOBS)])
    command = fleet.command(queue, *BRISK, "--max-concurrent", 8)
    command[1] = str(STUBS)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (fleet.directory / "orchestrator.out").open("ab") as out:
        orchestrator = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=fleet.directory)
        samples = samples_of(orchestrator)
    assert orchestrator.returncode == 0, fleet.output()[-2000:]
    assert fleet.query("SELECT state, attempts, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, JOBS)]
    # the first look is before there are any jobs under way
    tenth = max(len(samples) // 10, 1)
    early, late = samples[tenth : 2 * tenth], samples[-tenth - 1 : -1]
    first, last = (Sample(*(round(median(values)) for values in zip(*some, strict=True))) for some in (early, late))
    launched = [at for (at,) in fleet.query("SELECT started_at FROM attempts ORDER BY started_at")]
    part = JOBS // 10
    quick, slow = launched[part] - launched[0], launched[-1] - launched[-part - 1]
    print(
        f"{sys.platform}: {launched[-1] - launched[0]:.0f} s for {JOBS}; a tenth took {quick:.1f} s, the last {slow:.1f} s"
    )
    print(
        f"memory {first.memory / MB:.1f} -> {last.memory / MB:.1f} MB, at most {max(s.memory for s in samples) / MB:.1f}"
    )
    print(f"descriptors {first.descriptors} -> {last.descriptors}, threads {first.threads} -> {last.threads}")
    assert last.memory - first.memory < 10 * MB
    assert abs(last.descriptors - first.descriptors) <= 20 and abs(last.threads - first.threads) <= 8
    assert slow < 1.5 * quick
