"""``ostler doctor`` on a sound host, on a damaged state directory, and after a kill: it lists, and touches nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.clock import SystemClock
from core.domain.session import SessionState
from core.profiles.lock import FileProfileLocks
from core.state.sessions import FileSessionStore
from core.upkeep import leftovers
from core.upkeep.finding import Level
from core.workspaces import marker
from core.workspaces.files import FileWorkspaces
from tests.fleet import BRISK, ROOT, Fleet

if TYPE_CHECKING:
    from pathlib import Path

    from core.upkeep.finding import Finding

SCHEMA = ROOT / "docs" / "schemas" / "doctor.json"


def doctor(state: Path, logs: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    line = [
        sys.executable,
        "-m",
        "core.cli.main",
        "doctor",
        "--state-dir",
        str(state),
        "--log-dir",
        str(logs),
        *arguments,
    ]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env={**os.environ, **env}
    )


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(value, json.loads(SCHEMA.read_text("utf-8")))
    return value


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.mark.browser
def test_a_sound_host_is_well_and_nothing_is_left(tmp_path, browser_executable):
    """Every check is there, a real browser among them; not even the directories are made."""
    done = doctor(tmp_path / "state", tmp_path / "logs", "--json")
    found = printed(done)
    assert (done.returncode, found["well"]) == (0, True), done.stdout + done.stderr
    checks = {finding["check"] for finding in found["findings"]}
    assert checks >= {
        "python",
        "packages",
        "descriptors",
        "clock",
        "disk",
        "locks",
        "writes",
        "driver",
        "browser",
        "sandbox",
        "queue",
    }
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_is_named_and_left_as_it_is(tmp_path):
    """A session, a queue, metadata and a browser: each with what to type, exit 1, not a byte changed."""
    state = tmp_path / "state"
    store = FileSessionStore(state)
    for profile in ("good", "bad", "back"):
        store.write(SessionState(profile_id=profile), fence=1)
    store.write(SessionState(profile_id="back", status="DONE"), fence=1)
    for profile in ("bad", "back"):
        (state / "sessions" / f"{profile}.json").write_bytes(b'{"schema": 1, "gener')
    (state / "queue.db").write_bytes(b"not a database")
    (state / "profiles" / "p1").mkdir(parents=True)
    (state / "profiles" / "p1" / "metadata.json").write_bytes(b"[")
    before = contents(tmp_path)
    done = doctor(state, tmp_path / "logs", "--json", OSTLER_BROWSER="/bin/false")
    found = printed(done)
    assert (done.returncode, found["well"]) == (1, False), done.stderr
    wrong = {(each["check"], each["level"]): each for each in found["findings"] if each["level"] != "ok"}
    assert {
        ("sessions", "bad"),
        ("sessions", "warn"),
        ("queue", "bad"),
        ("profiles", "bad"),
        ("browser", "bad"),
    } <= set(wrong)
    assert "ostler session reset bad" in wrong["sessions", "bad"]["fix"]
    assert str(state / "sessions" / "back.json") in wrong["sessions", "warn"]["what"]
    assert all(each["fix"] for each in wrong.values())
    assert contents(tmp_path) == before
    assert "BAD   queue" in doctor(state, tmp_path / "logs", OSTLER_BROWSER="/bin/false").stdout


def levels(findings: list[Finding]) -> list[tuple[str, Level]]:
    return [(finding.check, finding.level) for finding in findings]


def test_what_a_killed_run_left_is_listed_and_not_touched(tmp_path):
    """Orchestrator and worker are killed at once: the attempt is named; while they run nothing is."""
    fleet = Fleet(directory=tmp_path)
    orchestrator = fleet.start(fleet.write_queue(["slow"], seconds=60), *BRISK)
    try:
        worker = fleet.wait_for(lambda: fleet.events("attempt_started"))[0]["pid"]
        queue, attempts = leftovers.check_queue(fleet.state / "queue.db")
        assert queue.level is Level.OK
        assert levels(leftovers.check_attempts(attempts, runs=True)) == [("earlier runs", Level.OK)]
        # without an orchestrator that worker would be a leftover: it is recognised as one of ours
        (orphan,) = leftovers.check_attempts(attempts, runs=False)
        assert (orphan.check, orphan.level) == ("processes", Level.WARN) and str(worker) in orphan.what
    finally:
        orchestrator.send_signal(signal.SIGKILL)
        orchestrator.wait()
    fleet.wait_for(lambda: fleet.processes() == [])
    _, attempts = leftovers.check_queue(fleet.state / "queue.db")
    # a process that is just being torn down has no command line any more, and is not dead yet
    ended = [("earlier runs", Level.WARN)]
    fleet.wait_for(lambda: levels(leftovers.check_attempts(attempts, runs=False)) == ended)
    (cut_off,) = leftovers.check_attempts(attempts, runs=False)
    assert (cut_off.check, cut_off.level) == ("earlier runs", Level.WARN) and "slow" in cut_off.what
    assert len(leftovers.check_queue(fleet.state / "queue.db")[1]) == 1


def test_half_made_things_are_listed(state_dir):
    """Copies, temporary files and scratch directories of the dead, but not those of a profile that somebody holds."""
    spaces = FileWorkspaces(state_dir)
    for profile in ("p1", "p2"):
        root = spaces.acquire(profile, 1, template=None).root
        root.rename(root.with_name(f".new-{profile}-1.abcd"))
    (state_dir / "sessions").mkdir()
    (state_dir / "sessions" / ".p1.json.0123456789abcdef.ostler-tmp").touch()
    dead = state_dir / "probe-01234567"
    dead.mkdir()
    os.utime(dead, (0, 0))
    (state_dir / ".doctor-young").mkdir()
    locks = FileProfileLocks(state_dir, SystemClock())
    before = sorted(state_dir.rglob("*"))
    with locks.hold("p2", "run.py"):
        found = leftovers.check_directories(state_dir, lambda name: locks.holder(name) is not None, runs=False)
    said = "; ".join(finding.what for finding in found)
    assert {finding.level for finding in found} == {Level.WARN}
    assert ".new-p1-1.abcd" in said and ".new-p2" not in said
    assert ".ostler-tmp" in said and "probe-01234567" in said and ".doctor-young" not in said
    assert [
        path for path in sorted(state_dir.rglob("*")) if "locks" not in path.parts and "profiles" not in path.parts
    ] == [path for path in before if "locks" not in path.parts and "profiles" not in path.parts]
    assert leftovers.check_directories(state_dir, lambda _: False, runs=True) == []


def test_a_browser_that_nobody_looks_after_is_found(state_dir):
    """By its user-data-dir below our copies; not while an attempt or a holder of the profile knows it."""
    work = FileWorkspaces(state_dir).acquire("p1", 1, template=None)
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    line = [sys.executable, "-c", code, f"--user-data-dir={work.user_data_dir}"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            root = state_dir / "workspaces"
            (found,) = leftovers.check_browsers(root, [], lambda _: False)
            assert found.level is Level.WARN and f"kill {child.pid}" in found.fix
            assert leftovers.check_browsers(root, [], lambda name: name == "p1") == []
        finally:
            child.kill()
    assert marker.is_marked(work.root)
