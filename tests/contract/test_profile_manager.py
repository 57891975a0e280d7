"""``ProfileManager`` and its parts, by the contract that they were specified with."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from core.clock import ManualClock
from core.domain.session import Identity, SessionState
from core.errors import BadInput, DurableWriteFailed, ProfileHeld, StateCorrupt, TemplateLive, TemplateMissing
from core.profiles import (
    Profile,
    ProfileActiveError,
    ProfileCorruptedError,
    ProfileExistsError,
    ProfileInUse,
    ProfileManager,
    ProfileNotFoundError,
)
from core.profiles.port import ProfileMetadata
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.workspaces import ahead, manifest, verify
from tests import browser_data, profiles

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_212_000.0  # 2026-11-20T22:00:00Z
LOGIN = LoginState(cookies=[{"name": "sid", "value": "v", "domain": "a.example", "path": "/", "expires": -1}])


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def manager(state_dir, clock):
    return ProfileManager(state_dir, clock=clock, lock_timeout=0.2, stop_grace=0.2)


def names(state_dir: Path) -> set[str]:
    """What stands among the profiles, but for the pointer."""
    return {path.name for path in (state_dir / "profiles").iterdir()} - {".active"}


def saved(state_dir: Path, profile_id: str) -> Path:
    """Give a profile saved browser data, as a run does."""
    data = browser_data.make(state_dir / "profiles" / profile_id / "browser_profile")
    manifest.write(data)
    return data


# --- creating --------------------------------------------------------------------------------------------------------


def test_a_new_profile_has_the_directory_of_the_contract(manager, state_dir):
    """Metadata, an empty session, browser data and cache, private; nothing else is left."""
    made = manager.create_profile("support_bot", platform="whatsapp")
    assert isinstance(made, Profile)
    root = state_dir / "profiles" / "support_bot"
    assert {path.name for path in root.iterdir()} == {"metadata.json", "session.json", "browser_profile", "cache"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (root, *root.rglob("*")))
    assert FileLoginStateStore(state_dir).read("support_bot").value.is_empty
    assert names(state_dir) == {"support_bot"}


def test_metadata_of_the_contract(manager, state_dir):
    """The names and forms that were published, and what the platform says of itself."""
    manager.create("support_bot", "whatsapp", name="Support", tags=["a", "b", "a"], settings={"locale": "de-DE"})
    plain = msgspec.json.decode((state_dir / "profiles" / "support_bot" / "metadata.json").read_bytes())
    assert plain["profile_id"] == "support_bot"
    assert plain["platform"] == "whatsapp"
    assert plain["created_at"] == plain["last_used"] == "2026-11-20T22:00:00Z"
    assert plain["status"] == "inactive"
    assert (plain["name"], plain["tags"], plain["locale"]) == ("Support", ["a", "b"], "de-DE")
    assert plain["start_url"] == "https://web.whatsapp.com/"


@pytest.mark.parametrize("bad", ["", "../x", "a b", "x" * 33, "nul", "-a", "a/b"])
def test_an_id_is_held_to_its_rule(manager, state_dir, bad):
    """What cannot be an ID is refused by every operation, and nothing is written."""
    for operation in (
        lambda: manager.create(bad), lambda: manager.activate(bad), lambda: manager.delete(bad), lambda: manager.status(bad),
        lambda: manager.clone(bad, "x"), lambda: manager.clone("x", bad), lambda: manager.rename(bad, "x"),
        lambda: manager.recover(bad), lambda: manager.tag(bad, add=["a"]), lambda: manager.size(bad),
        lambda: manager.migrate(profile_id=bad), lambda: manager.deactivate(bad),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            operation()
    assert list(state_dir.iterdir()) == []


def test_ids_are_unique_also_in_case(manager):
    """A second profile of the same ID, or of one that differs only in case, is refused."""
    manager.create("Anna")
    for taken in ("Anna", "anna", "ANNA"):
        with pytest.raises(ProfileExistsError):
            manager.create(taken)
    assert [each.id for each in manager.list()] == ["Anna"]


def test_a_worker_does_not_create_a_twin_either(state_dir, manager):
    """The store that runs use holds to the same rule."""
    manager.create("Anna")
    with pytest.raises(ProfileExistsError, match="differs only in case"):
        FileProfileStore(state_dir).ensure("anna", NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform": "pigeon"},
        {"settings": {"start_url": "javascript:1"}},
        {"settings": {"viewport": {"width": 0, "height": 1}}},
        {"settings": {"proxy": "ftp://h"}},
        {"settings": {"device": "watch"}},
        {"tags": ["two words"]},
        {"name": "a\nb"},
        {"template": "/nowhere", "source": "/nowhere"},
    ],
)
def test_a_wrong_argument_leaves_nothing(manager, state_dir, wrong):
    """It is named, and there is no profile."""
    with pytest.raises(BadInput):
        manager.create("a", **wrong)
    assert manager.list() == ()
    assert list(state_dir.glob(".import-*")) == []


def test_creating_from_a_template(manager, state_dir, tmp_path):
    """Browser data without caches, crash marks and service workers; the template is as it was, and is remembered."""
    template = browser_data.make(tmp_path / "template")
    before = browser_data.content_hash(template)
    manager.create("a", template=template)
    data = state_dir / "profiles" / "a" / "browser_profile"
    assert browser_data.files(data) - {manifest.NAME, ".ostler-browser.json"} == browser_data.copied()
    assert verify.findings(data) == []
    assert manifest.differences(data, deep=True) == []
    assert browser_data.content_hash(template) == before
    metadata = manager.metadata.load("a")
    assert (metadata.template, metadata.browser_version) == (str(template), "156.0.8078.108")
    assert [each.path for each in manager.diff("a").files] == ["Default/Preferences"]  # it says no more that it crashed


def test_a_template_that_cannot_be_used(manager, state_dir, tmp_path):
    """None, one that is open, one that a run works with: each is refused, and nothing is left."""
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(TemplateMissing):
            manager.create("a", template=missing)
    manager.create("base")
    template = saved(state_dir, "base")
    with manager.locks.acquire("base", what="attempt 1"), pytest.raises(TemplateLive, match="attempt 1"):
        manager.create("a", template=template)
    (template / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    with pytest.raises(TemplateLive):
        manager.create("a", template=template)
    assert [each.id for each in manager.list()] == ["base"]


def test_creating_from_what_somebody_has(manager, state_dir, tmp_path):
    """A user-data-dir comes along with its service workers; with a session beside it, its login does, too."""
    browser_data.make(tmp_path / "one")
    manager.create("a", source=tmp_path / "one")
    assert (state_dir / "profiles/a/browser_profile/Default/Service Worker").is_dir()
    browser_data.make(tmp_path / "two" / "browser_profile")
    (tmp_path / "two" / "session.json").write_bytes(msgspec.json.encode({"cookies": LOGIN.cookies, "origins": []}))
    manager.create("b", source=tmp_path / "two")
    assert FileLoginStateStore(state_dir).read("b").value.cookies == LOGIN.cookies
    assert manager.metadata.load("b").generation == 0
    (tmp_path / "two" / "session.json").write_text("{}")
    with pytest.raises(BadInput, match="a login state"):
        manager.create("c", source=tmp_path / "two")
    with pytest.raises(TemplateMissing):
        manager.create("c", source=tmp_path / "nowhere")
    assert [each.id for each in manager.list()] == ["a", "b"]


@pytest.mark.parametrize("fails", ["mkdir", "write", "rename", "fsync"])
def test_any_failure_of_a_creation_takes_it_back(manager, state_dir, monkeypatch, fails):
    """Where the system refuses one call, the error says so, and no part of the profile is there."""
    manager.create("other")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, refuse)
    with pytest.raises(DurableWriteFailed, match="No space"):
        manager.create("a")
    monkeypatch.undo()
    assert [each.id for each in manager.list()] == ["other"]
    assert names(state_dir) == {"other"}
    assert list(state_dir.glob(".import-*")) == []
    manager.create("a")


# --- the active one --------------------------------------------------------------------------------------------------


def test_activation_switches(manager, clock, state_dir):
    """One profile is active at a time; the one before it is deactivated, and both sets of metadata say so."""
    manager.create("a")
    manager.create("b")
    clock.advance(60)
    assert manager.activate_profile("a") is None
    assert [(each.id, each.status) for each in manager.list()] == [("a", "active"), ("b", "inactive")]
    clock.advance(60)
    assert manager.activate("b") == "a"
    assert [(each.id, each.status) for each in manager.list()] == [("a", "inactive"), ("b", "active")]
    store = FileProfileStore(state_dir)
    assert [store.read(each).status for each in ("a", "b")] == ["inactive", "active"]
    assert store.read("b").last_used == "2026-11-20T22:02:00Z"
    assert store.read("b").lock_pid == os.getpid()
    assert manager.list("active")[0].id == "b"


def test_activating_the_active_one_changes_nothing(manager, state_dir):
    """It is active already, also where somebody works with it."""
    manager.create("a")
    manager.activate("a")
    before = (state_dir / "profiles" / "a" / "metadata.json").read_bytes()
    with manager.locks.acquire("a"):
        assert manager.activate("a") == "a"
    assert (state_dir / "profiles" / "a" / "metadata.json").read_bytes() == before


def test_what_is_not_there_is_not_activated(manager):
    """It is named."""
    with pytest.raises(ProfileNotFoundError, match="'a'"):
        manager.activate("a")


def test_activation_waits_for_the_lock_and_then_names_the_holder(manager):
    """Held by somebody else, it is not activated: after the timeout the error has pid, host and since when."""
    manager.create("a")
    with (
        manager.locks.acquire("a", what="somebody"),
        pytest.raises(ProfileHeld, match=rf"somebody, pid {os.getpid()} on "),
    ):
        manager.activate("a")
    assert manager.registry.get_active() is None


def test_activation_goes_on_when_the_lock_is_free(state_dir, manager):
    """It blocks until the holder lets go."""
    manager.create("a")
    patient = ProfileManager(state_dir, lock_timeout=30)
    held = manager.locks.acquire("a", what="somebody")
    done = threading.Event()
    thread = threading.Thread(target=lambda: (patient.activate("a"), done.set()))
    thread.start()
    try:
        assert not done.wait(0.2)
    finally:
        held.close()
        thread.join(30)
    assert done.is_set()
    assert manager.registry.is_active("a")


def test_the_active_profile_outlives_the_process(manager, state_dir):
    """Another manager on the same directory knows it; where none is, ``default`` is meant."""
    manager.create("a")
    assert manager.chosen() == "default"
    manager.activate("a")
    assert ProfileManager(state_dir).chosen() == "a"
    assert ProfileManager(state_dir).chosen("b") == "b"


def test_deactivation(manager):
    """No profile is active afterwards; expecting another one is a mistake."""
    manager.create("a")
    manager.create("b")
    assert manager.deactivate() is None
    with pytest.raises(BadInput, match="none is active"):
        manager.deactivate("a")
    manager.activate("a")
    with pytest.raises(BadInput, match="the active profile, a"):
        manager.deactivate("b")
    assert manager.deactivate_profile() == "a"
    assert manager.get("a").status == "inactive"
    manager.activate("a")
    assert manager.deactivate("a") == "a"


def test_a_damaged_pointer_is_mended_from_the_metadata(manager, state_dir):
    """Where one profile says that it is active, it is; ``doctor`` names the damage, and the next activation mends it."""
    manager.create("a")
    manager.create("b")
    manager.activate("a")
    (state_dir / "profiles" / ".active").write_bytes(b"\0")
    assert manager.registry.get_active() == "a"
    assert any(finding.check == "active profile" for finding in manager.doctor())
    manager.activate("b")
    assert [each.status for each in manager.list()] == ["inactive", "active"]
    assert all(finding.check != "active profile" for finding in manager.doctor())


def test_half_a_switch_is_finished_by_the_next(manager, state_dir):
    """A kill behind the pointer leaves metadata that say something else: the pointer is right, and is followed."""
    for name in ("a", "b", "c"):
        manager.create(name)
    manager.activate("a")
    manager.activate("b")
    store = FileProfileStore(state_dir)
    store.update("a", lambda metadata: setattr(metadata, "status", "active"))
    store.update("b", lambda metadata: setattr(metadata, "status", "inactive"))
    assert [each.status for each in manager.list()] == ["inactive", "active", "inactive"]
    manager.activate("c")
    assert [store.read(each).status for each in ("a", "b", "c")] == ["inactive", "inactive", "active"]


def test_a_full_disk_leaves_the_active_one(manager, monkeypatch, state_dir):
    """The switch fails as a whole."""
    manager.create("a")
    manager.create("b")
    manager.activate("a")
    before = {name: (state_dir / "profiles" / name / "metadata.json").read_bytes() for name in ("a", "b")}
    real = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if b'"active"' in bytes(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(DurableWriteFailed):
        manager.activate("b")
    monkeypatch.undo()
    assert manager.registry.get_active() == "a"
    assert {name: (state_dir / "profiles" / name / "metadata.json").read_bytes() for name in ("a", "b")} == before


# --- deleting --------------------------------------------------------------------------------------------------------


def test_the_active_profile_is_not_deleted(manager):
    """Deactivated it is; by force it is at once."""
    manager.create("a")
    manager.activate("a")
    with pytest.raises(ProfileActiveError, match="deactivate it first, or use --force"):
        manager.delete_profile("a")
    manager.deactivate()
    manager.delete_profile("a")
    manager.create("a")
    manager.activate("a")
    manager.delete("a", force=True)
    assert manager.list() == ()
    assert manager.registry.get_active() is None
    manager.create("a")
    assert manager.get("a").status == "inactive"


def test_a_profile_in_use_is_not_deleted(manager):
    """A run is named at once; whoever else holds it is waited for, and then named. It is a kind of being active."""
    manager.create("a")
    for what in ("attempt 2 of job a", "somebody"):
        with (
            manager.locks.acquire("a", what=what),
            pytest.raises(ProfileActiveError, match=f"in use by {what}") as caught,
        ):
            manager.delete("a")
        assert isinstance(caught.value, ProfileInUse)
    assert manager.get("a").status == "inactive"


def test_force_does_not_end_its_own_process(manager):
    """Who holds the profile himself is told so."""
    manager.create("a")
    with manager.locks.acquire("a", what="attempt 1"), pytest.raises(ProfileInUse, match="this very process"):
        manager.delete("a", force=True)


def test_all_that_belongs_to_a_profile_goes(manager, state_dir):
    """Session, bytes of it that were kept aside, and working copies go, failed ones too; results stay; other profiles are untouched."""
    profiles.make_profile(state_dir, "a")
    profiles.make_profile(state_dir, "a2")
    (state_dir / "sessions" / "a.json.corrupt-1").write_bytes(b"secret")
    (state_dir / "downloads" / "a").mkdir(parents=True)
    (state_dir / "artifacts" / "a" / "SENSITIVE-workspace-7" / "Default").mkdir(parents=True)
    (state_dir / "artifacts" / "a" / "1").mkdir()
    before = browser_data.content_hash(state_dir / "profiles" / "a2")
    manager.delete("a")
    assert names(state_dir) == {"a2"}
    assert {path.name for path in (state_dir / "sessions").iterdir()} <= {"a2.json", "a2.json.prev"}
    assert (state_dir / "downloads" / "a").is_dir()
    assert [path.name for path in (state_dir / "artifacts" / "a").iterdir()] == ["1"]
    assert browser_data.content_hash(state_dir / "profiles" / "a2") == before
    with pytest.raises(ProfileNotFoundError):
        manager.delete("a")


def test_a_new_profile_inherits_nothing(manager, state_dir):
    """One of the same ID starts with no step done, and without a login."""
    profiles.make_profile(state_dir, "a")
    manager.delete("a")
    manager.create("a")
    report = manager.status("a")
    assert (report.flags, report.session_status) == ((), None)
    assert FileLoginStateStore(state_dir).read("a").value.is_empty


def test_what_could_not_be_removed_is_removed_next_time(manager, state_dir, monkeypatch):
    """The profile is gone at once; what is left of it waits for the next operation."""
    profiles.make_profile(state_dir, "a")
    from core.workspaces import removal

    monkeypatch.setattr(removal, "_PAUSES", ())
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EBUSY, "busy")))
    with pytest.raises(Exception, match="could not be removed"):
        manager.delete("a")
    monkeypatch.undo()
    assert not (state_dir / "profiles" / "a").exists()
    assert manager.list() == ()
    assert names(state_dir) == set()


# --- looking ---------------------------------------------------------------------------------------------------------


def test_a_list_shows_damaged_profiles_too(manager, state_dir):
    """Each with its problem; directories that are none are not shown."""
    manager.create("a", tags=["x"])
    manager.create("b")
    manager.create("c")
    (state_dir / "profiles" / "b" / "metadata.json").write_text("{")
    (state_dir / "profiles" / "c" / "metadata.json").unlink()
    (state_dir / "profiles" / "none").mkdir()
    (state_dir / "profiles" / "file").write_text("x")
    found = manager.list_profiles()
    assert [(each.id, each.status) for each in found] == [("a", "inactive"), ("b", "corrupted"), ("c", "corrupted")]
    assert "metadata.json" in found[1].problem
    assert found[2].problem == "metadata.json is missing"
    assert [each.id for each in manager.list("corrupted")] == ["b", "c"]
    assert manager.list("active") == ()


def test_a_list_shows_who_works_with_it(manager):
    """The kernel's lock says so."""
    manager.create("a")
    with manager.locks.acquire("a", what="attempt 1"):
        assert manager.get("a").holder.what == "attempt 1"
        assert manager.locks.is_locked("a")
    assert manager.get("a").holder is None
    assert not manager.locks.is_locked("a")


