"""A worker that the kernel kills for want of memory, in a control group of its own, is told from one that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fleet import BRISK, FLOWS, ROOT, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM = 400 * 1024 * 1024
JOIN = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory and no swap; the file that one joins it by."""
    made = None
    with contextlib.suppress(OSError):
        made = _made()
    if made is None:
        pytest.skip("no control group with a memory limit can be made here: that needs root, or a delegated one")
    directory, join = made
    yield join
    directory.rmdir()


def _made() -> tuple[Path, Path] | None:
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        number, controllers, inside = line.split(":", 2)
        old = "memory" in controllers.split(",")
        parent = Path("/sys/fs/cgroup", "memory" if old else ".", inside.strip("/"))
        if not old and (number != "0" or "memory" not in (parent / "cgroup.subtree_control").read_text("ascii")):
            continue
        directory = parent / f"ostler-test-{os.getpid()}"
        directory.mkdir()
        limit = "memory.limit_in_bytes" if old else "memory.max"
        (directory / limit).write_text(str(ROOM))
        with contextlib.suppress(OSError):  # the kernel may have no swap accounting
            (directory / ("memory.swappiness" if old else "memory.swap.max")).write_text("0")
        return directory, directory / "cgroup.procs"
    return None


def test_a_starved_worker_is_told_from_a_killed_one(tmp_path: Path, group: Path) -> None:
    """Three times each: both are set aside, each with its own code; the orchestrator and the others live on."""
    fleet = Fleet(directory=tmp_path)
    queue = tmp_path / "queue.json"
    ledger = str(fleet.ledger_file)
    jobs = [
        {"profile_id": "hungry", "flow": str(FLOWS / "hungry.py"), "params": {"megabytes": 2000, "ledger": ledger}},
        {"profile_id": "killed", "flow": str(FLOWS / "quick.py"), "params": {"die": ["killed"], "ledger": ledger}},
        {"profile_id": "modest", "flow": str(FLOWS / "hungry.py"), "params": {"megabytes": 10, "ledger": ledger}},
    ]
    queue.write_text(json.dumps(jobs))
    command = fleet.command(queue, *BRISK, "--max-concurrent", 1)
    done = subprocess.run(
        [sys.executable, "-c", JOIN, group, *command],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    ends = [(event["job"], event["outcome"], event["code"]) for event in fleet.events("attempt_ended")]
    assert sorted(ends) == [
        *[("hungry", "crashed", "out_of_memory")] * 3, *[("killed", "crashed", "worker_killed")] * 3, ("modest", "done", ""),
    ]  # fmt: skip
    assert dict(fleet.query("SELECT id, code FROM jobs WHERE state = 'quarantined'")) == {
        "hungry": "out_of_memory", "killed": "worker_killed",
    }  # fmt: skip
    assert fleet.leftovers() == []
