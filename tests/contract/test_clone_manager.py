"""The contract of the clone manager, sentence by sentence: what each method takes, gives, refuses and leaves."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import json
import os
import shutil
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.domain.lifecycle import ManagerState
from core.errors import IllegalTransition, OstlerError
from core.workspaces import (
    InsufficientSpaceException,
    PermissionDeniedException,
    ProfileCleanupError,
    ProfileCorruptedException,
    ProfileCreationError,
    ProfileLimitError,
    ProfileLockedException,
    WorkspaceManager,
    building,
    clone,
    live,
    removal,
    scratch,
    verify,
)
from tests import browser_data

MB = 1024 * 1024


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What falls back to the system's temporary directory stays in the test's own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A closed browser's user-data-dir."""
    return browser_data.make(tmp_path / "base")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where clones lie."""
    return tmp_path / "clones"


@pytest.fixture
def manager(base: Path, root: Path):
    """A manager with a base profile."""
    with WorkspaceManager(str(base), temp_directory=root) as made:
        yield made


def clones_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".locks") if root.exists() else []


# --- constructor -----------------------------------------------------------------------------------------------------


def test_the_constructor_has_the_contracts_arguments_and_defaults():
    """``base_profile_path=None, cleanup_on_exit=True, max_profiles=8, profile_size_limit_mb=500``, in this order."""
    parameters = list(inspect.signature(WorkspaceManager).parameters.values())[:4]
    assert [(each.name, each.default) for each in parameters] == [
        ("base_profile_path", None), ("cleanup_on_exit", True), ("max_profiles", 8), ("profile_size_limit_mb", 500),
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, -1, 17, 1000])
def test_fewer_than_1_or_more_than_16_profiles_are_a_value_error(number: int):
    """Both ends, and it names the argument and the range."""
    with pytest.raises(ValueError, match="max_profiles: expected 1 to 16") as caught:
        WorkspaceManager(max_profiles=number)
    assert isinstance(caught.value, OstlerError)


@pytest.mark.parametrize("number", [1, 16])
def test_1_and_16_profiles_are_allowed(number: int, root: Path):
    """The ends of the range are in it."""
    assert WorkspaceManager(max_profiles=number, temp_directory=root).max_profiles == number


@pytest.mark.parametrize("name", ["profile_size_limit_mb", "max_concurrent_clones", "clone_timeout"])
def test_other_numbers_must_make_sense(name: str):
    """Nothing is allowed to be zero."""
    with pytest.raises(ValueError, match=name):
        WorkspaceManager(**{name: 0})


def test_a_base_profile_that_does_not_exist_is_a_file_not_found_error(tmp_path: Path):
    """Said when the manager is made, not when the first worker starts."""
    with pytest.raises(FileNotFoundError, match="nowhere") as caught:
        WorkspaceManager(str(tmp_path / "nowhere"))
    assert isinstance(caught.value, OstlerError)


def test_a_base_profile_that_cannot_be_read_is_a_permission_error(base: Path, monkeypatch: pytest.MonkeyPatch):
    """The same for rights."""
    # root may read everything, so the refusal has to be played
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != base)
    with pytest.raises(PermissionError, match="cannot be read") as caught:
        WorkspaceManager(base)
    assert isinstance(caught.value, OstlerError)


# --- create_profile --------------------------------------------------------------------------------------------------


def test_create_returns_the_absolute_path_of_a_private_directory(manager, base: Path):
    """A text, absolute, that exists; a browser may write to it, and nobody else may read it."""
    path = manager.create_profile("w1")
    assert isinstance(path, str)
    assert Path(path).is_absolute()
    for each in (Path(path), *Path(path).rglob("*")):
        assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600)


def test_create_copies_the_base_profile_without_caches_and_leaves_it_alone(manager, base: Path):
    """Settings, logins and extensions come along, large caches and temporary data do not, and the base is as it was."""
    before = browser_data.content_hash(base)
    path = Path(manager.create_profile("w1"))
    assert browser_data.files(path) == browser_data.copied()
    assert browser_data.content_hash(base) == before


def test_without_a_base_profile_a_clone_starts_empty(root: Path):
    """The base is optional."""
    with WorkspaceManager(temp_directory=root) as manager:
        path = manager.create_profile("w1")
        assert list(Path(path).iterdir()) == []
        assert manager.validate_profile("w1")


def test_each_clone_has_a_directory_of_its_own_named_for_its_worker(manager, root: Path):
    """Worker ID and a random suffix; the same worker gets another one the next time."""
    first = Path(manager.create_profile("w1"))
    manager.cleanup_profile("w1")
    second = Path(manager.create_profile("w1"))
    assert first != second
    for path in (first, second):
        name, _, suffix = path.relative_to(root).parts[0].rpartition("-")
        assert name == "w1"
        assert len(suffix) == 12
        assert int(suffix, 16) >= 0


def test_a_worker_that_has_a_profile_gets_no_second_one(manager):
    """A ``ValueError``, also where one asked by name and the other by number; the first is untouched."""
    path = manager.create_profile("7")
    with pytest.raises(ValueError, match="worker_id"):
        manager.create_profile("7")
    with pytest.raises(ValueError, match="worker_id"):
        manager.create_worker_profile(7)
    assert manager.get_profile_path("7") == path


@pytest.mark.parametrize("worker_id", ["", "..", "a/b", "a b", "x" * 33, "nul", "ü", "-a", 0, -1, True, None, 10**30])
def test_an_invalid_worker_id_is_a_value_error(manager, root: Path, worker_id):
    """Nothing that could be another path, and no number that is not positive."""
    with pytest.raises(ValueError, match="worker_id"):
        (manager.create_worker_profile if isinstance(worker_id, int) else manager.create_profile)(worker_id)
    assert clones_in(root) == []


def test_more_than_max_profiles_are_a_profile_limit_error(base: Path, root: Path):
    """It says how many there are and how many may be; one that goes makes room."""
    with WorkspaceManager(base, max_profiles=2, temp_directory=root) as manager:
        manager.create_profile("w1")
        manager.create_profile("w2")
        with pytest.raises(ProfileLimitError, match=r"Profile limit exceeded: 2/2") as caught:
            manager.create_profile("w3")
        assert (caught.value.current_count, caught.value.max_allowed) == (2, 2)
        assert isinstance(caught.value, OstlerError)
        manager.cleanup_profile("w1")
        manager.create_profile("w3")


def test_the_limit_holds_for_all_managers_of_a_directory(base: Path, root: Path):
    """Each counts the clones of the others."""
    with WorkspaceManager(base, max_profiles=2, temp_directory=root) as one:
        with WorkspaceManager(base, max_profiles=2, temp_directory=root) as other:
            one.create_profile("w1")
            other.create_profile("w1")
            with pytest.raises(ProfileLimitError):
                one.create_profile("w2")
        one.create_profile("w2")


def test_a_full_disk_is_an_os_error_and_leaves_nothing(base: Path, root: Path):
    """Room is looked for beforehand, in every place; the error is ours, says so, and is one that ``except OSError`` catches."""
    with (base / "Default" / "huge").open("wb") as file:
        file.truncate(shutil.disk_usage(root.parent).free + 1)
    with WorkspaceManager(base, profile_size_limit_mb=10**9, temp_directory=root) as manager:
        with pytest.raises(OSError, match=r"Profile creation failed for w1: .* bytes, .* are free") as caught:
            manager.create_profile("w1")
        assert isinstance(caught.value, InsufficientSpaceException)
        assert isinstance(caught.value, ProfileCreationError)
        assert (caught.value.errno, caught.value.worker_id) == (errno.ENOSPC, "w1")
        assert clones_in(root) == []
        assert manager.get_profile_path("w1") is None


def test_no_inodes_left_is_a_full_disk_too(manager, root: Path, monkeypatch: pytest.MonkeyPatch):
    """A file system may be full of files instead of bytes."""
    real = os.statvfs

    def few(path):
        found = list(real(path))
        found[7] = 3  # f_favail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", few)
    with pytest.raises(InsufficientSpaceException, match="3 are free"):
        manager.create_profile("w1")
    assert clones_in(root) == []


def test_no_right_to_write_is_an_os_error(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither the directory nor the fallback can be written to: a ``PermissionError``, and nothing is left."""
    real = os.mkdir

    def refuse(path, *args, **kwargs):
        if ".new-" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", refuse)
    with WorkspaceManager(base, temp_directory=tmp_path / "clones") as manager:
        with pytest.raises(PermissionError, match="Permission denied") as caught:
            manager.create_profile("w1")
        assert isinstance(caught.value, PermissionDeniedException)
        assert caught.value.errno == errno.EACCES
    assert clones_in(tmp_path / "clones") == []