def test_an_empty_state_directory(tmp_path):
    """Looking at what is not there creates nothing."""
    manager = ProfileManager(tmp_path / "none")
    assert manager.list() == ()
    assert manager.doctor()[0].what.startswith("0 profiles")
    assert not (tmp_path / "none").exists()


def test_a_status_has_everything(manager, state_dir):
    """Metadata, session, flags, size and what is damaged."""
    profiles.make_profile(state_dir, "a")
    report = manager.status("a")
    assert report.profile.id == "a"
    assert report.findings == ()
    assert report.flags == ("mail_created",)
    assert report.metadata.name == "Anna, Zürich"
    assert report.size > 1000


def test_damage_that_a_status_finds_is_marked(manager, state_dir):
    """From then on the list shows it, and it is not activated before it is recovered."""
    manager.create("a")
    data = saved(state_dir, "a")
    (data / "Default" / "Cookies").write_bytes(b"torn")
    assert manager.get("a").status == "inactive"
    report = manager.status("a")
    assert report.profile.status == "corrupted"
    assert "Cookies" in report.profile.problem
    assert [each.id for each in manager.list("corrupted")] == ["a"]
    with pytest.raises(ProfileCorruptedError, match="recover a --mode soft --dry-run"):
        manager.activate("a")
    manager.recover("a")
    manager.activate("a")


