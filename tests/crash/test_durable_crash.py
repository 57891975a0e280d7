"""SIGKILL in the middle of durable writes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.durable import sweep_temporaries
from core.envelope import EnvelopeFile

CHILD = Path(__file__).parent.parent / "children" / "durable_writer.py"


def check(path: Path, acknowledged: int) -> int:
    """What must hold after any death: whole, not older than what was acknowledged, its predecessor whole too."""
    found = EnvelopeFile(path, dict[str, Any]).read()
    assert (found.generation if found else 0) >= acknowledged
    if found is None:
        return 0
    assert not found.recovered
    assert found.value == {"n": found.generation, "fill": "x" * (found.generation * 997 % 20_000)}
    if found.generation > 1:
        previous = EnvelopeFile(path.with_name(path.name + ".prev"), dict[str, Any]).read()
        # the two may be the same version: the link was made, the new version was not in place yet
        assert found.generation - previous.generation in (0, 1)
    sweep_temporaries(path.parent)
    assert {entry.name for entry in path.parent.iterdir()} <= {path.name, path.name + ".prev"}
    return found.generation


@pytest.mark.parametrize("kills", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_kill_at_random_moments_loses_nothing_acknowledged(tmp_path, kills):
    """Killed at seeded random moments, the file is whole each time and has at least the last acknowledged generation."""
    path = tmp_path / "state" / "p.json"
    rng = random.Random(20261120)
    acknowledged = 0
    for _ in range(kills):
        with subprocess.Popen([sys.executable, CHILD, path], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            for _ in range(rng.randrange(1, 6)):  # wait for events; then a moment within the next write
                acknowledged = int(child.stdout.readline())
            time.sleep(rng.random() * 0.004)  # not to let something happen: to choose where the kill falls
            child.kill()
            acknowledged = max([acknowledged, *map(int, child.stdout.read().split("\n")[:-1])])
        assert child.returncode == -signal.SIGKILL
        assert check(path, acknowledged) >= acknowledged


PLACES = [
    (call, when) for call in ("open", "write", "fsync", "link", "replace", "unlink") for when in ("before", "after")
]


@pytest.mark.parametrize(("call", "when"), [*PLACES, ("write", "within")])
def test_kill_at_every_system_call(tmp_path, call, when):
    """Killed right before, right after or within each system call that a write is made of, the file is whole."""
    path = tmp_path / "state" / "p.json"
    acknowledged = 0
    for nth in (1, 2, 3, 4):
        command = [sys.executable, CHILD, path, call, str(nth), when]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        lines = done.stdout.split()
        acknowledged = check(path, max([acknowledged, *map(int, lines[1:])]))
