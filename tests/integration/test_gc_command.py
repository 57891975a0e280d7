"""``ostler gc`` over real directories: what goes, what never does, and whom it does not disturb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from core.cli import main as cli
from core.clock import SystemClock
from core.domain.lifecycle import JobEvent, WorkspaceState
from core.domain.model import Counters, JobSpec
from core.domain.retention import DAY, Retention
from core.domain.retry import Decision
from core.domain.session import SessionState
from core.profiles.lock import FileProfileLocks
from core.queue.sqlite import SqliteQueue
from core.settings import Settings
from core.state.orchestrator_lock import OrchestratorLock
from core.state.sessions import FileSessionStore
from core.upkeep.collection import collect
from core.workspaces import marker
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    from core.upkeep.collection import Collection

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMA = CHECKOUT / "docs" / "schemas" / "gc.json"


@pytest.fixture
def settings(state_dir, log_dir) -> Settings:
    """Everything may go after ten days."""
    ten = dict.fromkeys(("logs_days", "events_days", "artifacts_days", "downloads_days", "workspaces_days"), 10.0)
    return Settings(state_dir=state_dir, log_dir=log_dir, retention=Retention(**ten))


def put(path: Path, *, age: float, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return aged(path, age)


def aged(path: Path, days: float) -> Path:
    for each in [path, *path.rglob("*")]:
        os.utime(each, (time.time() - days * DAY,) * 2)
    return path


def known(settings: Settings, *profiles: str) -> None:
    """Make locks, as every profile that ever ran has one."""
    for profile in profiles:
        put(settings.state_dir / "locks" / f"{profile}.lock", age=0)


def gc(settings: Settings, *, dry_run: bool = False) -> Collection:
    clock = SystemClock()
    return collect(settings, FileProfileLocks(settings.state_dir, clock), now=clock.now(), dry_run=dry_run)


def paths(found: Collection) -> set[Path]:
    return {Path(each.path) for each in found.removed}


def everything(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if path.is_file()}


def test_what_is_old_goes_and_what_is_young_stays(settings):
    """Of each kind; a directory is as old as its youngest file; empty directories of a profile go along."""
    known(settings, "p1", "p2")
    state, logs = settings.state_dir, settings.log_dir
    old = {
        put(logs / "p1.log", age=11),
        put(logs / "p1.log.1", age=12),
        put(logs / "orchestrator.log.1", age=11),
        put(logs / "events.jsonl.1", age=11),
        put(state / "artifacts" / "p1" / "1" / "page.html", age=11).parent,
        put(state / "downloads" / "p1" / "bill.pdf", age=11),
    }
    for directory in (state / "artifacts" / "p1" / "1", state / "artifacts" / "p2"):
        directory.mkdir(parents=True, exist_ok=True)
        aged(directory, 11)
    young = {
        put(logs / "p2.log", age=9),
        put(state / "artifacts" / "p2" / "1" / "new.html", age=9),
        put(state / "artifacts" / "p2" / "1" / "old.html", age=99),
    }
    found = gc(settings)
    assert paths(found) == old
    assert not any(path.exists() for path in old) and all(path.exists() for path in young)
    assert not (state / "artifacts" / "p1").exists()
    assert found.skipped == () and found.bytes == 6


def test_what_is_not_ours_and_what_must_stay_is_never_touched(settings):
    """Other people's logs, logs in use, sessions, profiles, locks, the queue: however old."""
    known(settings, "p1")
    FileSessionStore(settings.state_dir).write(SessionState(profile_id="p1"), fence=1)
    SqliteQueue(settings.state_dir / "queue.db").close()
    put(settings.state_dir / "profiles" / "p1" / "browser_profile" / "Default" / "Cookies", age=999)
    put(settings.state_dir / "profiles" / "p1" / "metadata.json", age=999, text="{}")
    for name in ("syslog.log", "alternatives.log.1", "events.jsonl", "orchestrator.log", "notes.txt", "p1.txt"):
        put(settings.log_dir / name, age=999)
    (settings.log_dir / "p1.log").symlink_to(settings.log_dir / "notes.txt")
    aged(settings.state_dir, 999)
    before = everything(settings.state_dir) | everything(settings.log_dir)
    assert gc(settings).removed == ()
    assert before <= everything(settings.state_dir) | everything(settings.log_dir)


