"""A fleet on a host that is short of something: real memory limits, a real hog."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.fleet import BRISK, FLOWS, Fleet

MB = 1024 * 1024
LIMIT = 2048 * MB
ROOT = Path("/sys/fs/cgroup")
UNIFIED = (ROOT / "cgroup.controllers").exists()
GROUPS = ROOT if UNIFIED else ROOT / "memory"
NEEDS_GROUPS = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not (GROUPS / "cgroup.procs").exists(),
    reason="needs root and a memory control group of its own",
)
FIXED = (5, 6, 7, 8)
"""Fixed numbers of slots, of which the best is taken; with more the kernel kills some."""


@contextlib.contextmanager
def memory_group(limit):
    """Yield a control group; whatever is in it has so many bytes."""
    group = GROUPS / f"ostler-test-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        (group / ("memory.max" if UNIFIED else "memory.limit_in_bytes")).write_text(str(limit))
        yield group
    finally:
        end = time.monotonic() + 20
        while True:
            try:
                group.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                break


def heavy_queue(fleet, jobs, **params):
    """Write a queue of jobs that need much memory."""
    queue = fleet.write_queue([f"p{number}" for number in range(jobs)], flow=FLOWS / "heavy.py")
    flow = json.loads(queue.read_text())["defaults"]["flow"]
    queue.write_text(json.dumps({**json.loads(queue.read_text()), "defaults": {"flow": flow, "params": params}}))
    return queue


def in_group(group, *command):
    """Return a command line that runs another in a group."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *map(str, command)]


def run_inside(fleet, group, *args, jobs):
    """Run a fleet of heavy jobs in a group to its end; return its exit code and seconds."""
    command = in_group(group, *fleet.command(heavy_queue(fleet, jobs), *BRISK, *args))
    began = time.monotonic()
    with (fleet.directory / "orchestrator.out").open("ab") as out:
        # it is memory that is short here, whatever else the host computes
        env = {**os.environ, "OSTLER_ADMISSION": "on", "OSTLER_CPU_THRESHOLD": "1"}
        done = subprocess.run(command, stdout=out, stderr=out, cwd=fleet.directory, env=env, timeout=600, check=False)
    return done.returncode, time.monotonic() - began


def killed(group):
    """Return how many processes the kernel killed in a group for want of memory."""
    text = (group / ("memory.events" if UNIFIED else "memory.oom_control")).read_text()
    return int(text.rpartition("oom_kill ")[2].split()[0])


@NEEDS_GROUPS
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_at_a_time_in_two_gigabytes_and_nobody_is_killed(tmp_path):
    """All done, no kill by the kernel, and not much slower than the best fixed number of slots, found by trying."""
    best = None
    for slots in FIXED:
        (tmp_path / str(slots)).mkdir()
        with memory_group(LIMIT) as group:
            fleet = Fleet(directory=tmp_path / str(slots))
            code, seconds = run_inside(fleet, group, "--max-concurrent", slots, jobs=40)
            if code == 0 and not killed(group):
                best = min(seconds, best or seconds)
    (tmp_path / "auto").mkdir()
    fleet = Fleet(directory=tmp_path / "auto")
    with memory_group(LIMIT) as group:
        code, seconds = run_inside(fleet, group, "--max-concurrent", 50, jobs=40)
        assert (code, killed(group)) == (0, 0), fleet.output()[-2000:]
    assert fleet.query("SELECT state, count(*) FROM jobs GROUP BY state") == [("done", 40)]
    print(f"best fixed: {best:.1f} s, measured: {seconds:.1f} s")
    assert best is not None and seconds <= best / 0.8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what is measured is read from /proc")
