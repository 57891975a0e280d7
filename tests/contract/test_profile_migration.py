"""The single profile of old becomes ``profiles/default``, once."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.errors import TemplateLive
from core.profiles import ProfileExistsError, ProfileManager
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from tests import browser_data

if TYPE_CHECKING:
    from pathlib import Path

COOKIES = [{"name": "sid", "value": "v", "domain": "a.example", "path": "/"}]


@pytest.fixture
def manager(state_dir):
    return ProfileManager(state_dir, clock=ManualClock(1_795_212_000.0), lock_timeout=0.2)


def old(directory: Path, session: bytes | None = None) -> Path:
    """Make a single profile of old."""
    browser_data.make(directory / "browser_profile")
    if session is not None:
        (directory / "session.json").write_bytes(session)
    return directory


def test_the_first_operation_migrates(manager, state_dir):
    """In the state directory itself it is found by itself, moved, and said in the log; the next operation finds nothing to do."""
    old(state_dir, json.dumps({"cookies": COOKIES, "origins": []}).encode())
    content = browser_data.content_hash(state_dir / "browser_profile")
    inode = (state_dir / "browser_profile" / "Local State").stat().st_ino
    with capture_logs() as logs:
        found = manager.list()
    assert [each.id for each in found] == ["default"]
    assert [line["event"] for line in logs].count("profile_migrated") == 1
    data = state_dir / "profiles" / "default" / "browser_profile"
    assert browser_data.content_hash(data) == content
    assert (data / "Local State").stat().st_ino == inode, "moved, not copied"
    assert FileLoginStateStore(state_dir).read("default").value.cookies == COOKIES
    assert {path.name for path in state_dir.iterdir()} == {"profiles", "locks", "sessions"}
    assert manager.chosen() == "default"
    assert manager.metadata.load("default").browser_version == "156.0.8078.108"
    with capture_logs() as logs:
        manager.list()
    assert logs == []


def test_a_directory_that_is_named(manager, tmp_path, state_dir):
    """It may be anywhere, and become any profile; a directory without a profile is none."""
    source = old(tmp_path / "old")
    assert manager.migrate(source, "anna")
    assert not manager.migrate(source, "bert")
    assert [each.id for each in manager.list()] == ["anna"]
    assert list(source.iterdir()) == []
    assert FileLoginStateStore(state_dir).read("anna") is None


def test_a_session_in_our_own_form(manager, tmp_path, state_dir):
    """The login comes along."""
    FileLoginStateStore(tmp_path / "other").write("x", LoginState(cookies=COOKIES), fence=3)
    source = old(tmp_path / "old", (tmp_path / "other/profiles/x/session.json").read_bytes())
    manager.migrate(source)
    assert FileLoginStateStore(state_dir).read("default").value.cookies == COOKIES


@pytest.mark.parametrize("session", [b"", b"[1]", b'{"cookies": 1}', b'{"schema": 1, "payload": {}}', b'{"a": "b"}'])
def test_a_session_that_is_no_login_state_moves_along(manager, tmp_path, state_dir, session):
    """Under another name: nothing of it is lost."""
    manager.migrate(old(tmp_path / "old", session))
    assert (state_dir / "profiles" / "default" / "session.legacy.json").read_bytes() == session
    assert manager.status("default").findings == ()


def test_what_is_there_already_is_not_replaced(manager, tmp_path, state_dir):
    """Named, it is refused; found in the state directory, it stays and ``doctor`` tells what to do."""
    manager.create("default")
    with pytest.raises(ProfileExistsError):
        manager.migrate(old(tmp_path / "old"))
    old(state_dir)
    assert [each.id for each in manager.list()] == ["default"]
    assert (state_dir / "browser_profile" / "Local State").exists()
    assert any("single profile of old" in finding.what for finding in manager.doctor())
    with pytest.raises(ProfileExistsError):
        manager.migrate()


def test_one_that_is_open_stays(manager, state_dir):
    """By itself it waits for the next operation; named, it is refused."""
    old(state_dir)
    (state_dir / "browser_profile" / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    assert manager.list() == ()
    with pytest.raises(TemplateLive):
        manager.migrate()
    assert (state_dir / "browser_profile" / "Local State").exists()


def test_from_another_file_system_it_is_copied(manager, tmp_path, state_dir, monkeypatch):
    """What cannot be moved is copied, and removed once the profile is in its place."""
    source = old(tmp_path / "old", b"no login")
    before = browser_data.files(source / "browser_profile")
    real = os.rename

    def rename(one, other, *more):
        if str(one).startswith(str(source)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return real(one, other, *more)

    monkeypatch.setattr(os, "rename", rename)
    manager.migrate(source)
    monkeypatch.undo()
    data = state_dir / "profiles" / "default" / "browser_profile"
    assert browser_data.copied() <= browser_data.files(data) <= before
    assert (state_dir / "profiles" / "default" / "session.legacy.json").read_bytes() == b"no login"
    assert list(source.iterdir()) == []


def test_half_a_migration_is_finished_by_the_next_operation(manager, tmp_path, state_dir, monkeypatch):
    """Once it is decided, it is carried out, also where the first try failed in its midst."""
    source = old(tmp_path / "old")
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(Exception, match="I/O error"):
        manager.migrate(source)
    monkeypatch.undo()
    assert (source / "browser_profile").exists()
    with capture_logs() as logs:
        assert [each.id for each in manager.list()] == ["default"]
    assert {"operation_resumed", "profile_migrated"} <= {line["event"] for line in logs}
    assert not (source / "browser_profile").exists()