def test_what_is_larger_than_the_limit_is_not_copied(base: Path, root: Path):
    """Counted without caches, before a byte is written."""
    (base / "Default" / "large").write_bytes(b"x" * (MB + 1))
    with WorkspaceManager(base, profile_size_limit_mb=1, temp_directory=root) as manager:
        with pytest.raises(ProfileCreationError, match="1048576 are allowed") as caught:
            manager.create_profile("w1")
        assert caught.value.errno == errno.EFBIG
        assert clones_in(root) == []
        (base / "Default" / "large").rename(base / "Default" / "Cache" / "large")
        manager.create_profile("w1")


def test_a_clone_that_outgrows_the_limit_is_noticed(base: Path, root: Path):
    """A browser may write what it likes; that is logged, once."""
    clock = ManualClock()
    with WorkspaceManager(base, profile_size_limit_mb=1, temp_directory=root, clock=clock) as manager:
        path = Path(manager.create_profile("w1"))
        manager.list_profiles()
        (path / "Default" / "large").write_bytes(b"x" * (2 * MB))
        with capture_logs() as logs:
            assert manager.list_profiles()["w1"]["size_mb"] > 2
            clock.advance(60)
            assert manager.get_profile_size("w1") > 2 * MB
        assert [each["event"] for each in logs] == ["clone_too_large"]


