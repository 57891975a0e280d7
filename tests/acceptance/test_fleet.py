"""What a user does with a fleet, with flows that open no browser: start, kill, start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.fleet import BRISK, FLOWS, Fleet, children_of

if TYPE_CHECKING:
    from pathlib import Path

IDS = [f"p{number:03d}" for number in range(12)]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(directory=tmp_path)


def once_each(ids: list[str]) -> dict[tuple[str, str], int]:
    return {(profile, effect): 1 for profile in ids for effect in ("first", "second")}


def test_a_queue_runs_to_its_end_and_a_second_run_has_nothing_to_do(fleet: Fleet) -> None:
    """Each effect once, at most five workers at a time, nothing left; the same command again says so and exits 0."""
    queue = fleet.write_queue(IDS, seconds=0.2)
    first = fleet.run("--max-concurrent", 5, queue, *BRISK)
    assert first.returncode == 0, first.stdout + first.stderr
    assert fleet.effects() == once_each(IDS)
    assert 2 <= peak_overlap(fleet) <= 5
    again = fleet.run("--max-concurrent", 5, queue, *BRISK)
    assert again.returncode == 0, again.stderr
    assert "12 done, nothing to do" in again.stdout
    assert fleet.effects() == once_each(IDS)
    assert fleet.leftovers() == []


def peak_overlap(fleet: Fleet) -> int:
    running = peak = 0
    for event in fleet.events():
        running += {"attempt_started": 1, "attempt_ended": -1}.get(event["type"], 0)
        peak = max(peak, running)
    return peak


def test_a_killed_orchestrator_goes_on_at_no_cost(fleet: Fleet) -> None:
    """Kill -9 in the middle; the same command finishes, repeats no committed step and burns no retry."""
    queue = fleet.write_queue(IDS, seconds=0.3)
    orchestrator = fleet.start("--max-concurrent", 3, queue, *BRISK)
    fleet.wait_for(lambda: len(fleet.events("step_committed")) >= 5)
    orchestrator.kill()
    orchestrator.wait()
    result = fleet.run("--max-concurrent", 3, queue, *BRISK)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {key for key, number in fleet.effects().items() if key[1] == "first" and number > 1} == set()
    assert fleet.query("SELECT sum(failures), sum(crash_streak) FROM jobs") == [(0, 0)]
    assert {line["profile_id"] for line in fleet.ledger() if line["effect"] == "second"} == set(IDS)
    assert fleet.leftovers() == []


def test_a_profile_that_kills_its_worker_is_quarantined_and_the_rest_finish(fleet: Fleet) -> None:
    """Three crashes in a row with nothing committed between: poison; exit code 3 says so."""
    queue = fleet.write_queue(IDS, die=["p003"])
    result = fleet.run("--max-concurrent", 4, queue, *BRISK)
    assert result.returncode == 3, result.stdout + result.stderr
    states = dict(fleet.query("SELECT id, state FROM jobs"))
    assert states.pop("p003") == "quarantined"
    assert set(states.values()) == {"done"}
    attempts = [event for event in fleet.events("attempt_ended") if event["job"] == "p003"]
    # the first crash came after a commit in the same attempt, which starts the streak anew
    assert [event["outcome"] for event in attempts] == ["crashed"] * 3
    session = json.loads((fleet.state / "sessions" / "p003.json").read_text())["payload"]
    assert session["status"] == "QUARANTINED"
    assert session["completion_flags"] == {"first_done": True}
    assert fleet.leftovers() == []


def test_failures_and_people_have_their_exit_codes(fleet: Fleet) -> None:
    """A step that fails three times fails the job (1); one that needs a person parks it (4); 1 comes first."""
    queue = fleet.write_queue(["a", "b", "c"], fail=["a"], ask=["b"])
    result = fleet.run(queue, *BRISK)
    assert result.returncode == 1, result.stdout + result.stderr
    assert dict(fleet.query("SELECT id, state FROM jobs")) == {"a": "failed", "b": "parked", "c": "done"}
    assert "asked to fail" in result.stdout and "asked for one" in result.stdout
    queue = fleet.write_queue(["b", "c"], ask=["b"])
    assert fleet.run(queue, *BRISK).returncode == 4
    queue = fleet.write_queue(["b", "c"])
    assert fleet.run(queue, *BRISK).returncode == 0
    assert fleet.leftovers() == []


def test_failed_jobs_are_tried_again_by_class(fleet: Fleet) -> None:
    """Only those of the class; without one all of them, in the form that it always had; mistakes launch nothing."""
    queue = fleet.write_queue(["a", "b"], fail=["a"])
    assert fleet.run(queue, *BRISK, "--retries", 0).returncode == 1
    assert [(end["job"], end["code"]) for end in fleet.events("attempt_ended")].count(("a", "unknown")) == 1
    assert fleet.query("SELECT id, state, code, codes FROM jobs WHERE id = 'a'") == [
        ("a", "failed", "unknown", '{"unknown":1}')
    ]
    for wrong, said in (
        (("--retry-failed", "netwrk"), "found 'netwrk' (did you mean network?)"),
        (
            ("--retries", 1, "--max-attempts", 2),
            "retries: expected --retries or --max-attempts, which is one more, found both",
        ),
    ):
        refused = fleet.run(queue, *BRISK, *wrong)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    queue = fleet.write_queue(["a", "b"])
    assert fleet.run(queue, *BRISK, "--retry-failed", "network").returncode == 1
    assert len(fleet.events("attempt_ended")) == 2
    assert fleet.run(*BRISK, "--retry-failed", "unknown,timeout", queue).returncode == 0
    assert fleet.query("SELECT state, code, codes FROM jobs WHERE id = 'a'") == [("done", "", "{}")]
    queue = fleet.write_queue(["a", "b", "c"], fail=["c"])
    assert fleet.run(queue, *BRISK, "--retries", 0).returncode == 1
    fleet.write_queue(["a", "b", "c"])
    assert fleet.run(*BRISK, "--retry-failed", queue).returncode == 0
    assert fleet.leftovers() == []


def test_two_signals_drain_and_then_stop(fleet: Fleet) -> None:
    """The first ^C lets running jobs end and starts no more; the second ends them; exit 6; the next run finishes."""
    queue = fleet.write_queue(IDS, seconds=60)
    orchestrator = fleet.start("--max-concurrent", 2, queue, *BRISK, "--stop-grace", 5)
    fleet.wait_for(lambda: len([e for e in fleet.events("step_started") if e["step"] == "second"]) == 2)
    orchestrator.send_signal(signal.SIGINT)
    fleet.wait_for(lambda: fleet.events("stop_asked"))
    assert orchestrator.poll() is None
    orchestrator.send_signal(signal.SIGINT)
    assert orchestrator.wait(20) == 6
    assert len(fleet.events("attempt_started")) == 2
    assert fleet.query("SELECT sum(failures), sum(crash_streak) FROM jobs") == [(0, 0)]
    queue = fleet.write_queue(IDS)
    assert fleet.run(queue, *BRISK).returncode == 0
    assert fleet.effects() == once_each(IDS)
    assert fleet.leftovers() == []


def test_a_second_orchestrator_names_the_holder(fleet: Fleet) -> None:
    """One per state directory: the second exits with 5, naming pid and host, and changes nothing."""
    queue = fleet.write_queue(["a"], seconds=60)
    orchestrator = fleet.start(queue, *BRISK)
    try:
        fleet.wait_for(lambda: fleet.events("step_started"))
        second = fleet.run(queue, *BRISK, timeout=20)
        assert second.returncode == 5
        assert str(orchestrator.pid) in second.stderr and os.uname().nodename in second.stderr
    finally:
        orchestrator.kill()
        orchestrator.wait()
    assert fleet.leftovers() == []


def test_a_frozen_worker_is_noticed_and_its_tree_is_gone(fleet: Fleet) -> None:
    """SIGSTOP makes no progress: the attempt times out, is killed and tried again."""
    queue = fleet.directory / "queue.json"
    queue.write_text(json.dumps({"defaults": {"flow": str(FLOWS / "freezing.py")}, "jobs": ["a"]}))
    result = fleet.run(queue, *BRISK, "--progress-timeout", 2, "--stop-grace", 1, timeout=90)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [event["outcome"] for event in fleet.events("attempt_ended")] == ["timed_out", "done"]
    assert fleet.leftovers() == []


def test_workers_end_with_a_frozen_orchestrator_that_is_taken_over(fleet: Fleet) -> None:
    """A frozen orchestrator is named, killed with --take-over, and its fleet goes on without it."""
    queue = fleet.write_queue(IDS, seconds=0.5)
    frozen = fleet.start("--max-concurrent", 2, queue, *BRISK)
    fleet.wait_for(lambda: fleet.events("step_committed"))
    frozen.send_signal(signal.SIGSTOP)
    result = fleet.run("--max-concurrent", 2, queue, *BRISK, "--take-over")
    assert result.returncode == 0, result.stdout + result.stderr
    assert frozen.wait(10) == -signal.SIGKILL
    assert {line["profile_id"] for line in fleet.ledger() if line["effect"] == "second"} == set(IDS)
    assert {key for key, number in fleet.effects().items() if key[1] == "first" and number > 1} == set()
    assert fleet.leftovers() == []


def test_a_worker_that_blocks_its_loop_ends_with_its_orchestrator(fleet: Fleet) -> None:
    """User code that never yields cannot outlive the orchestrator by more than ten seconds."""
    queue = fleet.write_queue(["a"], blocked=300)
    orchestrator = fleet.start(queue, *BRISK)
    fleet.wait_for(lambda: [e for e in fleet.events("step_started") if e["step"] == "second"])
    worker = fleet.wait_for(lambda: children_of(orchestrator.pid)["worker"])[0]
    orchestrator.kill()
    orchestrator.wait()
    assert psutil.wait_procs([worker], timeout=15)[1] == []
    assert fleet.processes() == []


def test_without_a_queue_it_goes_on_with_what_the_state_directory_holds(fleet: Fleet) -> None:
    """After a stop, the bare command finishes the queue; --again runs done jobs as a new generation."""
    queue = fleet.write_queue(IDS, seconds=0.3)
    orchestrator = fleet.start("--max-concurrent", 2, queue, *BRISK)
    fleet.wait_for(lambda: fleet.events("step_committed"))
    orchestrator.kill()
    orchestrator.wait()
    assert fleet.run(*BRISK).returncode == 0
    assert set(dict(fleet.query("SELECT id, state FROM jobs")).values()) == {"done"}
    assert fleet.run(queue, "--again", *BRISK).returncode == 0
    assert fleet.query("SELECT DISTINCT generation FROM jobs") == [(2,)]
    assert fleet.effects() == once_each(IDS), "flags are facts about the profile: what is done stays done"


def test_ids_come_from_standard_input(fleet: Fleet) -> None:
    """Plain IDs, one a line, with the flow from the command line."""
    flow = fleet.directory / "hello.py"
    flow.write_text(
        "from workers.steps import Flow\n"
        'flow = Flow("hello", browser=False)\n'
        "@flow.step\n"
        "async def greet(ctx):\n"
        '    ctx.outputs["greeting"] = f"hello {ctx.profile_id}"\n'
    )
    result = fleet.run("-", "--flow", flow, *BRISK, stdin="alice\nbob\n")
    assert result.returncode == 0, result.stderr
    outputs = json.loads((fleet.state / "sessions" / "bob.json").read_text())["payload"]["outputs"]
    assert outputs == {"greeting": "hello bob"}


def test_bad_input_launches_nothing(fleet: Fleet) -> None:
    """One wrong job of three: exit 2, a line that names it, no state, no worker."""
    queue = fleet.directory / "queue.json"
    queue.write_text('{"jobs": ["a",\n {"profile_id": "b", "priorty": 3},\n "c"]}')
    result = fleet.run(queue)
    assert result.returncode == 2
    assert f"{queue}:2:" in result.stderr and "priorty" in result.stderr and "priority" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (fleet.state / "queue.db").exists()


def test_an_unknown_parameter_is_named_before_launch(fleet: Fleet) -> None:
    """Parameters are checked against what the flow declares."""
    queue = fleet.write_queue(["a"], seconds="long")
    result = fleet.run(queue)
    assert result.returncode == 2
    assert "seconds" in result.stderr and "Traceback" not in result.stderr


def test_a_watching_fleet_follows_its_feed(fleet: Fleet) -> None:
    """Added jobs run, a broken edit keeps the last good version and is said."""
    queue = fleet.write_queue(["a"])
    orchestrator = fleet.start(queue, "--watch", *BRISK)
    try:
        fleet.wait_for(lambda: [e for e in fleet.events("job_changed") if e["job"] == "a" and e["state"] == "done"])
        queue.write_text('{"jobs": [')
        fleet.wait_for(lambda: fleet.events("feed_rejected"))
        fleet.write_queue(["a", "b"])
        fleet.wait_for(lambda: [e for e in fleet.events("job_changed") if e["job"] == "b" and e["state"] == "done"])
        orchestrator.send_signal(signal.SIGTERM)
        assert orchestrator.wait(20) == 0
    finally:
        orchestrator.kill()
        orchestrator.wait()


def test_ten_thousand_queued_start_soon_after_a_kill(fleet: Fleet) -> None:
    """After kill -9 with 10,000 queued the first new worker comes soon; the bound has a wide margin over 3 s."""
    queue = fleet.write_queue([f"q{number:05d}" for number in range(10_000)], seconds=1)
    orchestrator = fleet.start("--max-concurrent", 2, queue, *BRISK)
    fleet.wait_for(lambda: fleet.events("step_started"))
    orchestrator.kill()
    orchestrator.wait()
    began, before = time.time(), len(fleet.events("attempt_started"))
    orchestrator = fleet.start("--max-concurrent", 2, queue, *BRISK)
    try:
        fleet.wait_for(lambda: len(fleet.events("attempt_started")) > before)
        assert fleet.events("attempt_started")[before]["at"] - began < 12
    finally:
        orchestrator.kill()
        orchestrator.wait()
    assert fleet.leftovers() == []


def test_a_profile_held_by_hand_goes_back_to_the_queue(fleet: Fleet) -> None:
    """A busy profile costs nothing: its job waits and runs when the holder is gone."""
    from core.clock import SystemClock
    from core.profiles.lock import FileProfileLocks

    queue = fleet.write_queue(["a", "b"])
    locks = FileProfileLocks(fleet.state, SystemClock())
    with locks.hold("a", "a test"):
        orchestrator = fleet.start(queue, *BRISK)
        fleet.wait_for(lambda: [e for e in fleet.events("attempt_ended") if e["outcome"] == "busy"])
    assert orchestrator.wait(30) == 0
    assert fleet.effects() == once_each(["a", "b"])
    assert fleet.query("SELECT sum(failures) FROM jobs") == [(0,)]


def test_it_works_from_any_directory(fleet: Fleet) -> None:
    """The command line help answers with the system's own Python, wherever one stands."""
    from tests.fleet import ROOT

    done = subprocess.run(
        ["python3", str(ROOT / "orchestrator.py"), "--help"], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0 and "--max-concurrent" in done.stdout