def test_a_dry_run_says_the_same_and_changes_nothing(settings):
    """Nothing is removed, not even looked at under a lock."""
    known(settings, "p1")
    put(settings.log_dir / "p1.log", age=11)
    before = everything(settings.log_dir.parent)
    said = gc(settings, dry_run=True)
    assert everything(settings.log_dir.parent) == before
    assert said.removed == gc(settings).removed != ()


def test_a_profile_in_use_keeps_its_things(settings):
    """Somebody runs it by hand: it is said, and the rest goes."""
    known(settings, "p1", "p2")
    for profile in ("p1", "p2"):
        put(settings.log_dir / f"{profile}.log", age=11)
    with FileProfileLocks(settings.state_dir, SystemClock()).hold("p1", "run.py"):
        for dry_run in (True, False):
            found = gc(settings, dry_run=dry_run)
            assert paths(found) == {settings.log_dir / "p2.log"}
            assert [(each.path, each.in_use) for each in found.skipped] == [(str(settings.log_dir / "p1.log"), True)]
            assert "run.py" in found.skipped[0].reason
    assert (settings.log_dir / "p1.log").exists()


def test_copies_of_crashed_attempts_stay_until_they_are_old(settings):
    """A pending job takes its copy over; without a pending job, or half made, it goes at once; a live one never."""
    state = settings.state_dir
    queue = SqliteQueue(state / "queue.db")
    queue.begin_run(1.0)
    queue.reconcile(
        "f", [JobSpec(id=name, profile_id=name, flow="/f.py") for name in ("young", "old", "half")], now=1.0
    )
    queue.close()
    spaces = FileWorkspaces(state)
    made = {name: spaces.acquire(name, 1, template=None).root for name in ("young", "old", "half", "done")}
    half = made["half"].rename(made["half"].with_name(".new-half-1.abcd"))
    stranger = put(state / "workspaces" / "mine" / "notes.txt", age=99).parent
    aged(made["old"], 11)
    assert paths(gc(settings)) == {made["old"], half, made["done"]}
    assert made["young"].is_dir() and stranger.is_dir()
    assert marker.read(made["young"]).state is WorkspaceState.VERIFIED


def test_finished_jobs_are_forgotten_only_when_asked_for(settings, state_dir):
    """By default their records stay: without them the feed would run them again."""
    queue = SqliteQueue(state_dir / "queue.db")
    queue.begin_run(1.0)
    queue.reconcile("f", [JobSpec(id="a", profile_id="a", flow="/f.py")], now=1.0)
    queue.claim(2.0, "n")
    queue.record_go("n", fence=1, user_data_dir=None, now=3.0)
    done = Decision(event=JobEvent.COMPLETED, counters=Counters(attempts=1), retry_at=None, reason="")
    queue.finish("n", done, now=4.0, seconds=1.0, outcome="done")
    queue.close()
    assert gc(settings).jobs == 0
    asked = Settings(state_dir=state_dir, log_dir=settings.log_dir, retention=Retention(jobs_days=1.0))
    assert [gc(asked, dry_run=True).jobs, gc(asked).jobs, gc(asked).jobs] == [1, 1, 0]


