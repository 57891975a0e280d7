"""Edits of a queue while it runs: brought in within five seconds of the save, however it is saved, also in a large queue.

The delay is printed (``pytest -s``); what is asserted has a margin for a loaded machine.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet import BRISK, FLOWS, ROOT, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEVER = 4_000_000_000
MARGIN = 15.0
"""Seconds; five are promised, and about two are usual."""


@contextlib.contextmanager
def running(fleet: Fleet, *args: object) -> Iterator[subprocess.Popen[bytes]]:
    """Give an orchestrator that has begun; end it at the end, however it goes."""
    run = fleet.start(*args, "--max-concurrent", 2, *BRISK)
    try:
        fleet.wait_for(lambda: fleet.events("run_started"), deadline=60)
        yield run
    finally:
        run.send_signal(signal.SIGTERM)
        try:
            run.wait(30)
        finally:
            run.kill()


def after(fleet: Fleet, what: str, save: Callable[[], Any], kind: str = "feed_read", **fields: Any) -> dict[str, Any]:
    """Save an edit; return the first event of this kind since, once it is there, and print how long that took."""
    before = len(fleet.events(kind))
    saved = time.time()
    save()

    def seen() -> list[dict[str, Any]]:
        since = fleet.events(kind)[before:]
        return [event for event in since if all(event[name] == value for name, value in fields.items())]

    event: dict[str, Any] = fleet.wait_for(seen, deadline=MARGIN)[0]
    print(f"{what}: {event['at'] - saved:.2f} s")
    return event


def ostler(fleet: Fleet, *args: str) -> None:
    here = ["--state-dir", str(fleet.state), "--log-dir", str(fleet.logs)]
    command = [sys.executable, "-m", "core.cli.main", *args, *here]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class Edited:
    """A queue file of many jobs that are not due, and its edits."""

    def __init__(self, fleet: Fleet, jobs: int) -> None:
        self.shared = {"flow": str(FLOWS / "quick.py"), "params": {"ledger": str(fleet.ledger_file), "fail": ["wrong"]}}
        self.jobs: list[Any] = [{"profile_id": f"p{number:05d}", "not_before": NEVER} for number in range(jobs)]
        self.path = fleet.directory / "queue.json"
        self.write()

    @property
    def text(self) -> str:
        return json.dumps({"defaults": self.shared, "jobs": self.jobs}, indent=1)

    def write(self) -> None:
        self.path.write_text(self.text, "utf-8")

    def rename(self) -> None:
        new = self.path.with_name(".queue.json.new")
        new.write_text(self.text, "utf-8")
        new.replace(self.path)

    def in_halves(self) -> None:
        text = self.text
        with self.path.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.7)  # longer than the time between two looks, and shorter than it takes to believe one
            file.write(text[len(text) // 2 :])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("jobs", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_edits_of_a_queue_file(tmp_path: Path, jobs: int) -> None:
    """Jobs are added, changed, put first, made due and removed; a bad edit is said once and changes nothing."""
    fleet = Fleet(directory=tmp_path)
    queue = Edited(fleet, jobs)
    with running(fleet, queue.path, "--watch") as run:
        queue.jobs.append("late")
        assert after(fleet, "added, written over", queue.write)["added"] == 1
        fleet.wait_for(
            lambda: [one for one in fleet.events("job_changed") if (one["job"], one["state"]) == ("late", "done")]
        )

        queue.jobs[7] = {"profile_id": "p00007", "not_before": NEVER, "params": {"seconds": 0.5}, "priority": 4}
        assert after(fleet, "parameters and priority changed, renamed over", queue.rename)["updated"] == 1

        del queue.jobs[3]
        found = after(fleet, "removed, written in two halves", queue.in_halves)
        assert (found["cancelled"], found["added"], found["updated"]) == (1, 0, 0)
        assert len(fleet.events("feed_rejected")) <= 1

        queue.jobs[8] = "p00009"
        started = after(fleet, "made due", queue.rename, "attempt_started", job="p00009")
        assert started["attempt"] == 1

        good, queue.jobs = (
            queue.jobs,
            [*queue.jobs, {"profile_id": "x", "after": ["y"]}, {"profile_id": "y", "after": ["x"]}],
        )
        rejected = len(fleet.events("feed_rejected"))
        problem = after(fleet, "a bad edit", queue.write, "feed_rejected")["problem"]
        assert "a circle: x after y after x" in problem
        queue.jobs = [*good, {"profile_id": "last", "after": ["p00009"]}]
        after(fleet, "mended, and the job run", queue.write, "job_changed", job="last", state="done")
        assert len(fleet.events("feed_rejected")) == rejected + 1
        assert run.poll() is None
    states = dict(fleet.query("SELECT state, count(*) FROM jobs GROUP BY state"))
    assert states == {"queued": jobs - 2, "done": 3, "cancelled": 1}
    assert fleet.query("SELECT priority, params FROM jobs WHERE id = 'p00007'")[0][0] == 4
    assert next(event["added"] for event in fleet.events("feed_read")) == jobs


@pytest.mark.timeout(120)
def test_changes_by_hand(tmp_path: Path) -> None:
    """A run that stays without a queue file takes what is added, run again, and due again; what is cancelled does not run."""
    fleet = Fleet(directory=tmp_path)
    params = json.dumps([
        {"profile_id": "wrong", "params": {"ledger": str(fleet.ledger_file), "fail": ["wrong"]}, "max_attempts": 1},
        {"profile_id": "later", "params": {"ledger": str(fleet.ledger_file)}, "after": ["wrong"]},
        {"profile_id": "unwanted", "params": {"ledger": str(fleet.ledger_file)}, "after": ["wrong"]},
    ])  # fmt: skip
    (tmp_path / "more.json").write_text(params)
    (tmp_path / "tick.json").write_text(
        json.dumps([{"profile_id": "tick", "every": "1s", "params": {"ledger": str(fleet.ledger_file)}}])
    )
    fleet.state.mkdir()
    ostler(fleet, "queue", "add", "--from", str(tmp_path / "more.json"), "--flow", str(FLOWS / "quick.py"))
    with running(fleet, "--watch"):
        fleet.wait_for(lambda: [one for one in fleet.events("job_changed") if one["state"] == "failed"])
        ostler(fleet, "queue", "cancel", "unwanted")
        again = ("queue", "retry", "wrong")
        after(fleet, "again, by hand", lambda: ostler(fleet, *again), "attempt_started", job="wrong")
        add = ("queue", "add", "--from", str(tmp_path / "tick.json"), "--flow", str(FLOWS / "quick.py"))
        after(fleet, "added by hand", lambda: ostler(fleet, *add), "attempt_started", job="tick")
        fleet.wait_for(lambda: len(starts(fleet, "tick")) >= 3)
    assert {job: state for job, state in fleet.query("SELECT id, state FROM jobs") if job != "tick"} == {
        "wrong": "failed", "later": "queued", "unwanted": "cancelled",
    }  # fmt: skip
    times = [event["at"] for event in starts(fleet, "tick")]
    assert all(second - first > 0.5 for first, second in itertools.pairwise(times))


def starts(fleet: Fleet, job: str) -> list[dict[str, Any]]:
    return [event for event in fleet.events("attempt_started") if event["job"] == job]
