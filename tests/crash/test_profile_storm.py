"""Twenty processes that create, activate, deactivate, delete and list one profile, all at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.profiles import ProfileManager

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("processes", "seconds"), [(6, 4), pytest.param(20, 30, marks=pytest.mark.slow)], ids=["small", "full"]
)
def test_whoever_comes_first_the_profile_is_whole(tmp_path, processes, seconds):
    """No half profile is ever listed, no two are active, nobody fails in a way that has no name; and it is usable afterwards."""
    state = tmp_path / "state"
    ProfileManager(state).create("anna")
    until = time.time() + seconds + 2
    storm = [
        subprocess.Popen(
            [sys.executable, CHECKOUT / "tests" / "children" / "profile_storm.py", state, str(seed), str(until)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)},
        )
        for seed in range(processes)
    ]  # fmt: skip
    said = [process.communicate(timeout=seconds + 60)[0] for process in storm]
    assert [process.returncode for process in storm] == [0] * processes, said
    assert sum(int(text.splitlines()[-1]) for text in said) > processes
    manager = ProfileManager(state)
    for profile in manager.list():
        assert profile.status in ("active", "inactive")
        metadata = json.loads((state / "profiles" / profile.id / "metadata.json").read_text("utf-8"))
        assert metadata["profile_id"] == profile.id
        manager.delete(profile.id, force=True)
    left = (
        [path.name for path in (state / "profiles").iterdir() if path.is_dir()] if (state / "profiles").exists() else []
    )
    assert left == []
    manager.create("anna")
    assert manager.activate("anna") is None
