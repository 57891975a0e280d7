"""Profiles between processes: twenty that do everything with one profile, and those that hold one when it is to go."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from core.profiles import ProfileInUse, ProfileManager, places
from core.profiles.lock import FileProfileLocks
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore

CHILDREN = Path(__file__).resolve().parents[1] / "children"
CHECKOUT = CHILDREN.parents[1]
ENV = {"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]}
PROCESSES = 20


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, CHILDREN / program, *map(str, arguments)], text=True, cwd=CHECKOUT, env=ENV,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def look(state: Path, manager: ProfileManager) -> None:
    """What must hold at any moment, seen from outside: no half profile, valid metadata, at most one that is active."""
    store, logins = FileProfileStore(state), FileLoginStateStore(state)
    found = manager.list()
    assert sum(profile.status == "active" for profile in found) <= 1
    assert all(profile.status != "corrupted" for profile in found if places.is_there(places.profile(state, profile.id)))
    for name in places.ids(state):
        metadata = store.read(name)  # raises if it is not whole; None if it was deleted meanwhile
        assert metadata is None or metadata.profile_id == name
        assert metadata is None or not places.is_there(places.profile(state, name)) or logins.look(name)[0]


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_twenty_processes_on_one_profile(state_dir, seconds):
    """They activate, deactivate, delete, create, tag and list it at once: everything is whole at every moment and at the end."""
    manager = ProfileManager(state_dir)
    manager.create("q")
    with contextlib.ExitStack() as stack:
        racers = [stack.enter_context(started("profile_racer.py", state_dir, seed)) for seed in range(PROCESSES)]
        for racer in racers:
            stack.callback(racer.kill)
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        end = time.monotonic() + seconds
        looks = 0
        while time.monotonic() < end:
            look(state_dir, manager)
            looks += 1
        said = [racer.communicate(timeout=120) for racer in racers]
    assert [(racer.returncode, error) for racer, (_, error) in zip(racers, said, strict=True) if racer.returncode] == []
    counts: Counter[str] = Counter()
    for out, _ in said:
        for part in out.strip().split(" | "):
            name, _, number = part.rpartition(" ")
            counts[name] += int(number)
    print(f"{looks} looks, {dict(counts)}")
    assert looks > 1
    assert all(counts[name] for name in ("activate", "deactivate", "create", "delete", "list", "tag"))
    look(state_dir, manager)
    store = FileProfileStore(state_dir)
    claims = [name for name in places.ids(state_dir) if store.read(name).status == "active"]
    assert claims == [name for name in [manager.registry.get_active()] if name is not None]
    assert places.begun(state_dir) == []
    assert {path.name for path in (state_dir / "profiles").iterdir()} <= {"p", "q", ".active"}


@contextlib.contextmanager
def holder(state: Path, mode: str = "wait", what: str = "attempt 1 of job a"):
    """Somebody who holds profile a."""
    process = started("lock_holder.py", state, "a", what, mode)
    with process:
        try:
            grandchild = int(process.stdout.readline()) if mode == "grandchild" else None
            assert process.stdout.readline() == "held\n"
            yield process, grandchild
        finally:
            process.kill()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int) -> None:
    """Wait until a process that was killed is gone; its parent may still have to be told."""
    end = time.monotonic() + 30
    while is_alive(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < end
        os.sched_yield()


@pytest.fixture
def manager(state_dir):
    found = ProfileManager(state_dir, lock_timeout=5, stop_grace=0.5)
    found.create("a")
    return found


def test_force_stops_who_works_with_it(manager, state_dir):
    """Asked to end first; the profile is gone once it has."""
    with holder(state_dir) as (process, _):
        manager.delete("a", force=True)
        assert process.wait(10) == -signal.SIGTERM
    assert manager.list() == ()


def test_force_kills_what_does_not_end(manager, state_dir):
    """A frozen holder, and what it has started, are killed after the grace."""
    with holder(state_dir, "grandchild") as (process, grandchild):
        process.send_signal(signal.SIGSTOP)
        manager.delete("a", force=True)
        assert process.wait(10) in (-signal.SIGKILL, -signal.SIGTERM)
        gone(grandchild)
    assert manager.list() == ()


def test_a_holder_that_cannot_be_proven_is_not_stopped(manager, state_dir):
    """Whose record names another process, or another host: it is named, and lives, and the profile stays."""
    record = state_dir / "profiles" / "a" / ".lock"
    with holder(state_dir) as (process, _):
        plain = msgspec.json.decode(record.read_bytes())
        for change, why in (
            ({"started": 1}, "not the one on record"),
            ({"pid": 2**22 - 1}, "not the one on record"),
            ({"host": "elsewhere"}, "stop it there"),
        ):
            record.write_bytes(msgspec.json.encode(plain | change))
            with pytest.raises(ProfileInUse, match=why):
                manager.delete("a", force=True)
        assert process.poll() is None
    assert [profile.id for profile in manager.list()] == ["a"]


def test_the_record_of_a_killed_holder_is_removed_with_a_warning(manager, state_dir):
    """Its process is proven dead; the warning says who it was. The same for what nobody needs to be waited for any more."""
    for clean_up in (manager.locks.cleanup_stale, lambda: manager.activate("a"), manager.doctor):
        manager.deactivate()
        with holder(state_dir) as (process, _):
            assert manager.locks.cleanup_stale() == []  # it lives
            process.kill()
            process.wait()
        assert (state_dir / "profiles" / "a" / ".lock").exists()
        assert not manager.locks.is_locked("a")
        with capture_logs() as logs:
            clean_up()
        warnings = [line for line in logs if line["event"] == "stale_lock_removed"]
        assert [(line["pid"], line["holder"], line["what"]) for line in warnings] == [
            (process.pid, "dead", "attempt 1 of job a")
        ]
        assert not (state_dir / "profiles" / "a" / ".lock").exists()


def test_a_record_of_another_boot_is_stale_too(manager, state_dir):
    """And one of a process that lives, but has let go: the kernel's lock is free, so nobody holds it."""
    record = state_dir / "profiles" / "a" / ".lock"
    locks = FileProfileLocks(state_dir, manager._clock)
    with locks.hold("a", "somebody"):
        plain = msgspec.json.decode(record.read_bytes())
    for change, fate in (({}, "lives, but has let go"), ({"boot_id": "other"}, "of another host or boot")):
        record.write_bytes(msgspec.json.encode(plain | change))
        with capture_logs() as logs:
            assert manager.locks.cleanup_stale() == ["a"]
        assert [line["holder"] for line in logs if line["event"] == "stale_lock_removed"] == [fate]