def test_a_base_that_is_open_in_a_browser_is_refused(manager, base: Path):
    """A copy of it could be torn; the error says what shows that it is open."""
    (base / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    with pytest.raises(ProfileLockedException, match="SingletonLock") as caught:
        manager.create_profile("w1")
    assert caught.value.errno == errno.EBUSY
    (base / "SingletonLock").unlink()
    manager.create_profile("w1")


def test_a_base_that_is_damaged_is_refused(manager, base: Path, root: Path):
    """After a second copy, which is as damaged as the first; the error names the file."""
    (base / "Default" / "Preferences").write_text("{torn")
    with pytest.raises(ProfileCorruptedException, match="Default/Preferences"):
        manager.create_profile("w1")
    assert clones_in(root) == []


def test_a_base_that_is_no_browser_data_or_is_gone_is_refused(base: Path, root: Path, tmp_path: Path):
    """The profile directory inside a user-data-dir is none, and one that vanished is said to have."""
    inner = WorkspaceManager(base / "Default" / "Extensions", temp_directory=root)
    with pytest.raises(ProfileCorruptedException, match="Local State"):
        inner.create_profile("w1")
    with WorkspaceManager(base, temp_directory=root) as manager:
        shutil.move(base, tmp_path / "elsewhere")
        with pytest.raises(ProfileCreationError, match="does not exist") as caught:
            manager.create_profile("w1")
        assert caught.value.errno == errno.ENOENT


def test_a_base_that_is_written_to_while_it_is_copied_is_copied_again(
    manager, base: Path, monkeypatch: pytest.MonkeyPatch
):
    """A change without any lock shows in sizes and times; the copy is made once more, in another directory."""
    real, calls = building.filling.fill, []

    def disturbed(data, source, **kwargs):
        receipt = real(data, source, **kwargs)
        calls.append(data)
        if len(calls) == 1:
            (base / "Default" / "Bookmarks").write_text('{"new": 1}')
        return receipt

    monkeypatch.setattr(building.filling, "fill", disturbed)
    path = Path(manager.create_profile("w1"))
    assert len({data.parent.name for data in calls}) == 2
    assert (path / "Default" / "Bookmarks").read_text() == '{"new": 1}'


# --- recovery --------------------------------------------------------------------------------------------------------


def _full(monkeypatch: pytest.MonkeyPatch, *roots: Path) -> None:
    """Let every write below some directories fail as on a full disk."""
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and any(str(path).startswith(f"{root}/.new-") for root in roots):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)