def ostler(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    here = ["--state-dir", str(settings.state_dir), "--log-dir", str(settings.log_dir)]
    line = [sys.executable, "-m", "core.cli.main", "gc", *here, *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False, cwd=CHECKOUT)


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    value = json.loads(done.stdout)
    jsonschema.validate(value, json.loads(SCHEMA.read_text("utf-8")))
    return value


def test_the_command_refuses_beside_an_orchestrator_and_names_it(settings):
    """Exit 5 and nothing touched; a dry run only looks and is allowed."""
    known(settings, "p1")
    log = put(settings.log_dir / "p1.log", age=99)
    with OrchestratorLock(settings.state_dir, SystemClock()).hold():
        refused = ostler(settings)
        assert refused.returncode == 5
        assert f"orchestrator, pid {os.getpid()}" in refused.stderr
        assert [each["path"] for each in printed(ostler(settings, "--dry-run", "--json"))["removed"]] == [str(log)]
    assert log.exists()
    assert printed(ostler(settings, "--json"))["bytes"] == 1
    assert not log.exists()
    assert ostler(settings).stdout == "nothing to remove\n"


def test_what_was_planted_is_left_alone_and_said(settings, tmp_path):
    """Links, directories and pipes where our files stand: nothing of theirs goes, ours does, and that is a success."""
    known(settings, "p1", "p2", "p3", "p4")
    state, logs = settings.state_dir, settings.log_dir
    treasure = put(tmp_path / "treasure" / "important.txt", age=99).parent
    old = {
        put(logs / "events.jsonl.2", age=99), put(logs / "p1.log", age=99), put(state / "artifacts" / "p1" / "1" / "a", age=99).parent
    }  # fmt: skip
    aged(state / "artifacts" / "p1" / "1", 99)
    planted = {
        logs / "events.jsonl.1": treasure,
        logs / "p2.log": treasure / "important.txt",
        state / "artifacts" / "p1" / "2": treasure,
        state / "artifacts" / "p2": treasure,
        state / "downloads" / "p3": tmp_path / "nowhere",
    }
    for link, target in planted.items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    put(logs / "p3.log" / "x", age=99)
    os.mkfifo(logs / "p4.log")
    put(state / "artifacts" / "p4", age=99)
    said = printed(ostler(settings, "--dry-run", "--json"))
    done = ostler(settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(path.exists() for path in old)
    assert all(link.is_symlink() for link in planted) and (treasure / "important.txt").exists()
    lines = done.stdout.splitlines()
    assert lines[-1] == "removed: 1 artifacts, 1 events, 1 log; 3 B"
    assert [line for line in lines if "events.jsonl.1" in line] == [
        f"left alone: {logs / 'events.jsonl.1'} is a link to {treasure}, not Ostler's; if nobody needs it: rm {logs / 'events.jsonl.1'}"
    ]
    found = {Path(each["path"]): each["found"] for each in said["foreign"]}
    assert found == {
        **{link: f"a link to {target}" for link, target in planted.items()},
        logs / "p3.log": "a directory",
        logs / "p4.log": "no file",
        state / "artifacts" / "p4": "a file",
    }
    assert printed(ostler(settings, "--json"))["foreign"] == said["foreign"]


def test_what_is_ours_and_cannot_be_removed_is_a_fault_of_the_host(settings, monkeypatch):
    """Exit 7 names it; the rest goes."""
    known(settings, "p1", "p2")
    stays, goes = put(settings.log_dir / "p1.log", age=99), put(settings.log_dir / "p2.log", age=99)
    unlink = Path.unlink

    def refusing(path: Path, **options: bool) -> None:
        if path == stays:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refusing)
    here = ["--state-dir", str(settings.state_dir), "--log-dir", str(settings.log_dir)]
    assert cli.main(["gc", *here]) == 7
    assert stays.exists() and not goes.exists()


def test_where_nothing_is_nothing_is_made(tmp_path):
    """A mistyped directory is not created."""
    settings = Settings(state_dir=tmp_path / "no" / "state", log_dir=tmp_path / "no" / "logs")
    assert ostler(settings).stdout == "nothing to remove\n"
    assert list(tmp_path.iterdir()) == []
