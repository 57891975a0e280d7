"""``ostler status``, ``report`` and ``logs`` beside a fleet that runs, that was killed, and that has ended."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.cli import main as cli
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec
from core.domain.retry import Decision
from core.queue.sqlite import SqliteQueue
from tests.fleet import BRISK, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = ROOT / "docs" / "schemas"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


def command(fleet: Fleet, *arguments: str) -> list[str]:
    here = ["--state-dir", str(fleet.state), "--log-dir", str(fleet.logs)]
    return [sys.executable, "-m", "core.cli.main", *here, *arguments]


def ostler(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(fleet, *arguments), capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)


def printed(fleet: Fleet, name: str, *arguments: str) -> Any:
    """Return what a command prints as JSON, held against the published schema."""
    done = ostler(fleet, name, *arguments)
    value = json.loads(done.stdout)
    jsonschema.validate(value, json.loads((SCHEMAS / f"{name}.json").read_text("utf-8")))
    return value


def test_nothing_was_ever_run(fleet):
    """Looking at what is not there says so, and leaves no trace."""
    assert printed(fleet, "status", "--json")["jobs"] == {}
    assert printed(fleet, "report", "--json") == {"jobs": [], "counts": {}}
    assert "none runs" in ostler(fleet, "status").stdout
    assert ostler(fleet, "status", "--check").returncode == 1
    assert ostler(fleet, "logs", "nobody").returncode == 2
    assert "a number of lines" in ostler(fleet, "logs", "nobody", "-n", "-3").stderr
    assert list(fleet.directory.iterdir()) == []


def test_a_run_is_seen_while_it_lasts_and_after_it_was_killed(fleet):
    """Holder, worker and step while it runs; what was cut off after a kill; the next run's end."""
    orchestrator = fleet.start(fleet.write_queue(["slow"], seconds=10), *BRISK)
    try:
        fleet.wait_for(lambda: [event for event in fleet.events("step_started") if event["step"] == "second"])
        status = printed(fleet, "status", "--json")
        assert status["orchestrator"]["pid"] == orchestrator.pid
        assert status["jobs"] == {"running": 1}
        (running,) = status["running"]
        assert (running["profile_id"], running["step"], running["alive"]) == ("slow", "second", True)
        assert running["pid"] == fleet.events("attempt_started")[0]["pid"]
        assert status["last_run"]["ended_at"] is None
        assert "second" in ostler(fleet, "status").stdout
        assert ostler(fleet, "status", "--check").returncode == 0
    finally:
        orchestrator.send_signal(signal.SIGKILL)
        orchestrator.wait()
    fleet.wait_for(lambda: fleet.processes() == [])
    status = printed(fleet, "status", "--json")
    assert status["orchestrator"] is None
    assert [running["alive"] for running in status["running"]] == [False]
    said = ostler(fleet, "status").stdout
    assert "cut off" in said and "its process is gone" in said
    assert fleet.run(fleet.write_queue(["slow"]), *BRISK).returncode == 0
    status = printed(fleet, "status", "--json")
    assert (status["running"], status["jobs"]) == ([], {"done": 1})
    assert (status["last_run"]["number"], status["last_run"]["exit_code"]) == (2, 0)


def test_the_report_names_every_job(fleet):
    """As a table, as JSON and for a spreadsheet: the same jobs, with why they failed."""
    fleet.run(fleet.write_queue(["good", "bad", "asks"], fail=["bad"], ask=["asks"]), *BRISK, "--max-attempts", 1)
    report = printed(fleet, "report", "--json")
    assert {row["profile_id"]: row["outcome"] for row in report["jobs"]} == {
        "good": "done",
        "bad": "failed",
        "asks": "parked",
    }
    assert report["counts"] == {"done": 1, "failed": 1, "parked": 1}
    assert [row["code"] for row in report["jobs"]] == ["", "unknown", "needs_person"]
    status = printed(fleet, "status", "--json")
    assert status["codes"] == {"needs_person": 1, "unknown": 1}
    assert "trouble       1 needs_person, 1 unknown (ostler explain JOB)" in ostler(fleet, "status").stdout.splitlines()
    rows = list(csv.DictReader(io.StringIO(ostler(fleet, "report", "--format", "csv").stdout)))
    assert [{name: str(value) for name, value in row.items()} for row in report["jobs"]] == rows
    lines = ostler(fleet, "report").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["good", "bad", "asks"]
    assert "unknown" in lines[2] and "asked to fail" in lines[2]
    assert lines[-1] == "1 done, 1 failed, 1 needs a person"


def test_logs_are_shown_filtered_and_followed(fleet):
    """The last lines, those that matter, and those that come; a reader who leaves early is no error."""
    queue = fleet.write_queue(["bad"], fail=["bad"])
    fleet.run(queue, *BRISK, "--max-attempts", 1)
    whole = (fleet.logs / "bad.log").read_text("utf-8").splitlines()
    assert ostler(fleet, "logs", "bad", "-n", "2").stdout.splitlines() == whole[-2:]
    errors = ostler(fleet, "logs", "bad", "--level", "error").stdout
    assert "asked to fail" in errors and "[info]" not in errors
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        command(fleet, "logs", "bad"), stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False, cwd=ROOT
    )
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (0, b"")
    with subprocess.Popen(
        command(fleet, "logs", "bad", "-f", "-n", "1"), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == whole[-1] + "\n"
            fleet.run(queue, *BRISK, "--retry-failed", "--max-attempts", 1)
            assert follower.stdout.readline().startswith("--- attempt 1 of bad")
            follower.send_signal(signal.SIGINT)
            follower.stdout.read()
            assert follower.wait(10) == 0
        finally:
            follower.kill()


def test_a_reason_is_no_formula_for_a_spreadsheet(fleet):
    """What a site wrote into a reason is text, whatever opens the file."""
    from core.upkeep.run_report import _cell

    assert _cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert _cell("a\n=b\x1b[0m") == "a =b [0m"


def test_what_is_still_to_come_is_said(tmp_path, capsys):
    """How many jobs wait for others, and when the next of those that run again and again is due."""
    (tmp_path / "state").mkdir()
    queue = SqliteQueue(tmp_path / "state" / "queue.db")
    queue.begin_run(1.0)
    queue.reconcile(
        "feed",
        [
            JobSpec(id="a", profile_id="a", flow="/f.py", every=60.0),
            JobSpec(id="b", profile_id="b", flow="/f.py", after=("a", "c")),
            JobSpec(id="c", profile_id="c", flow="/f.py", not_before=4e9),
        ],
        now=1.0,
    )
    assert queue.claim(10.0, "n") is not None
    end = Decision(event=JobEvent.COMPLETED, counters=Counters())
    queue.finish("n", end, now=20.0, seconds=1, outcome="done")
    queue.close()
    here = ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path)]
    assert cli.main(["status", *here]) == 0
    said = capsys.readouterr().out
    assert "waits         1 for other jobs (ostler queue list --state queued)\n" in said
    assert "again         next at 1970-01-01 00:01:10Z\n" in said
    assert cli.main(["status", "--json", *here]) == 0
    value = json.loads(capsys.readouterr().out)
    jsonschema.validate(value, json.loads((SCHEMAS / "status.json").read_text("utf-8")))
    assert (value["held"], value["again_at"]) == (1, 70.0)
    assert cli.main(["queue", "list", *here]) == 0
    said = capsys.readouterr().out
    assert "waits for c (queued)" in said
    assert "again at 1970-01-01 00:01:10Z" in said