def test_sizes(manager, state_dir):
    """By part, and their sum."""
    profiles.make_profile(state_dir, "a")
    (state_dir / "downloads" / "a").mkdir(parents=True)
    (state_dir / "downloads" / "a" / "file").write_bytes(b"x" * 77)
    found = manager.size("a")
    assert found.parts["downloads"] == 77
    assert found.parts["browser data"] > 1000
    assert found.parts["session"] == sum(path.stat().st_size for path in (state_dir / "sessions").glob("a.json*"))
    assert found.bytes == sum(found.parts.values())


def test_a_difference_to_the_template(manager, state_dir, tmp_path):
    """What was added, removed and changed since, by name; caches do not count."""
    manager.create("a", template=browser_data.make(tmp_path / "template"))
    data = state_dir / "profiles" / "a" / "browser_profile"
    (data / "Default" / "History").write_bytes(b"new")
    (data / "Default" / "Bookmarks").write_bytes(b"[]")
    (data / "Last Version").unlink()
    (data / "Default" / "Cache").mkdir()
    (data / "Default" / "Cache" / "x").write_bytes(b"x")
    found = manager.diff("a")
    assert [(each.path, each.change) for each in found.files] == [
        ("Default/Bookmarks", "changed"),
        ("Default/History", "added"),
        ("Default/Preferences", "changed"),
        ("Last Version", "removed"),
    ]
    assert found.same > 5


