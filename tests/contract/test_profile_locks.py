"""The laws of ``ProfileLocks``, for the kernel's locks and for the fake; and what only processes can show."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from core.clock import ManualClock
from core.errors import BadInput, DurableWriteFailed, ProfileHeld
from core.profiles.lock import FileProfileLocks
from core.profiles.memory import MemoryProfileLocks

CHILD = Path(__file__).parent.parent / "children" / "lock_holder.py"


@pytest.fixture(params=["files", "memory"])
def locks(request, state_dir):
    clock = ManualClock(1000.0)
    return FileProfileLocks(state_dir, clock) if request.param == "files" else MemoryProfileLocks(clock)


def test_one_holder_at_a_time(locks):
    """A second hold is refused, naming the first; after the first ends, it is not."""
    with locks.hold("a", "worker"):
        with pytest.raises(ProfileHeld) as caught, locks.hold("a", "ostler"):
            pytest.fail("two holders")
        assert caught.value.holder.startswith(f"worker, pid {os.getpid()} on ")
        assert "profile a" in str(caught.value)
    with locks.hold("a", "ostler"):
        pass


def test_profiles_are_apart(locks):
    """One profile's holder is in nobody else's way."""
    with locks.hold("a", "worker"), locks.hold("b", "worker"):
        assert locks.holder("c") is None


def test_the_holder_is_known_while_it_holds(locks):
    """Who holds it, since when and for what is there to read, and gone afterwards."""
    assert locks.holder("a") is None
    with locks.hold("a", "worker"):
        holder = locks.holder("a")
        assert (holder.pid, holder.since, holder.what) == (os.getpid(), 1000.0, "worker")
    assert locks.holder("a") is None


def test_an_error_inside_releases(locks):
    """A holder that fails holds no longer."""
    with contextlib.suppress(ZeroDivisionError), locks.hold("a", "worker"):
        raise ZeroDivisionError
    assert locks.holder("a") is None
    with locks.hold("a", "worker"):
        pass


def test_another_thread_is_another_holder(locks):
    """Within one process, too, there is one holder; and it may be released by another thread than took it."""
    hold = locks.hold("a", "worker")
    hold.__enter__()
    refused = []

    def other():
        try:
            with locks.hold("a", "other"):
                pass
        except ProfileHeld:
            refused.append(True)
        hold.__exit__(None, None, None)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert refused == [True]
    assert locks.holder("a") is None


def test_an_id_is_never_a_path(locks):
    """What cannot be an ID is refused before a path is made of it."""
    with pytest.raises(BadInput), locks.hold("../a", "worker"):
        pytest.fail("held")
    with pytest.raises(BadInput):
        locks.holder("../a")


# --- the kernel's locks only -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(state_dir, mode, *more):
    process = subprocess.Popen(
        [sys.executable, CHILD, state_dir, "a", "worker", mode, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_what_stands_in_the_records_place_is_named(state_dir):
    """The lock is not held without its record, and is free again."""
    record = state_dir / "profiles" / "a" / ".lock"
    record.mkdir(parents=True)
    locks = FileProfileLocks(state_dir, ManualClock())
    with pytest.raises(DurableWriteFailed, match=r"profiles/a/\.lock was not written"), locks.hold("a", "worker"):
        pytest.fail("held")
    assert locks.holder("a") is None
    assert record.is_dir()


def test_a_pipe_in_the_locks_place_keeps_nobody_waiting(state_dir):
    """Looking who holds it would wait for the pipe's other end."""
    path = state_dir / "locks" / "a.lock"
    path.parent.mkdir()
    os.mkfifo(path)
    assert FileProfileLocks(state_dir, ManualClock()).holder("a") is None


