"""What is shown of a run that ended early because of how its jobs ended."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from core.console.plain import line_for
from core.console.progress import Screen
from core.console.report import summary
from core.domain import events as ev
from core.domain.snapshot import Snapshot, fold

COUNTS = {"done": 37, "failed": 3, "queued": 20}


@pytest.mark.parametrize(
    ("at_once", "stopping", "said"),
    [(False, "drain", "running jobs may finish"), (True, "now", "stopping now")],
)
def test_the_reason_is_said_at_once_and_in_the_last_line(at_once, stopping, said):
    """On a pipe, on the screen while the rest ends, and in the sum."""
    halted = ev.RunHalted(at=2.0, reason="3 of 40 failed", at_once=at_once)
    snapshot = fold(fold(Snapshot(), ev.RunStarted(at=1.0, run=1, queued=60, max_concurrent=2)), halted)
    assert (snapshot.halted, snapshot.stopping) == ("3 of 40 failed", stopping)
    assert line_for(halted, snapshot) == f"halted: 3 of 40 failed; {said}"
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(Screen(snapshot, 3.0))
    assert "halted: 3 of 40 failed" in console.file.getvalue()
    ended = fold(snapshot, ev.RunEnded(at=13.0, run=1, exit_code=1, counts=COUNTS, seconds=12.0))
    assert summary(ended) == "halted: 3 of 40 failed; 37 done, 3 failed, 20 queued in 0:12"
