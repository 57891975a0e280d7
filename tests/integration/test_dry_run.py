"""``--dry-run`` says what the same command would do, and leaves everything as it is, whatever state it is in."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.cli.dry_run import Ask, plan_run
from core.cli.dry_run_shown import lines_of
from core.clock import SystemClock
from core.domain.lifecycle import JobEvent
from core.domain.model import Counters, JobSpec, JobState
from core.domain.retry import Decision
from core.domain.session import SessionState
from core.errors import BadInput
from core.queue.sqlite import SqliteQueue
from core.settings import resolve
from core.state.sessions import FileSessionStore
from tests.fleet import BRISK, ROOT, Fleet

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from core.settings import Settings

SCHEMA = ROOT / "docs" / "schemas" / "dry-run.json"
NOTHING = Ask(again=False, retry_failed=())


def listing(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below a directory: inode, size, and when it was changed last."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        found[str(path.relative_to(directory))] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


def settings_of(fleet: Fleet, **flags: Any) -> Settings:
    here = {"state_dir": str(fleet.state), "log_dir": str(fleet.logs), **flags}
    return resolve(here, {}, cwd=fleet.directory).settings


def dry(fleet: Fleet, *args: object) -> subprocess.CompletedProcess[str]:
    """Rehearse, and hold it to its promise."""
    before = listing(fleet.directory)
    done = fleet.run("--dry-run", *args)
    assert listing(fleet.directory) == before
    return done


def test_the_same_command_without_it_does_what_it_said(fleet: Fleet) -> None:
    """Nothing is there before, and nothing after; then the jobs start in that order, and then nothing is left to say."""
    queue = fleet.write_queue(
        [{"profile_id": "c", "after": ["b"]}, "a", "b", {"profile_id": "d", "priority": 3}], fail=["x"]
    )
    said = dry(fleet, queue, "--json", "--max-concurrent", 1)
    assert (said.returncode, said.stderr) == (0, "")
    plan = json.loads(said.stdout)
    jsonschema.validate(plan, json.loads(SCHEMA.read_text("utf-8")))
    assert not fleet.state.exists() and not fleet.logs.exists()
    assert fleet.run(queue, "--max-concurrent", 1, *BRISK).returncode == 0
    started = [event["job"] for event in fleet.events("attempt_started")]
    assert [job["id"] for job in plan["starts"]] == started == ["d", "a", "b", "c"]
    done = dry(fleet, queue)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["left as they are: 4 done", "nothing was launched, nothing was written"]
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(fleet.directory))


def test_bad_input_is_said_as_ever(fleet: Fleet) -> None:
    """With the place, and exit code 2: a parameter that the flow does not take, and a job that is nowhere."""
    queue = fleet.write_queue(["a"], wrong=1)
    said = dry(fleet, queue)
    assert (said.returncode, said.stdout) == (2, "")
    assert "defaults.params.wrong" in said.stderr
    queue = fleet.write_queue([{"profile_id": "a", "after": ["nobody"]}])
    said = dry(fleet, queue)
    assert (said.returncode, said.stdout) == (2, "")
    assert 'jobs[0].after: expected the ID of a job of this feed or of the queue, found "nobody"' in said.stderr
    assert dry(fleet).returncode == 2


def test_json_alone_is_refused(fleet: Fleet) -> None:
    """A run prints no JSON."""
    done = fleet.run("--json", fleet.write_queue(["a"]))
    assert (done.returncode, "--json goes with --dry-run" in done.stderr) == (2, True)


def test_beside_a_run_and_after_its_death(fleet: Fleet) -> None:
    """It takes no lock and changes no file of a run that goes on, or that was killed with its log not written back."""
    queue = fleet.write_queue(["a", "b"], seconds=60)
    run = fleet.start(queue, "--max-concurrent", 1, *BRISK)
    try:
        fleet.wait_for(lambda: fleet.events("step_started"))
        said = fleet.run("--dry-run", queue, "--json")
        plan = json.loads(said.stdout)
        assert (plan["in_hand"], [job["id"] for job in plan["starts"]]) == (["a"], ["b"])
        assert f"pid {run.pid}" in plan["holder"]
        assert run.poll() is None
        assert not fleet.events("attempt_ended")
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    fleet.wait_for(lambda: not fleet.processes())
    assert (fleet.state / "queue.db-wal").exists()
    before = listing(fleet.directory)
    plan = json.loads(fleet.run("--dry-run", queue, "--json").stdout)
    after = listing(fleet.directory)
    shared_memory = "state/queue.db-shm"  # an index into the log, which each reader may set up anew
    assert before | {shared_memory: after[shared_memory]} == after
    assert (plan["holder"], plan["in_hand"], [job["id"] for job in plan["starts"]]) == (None, [], ["a", "b"])


def filled(fleet: Fleet, *specs: JobSpec) -> Path:
    fleet.state.mkdir(parents=True, exist_ok=True)
    path = fleet.state / "queue.db"
    queue = SqliteQueue(path)
    now = SystemClock().now()
    queue.begin_run(now)
    queue.reconcile("feed", specs, now=now)
    ends = {"done": JobEvent.COMPLETED, "failed": JobEvent.GIVEN_UP, "quarantined": JobEvent.QUARANTINED}
    for number, (name, event) in enumerate(ends.items()):
        claim = queue.claim(now, str(number))
        assert claim is not None
        assert claim.job.spec.id == name
        queue.finish(str(number), Decision(event=event, counters=Counters()), now=now, seconds=1, outcome="x")
    queue.close()
    return path


def job(name: str, **fields: Any) -> JobSpec:
    return JobSpec(**{"id": name, "profile_id": name, "flow": "/flows/flow.py", **fields})


def ended() -> list[JobSpec]:
    return [job(name, priority=9) for name in ("done", "failed", "quarantined")]


def test_what_people_read(fleet: Fleet) -> None:
    """What starts, what does not and why, which facts hold already, what is left, and the limits; 80 columns are enough."""
    path = filled(
        fleet, *ended(), job("a", profile_id="x" * 32), job("waits", after=("failed",)), job("later", not_before=4_000_000_000.0)
    )  # fmt: skip
    FileSessionStore(fleet.state).write(
        SessionState(profile_id="x" * 32, completion_flags={"logged_in": True, "off": False}), fence=1
    )
    chosen = settings_of(fleet, batch_size="2", timeout="60")
    lines = lines_of(plan_run(chosen, path, None, NOTHING))
    assert lines[0] == "dry run, without a queue file"
    assert lines[1].startswith("limits: 5 at a time, batches of 2, 2 s between them, ")
    text = "\n".join(lines)
    assert "would start, in this order, in 1 batches: 1\n" in text
    assert "logged_in" in text and "off" not in text.partition("would start")[2].partition("would start")[0]
    assert "would start later: 1\n  JOB    NOT BEFORE\n  later  2096-10-02 07:06:40Z\n" in text
    assert "would not start: 1\n  JOB    WHY\n  waits  waits for failed (failed)\n" in text
    assert "left as they are: 1 done, 1 failed, 1 quarantined\n" in text
    assert max(map(len, lines)) <= 80


def test_the_limits_in_force(fleet: Fleet) -> None:
    """Those of the command line, of the settings, and by key of the queue; what is usual is said as such."""
    queue = fleet.write_queue(["a"])
    text = json.loads(queue.read_text("utf-8"))
    queue.write_text(json.dumps({**text, "limits": {"shop.example": {"rate": "5/min", "concurrency": 2}, "b": "1/s"}}))
    said = dry(fleet, queue, "--timeout", "300%", "--halt", "soon,fail=3", "--max-concurrent", 7)
    assert said.returncode == 0, said.stderr
    limits = " ".join(said.stdout.partition("limits: ")[2].partition("would start")[0].split())
    assert limits.startswith("7 at a time, ")
    assert "after 300% of the usual time in any case, halt soon,fail=3, shop.example: 5/min, 2 at a time" in limits
    assert limits.endswith("b: 1/s")


def test_what_is_asked_for_again(fleet: Fleet) -> None:
    """``--again`` starts all that ended, and what waited for it."""
    path = filled(fleet, *ended(), job("waits", after=("failed",)))
    plan = plan_run(settings_of(fleet), path, None, Ask(again=True, retry_failed=()))
    assert [start.id for start in plan.starts] == ["done", "failed", "quarantined", "waits"]
    assert (plan.held, plan.states) == ([], {JobState.QUEUED: 4})


def test_ten_thousand_jobs(fleet: Fleet) -> None:
    """All in JSON, the first of them for people; sessions are read of some."""
    path = filled(fleet, *ended(), *(job(f"j{n}", profile_id=f"p{n % 3000}") for n in range(10_000)))
    began = time.process_time()
    plan = plan_run(settings_of(fleet), path, None, NOTHING)
    lines = lines_of(plan)
    assert time.process_time() - began < 20
    assert len(plan.starts) == 10_000
    assert [start.flags is None for start in plan.starts[199:201]] == [False, True]
    assert "  … and 9960 more; --json shows all" in lines
    assert len(lines) < 60


def test_what_is_no_queue_is_refused(fleet: Fleet) -> None:
    """And stays what it is."""
    fleet.state.mkdir()
    path = fleet.state / "queue.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(BadInput, match="not a queue of Ostler"):
        plan_run(settings_of(fleet), path, None, NOTHING)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (("--notify-on", "everything"), "--notify-on"),
        (("--notify", "'"), "--notify"),
        (("--health-file", "queue.json"), "--health-file"),
        (("--job-log", "queue.json"), "--job-log"),
        (("--report", "gone/report.html"), "--report"),
    ],
)
def test_what_the_run_would_refuse_is_refused(fleet: Fleet, wrong: tuple[str, str], place: str) -> None:
    """Also what is only for the time after the start."""
    queue = fleet.write_queue(["a"])
    done = dry(fleet, queue, *wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert place in done.stderr
