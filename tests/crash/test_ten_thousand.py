"""Ten thousand profiles: the orchestrator at the end is as light and as quick as at the start."""

from __future__ import annotations

import os
import subprocess
import time
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
    """What the orchestrator has at a time (epoch seconds): bytes of memory, descriptors, threads, and seconds computed so far."""

    at: float
    memory: int
    descriptors: int
    threads: int
    computed: float


def samples_of(process: subprocess.Popen[bytes]) -> list[Sample]:
    """Look at a process twice a second until it has ended."""
    found, seen = [], psutil.Process(process.pid)
    while True:
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            with seen.oneshot():
                used = seen.cpu_times()
                now = Sample(
                    time.time(), seen.memory_info().rss, seen.num_fds(), seen.num_threads(), used.user + used.system
                )
                found.append(now)
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
    launched = [at for (at,) in fleet.query("SELECT started_at FROM attempts ORDER BY started_at")]
    part = JOBS // 10
    # the first tenth is left out: what is made once is made then
    early, late = (
        [one for one in samples if launched[first] <= one.at <= launched[last]]
        for first, last in ((part, 2 * part), (-part - 1, -1))
    )
    (first, soon), (last, at_the_end) = (
        (Sample(*(median(values) for values in zip(*some, strict=True))), some[-1].computed - some[0].computed)
        for some in (early, late)
    )
    print(f"{JOBS} in {launched[-1] - launched[0]:.0f} s; of {part} early on and the last {part}:")
    print(f"taken {early[-1].at - early[0].at:.1f} and {late[-1].at - late[0].at:.1f} s")
    print(f"computed {soon:.2f} and {at_the_end:.2f} s, memory {first.memory / MB:.1f} and {last.memory / MB:.1f} MB")
    print(
        f"descriptors {first.descriptors:.0f} and {last.descriptors:.0f}, threads {first.threads:.0f} and {last.threads:.0f}"
    )
    assert last.memory - first.memory < 10 * MB
    assert abs(last.descriptors - first.descriptors) <= 20 and abs(last.threads - first.threads) <= 8
    # how long it took is what else the host did, too
    assert at_the_end < 1.3 * soon