def test_the_record_for_people(state_dir):
    """The record names the process beyond its number, is private, and goes with the lock; so does an empty profile."""
    locks = FileProfileLocks(state_dir, ManualClock(1000.0))
    path = state_dir / "profiles" / "a" / ".lock"
    with locks.hold("a", "worker"):
        record = msgspec.json.decode(path.read_bytes())
        assert (record["pid"], record["what"], record["since"]) == (os.getpid(), "worker", 1000.0)
        assert {"host", "started", "boot_id"} <= set(record)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((state_dir / "locks" / "a.lock").stat().st_mode) == 0o600
    assert not path.parent.exists()
    assert (state_dir / "locks" / "a.lock").exists()


def test_a_damaged_record_does_not_free_the_lock(state_dir):
    """The kernel is the truth: without a readable record the profile is held all the same."""
    locks = FileProfileLocks(state_dir, ManualClock())
    path = state_dir / "profiles" / "a" / ".lock"
    with locks.hold("a", "worker"):
        for damage in (lambda: path.write_bytes(b"{"), path.unlink):
            damage()
            assert locks.holder("a").what == "another process"
            with pytest.raises(ProfileHeld), locks.hold("a", "other"):
                pytest.fail("two holders")


def test_a_stale_record_does_not_hold_the_lock(state_dir):
    """A record that a killed holder left keeps nobody out and names nobody."""
    locks = FileProfileLocks(state_dir, ManualClock())
    with child(state_dir, "wait") as holder:
        assert holder.stdout.readline() == "held\n"
        assert locks.holder("a").pid == holder.pid
        with pytest.raises(ProfileHeld), locks.hold("a", "other"):
            pytest.fail("two holders")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (state_dir / "profiles" / "a" / ".lock").exists()
    assert locks.holder("a") is None
    with locks.hold("a", "other"):
        assert locks.holder("a").pid == os.getpid()


def test_a_holder_that_was_killed_leaves_no_profile(state_dir):
    """A directory with nothing but its record goes with the next holder; one with anything in it stays."""
    locks = FileProfileLocks(state_dir, ManualClock())
    for name in ("a", "b"):
        (state_dir / "profiles" / name).mkdir(parents=True)
        (state_dir / "profiles" / name / ".lock").write_text("{}")
        (state_dir / "profiles" / name / f"..lock.{'0' * 16}.ostler-tmp").touch()
    (state_dir / "profiles/b/metadata.json").write_text("{}")
    for name in ("a", "b"):
        with locks.hold(name, "worker"):
            pass
    assert [path.name for path in (state_dir / "profiles").iterdir()] == ["b"]
    assert [path.name for path in (state_dir / "profiles/b").iterdir()] == ["metadata.json"]


def test_what_the_holder_started_does_not_hold_the_lock(state_dir):
    """A grandchild that inherits all descriptors and outlives a SIGKILLed holder does not keep the profile held."""
    locks = FileProfileLocks(state_dir, ManualClock())
    with child(state_dir, "grandchild") as holder:
        grandchild = int(holder.stdout.readline())
        try:
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            os.kill(grandchild, 0)  # it lives
            assert locks.holder("a") is None
            with locks.hold("a", "other"):
                pass
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_looking_does_not_get_in_the_way(state_dir):
    """Somebody who keeps asking for the holder never makes a hold of a free lock fail."""
    locks = FileProfileLocks(state_dir, ManualClock())
    stop = threading.Event()

    def look():
        while not stop.is_set():
            locks.holder("a")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(300):
            with locks.hold("a", "worker"):
                pass
    finally:
        stop.set()
        thread.join()


def test_racing_processes_are_never_inside_together(state_dir):
    """Processes that take and release the same lock all the time exclude each other: the lock file is never replaced."""
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(child(state_dir, "race", "150")) for _ in range(3)]
        for process in children:
            assert process.stdout.readline() == "ready\n"
        inode = None
        for process in children:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.stdout.readline() for process in children] == ["150\n"] * 3
        inode = (state_dir / "locks" / "a.lock").stat().st_ino
        with FileProfileLocks(state_dir, ManualClock()).hold("a", "worker"):
            assert (state_dir / "locks" / "a.lock").stat().st_ino == inode
