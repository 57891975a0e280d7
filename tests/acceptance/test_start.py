"""The first second of a command: what it refuses, what it sweeps, and how it ends when it is stopped that early."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.fleet import BRISK, Fleet

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "import pathlib, time\npathlib.Path(__file__).with_name('importing').touch()\ntime.sleep(600)\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


def test_without_a_queue_and_without_a_past_it_says_what_to_give(fleet: Fleet) -> None:
    """Nothing was ever run here, so there is nothing to go on with; nothing is made, either."""
    result = fleet.run()
    assert result.returncode == 2
    assert "queue.json" in result.stderr and "Traceback" not in result.stderr
    assert not fleet.state.exists()


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        (["-"], "--watch: expected a queue file"),
        ([], "queue: expected queue.json, queue.db or -, found no argument (nothing was ever run"),
        (["queue.db"], "queue.db: expected a queue of Ostler, found No such file"),
    ],
)
def test_what_cannot_change_is_not_watched(fleet: Fleet, queue: list[str], expected: str) -> None:
    """What has no edits to follow is refused at once, not waited for; so is a queue that there is not."""
    result = fleet.run("--watch", *queue, timeout=20)
    assert result.returncode == 2
    assert expected in result.stderr


def test_a_queue_that_is_none_is_bad_input(fleet: Fleet) -> None:
    """A missing file and a foreign database, named as the queue, are the user's to mend."""
    foreign = fleet.directory / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE somebody_elses (a)")
    connection.close()
    for queue in (foreign, fleet.directory / "missing.db"):
        result = fleet.run(queue)
        assert result.returncode == 2
        assert str(queue) in result.stderr and "Traceback" not in result.stderr
    assert not fleet.state.exists()


def test_what_killed_writers_left_is_swept(fleet: Fleet) -> None:
    """Temporary files of durable writes go at the next start, wherever below the state directory they are."""
    left = [
        fleet.state / folder / f".{name}.0123456789abcdef.ostler-tmp"
        for folder, name in ((".", "queue.db"), ("sessions", "a.json"), ("profiles/a", "session.json"))
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert fleet.run(fleet.write_queue(["a"]), *BRISK).returncode == 0
    assert [path for path in left if path.exists()] == []


def test_standard_streams_may_be_closed(fleet: Fleet) -> None:
    """Started without standard input and output, it runs all the same."""
    queue = fleet.write_queue(["a"])
    shell = [shutil.which("sh") or "/bin/sh", "-c", '"$@" <&- >&-', "sh", *fleet.command(queue, *BRISK)]
    result = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert [event["state"] for event in fleet.events("job_changed")] == ["done"]


def test_a_log_that_cannot_be_opened_is_the_hosts_fault(fleet: Fleet) -> None:
    """One line that names the file."""
    (fleet.logs / "orchestrator.log").mkdir(parents=True)
    result = fleet.run(fleet.write_queue(["a"]))
    assert result.returncode == 7
    assert "orchestrator.log" in result.stderr and "Traceback" not in result.stderr


def test_failed_jobs_are_tried_again_without_naming_the_queue(fleet: Fleet) -> None:
    """``--retry-failed`` means the same with a queue file and without one."""
    queue = fleet.directory / "ids.txt"
    queue.write_text("a\n")
    flow = "from workers.steps import Flow\nflow = Flow('flaky', browser=False)\n\n"
    step = "@flow.step(always=True, retries=0)\nasync def only(ctx):\n    {}\n"
    (fleet.directory / "flaky.py").write_text(flow + step.format("raise ValueError('not today')"))
    failed = fleet.run(queue, "--flow", fleet.directory / "flaky.py", "--max-attempts", 1, *BRISK)
    assert failed.returncode == 1
    (fleet.directory / "flaky.py").write_text(flow + step.format("pass"))
    assert fleet.run(*BRISK).returncode == 1
    assert fleet.run("--retry-failed", *BRISK).returncode == 0


def test_an_interrupt_before_anything_runs_is_an_interrupt(fleet: Fleet) -> None:
    """While a flow is still being imported: no traceback, the documented exit code."""
    flow = fleet.directory / "endless.py"
    flow.write_text(ENDLESS)
    orchestrator = fleet.start(fleet.write_queue(["a"], flow=flow))
    fleet.wait_for((fleet.directory / "importing").exists)
    orchestrator.send_signal(signal.SIGINT)
    assert orchestrator.wait(20) == 6
    assert "the same command goes on" in fleet.output() and "Traceback" not in fleet.output()


def test_a_flow_that_is_being_imported_dies_with_its_orchestrator(fleet: Fleet) -> None:
    """A killed orchestrator leaves no process, not even the one that asks a flow what it is."""
    flow = fleet.directory / "endless.py"
    flow.write_text(ENDLESS)
    orchestrator = fleet.start(fleet.write_queue(["a"], flow=flow))
    fleet.wait_for((fleet.directory / "importing").exists)
    [asking] = psutil.Process(orchestrator.pid).children()
    orchestrator.kill()
    orchestrator.wait()
    _, alive = psutil.wait_procs([asking], timeout=10)
    assert alive == []
