"""Recovery of damaged profiles: what it says beforehand, what it takes, what it keeps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from core.clock import ManualClock
from core.domain.session import SessionState
from core.errors import BadInput, NewerSchema
from core.profiles import ProfileCorruptedError, ProfileManager, ProfileNotFoundError
from core.profiles.port import ProfileMetadata
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.upkeep.integrity import examine
from core.workspaces import ahead, manifest, swap
from tests import browser_data

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_212_000.0  # 2026-11-20T22:00:00Z
LOGIN = LoginState(cookies=[{"name": "sid", "value": "v", "domain": "a.example", "path": "/"}])


@pytest.fixture
def manager(state_dir):
    return ProfileManager(state_dir, clock=ManualClock(NOW), lock_timeout=0.2)


@pytest.fixture
def profile(state_dir, manager) -> Path:
    """A whole profile ``a`` as runs leave it; its directory."""
    FileProfileStore(state_dir).create(
        ProfileMetadata(
            profile_id="a",
            platform="discord",
            created_at="2026-01-02T03:04:05Z",
            name="Anna",
            tags=("t",),
            generation=3,
        )
    )
    path = state_dir / "profiles" / "a"
    manifest.write(browser_data.make(path / "browser_profile"))
    for _ in range(2):
        FileLoginStateStore(state_dir).write("a", LOGIN, fence=5)
        FileSessionStore(state_dir).write(
            SessionState(profile_id="a", completion_flags={"registered": True, "x": False}, login_generation=3), fence=5
        )
    assert examine(state_dir, "a", deep=True) == []
    return path


def aside(profile: Path) -> Path:
    """Where what was damaged is kept."""
    return profile / ".damaged" / "20261120T220000Z"


def test_metadata_are_rebuilt_from_the_directory(manager, profile, state_dir):
    """Where the file says nothing any more: ID, dates and browser come from the directory, the rest from the defaults."""
    (profile / "metadata.json").write_bytes(b"\0\0")
    report = manager.recover_profile("a", mode="soft")
    assert [(loss.part, loss.what) for loss in report.losses] == [("metadata", "name, tags, platform and settings")]
    assert report.flags == ()
    metadata = manager.metadata.load("a")
    assert (metadata.platform, metadata.status, metadata.browser_version) == ("custom", "inactive", "156.0.8078.108")
    assert metadata.created_at
    assert (aside(profile) / "metadata.json").read_bytes() == b"\0\0"
    assert examine(state_dir, "a", deep=True) == []
    manager.activate("a")


def test_fields_that_are_right_are_kept(manager, profile):
    """Only what is wrong goes; fields of later versions stay."""
    path = profile / "metadata.json"
    plain = msgspec.json.decode(path.read_bytes())
    plain |= {"viewport": "large", "created_at": "yesterday", "by_hand": 1}
    path.write_bytes(msgspec.json.encode(plain))
    report = manager.recover("a")
    assert set(report.losses[0].what.split(", ")) == {"viewport", "created_at"}
    metadata = manager.metadata.load("a")
    assert (metadata.name, metadata.tags, metadata.platform, metadata.generation) == ("Anna", ("t",), "discord", 3)
    assert metadata.viewport is None
    assert msgspec.json.decode(path.read_bytes())["by_hand"] == 1


@pytest.mark.parametrize("kind", ["missing", "directory", "link"])
def test_metadata_that_are_no_file(manager, profile, kind):
    """They are rebuilt, and what stood in their place is kept."""
    path = profile / "metadata.json"
    path.unlink()
    if kind == "directory":
        path.mkdir()
        (path / "inside").write_text("x")
    elif kind == "link":
        path.symlink_to(path)
    manager.recover("a")
    assert manager.get("a").status == "inactive"
    assert path.is_file()
    assert (aside(profile) / "metadata.json" / "inside").exists() == (kind == "directory")


@pytest.mark.parametrize(
    ("name", "content", "holds"),
    [
        ("Default/Cookies", b"torn", "all cookies, and the logins in them"),
        ("Default/Login Data", b"SQLite format 3\0torn", "saved passwords"),
        ("Default/Preferences", b"{", "the browser's settings"),
        ("Local State", b"", "settings for all profiles of this user-data-dir"),
        ("Default/Local Storage/leveldb/CURRENT", b"MANIFEST-9\n", "what all sites keep in localStorage"),
        ("Default/Extensions/abc/1.0/manifest.json", b"{} ", "the extension abc"),
        (
            "Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log",
            b"other",
            "what https_a_0.indexeddb.leveldb keeps",
        ),
        (
            "Default/Service Worker/Database/000003.log",
            b"yy",
            "service workers of all sites; they install themselves again",
        ),
    ],
)
def test_only_the_broken_part_goes(manager, profile, name, content, holds):
    """It is named beforehand with what it holds, kept aside, and everything else is where it was."""
    data = profile / "browser_profile"
    before = browser_data.files(data)
    (data / name).write_bytes(content)
    plan = manager.recover("a", dry_run=True)
    assert [(loss.part, loss.what) for loss in plan.losses] == [("browser data", holds)]
    assert plan.flags == ("registered",)
    assert (data / name).read_bytes() == content
    report = manager.recover("a")
    assert report == msgspec.structs.replace(plan, dry_run=False)
    gone = before - browser_data.files(data)
    assert gone
    assert {each.partition("/")[0] for each in gone} <= {"Default", "Local State"}
    unit = name.rsplit("/", 1)[0] if "leveldb" in name else name
    kept = {each.relative_to(aside(profile) / "browser_profile").as_posix() for each in aside(profile).rglob("*")
            if each.is_file()}  # fmt: skip
    assert gone <= kept
    assert any(each.startswith(unit.split("/1.0")[0]) for each in kept)
    assert manager.status("a", deep=True).findings == ()


def test_what_was_written_by_somebody_and_is_sound_stays(manager, profile, state_dir):
    """A database or settings that differ from what was saved are taken as they are, and are what is saved from now on."""
    preferences = profile / "browser_profile" / "Default" / "Preferences"
    preferences.write_text('{"by": "hand"}')
    assert any("Preferences" in finding.what for finding in examine(state_dir, "a"))
    assert manager.recover("a").losses == ()
    assert preferences.read_text() == '{"by": "hand"}'
    assert examine(state_dir, "a", deep=True) == []


def test_a_flipped_bit_is_found_by_a_deep_recovery(manager, profile, state_dir):
    """Where neither size nor time say anything, all of it is read."""
    path = profile / "browser_profile" / "Default/Local Storage/leveldb/000003.log"
    found = path.stat()
    path.write_bytes(b"stoled")
    import os

    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert manager.recover("a", dry_run=True).losses == ()
    assert [loss.what for loss in manager.recover("a", deep=True).losses] == ["what all sites keep in localStorage"]
    assert examine(state_dir, "a", deep=True) == []


def test_a_lost_login_is_brought_back_by_the_next_run(manager, profile):
    """The login state is put into the browser then: its generation counts, and the data is marked as behind it."""
    (profile / "browser_profile" / "Default" / "Cookies").write_bytes(b"torn")
    manager.recover("a")
    assert manager.metadata.load("a").generation == 0
    assert ahead.is_set(profile / "browser_profile")


def test_a_damaged_login_state_falls_back_or_goes(manager, profile, state_dir):
    """With a whole version before it, that one counts; without, it is kept aside, and there is none."""
    (profile / "session.json").write_bytes(b"torn")
    assert manager.recover("a").losses == ()
    assert FileLoginStateStore(state_dir).look("a") == (True, [])
    for name in ("session.json", "session.json.prev"):
        (profile / name).write_bytes(b"torn")
    report = manager.recover("a")
    assert [(loss.part, loss.what) for loss in report.losses] == [("login state", "the login as it was exported last")]
    assert report.flags == ("registered",)
    assert FileLoginStateStore(state_dir).read("a").value.is_empty
    assert FileLoginStateStore(state_dir).read("a").fence == 5
    assert (aside(profile) / "session.json").read_bytes() == b"torn"


def test_a_damaged_session_falls_back_or_goes(manager, profile, state_dir):
    """That it holds which steps are done is said."""
    path = state_dir / "sessions" / "a.json"
    path.write_bytes(b"torn")
    assert manager.recover("a").losses == ()
    assert FileSessionStore(state_dir).look("a") == (True, [])
    for name in ("a.json", "a.json.prev"):
        (path.parent / name).write_bytes(b"torn")
    report = manager.recover("a", dry_run=True)
    assert [(loss.part, loss.what) for loss in report.losses] == [
        ("session", "which steps are done, the identity and the outputs")
    ]
    manager.recover("a", "hard", keep_login=True)
    assert FileSessionStore(state_dir).read("a") is None
    assert (aside(profile) / "sessions" / "a.json").read_bytes() == b"torn"


def test_browser_data_that_is_no_directory(manager, profile):
    """It is kept aside, and an empty one takes its place."""
    data = profile / "browser_profile"
    data.rename(profile / "elsewhere")
    data.symlink_to(profile / "elsewhere")
    assert [loss.what for loss in manager.recover("a").losses] == ["what stands in its place"]
    assert data.is_dir()
    assert not data.is_symlink()


def test_a_whole_profile_loses_nothing(manager, profile, state_dir):
    """Soft recovery of what is not damaged changes nothing but marks."""
    manager.metadata.mark_corrupted("a", "somebody thought so")
    content = browser_data.content_hash(profile / "browser_profile" / "Default")
    report = manager.recover("a")
    assert (report.losses, report.kept_in) == ((), "")
    assert (manager.get("a").status, manager.get("a").last_error) == ("inactive", None)
    assert browser_data.content_hash(profile / "browser_profile" / "Default") == content
    assert not (profile / ".damaged").exists()
    assert FileLoginStateStore(state_dir).read("a").value == LOGIN


def test_hard_resets_login_and_browser_data(manager, profile, state_dir):
    """As the contract says: the login is lost. It is said beforehand, with the flags that rest on it; the session stays."""
    (state_dir / "workspaces").mkdir()
    said = []
    report = manager.recover_profile(
        "a", mode="hard", beforehand=lambda plan: said.append((plan, list(profile.iterdir())))
    )
    assert [loss.part for loss in report.losses] == ["login state", "browser data"]
    assert report.flags == ("registered",)
    assert said[0][0] == report
    assert profile / "browser_profile" in said[0][1]
    assert list((profile / "browser_profile").iterdir()) == []
    assert FileLoginStateStore(state_dir).read("a").value.is_empty
    assert FileSessionStore(state_dir).read("a").value.completion_flags["registered"]
    metadata = manager.metadata.load("a")
    assert (metadata.name, metadata.status, metadata.login_state, metadata.generation) == (
        "Anna", "inactive", "logged_out", 3,
    )  # fmt: skip
    assert examine(state_dir, "a", deep=True) == []
    assert manager.recover("a", "hard").losses == ()


def test_hard_can_keep_the_login(manager, profile, state_dir):
    """The login state stays, and counts as newer than the browser data, so that the next run restores it."""
    report = manager.recover("a", "hard", keep_login=True)
    assert [loss.part for loss in report.losses] == ["browser data"]
    assert "but for the cookies" in report.losses[0].what
    assert FileLoginStateStore(state_dir).read("a").value == LOGIN
    assert manager.metadata.load("a").generation == 0
    assert list((profile / "browser_profile").iterdir()) == []


def test_a_login_that_cannot_be_read_cannot_be_kept(manager, profile):
    """That is said before anything is changed."""
    for name in ("session.json", "session.json.prev"):
        (profile / name).write_bytes(b"torn")
    before = browser_data.content_hash(profile)
    with pytest.raises(ProfileCorruptedError, match="cannot be kept"):
        manager.recover("a", "hard", keep_login=True)
    assert browser_data.content_hash(profile) == before


def test_hard_takes_what_is_no_directory(manager, profile):
    """A link in place of the browser data is removed, not followed."""
    data = profile / "browser_profile"
    data.rename(profile / "elsewhere")
    data.symlink_to(profile / "elsewhere")
    manager.recover("a", "hard")
    assert list(data.iterdir()) == []
    assert (profile / "elsewhere" / "Local State").exists()


def test_a_dry_run_changes_nothing(manager, profile, state_dir):
    """Not a byte, in either mode, also of a damaged profile."""
    (profile / "metadata.json").write_bytes(b"{")
    (profile / "browser_profile" / "Default" / "Cookies").write_bytes(b"torn")
    before = browser_data.content_hash(state_dir / "profiles")
    for mode in ("soft", "hard"):
        report = manager.recover("a", mode, dry_run=True)
        assert report.dry_run
        assert len(report.losses) >= 2
    assert browser_data.content_hash(state_dir / "profiles") == before


def test_the_active_profile_stays_active(manager, profile):
    """A recovery does not change which one is meant."""
    manager.activate("a")
    manager.recover("a", "hard")
    assert manager.get("a").status == "active"
    assert manager.recover(dry_run=True).profile_id == "a"


def test_wrong_arguments(manager, profile):
    """Each is named."""
    with pytest.raises(BadInput, match="mode hard"):
        manager.recover("a", keep_login=True)
    with pytest.raises(BadInput, match="soft or hard"):
        manager.recover("a", "medium")
    with pytest.raises(ProfileNotFoundError):
        manager.recover("b")


@pytest.mark.parametrize(
    "name", [f"browser_profile/{manifest.NAME}", "session.json", "session.json.prev", "../../sessions/a.json"]
)
def test_a_newer_version_is_not_ours_to_judge(manager, profile, name):
    """What a newer version wrote is not dropped, whatever it is."""
    (profile / name).write_text('{"schema": 99}')
    with pytest.raises(NewerSchema):
        manager.recover("a")
    assert (profile / name).read_text() == '{"schema": 99}'


def test_a_lost_session_does_not_cost_the_login(manager, profile, state_dir):
    """Nobody knows any more how new the login state is: then it counts, and the next run uses it."""
    for name in ("a.json", "a.json.prev"):
        (state_dir / "sessions" / name).write_bytes(b"torn")
    manager.recover("a")
    metadata = manager.metadata.load("a")
    assert (metadata.generation, metadata.login_state) == (0, "unknown")
    assert FileLoginStateStore(state_dir).read("a").value == LOGIN


@pytest.mark.parametrize(
    "name", [".ahead", ".browser_profile.intent", "session.json.prev", "../../sessions/a.json.prev"]
)
@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
def test_what_stands_in_a_marks_place_goes(manager, profile, name, kind):
    """It would be in the way of the next run; it costs nothing, and is kept."""
    path = profile / name
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    assert manager.recover("a").losses == ()
    assert not os.path.lexists(path) or path.is_file()
    assert os.path.lexists(aside(profile) / name.removeprefix("../../"))
    assert ahead.is_set(profile / "browser_profile") is (name == ".ahead")


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_file_of_browser_data_that_is_none_goes(manager, profile, kind):
    """Nobody waits for it, or follows it."""
    path = profile / "browser_profile" / "Default" / "Preferences"
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("nowhere")
    assert [loss.what for loss in manager.recover("a").losses] == ["the browser's settings"]
    assert not os.path.lexists(path)


def test_a_journal_without_its_database_goes(manager, profile):
    """A kill may come between the two; a browser would play the journal back into a new database of that name."""
    data = profile / "browser_profile" / "Default"
    (data / "Cookies-journal").write_bytes(b"of the one that was there")
    manifest.write(data.parent)
    (data / "Cookies").unlink()
    assert [loss.what for loss in manager.recover("a").losses] == ["all cookies, and the logins in them"]
    assert not (data / "Cookies-journal").exists()


def test_what_an_interrupted_save_brings_may_be_damaged_too(manager, profile, tmp_path):
    """It is ended before anything is said, so that what is lost is said."""
    new = browser_data.make(tmp_path / "new")
    manifest.write(new)
    with pytest.raises(RuntimeError):
        swap.replace(new, profile / "browser_profile", lambda _: (_ for _ in ()).throw(RuntimeError()))
    (profile / "browser_profile" / "Default" / "Cookies").write_bytes(b"no database" * 99)
    said = []
    manager.recover("a", beforehand=said.append)
    assert [loss.what for loss in said[0].losses] == ["all cookies, and the logins in them"]


def test_an_interrupted_swap_is_finished_first(manager, profile, tmp_path):
    """What a save was putting in its place is what is looked at."""
    new = browser_data.make(tmp_path / "new")
    manifest.write(new)
    with pytest.raises(RuntimeError):
        swap.replace(new, profile / "browser_profile", lambda _: (_ for _ in ()).throw(RuntimeError()))
    assert swap.pending(profile / "browser_profile")
    assert manager.recover("a").losses == ()
    assert not swap.pending(profile / "browser_profile")