def test_a_failure_is_tried_again_in_another_directory(
    manager, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Where the directory is full, the clone lies below the system's temporary one, as private, and goes the same way."""
    _full(monkeypatch, root)
    path = Path(manager.create_profile("w1"))
    assert path.is_relative_to(tmp_path / "tmp")
    assert browser_data.files(path) == browser_data.copied()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert clones_in(root) == []
    assert manager.validate_profile("w1")
    assert manager.cleanup_profile("w1")
    assert not path.parent.exists()


def test_after_failures_in_a_row_clones_are_made_one_after_the_other(
    base: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second failure in a row makes it sequential: never two copies at a time; the second success in a row ends that."""
    with WorkspaceManager(base, temp_directory=root, max_concurrent_clones=4) as manager:
        with monkeypatch.context() as patched:
            _full(patched, root, scratch.beside(root).resolve())
            for number in (1, 2):
                assert not manager.sequential
                with pytest.raises(ProfileCreationError):
                    manager.create_profile(f"w{number}")
        assert manager.sequential
        at_once, most = [], []
        real = building.clone.copy

        def counted(*args, **kwargs):
            at_once.append(1)
            most.append(len(at_once))
            try:
                return real(*args, **kwargs)
            finally:
                at_once.pop()

        monkeypatch.setattr(building.clone, "copy", counted)
        # as long as the first two run; after them it may be parallel again
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(manager.create_profile, ["w3", "w4"]))
        assert max(most) == 1
        assert not manager.sequential


def test_copies_at_a_time_are_limited_for_all_managers_of_a_directory(
    base: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """With two allowed, a third waits until one is done, whichever manager it belongs to."""
    inside, release, most = threading.Semaphore(0), threading.Semaphore(0), []
    at_once: list[int] = []
    real = building.clone.copy

    def slow(*args, **kwargs):
        at_once.append(1)
        most.append(len(at_once))
        inside.release()
        assert release.acquire(timeout=30)
        try:
            return real(*args, **kwargs)
        finally:
            at_once.pop()

    monkeypatch.setattr(building.clone, "copy", slow)
    managers = [WorkspaceManager(base, temp_directory=root, max_concurrent_clones=2) for _ in range(2)]
    with ThreadPoolExecutor(6) as threads:
        made = [threads.submit(each.create_profile, f"w{number}") for number in range(3) for each in managers]
        for _ in range(2):
            assert inside.acquire(timeout=30)
        assert not inside.acquire(timeout=0.1)
        for _ in range(6):
            release.release()
        for each in made:
            each.result(30)
    assert max(most) == 2
    for each in managers:
        each.close()


def test_a_copy_that_takes_too_long_is_ended(base: Path, root: Path):
    """``clone_timeout`` is the longest that it may take; nothing of it is left."""
    with WorkspaceManager(base, temp_directory=root, clone_timeout=1e-9) as manager:
        with pytest.raises(ProfileCreationError, match="clone_timeout") as caught:
            manager.create_profile("w1")
        assert caught.value.errno == errno.ETIMEDOUT
    assert clones_in(root) == []


def test_a_copy_that_gets_no_turn_in_time_is_given_up(base: Path, root: Path):
    """Somebody else makes one for ever."""
    with WorkspaceManager(base, temp_directory=root, max_concurrent_clones=1, clone_timeout=0.05) as manager:
        manager.create_profile("w0")
        slot = manager._clones._places.slot(1, 1.0, lambda: False)
        with pytest.raises(ProfileCreationError, match="clone_timeout"):
            manager.create_profile("w1")
        slot.release()
        manager.create_profile("w1")


def test_memory_is_watched_while_a_large_profile_is_copied(
    base: Path, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Where little is left, the copy ends before the system does; the receipt says what a copy took."""
    (base / "Default" / "large").write_bytes(b"x" * (40 * MB))
    with WorkspaceManager(base, temp_directory=root) as manager:
        assert 0 <= manager.create_worker_profile(1).receipt.memory < 400 * MB
        (tmp_path / "meminfo").write_text("MemTotal: 24000000 kB\nMemAvailable:   1000 kB\n")
        monkeypatch.setattr(building, "_MEMINFO", tmp_path / "meminfo")
        with pytest.raises(ProfileCreationError, match="memory") as caught:
            manager.create_profile("w2")
        assert caught.value.errno == errno.ENOMEM
    assert clones_in(root) == []


# --- copy_base_profile -----------------------------------------------------------------------------------------------


def test_copy_base_profile_fills_a_workers_profile_anew(manager, base: Path):
    """True; the path stays, what the worker did is gone, and what the base has now is there."""
    path = manager.create_profile("w1")
    (Path(path) / "Default" / "mine").write_text("x")
    (base / "Default" / "Bookmarks").write_text('{"new": 1}')
    assert manager.copy_base_profile("w1") is True
    assert manager.get_profile_path("w1") == path
    assert browser_data.files(Path(path)) == browser_data.copied()
    assert (Path(path) / "Default" / "Bookmarks").read_text() == '{"new": 1}'
    assert [each.name for each in Path(path).parent.iterdir() if not each.name.startswith(".")] == ["user-data"]


def test_copy_base_profile_only_copies_where_there_is_a_base_and_a_worker(manager, root: Path):
    """False else."""
    assert manager.copy_base_profile("nobody") is False
    with WorkspaceManager(temp_directory=root) as empty:
        empty.create_profile("w2")
        assert empty.copy_base_profile("w2") is False


def test_copy_base_profile_that_fails_leaves_the_profile_as_it_was(manager, base: Path):
    """False, logged, with the old content; likewise while a browser runs in it."""
    path = Path(manager.create_profile("w1"))
    (path / "Default" / "mine").write_text("x")
    before = browser_data.content_hash(path)
    (base / "Default" / "Preferences").write_text("{torn")
    with capture_logs() as logs:
        assert manager.copy_base_profile("w1") is False
    assert "Default/Preferences" in logs[-1]["reason"]
    assert browser_data.content_hash(path) == before
    (path / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    assert manager.copy_base_profile("w1") is False
    assert (path / "Default" / "mine").exists()
    (path / "SingletonLock").unlink()


def test_settings_and_extensions_are_preserved(manager):
    """Downloads, security settings and extensions are the base's; only the mark of a crash is taken off."""
    path = Path(manager.create_profile("w1"))
    found = json.loads((path / "Default" / "Preferences").read_text())
    assert found["download"] == browser_data.PREFERENCES["download"]
    assert found["safebrowsing"] == browser_data.PREFERENCES["safebrowsing"]
    assert found["extensions"] == browser_data.PREFERENCES["extensions"]
    assert found["profile"] == {"exit_type": "Normal", "exited_cleanly": True, "name": "Person 1"}
    assert (path / "Default/Extensions/abc/1.0/manifest.json").exists()


# --- cleanup ---------------------------------------------------------------------------------------------------------


def test_cleanup_removes_the_directory_and_the_record(manager, root: Path):
    """All of it, and the worker may have a new one."""
    path = Path(manager.create_profile("w1"))
    assert manager.cleanup_profile("w1") is True
    assert not path.exists()
    assert clones_in(root) == []
    assert list((root / ".locks" / "clones").iterdir()) == []
    assert manager.list_profiles() == {}
    manager.create_profile("w1")


def test_cleanup_is_idempotent(manager):
    """True where there is nothing, never was, or somebody else removed it."""
    assert manager.cleanup_profile("never") is True
    path = Path(manager.create_profile("w1"))
    shutil.rmtree(path.parent)
    assert manager.get_profile_path("w1") is None
    assert manager.cleanup_profile("w1") is True
    assert manager.cleanup_profile("w1") is True


def test_cleanup_takes_a_worker_or_its_profile(manager):
    """By name, by number, by profile; a profile of before does not stand for the one of now."""
    first = manager.create_worker_profile(3)
    assert manager.cleanup_profile(3)
    second = manager.create_worker_profile(3)
    assert manager.cleanup_profile(first)
    assert second.profile_path.exists()
    assert manager.cleanup_profile(second)
    assert not second.profile_path.exists()


def test_cleanup_waits_for_locked_files_and_tries_again(manager, monkeypatch: pytest.MonkeyPatch):
    """A browser that is just closing is given time, and files that cannot be removed at once are tried again."""
    path = Path(manager.create_profile("w1"))
    (path / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    waited, real, refused = [], shutil.rmtree, []
    monkeypatch.setattr(
        "core.workspaces.clones.time.sleep", lambda pause: waited.append(pause) or _let_go(path, waited)
    )

    def busy(target, **kwargs):
        if not refused:
            refused.append(target)
            raise OSError(errno.EBUSY, "Device or resource busy", str(target))
        real(target, **kwargs)

    monkeypatch.setattr(removal.shutil, "rmtree", busy)
    assert manager.cleanup_profile("w1") is True
    assert refused
    assert len(waited) >= 2
    assert not path.exists()


def _let_go(path: Path, waited: list[float]) -> None:
    if len(waited) == 2:
        (path / "SingletonLock").unlink()


def test_cleanup_that_fails_is_logged_and_does_not_raise(manager, monkeypatch: pytest.MonkeyPatch):
    """False, with a warning that says why; it is still known, and the next call removes it. ``strict`` raises instead."""
    path = Path(manager.create_profile("w1"))
    (path / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    monkeypatch.setattr("core.workspaces.clones._PAUSES", (0.0,))
    with capture_logs() as logs:
        assert manager.cleanup_profile("w1") is False
    assert logs[-1]["log_level"] == "warning"
    assert "a browser still runs in it" in logs[-1]["reason"]
    with pytest.raises(ProfileCleanupError, match="Profile cleanup failed for w1: a browser still runs") as caught:
        manager.cleanup_profile("w1", strict=True)
    assert (caught.value.worker_id, caught.value.reason.split(" (")[0]) == ("w1", "a browser still runs in it")
    (path / "SingletonLock").unlink()
    assert manager.cleanup_profile("w1") is True


def test_cleanup_mends_permissions(manager):
    """A directory without rights, as an extension may leave it, is removed all the same."""
    path = Path(manager.create_profile("w1"))
    (path / "Default" / "Extensions").chmod(0)
    assert manager.cleanup_profile("w1") is True
    assert not path.exists()


def test_cleanup_of_a_full_disk_needs_no_room(manager, monkeypatch: pytest.MonkeyPatch):
    """Removing is what makes room, so it writes nothing."""
    path = Path(manager.create_profile("w1"))
    real = os.open

    def full(name, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device", str(name))
        return real(name, flags, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        assert manager.cleanup_profile("w1") is True
    assert not path.exists()


def test_cleanup_all_removes_what_can_be_and_counts_it(manager, root: Path, monkeypatch: pytest.MonkeyPatch):
    """Two go, the third has a browser: it is logged, still known, and goes the next time."""
    monkeypatch.setattr("core.workspaces.clones._PAUSES", (0.0,))
    paths = [Path(manager.create_profile(f"w{number}")) for number in range(3)]
    (paths[1] / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    with capture_logs() as logs:
        assert manager.cleanup_all_profiles() == 2
    assert logs[-1] == {"event": "clones_removed", "log_level": "info", "removed": 2, "left": ["w1"]}
    assert [each["worker"] for each in logs if each["event"] == "clone_not_removed"] == ["w1"]
    assert list(manager.list_profiles()) == ["w1"]
    (paths[1] / "SingletonLock").unlink()
    assert manager.cleanup_all_profiles() == 1
    assert clones_in(root) == []
    assert manager.cleanup_all_profiles() == 0


def test_a_manager_that_is_collected_cleans_up(base: Path, root: Path):
    """Automatic, unless it was told not to."""
    manager = WorkspaceManager(base, temp_directory=root)
    kept = WorkspaceManager(base, cleanup_on_exit=False, temp_directory=root)
    manager.create_profile("w1")
    path = Path(kept.create_profile("w2"))
    del manager, kept
    gc.collect()
    assert clones_in(root) == [path.parent.name]
    # what was to be kept is nobody's leftover, and does not count
    with WorkspaceManager(base, temp_directory=root, max_profiles=1) as other:
        other.create_profile("w1")
    assert clones_in(root) == [path.parent.name]


def test_the_end_of_a_with_block_cleans_up_also_after_an_error(base: Path, root: Path):
    """Whatever ends it."""
    manager = WorkspaceManager(base, temp_directory=root)

    def use() -> None:
        with manager:
            manager.create_profile("w1")
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        use()
    assert clones_in(root) == []
    assert manager.state is ManagerState.SHUTDOWN
    with pytest.raises(IllegalTransition):
        manager.create_profile("w2")


def test_it_is_used_from_async_code_and_cleans_up_when_cancelled(base: Path, root: Path):
    """Calls go to threads, the loop goes on; a cancelled scope cleans up before it ends."""

    async def use() -> None:
        async with WorkspaceManager(base, temp_directory=root) as manager:
            await asyncio.gather(*(asyncio.to_thread(manager.create_profile, f"w{number}") for number in range(4)))
            assert len(manager.list_profiles()) == 4
            await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(use())
        while len(clones_in(root)) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert clones_in(root) == []


# --- status ----------------------------------------------------------------------------------------------------------


def test_the_path_is_known_while_there_is_one(manager):
    """By worker; None for nobody."""
    path = manager.create_profile("w1")
    assert manager.get_profile_path("w1") == path
    assert manager.get_profile_path("w2") is None
    assert manager.get_worker_profile("w1").profile_path == Path(path)
    manager.cleanup_profile("w1")
    assert manager.get_profile_path("w1") is None


def test_a_profile_is_valid_when_it_is_whole_and_nobody_is_in_it(manager):
    """There, and readable, and intact; for nobody it is not."""
    manager.create_profile("w1")
    assert manager.validate_profile("w1") is True
    assert manager.validate_profile("nobody") is False


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("Default/Preferences", b"{torn"),
        ("Local State", None),
        ("Default/Cookies", b"no database, but long enough to be taken for one" * 30),
        ("Default/Login Data", None),
        ("Default/Local Storage/leveldb/CURRENT", b"MANIFEST-000009\n"),
    ],
)
def test_a_profile_that_is_damaged_or_incomplete_is_not_valid(manager, name: str, damage: bytes | None):
    """Essential files must be there and whole; the log says which is not."""
    path = Path(manager.create_profile("w1"))
    (path / name).unlink() if damage is None else (path / name).write_bytes(damage)
    with capture_logs() as logs:
        assert manager.validate_profile("w1") is False
    assert name in logs[-1]["reason"]


def test_a_flipped_byte_that_no_format_notices_is_found_until_a_browser_runs(manager):
    """What is still as it was copied is compared by content; a browser changes it, and then only its form can be looked at."""
    path = Path(manager.create_profile("w1"))
    (path / "Default/Bookmarks").write_bytes(b"[]")
    assert manager.validate_profile("w1") is False
    (path / "Default/Local Storage/leveldb/LOG").write_text("a browser was here")
    assert manager.validate_profile("w1") is True


def test_a_profile_that_cannot_be_accessed_is_not_valid(manager, monkeypatch: pytest.MonkeyPatch):
    """No right to write, or no directory at all."""
    path = Path(manager.create_profile("w1"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        assert manager.validate_profile("w1") is False
    path.rename(path.with_name("away"))
    assert manager.validate_profile("w1") is False


def test_a_profile_that_somebody_has_open_is_not_valid_but_for_its_own_worker(manager):
    """A lock that was not announced is one; after ``mark_in_use`` it is the worker's own browser."""
    profile = manager.create_worker_profile(1)
    manager.verify_profile(profile)
    (profile.profile_path / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    assert manager.validate_profile(1) is False
    manager.mark_in_use(profile)
    assert manager.validate_profile(1) is True
    (profile.profile_path / "SingletonLock").unlink()


def test_the_size_is_that_of_all_files(manager):
    """In bytes, 0 for nobody."""
    path = Path(manager.create_profile("w1"))
    assert manager.get_profile_size("w1") == sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    assert manager.get_profile_size("nobody") == 0


def test_the_size_is_cached_until_something_changes_or_it_is_old(
    base: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A second look walks no directory; a new file, or ten seconds, makes it walk again."""
    clock, walks = ManualClock(), []
    real = os.scandir
    with WorkspaceManager(base, temp_directory=root, clock=clock) as manager:
        path = Path(manager.create_profile("w1"))
        manager.list_profiles()
        monkeypatch.setattr(os, "scandir", lambda where: walks.append(where) or real(where))
        size = manager.get_profile_size("w1")
        assert walks == []
        (path / "Default" / "new").write_bytes(b"x" * 100)
        assert manager.get_profile_size("w1") == size + 100
        manager.list_profiles()
        (path / "Default/Local Storage/leveldb/000003.log").write_bytes(b"grown in place")
        clock.advance(11)
        assert manager.get_profile_size("w1") == size + 100 + len("grown in place") - len("stored")


def test_the_list_has_every_profile_with_what_is_known_of_it(manager):
    """Path, size in MB, when it was made, when it was last used, whether it is valid."""
    before = datetime.now(UTC)
    path = manager.create_profile("w1")
    manager.create_worker_profile(2)
    found = manager.list_profiles()
    assert set(found) == {"w1", "2"}
    assert set(found["w1"]) == {"path", "size_mb", "created_at", "last_accessed", "is_valid"}
    assert found["w1"]["path"] == path
    assert found["w1"]["size_mb"] == manager.get_profile_size("w1") / MB
    assert before <= found["w1"]["created_at"] <= found["w1"]["last_accessed"]
    assert found["w1"]["is_valid"] is True
    (Path(path) / "Default" / "Preferences").write_text("{torn")
    assert manager.list_profiles()["w1"]["is_valid"] is False


def test_last_access_moves_with_the_worker_and_its_browser(base: Path, root: Path):
    """Asking for the path is access, and so is what a browser writes."""
    clock = ManualClock(start=4_000_000_000.0)
    with WorkspaceManager(base, temp_directory=root, clock=clock) as manager:
        path = Path(manager.create_profile("w1"))
        clock.advance(100)
        assert manager.list_profiles()["w1"]["last_accessed"].timestamp() == 4_000_000_000.0
        manager.get_profile_path("w1")
        assert manager.list_profiles()["w1"]["last_accessed"].timestamp() == 4_000_000_100.0
        os.utime(path / "Default" / "Preferences", (4_000_000_500, 4_000_000_500))
        assert manager.list_profiles()["w1"]["last_accessed"].timestamp() == 4_000_000_500.0


# --- errors and threads ----------------------------------------------------------------------------------------------


def test_the_errors_are_the_contracts():
    """Arguments, attributes and texts; all under one root."""
    creation = ProfileCreationError("w1", "no luck")
    assert (creation.worker_id, creation.reason) == ("w1", "no luck")
    assert str(creation) == "Profile creation failed for w1: no luck"
    limit = ProfileLimitError(9, 8)
    assert (limit.current_count, limit.max_allowed, str(limit)) == (9, 8, "Profile limit exceeded: 9/8")
    cleanup = ProfileCleanupError("w1", "stuck")
    assert (cleanup.worker_id, cleanup.reason, str(cleanup)) == ("w1", "stuck", "Profile cleanup failed for w1: stuck")
    assert all(isinstance(each, OstlerError) for each in (creation, limit, cleanup))


def test_the_package_imports_what_it_offers_when_it_is_asked_for():
    """Everything in ``__all__`` is there, and nothing else is invented."""
    import core.workspaces as package

    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="NoSuchThing"):
        package.NoSuchThing  # noqa: B018 - asking is the test


def test_sixteen_threads_create_clean_and_list_at_once(base: Path, root: Path):
    """No error but the limit's, never more than the limit, no directory shared, nothing left, the base untouched."""
    before = browser_data.content_hash(base)
    seen: list[str] = []
    with WorkspaceManager(base, max_profiles=16, temp_directory=root) as manager:

        def work(number: int) -> None:
            for turn in range(6):
                path = manager.create_profile(f"w{number}")
                seen.append(path)
                assert manager.validate_profile(f"w{number}")
                assert manager.get_profile_size(f"w{number}") > 0
                assert 1 <= len(manager.list_profiles()) <= 16
                if turn % 2:
                    assert manager.copy_base_profile(f"w{number}")
                assert manager.cleanup_profile(f"w{number}")
                assert not Path(path).exists()

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(work, range(16)))
        assert manager.list_profiles() == {}
    assert len(set(seen)) == 16 * 6
    assert clones_in(root) == []
    assert browser_data.content_hash(base) == before


def test_a_clone_that_is_removed_while_it_is_looked_at_is_not_valid(manager, monkeypatch: pytest.MonkeyPatch):
    """No error, and no warning about what is as it should be: it is just gone."""
    manager.create_profile("w1")
    real = verify.findings

    def removed(path: Path) -> list[str]:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(manager.cleanup_profile, "w1").result(30)
        # what pathlib does in the middle of a glob
        return real(path) or [path.name for path in os.scandir(path)]

    monkeypatch.setattr(verify, "findings", removed)
    with capture_logs() as logs:
        assert manager.list_profiles()["w1"]["is_valid"] is False
    assert logs == []
    assert manager.list_profiles() == {}


def test_threads_that_want_the_same_worker_get_one_profile(manager, root: Path):
    """One of eight has it, the others are told so; clean-up by several is clean-up once."""

    def ask(_: int) -> str | None:
        try:
            return manager.create_profile("w1")
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as threads:
        paths = [path for path in threads.map(ask, range(8)) if path]
        assert len(paths) == 1
        assert all(threads.map(lambda _: manager.cleanup_profile("w1"), range(8)))
    assert clones_in(root) == []


def test_a_clean_up_in_the_middle_of_a_creation_waits_for_it(manager, root: Path, monkeypatch: pytest.MonkeyPatch):
    """The clone is whole, then it goes; closing the manager ends the copy instead."""
    begun, go = threading.Event(), threading.Event()
    real = clone._Copier.file

    def slow(self, source, target):
        begun.set()
        assert go.wait(30)
        return real(self, source, target)

    monkeypatch.setattr(clone._Copier, "file", slow)
    with ThreadPoolExecutor(2) as threads:
        made = threads.submit(manager.create_profile, "w1")
        assert begun.wait(30)
        gone = threads.submit(manager.cleanup_profile, "w1")
        assert manager.list_profiles() == {}
        go.set()
        assert Path(made.result(30)).name == "user-data"
        assert gone.result(30) is True
        assert clones_in(root) == []
        begun.clear()
        go.clear()
        made = threads.submit(manager.create_profile, "w2")
        assert begun.wait(30)
        closed = threads.submit(manager.close)
        while manager.state is not ManagerState.SHUTDOWN:
            pass
        go.set()
        with pytest.raises(ProfileCreationError, match="closed"):
            made.result(30)
        closed.result(30)
    assert clones_in(root) == []
    assert live.evidence(root) is None
