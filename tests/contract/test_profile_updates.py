"""Many profiles at once: who is in which state, updates that notice each other, what all of them take, and who is told."""

from __future__ import annotations

import contextlib
import os
import threading

import msgspec
import pytest

from core.clock import ManualClock
from core.domain.events import ProfileChanged
from core.domain.session import SessionState
from core.errors import BadInput, ProfileHeld
from core.events.recording import RecordingEvents
from core.profiles import ProfileManager, ProfileUpdate
from core.profiles.memory import MemoryProfileLocks, MemoryProfileStore
from core.profiles.port import Viewport
from core.profiles.store import FileProfileStore
from core.profiles.updating import Applied, Conflict, revision_of, update_many
from core.state.sessions import FileSessionStore

NOW = 1_795_212_000.0


@pytest.fixture(params=["files", "memory"])
def store(request, state_dir):
    """Each adapter, with three profiles."""
    found = FileProfileStore(state_dir) if request.param == "files" else MemoryProfileStore()
    for name in ("anna", "bert", "carl"):
        found.ensure(name, NOW)
    return found


@pytest.fixture
def sink():
    return RecordingEvents()


@pytest.fixture
def manager(state_dir, sink):
    return ProfileManager(state_dir, clock=ManualClock(NOW), lock_timeout=0.2, stop_grace=0.2, events=sink)


def free(_profile_id):
    return contextlib.nullcontext()


def update(store, name, **changes):
    """An update that is based on what is there."""
    return ProfileUpdate(profile_id=name, changes=changes, based_on=revision_of(store.read(name)))


# --- over every store ------------------------------------------------------------------------------------------------


def test_each_update_is_made_or_said_why_not(store):
    """One that was overtaken is a conflict with both revisions; what is missing, held or wrong is said; the others are made."""
    locks = MemoryProfileLocks(ManualClock(NOW))
    updates = [update(store, name, locale="de-DE", tags=["support"]) for name in ("anna", "bert", "carl")]
    seen = updates[1].based_on
    store.update("bert", lambda metadata: setattr(metadata, "notes", "somebody was faster"))
    by_now = revision_of(store.read("bert"))
    wrong = [
        ProfileUpdate(profile_id="anna", changes={"status": "active", "generation": 9}),
        ProfileUpdate(profile_id="anna", changes={"viewport": "wide"}),
        ProfileUpdate(profile_id="anna", changes={"timezone": ""}),
        ProfileUpdate(profile_id="nobody", changes={"locale": "de-DE"}),
    ]
    told = []
    with locks.hold("carl", "a run"):
        found = update_many(store, [*updates, *wrong], lambda name: locks.hold(name, "test"), told.append)
    after = store.read("anna")
    assert (after.locale, after.tags) == ("de-DE", ("support",))
    assert found.applied == (Applied(profile_id="anna", revision=revision_of(after), fields=("tags", "locale")),)
    assert told == list(found.applied)
    assert found.conflicts == (Conflict(profile_id="bert", expected=seen, found=by_now),)
    assert (store.read("bert").locale, store.read("bert").notes) == (None, "somebody was faster")
    assert found.missing == ("nobody",)
    assert [each.profile_id for each in found.failed] == ["carl", "anna", "anna", "anna"]
    held, not_theirs, no_value, no_zone = (each.reason for each in found.failed)
    assert "a run" in held and "expected one of name, tags, notes" in not_theirs
    assert "viewport" in no_value and "timezone" in no_zone
    assert store.read("carl").locale is None


def test_a_revision_is_what_was_seen(store):
    """It changes with any field, is the same again when that is put back, and for each store."""
    before = revision_of(store.read("anna"))
    found = update_many(store, [update(store, "anna", viewport={"width": 800, "height": 600})], free, lambda _: None)
    assert store.read("anna").viewport == Viewport(800, 600)
    assert found.applied[0].revision == revision_of(store.read("anna")) != before
    update_many(store, [update(store, "anna", viewport=None)], free, lambda _: None)
    assert revision_of(store.read("anna")) == before
    again = update_many(store, [update(store, "anna", viewport=None)], free, lambda _: None)
    assert again.applied[0].fields == ()


def test_of_many_who_saw_the_same_one_wins(store):
    """Eight threads with the same base: one is applied, seven are conflicts, and nothing of theirs is there."""
    base = revision_of(store.read("anna"))
    results = []

    def run(number):
        wanted = ProfileUpdate(
            profile_id="anna", changes={"notes": f"by {number}", "tags": [f"t{number}"]}, based_on=base
        )
        results.append(update_many(store, [wanted], free, lambda _: None))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(found.applied) for found in results) == 1
    assert sum(len(found.conflicts) for found in results) == 7
    after = store.read("anna")
    assert after.tags == (f"t{after.notes.removeprefix('by ')}",)


# --- the manager -----------------------------------------------------------------------------------------------------


