"""What an operation leaves that could not go on is finished, or taken back, by whoever takes the profile's lock next."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock, SystemClock
from core.errors import DurableWriteFailed, OstlerError, ProfileHeld, StateCorrupt
from core.profiles import ProfileManager, intents, places, staging
from core.profiles.intents import Migration, Recovery, Rename
from core.profiles.lock import FileProfileLocks
from tests import browser_data, profiles

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_212_000.0


@pytest.fixture
def manager(state_dir):
    profiles.make_profile(state_dir, "a")
    found = ProfileManager(state_dir, clock=ManualClock(NOW), lock_timeout=0.2)
    found.create("b")
    return found


def failing(monkeypatch, name: str, number: int) -> list[int]:
    """Let the n-th call of a function of ``os`` fail, and all that follow."""
    real = getattr(os, name)
    calls = [0]

    def call(*args, **kwargs):
        calls[0] += 1
        if calls[0] >= number:
            raise OSError(errno.EIO, "I/O error")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)
    return calls


def said(state: Path) -> dict[str, object]:
    manager = ProfileManager(state)
    return {
        profile.id: (profile.name, manager.status(profile.id).flags, data(state, profile.id))
        for profile in manager.list()
    }


def data(state: Path, name: str) -> set[str]:
    root = state / "profiles" / name / "browser_profile"
    return {each for each in browser_data.files(root) if not each.startswith(".ostler")}


OPERATIONS = {
    "rename": lambda manager: manager.rename("a", "new"),
    "clone": lambda manager: manager.clone("a", "new", with_session=True),
    "delete": lambda manager: manager.delete("a"),
    "hard": lambda manager: manager.recover("a", "hard"),
}


@pytest.mark.parametrize("call", ["rename", "replace", "unlink", "rmdir", "mkdir"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failure_at_any_call_is_undone_or_made_good(manager, state_dir, monkeypatch, operation, call):
    """Each call of a kind fails once: afterwards the profiles are as before, or as they were to become."""
    before = said(state_dir)
    for number in range(1, 30):
        with monkeypatch.context() as patch:
            calls = failing(patch, call, number)
            with contextlib.suppress(OstlerError):
                OPERATIONS[operation](manager)
            if calls[0] < number:
                return
        found = said(state_dir)
        assert found == before or expected(found, before, operation), (operation, call, number)
        assert places.begun(state_dir) == []
        if found != before:
            return
    pytest.fail("it never got through")


def expected(found, before, operation) -> bool:
    """Whether this is what was to become."""
    match operation:
        case "rename":
            return found == {"b": before["b"], "new": before["a"]}
        case "clone":
            copied, source = found.get("new", ("", (), set())), before["a"]
            return {**found, "new": 0} == {**before, "new": 0} and copied[:2] == source[:2] and copied[2] < source[2]
        case "delete":
            return found == {"b": before["b"]}
        case _:
            return found == {**before, "a": (*before["a"][:2], set())}


def test_a_rename_that_is_not_decided_is_taken_back(manager, state_dir):
    """With the record under the new ID alone, whoever takes that one removes what was prepared; the profile was never away."""
    intents.write(state_dir, "new", Rename(old="a", new="new"))
    staging.begin(state_dir, "new")
    assert places.begun(state_dir) == ["new"]
    assert [profile.id for profile in manager.list()] == ["a", "b"]
    assert places.begun(state_dir) == []
    assert not staging.is_pending(state_dir, "new")


def test_a_rename_waits_for_both_profiles(manager, state_dir):
    """While somebody holds one of the two, it is not touched, and he is named to whoever wants the other one."""
    intents.write(state_dir, "new", Rename(old="a", new="new"))
    intents.write(state_dir, "a", Rename(old="a", new="new"))
    locks = FileProfileLocks(state_dir, SystemClock())
    with locks.hold_as_it_is("new", "somebody"):
        with pytest.raises(ProfileHeld, match="profile new is held by somebody"), locks.hold("a", "me"):
            pytest.fail("held")
        assert places.begun(state_dir) == ["a", "new"]
        assert [profile.id for profile in manager.list()] == ["a", "b"]
    assert manager.list()
    assert places.begun(state_dir) == []


def test_a_worker_finds_a_profile_whole(manager, state_dir):
    """Taking the lock is enough: what was begun is finished before anybody works with it."""
    intents.write(state_dir, "a", Recovery(profile_id="a", mode="hard", keep_login=False, deep=False, at=NOW))
    with capture_logs() as logs, FileProfileLocks(state_dir, SystemClock()).hold("a", "attempt 1"):
        assert data(state_dir, "a") == set()
        assert not os.path.lexists(places.intent(state_dir, "a"))
    assert ("operation_resumed", "recovery") in {(line["event"], line.get("operation")) for line in logs}


def test_a_migration_whose_source_is_gone_ends(manager, state_dir, tmp_path):
    """There is nothing left to bring: the record goes, and nothing else happens."""
    (tmp_path / "old").mkdir()
    intents.write(state_dir, "default", Migration(profile_id="default", source=str(tmp_path / "old")))
    assert [profile.id for profile in manager.list()] == ["a", "b"]
    assert places.begun(state_dir) == []


def test_a_damaged_record_keeps_everybody_off(manager, state_dir):
    """What was to be done cannot be told: nothing is touched, and the record is named, by ``doctor``, too."""
    places.intent(state_dir, "a").write_bytes(b"torn")
    before = browser_data.content_hash(state_dir / "profiles" / "a")
    with pytest.raises(StateCorrupt, match="intent-a"):
        manager.activate("a")
    assert any("intent-a" in finding.fix for finding in manager.doctor())
    assert browser_data.content_hash(state_dir / "profiles" / "a") == before


def test_what_cannot_be_tidied_up_is_said(manager, state_dir, monkeypatch):
    """In the log; looking at profiles goes on all the same."""
    places.gone(state_dir, "x").mkdir()
    with monkeypatch.context() as patch, capture_logs() as logs:
        failing(patch, "unlink", 1)
        failing(patch, "rmdir", 1)
        assert [profile.id for profile in manager.list()] == ["a", "b"]
    assert "not_tidied" in {line["event"] for line in logs}
    manager.list()
    assert places.begun(state_dir) == []


def test_a_profile_that_is_gone_as_a_file(manager, state_dir):
    """Whatever stands under the name of what is being removed goes."""
    places.gone(state_dir, "x").write_text("x")
    manager.list()
    assert places.begun(state_dir) == []


def test_a_staged_profile_without_a_mark_is_removed(manager, state_dir):
    """It was not whole."""
    (staging.begin(state_dir, "x") / "profiles" / "x").mkdir(parents=True)
    manager.list()
    assert not staging.is_pending(state_dir, "x")


def test_an_intent_that_cannot_be_removed_is_named(manager, state_dir, monkeypatch):
    """The operation is done, and says what is left."""
    intents.write(state_dir, "x", Migration(profile_id="x", source="/nowhere"))
    failing(monkeypatch, "unlink", 1)
    with pytest.raises(DurableWriteFailed, match="intent-x"):
        intents.remove(state_dir, "x")