def test_a_difference_to_something_else(manager, state_dir, tmp_path):
    """Another profile, or any directory; without a template, one must be named."""
    manager.create("a", source=browser_data.make(tmp_path / "one"))
    manager.clone("a", "b")
    assert manager.diff("a", against="b").files == ()
    assert [each.path for each in manager.diff("a", against=tmp_path / "one").files] == ["Default/Preferences"]
    with pytest.raises(BadInput, match="none on record"):
        manager.diff("a")
    with pytest.raises(BadInput, match="a directory"):
        manager.diff("a", against=tmp_path / "nowhere")


# --- metadata --------------------------------------------------------------------------------------------------------


def test_damaged_metadata_are_marked_and_not_activated(manager, state_dir):
    """What is wrong in it is said; its bytes stay as they are; a recovery is offered."""
    manager.create("a")
    path = state_dir / "profiles" / "a" / "metadata.json"
    path.write_text('{"profile_id": "a", "status": "dancing"}')
    with pytest.raises(ProfileCorruptedError, match="ostler profile recover a"):
        manager.activate("a")
    assert path.read_text() == '{"profile_id": "a", "status": "dancing"}'
    assert manager.get("a").status == "corrupted"


def test_a_mark_is_written_where_it_can_be(manager, state_dir):
    """Metadata that can be read get status and reason; what is no metadata is its own mark."""
    manager.create("a")
    assert manager.metadata.mark_corrupted("a", "because\nof this")
    assert (manager.get("a").status, manager.get("a").problem) == ("corrupted", "because of this")
    (state_dir / "profiles" / "a" / "metadata.json").write_text("[]")
    assert not manager.metadata.mark_corrupted("a", "again")
    with pytest.raises(ProfileNotFoundError):
        manager.metadata.mark_corrupted("b", "no")