def test_updates_are_made_under_each_profiles_lock(manager, sink, state_dir):
    """Who is held keeps what it has, and is said with its holder; whoever was changed is told of, without a value."""
    for name in ("anna", "bert"):
        manager.create(name)
    updates = [
        ProfileUpdate(profile_id=name, changes={"proxy": "http://u:secret@h:1"}, based_on=manager.revision(name))
        for name in ("anna", "bert")
    ]
    sink.events.clear()
    with manager.locks.acquire("bert", what="a run"):
        found = manager.update_multiple_profiles([*updates, ProfileUpdate(profile_id="../x", changes={})])
    assert [each.profile_id for each in found.applied] == ["anna"]
    assert [each.profile_id for each in found.failed] == ["bert", "../x"]
    assert f"pid {os.getpid()}" in found.failed[0].reason
    assert sink.events == [
        ProfileChanged(at=NOW, profile_id="anna", what="updated", fields=("proxy",), revision=manager.revision("anna"))
    ]
    # the same again is overtaken by itself; what changes nothing is not told
    assert [each.profile_id for each in manager.update_many(updates[:1]).conflicts] == ["anna"]
    manager.update_many([ProfileUpdate(profile_id="anna", changes={"proxy": "http://u:secret@h:1"})])
    assert len(sink.events) == 1
    assert b"secret" not in b"".join(map(msgspec.json.encode, sink.events))


def test_whatever_changes_a_profile_is_told(manager, sink):
    """Each operation once, when it has happened; one that was refused is not."""
    manager.create("anna")
    manager.tag("anna", add=["a"])
    manager.tag("anna", add=["a"])
    manager.change("anna", lambda metadata: setattr(metadata, "notes", "n"), what="test")
    manager.clone("anna", "bert")
    manager.rename("bert", "carl")
    manager.activate("anna")
    manager.deactivate()
    manager.deactivate()
    manager.recover("carl")
    manager.delete("carl")
    with manager.locks.acquire("anna", what="a run"), pytest.raises(ProfileHeld):
        manager.change("anna", lambda metadata: setattr(metadata, "notes", "m"), what="test")
    told = [(event.what, event.profile_id, event.before, event.fields) for event in sink.events]
    assert told == [
        ("created", "anna", "", ()),
        ("updated", "anna", "", ("tags",)),
        ("updated", "anna", "", ("notes",)),
        ("created", "bert", "", ()),
        ("renamed", "carl", "bert", ()),
        ("activated", "anna", "", ()),
        ("deactivated", "anna", "", ()),
        ("recovered", "carl", "", ()),
        ("deleted", "carl", "", ()),
    ]


def test_profiles_by_status(manager, state_dir):
    """Of the profile itself, whether it is in use, and of what ran last with it."""
    for name in ("anna", "bert", "carl", "dora"):
        manager.create(name)
    sessions = FileSessionStore(state_dir)
    sessions.write(SessionState(profile_id="anna", status="FAILED"), fence=1)
    sessions.write(SessionState(profile_id="bert", status="NEEDS_PERSON"), fence=1)
    (state_dir / "sessions" / "dora.json").write_bytes(b"{")
    manager.activate("bert")
    manager.metadata.mark_corrupted("carl", "torn")

    def ids(*statuses):
        return [each.id for each in manager.get_profiles_by_status(*statuses)]

    assert ids("failed") == ["anna"]
    assert ids("needs_person", "corrupted") == ["bert", "carl"]
    assert (ids("active"), ids("completed"), ids()) == (["bert"], [], [])
    assert ids("inactive") == ["anna", "dora"]
    with manager.locks.acquire("dora", what="a run"):
        assert ids("in_use") == ["dora"]
    assert ids("in_use") == []
    with pytest.raises(BadInput, match="one of active, inactive, corrupted, in_use, pending, processing,"):
        ids("FAILED")


def test_what_all_profiles_take(manager, state_dir):
    """On disk by part; in memory the processes that hold them, each once."""
    before = manager.get_memory_usage()
    assert (before.profiles, before.bytes, before.live, before.memory) == (0, 0, (), 0)
    for name in ("anna", "bert"):
        manager.create(name)
    (state_dir / "profiles" / "anna" / "browser_profile" / "History").write_bytes(b"x" * 1000)
    with manager.locks.acquire("anna", "bert", what="a run"):
        found = manager.get_memory_usage()
        by_profile = [manager.size(name).bytes for name in ("anna", "bert")]
    assert found.profiles == 2
    assert found.parts["browser data"] == 1000
    assert found.bytes == sum(found.parts.values()) == sum(by_profile)
    assert [(each.profile_id, each.pid) for each in found.live] == [("anna", os.getpid()), ("bert", os.getpid())]
    assert found.memory == found.live[0].memory == found.live[1].memory
    assert found.memory is None or found.memory > 1_000_000


def test_cleanup_removes_what_a_killed_holder_left(manager, state_dir):
    """As every start of a run does."""
    manager.create("anna")
    record = state_dir / "profiles" / "anna" / ".lock"
    record.write_text('{"pid": 999999999}')
    manager.cleanup()
    assert not record.exists()