def test_a_hog_stops_starts_and_its_end_lets_them_go_on(tmp_path):
    """Others take all cores for thirty seconds: starts are held within two, go on within ten after it, and do not flap.

    Nothing else may use the processor meanwhile.
    """
    fleet = Fleet(directory=tmp_path)
    queue = fleet.write_queue([f"p{number}" for number in range(400)], seconds=2)
    with (fleet.directory / "orchestrator.out").open("ab") as out:
        env = {**os.environ, "OSTLER_ADMISSION": "on", "OSTLER_CPU_THRESHOLD": "0.6"}
        orchestrator = subprocess.Popen(fleet.command(queue, "--max-concurrent", 3), stdout=out, stderr=out, env=env)
    hogs = []
    try:
        fleet.wait_for(lambda: len(fleet.events("attempt_launched")) >= 6, deadline=60)
        began = time.time()
        hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
        held = fleet.wait_for(lambda: [one for one in fleet.events("starts_held") if one["at"] >= began], deadline=30)
        time.sleep(30)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    ended = time.time()
    try:
        went_on = fleet.wait_for(
            lambda: [one for one in fleet.events("starts_resumed") if one["at"] >= ended], deadline=60
        )
    finally:
        orchestrator.terminate()
        orchestrator.wait(60)
    flips = [one["at"] for kind in ("starts_held", "starts_resumed") for one in fleet.events(kind)]
    print(
        f"held after {held[0]['at'] - began:.1f} s, went on after {went_on[0]['at'] - ended:.1f} s, {len(flips)} changes"
    )
    assert held[0]["reason"] == "processor"
    assert held[0]["at"] - began <= 2 and went_on[0]["at"] - ended <= 10
    assert all(sum(at <= other < at + 60 for other in flips) <= 6 for at in flips)


GREEDY = """
import sys, time
from pathlib import Path
group, limit, left = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
held, said = [], False
while True:
    used = int((group / sys.argv[4]).read_text())
    if limit - used > left:
        held.append(b"x" * (10 << 20))
    else:
        if not said:
            print(time.time(), flush=True)
        said = True
        time.sleep(0.05)
"""
"""Takes whatever memory a group has, but for some."""


@NEEDS_GROUPS
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hog_that_takes_the_memory_stops_starts_and_its_end_lets_them_go_on(tmp_path):
    """For thirty seconds it leaves 150 MB: held within two seconds, then one at a time, and as before within ten after its end."""
    fleet = Fleet(directory=tmp_path)
    queue = heavy_queue(fleet, 400, megabytes=60, seconds=2.0)
    with memory_group(LIMIT) as group, (fleet.directory / "orchestrator.out").open("ab") as out:
        env = {**os.environ, "OSTLER_ADMISSION": "on", "OSTLER_CPU_THRESHOLD": "1"}
        command = in_group(group, *fleet.command(queue, *BRISK, "--max-concurrent", 3))
        orchestrator = subprocess.Popen(command, stdout=out, stderr=out, env=env)
        usage = "memory.current" if UNIFIED else "memory.usage_in_bytes"
        greedy = in_group(group, sys.executable, "-c", GREEDY, group, LIMIT, 150 * MB, usage)
        try:
            fleet.wait_for(lambda: len(fleet.events("attempt_launched")) >= 6, deadline=60)
            with subprocess.Popen(greedy, stdout=subprocess.PIPE, text=True) as hog:
                try:
                    began = float(hog.stdout.readline())
                    time.sleep(30)
                finally:
                    hog.kill()
            ended = time.time()
            resumed = fleet.wait_for(
                lambda: [one for one in fleet.events("starts_resumed") if one["at"] >= ended], deadline=60
            )
        finally:
            orchestrator.terminate()
            orchestrator.wait(60)
        kills = killed(group)
    held = [one for one in fleet.events("starts_held") if one["reason"] == "memory" and one["at"] < ended]
    flips = [one["at"] for kind in ("starts_held", "starts_resumed") for one in fleet.events(kind)]
    print(
        f"held after {held[0]['at'] - began:.1f} s, went on after {resumed[0]['at'] - ended:.1f} s, {len(flips)} changes, {kills} kills"
    )
    assert kills == 0
    assert held[0]["at"] - began <= 2 and resumed[0]["at"] - ended <= 10
    assert all(sum(at <= other < at + 60 for other in flips) <= 6 for at in flips)
    running, alone = set(), True
    for one in fleet.events():
        if one["type"] == "attempt_launched":
            alone = alone and (not running or not began + 2 < one["at"] < ended)
            running.add(one["job"])
        elif one["type"] == "attempt_ended":
            running.discard(one["job"])
    assert alone