def test_the_handler_loads_and_saves(manager):
    """Whole, validated, or not at all."""
    manager.create("a")
    found = manager.metadata.load("a")
    found.notes = "x"
    manager.metadata.save(found)
    assert manager.metadata.load("a").notes == "x"
    found.generation = -1
    assert "generation" in manager.metadata.validate(found)
    with pytest.raises(BadInput):
        manager.metadata.save(found)
    with pytest.raises(ProfileNotFoundError):
        manager.metadata.load("b")


def test_tags(manager):
    """Added once, in order, and removed; also while somebody works with the profile."""
    manager.create("a", tags=["x"])
    with manager.locks.acquire("a", what="attempt 1"):
        assert manager.tag("a", add=["y", "x", "z"]) == ("x", "y", "z")
        assert manager.tag("a", add=["w"], remove=["x", "none"]) == ("y", "z", "w")
    assert manager.get("a").tags == ("y", "z", "w")
    with pytest.raises(BadInput, match="without spaces"):
        manager.tag("a", add=["two words"])
    with pytest.raises(ProfileNotFoundError):
        manager.tag("b", add=["x"])


def test_two_who_change_metadata_both_have_their_change(state_dir, manager):
    """Nothing is lost where several threads change different fields at the same time."""
    manager.create("a")
    store = FileProfileStore(state_dir)

    def add(tag: str) -> None:
        store.update("a", lambda metadata: setattr(metadata, "tags", (*metadata.tags, tag)))

    threads = [threading.Thread(target=add, args=(f"t{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(store.read("a").tags) == {f"t{number}" for number in range(12)}


# --- cloning and renaming --------------------------------------------------------------------------------------------


def full(state_dir: Path, profile_id: str) -> None:
    """A profile with settings, browser data, a login, a session and fields of its own."""
    FileProfileStore(state_dir).create(
        ProfileMetadata(
            profile_id=profile_id, platform="discord", tags=("t",), locale="de-DE", generation=3, lock_pid=1
        )
    )
    path = state_dir / "profiles" / profile_id / "metadata.json"
    path.write_text(path.read_text().replace("{", '{"by_hand": 1,', 1))
    saved(state_dir, profile_id)
    FileLoginStateStore(state_dir).write(profile_id, LOGIN, fence=5)
    FileSessionStore(state_dir).write(
        SessionState(
            profile_id=profile_id, completion_flags={"done": True}, identity=Identity(email="a@b"), login_generation=3
        ),
        fence=5,
    )


def test_a_clone_has_data_settings_and_login(manager, state_dir):
    """Under its own ID, with no step done; the source is as it was."""
    full(state_dir, "a")
    before = browser_data.content_hash(state_dir / "profiles" / "a")
    made = manager.clone("a", "b")
    assert (made.id, made.platform, made.status, made.tags) == ("b", "discord", "inactive", ("t",))
    data = state_dir / "profiles" / "b" / "browser_profile"
    assert browser_data.copied() <= browser_data.files(data)
    assert manifest.differences(data, deep=True) == []
    assert FileLoginStateStore(state_dir).read("b").value == LOGIN
    assert FileSessionStore(state_dir).read("b") is None
    assert FileProfileStore(state_dir).fields("b")["by_hand"] == 1
    assert (manager.metadata.load("b").generation, manager.metadata.load("b").lock_pid) == (0, None)
    assert browser_data.content_hash(state_dir / "profiles" / "a") == before


def test_a_clone_with_its_session(manager, state_dir):
    """What is done comes along if that is asked for, under the new ID."""
    full(state_dir, "a")
    ahead.mark(state_dir / "profiles" / "a" / "browser_profile")
    manager.clone("a", "b", with_session=True)
    stored = FileSessionStore(state_dir).read("b")
    assert (stored.value.profile_id, stored.value.completion_flags, stored.fence) == ("b", {"done": True}, 5)
    assert manager.metadata.load("b").generation == 3
    assert ahead.is_set(state_dir / "profiles" / "b" / "browser_profile")


def test_what_is_damaged_is_not_cloned(manager, state_dir):
    """Neither metadata nor browser data; nothing is left of the try."""
    full(state_dir, "a")
    (state_dir / "profiles/a/browser_profile/Default/Cookies").write_bytes(b"torn")
    with pytest.raises(ProfileCorruptedError, match="Cookies"):
        manager.clone("a", "b")
    full(state_dir, "c")
    (state_dir / "profiles" / "c" / "metadata.json").write_text("")
    with pytest.raises(ProfileCorruptedError):
        manager.clone("c", "b")
    assert [each.id for each in manager.list()] == ["a", "c"]


def test_clones_and_renames_need_a_free_id(manager, state_dir):
    """Neither the same, nor one that is taken, nor a twin in case."""
    full(state_dir, "a")
    manager.create("b")
    for operation in (manager.clone, manager.rename):
        with pytest.raises(BadInput, match="another ID"):
            operation("a", "a")
        for taken in ("b", "B"):
            with pytest.raises(ProfileExistsError):
                operation("a", taken)
        with pytest.raises(ProfileNotFoundError):
            operation("none", "c")
    assert [each.id for each in manager.list()] == ["a", "b"]


def test_a_rename_takes_everything_along(manager, state_dir):
    """Data, login, session, unknown fields, results and being active; nothing is left under the old ID."""
    full(state_dir, "a")
    for kind in ("downloads", "artifacts"):
        (state_dir / kind / "a").mkdir(parents=True)
    manager.activate("a")
    content = browser_data.content_hash(state_dir / "profiles" / "a" / "browser_profile")
    made = manager.rename("a", "b")
    assert (made.id, made.status) == ("b", "active")
    assert manager.chosen() == "b"
    assert names(state_dir) == {"b"}
    assert browser_data.content_hash(state_dir / "profiles" / "b" / "browser_profile") == content
    assert FileLoginStateStore(state_dir).read("b").value == LOGIN
    assert FileSessionStore(state_dir).read("b").value.completion_flags == {"done": True}
    assert FileSessionStore(state_dir).read("a") is None
    assert FileProfileStore(state_dir).fields("b")["by_hand"] == 1
    assert (state_dir / "downloads" / "b").is_dir()
    assert (state_dir / "artifacts" / "b").is_dir()
    assert list(state_dir.glob(".import-*")) == []


def test_what_is_damaged_is_not_renamed(manager, state_dir):
    """A login state that cannot be read cannot be written under another ID: nothing changes."""
    full(state_dir, "a")
    (state_dir / "profiles" / "a" / "session.json").write_bytes(b"torn")
    with pytest.raises(StateCorrupt):
        manager.rename("a", "b")
    assert names(state_dir) == {"a"}


def test_an_operation_waits_for_half_a_minute(state_dir):
    """Unless it is told otherwise."""
    assert ProfileManager(state_dir).locks._timeout == 30.0


# --- locks -----------------------------------------------------------------------------------------------------------


def test_locks_are_acquired_and_released(manager):
    """As a context, or by name; what was not taken is not released."""
    with manager.locks.acquire("a", "b"):
        assert manager.locks.is_locked("a")
    assert not manager.locks.release("a")
    manager.locks.acquire("a", "b")
    assert manager.locks.release("b")
    assert not manager.locks.is_locked("a")
    assert not manager.locks.release("a")


def test_half_of_a_pair_is_let_go(manager):
    """Where the second lock cannot be had, the first is free again."""
    with manager.locks.acquire("b"), pytest.raises(ProfileHeld, match="profile b"):
        manager.locks.acquire("a", "b")
    assert not manager.locks.is_locked("a")


def test_the_list_of_profiles_has_one_changer(state_dir, manager):
    """Whoever changes which profiles there are waits for the other, and is then told who it is."""
    other = ProfileManager(state_dir, lock_timeout=0.1)
    with (
        manager.locks.acquire_all("somebody"),
        pytest.raises(Exception, match="the list of profiles is held by somebody"),
    ):
        other.create("a")
    assert other.list() == ()


def test_the_default_state_directory_is_that_of_the_command(monkeypatch, tmp_path):
    """Without arguments the manager works where ``ostler`` does."""
    monkeypatch.setenv("OSTLER_STATE_DIR", str(tmp_path / "here"))
    manager = ProfileManager()
    manager.create("a")
    assert (tmp_path / "here" / "profiles" / "a").is_dir()
