"""The selector cache under many processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core.durable import sweep_temporaries

CHILD = Path(__file__).parent.parent / "children" / "selector_learner.py"


@pytest.mark.parametrize("updates", [50, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_no_update_is_lost_and_no_reader_sees_a_torn_file(state_dir, updates):
    """20 processes update at once: every update counts in the end, and whoever reads meanwhile reads a whole file."""
    children = [
        subprocess.Popen(
            [sys.executable, CHILD, state_dir, f"p{n}", str(updates)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(20)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    path = state_dir / ".selector_cache.json"
    seen = 0
    while any(child.poll() is None for child in children):
        if path.exists():
            labels = msgspec.json.decode(path.read_bytes())["entries"]["http://shop.localhost"][
                "demo"
            ]  # raises if torn
            total = sum(entry["hits"] for entry in labels.values())
            assert total >= seen
            seen = total
    assert [child.communicate()[1] for child in children] == [""] * 20
    assert [child.returncode for child in children] == [0] * 20
    labels = msgspec.json.decode(path.read_bytes())["entries"]["http://shop.localhost"]["demo"]
    assert labels["shared"]["hits"] == 20 * (updates // 2)
    assert {label: entry["hits"] for label, entry in labels.items() if label != "shared"} == {
        f"p{n}": updates // 2 for n in range(20)
    }
    assert sweep_temporaries(state_dir) == []
