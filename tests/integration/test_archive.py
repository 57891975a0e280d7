"""A profile that is written into an archive and read from it: what comes along, what does not, and who is refused."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.domain.session import SessionState
from core.errors import (
    BadInput,
    DurableWriteFailed,
    HolderAlive,
    ProfileHeld,
    StateCorrupt,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.profiles import ProfileManager, archive_check
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from core.profiles.errors import ProfileTaken, UnknownProfile
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.workspaces import live, scratch
from core.workspaces.files import FileWorkspaces
from tests.profiles import CACHES, SAVED, SECRETS, browser_data, everything, home_of, make_profile

HOLD = """import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()"""


@pytest.fixture
def here(state_dir: Path) -> Path:
    """A state directory with a profile."""
    make_profile(state_dir)
    return state_dir


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "there"
    path.mkdir(mode=0o700)
    yield path
    for stray in scratch.strays(path.resolve() / "workspaces", set()):
        stray.rmdir()


def written(here: Path, target: Path, **options: bool):
    return export(home_of(here), "anna", target, **{"with_secrets": True, "overwrite": False, **options})


def read(there: Path, path: Path, as_id: str | None = None):
    return import_(home_of(there), path, path.name, as_id=as_id)


def test_a_profile_comes_back_under_another_id(here: Path, there: Path, tmp_path: Path):
    """Metadata, session, login state and browser data are what they were; only the ID and who uses it are not."""
    said = written(here, tmp_path / "anna.zip")
    assert said.bytes == (tmp_path / "anna.zip").stat().st_size
    result = read(there, tmp_path / "anna.zip", "bert")
    assert (result.profile_id, result.manifest) == ("bert", said.manifest)
    old, new = FileProfileStore(here), FileProfileStore(there)
    expected = old.fields("anna") | {"profile_id": "bert", "status": "inactive"}
    del expected["lock_pid"]
    found = new.fields("bert")
    assert found.pop("sha256") != expected.pop("sha256")  # of the file, which says other things
    assert found == expected
    assert not new.was_edited("bert")
    assert new.read("bert").proxy == "http://me:pw-of-proxy@proxy.example:8080"
    session = FileSessionStore(here).read("anna").value
    session.profile_id = "bert"
    assert FileSessionStore(there).read("bert").value == session
    assert FileLoginStateStore(there).read("bert").value == FileLoginStateStore(here).read("anna").value
    kept = {name: data for name, data in browser_data(here, "anna").items() if name not in CACHES}
    assert browser_data(there, "bert") == kept
    assert set(SAVED) < set(kept)
    assert result.settings == {
        "proxy": "http://me:pw-of-proxy@proxy.example:8080", "extra_headers": {"X-Key": "header-of-anna"},
    }  # fmt: skip


def test_the_manager_does_both(here: Path, there: Path, tmp_path: Path):
    """From Python it is two methods; IDs that are none are refused there, too."""
    manager = ProfileManager(here)
    assert manager.export("anna", tmp_path / "anna.zip", with_secrets=True).manifest.counts.cookies == 1
    assert ProfileManager(there).import_(tmp_path / "anna.zip", as_id="bert").profile_id == "bert"
    assert [profile.id for profile in ProfileManager(there).list()] == ["bert"]
    with pytest.raises(BadInput):
        manager.export("../anna", tmp_path / "x.zip")
    with pytest.raises(BadInput, match=r"anna\.json: expected an archive"):
        manager.import_("anna.json")


def test_everything_that_comes_back_is_private(here: Path, there: Path, tmp_path: Path):
    """Directories are 0700, files 0600, the archive among them, whatever the umask."""
    before = os.umask(0)
    try:
        written(here, tmp_path / "anna.zip")
        read(there, tmp_path / "anna.zip")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "anna.zip").stat().st_mode) == 0o600
    for path in there.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_manifest_says_where_it_comes_from(here: Path, tmp_path: Path):
    """It is the first entry, and has versions, system, password stores, counts, what was skipped, hashes and sizes."""
    said = written(here, tmp_path / "anna.zip").manifest
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))["payload"]
    assert names[:4] == ["manifest.json", "metadata.json", "session.json", "login_state.json"]
    assert [entry["name"] for entry in manifest["entries"]] == names[1:]
    assert all(len(entry["sha256"]) == 64 for entry in manifest["entries"])
    assert (manifest["profile_id"], manifest["os"], manifest["with_secrets"]) == ("anna", os.uname().sysname, True)
    assert (manifest["browser"], manifest["browser_version"]) == ("Chromium", "156.0.8078.108")
    assert manifest["ostler"]
    assert manifest["encrypted"] == {"basic": 4, "keyring": 2}
    assert (said.counts.flags, said.counts.outputs, said.counts.identity) == (1, 2, 5)
    assert (said.counts.cookies, said.counts.origins, said.counts.files) == (1, 1, len(names) - 4)
    assert said.skipped == {"Cache": 1, "GrShaderCache": 1, "a.tmp": 1, "SingletonCookie": 1}
    assert said.secrets_left_out == said.unreadable == ()


def test_without_secrets_there_is_none(here: Path, there: Path, tmp_path: Path):
    """No secret stands in the archive, in no entry; settings, tags, flags and outputs do; what is missing is named."""
    said = written(here, tmp_path / "anna.zip", with_secrets=False).manifest
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert list(contents) == ["manifest.json", "metadata.json", "session.json"]
    everywhere = b"".join(contents.values()) + (tmp_path / "anna.zip").read_bytes()
    assert [secret for secret in SECRETS if secret.encode() in everywhere] == []
    assert set(said.secrets_left_out) == {
        "'by_hand' of the metadata, which this version does not know", "platform_config (api_hash)",
        "credentials of start_url", "credentials of proxy", "extra_headers (X-Key)", "identity.password",
        "identity.two_fa_secret", "identity.extra.api_key", "outputs.note", "login state (cookies: 1, origins: 1)",
        "browser data (files: 10)",
    }  # fmt: skip
    read(there, tmp_path / "anna.zip")
    metadata = FileProfileStore(there).read("anna")
    assert (metadata.name, metadata.tags, metadata.locale, metadata.device) == (
        "Anna, Zürich",
        ("a", "b"),
        "de-DE",
        "mobile",
    )
    assert (metadata.proxy, metadata.start_url) == ("http://proxy.example:8080", "https://example.org/@home")
    assert (metadata.generation, metadata.browser, metadata.extra_headers) == (0, None, {})
    session = FileSessionStore(there).read("anna").value
    assert session.completion_flags == {"mail_created": True, "two_fa_enabled": False}
    assert (session.identity.email, session.outputs, session.login_generation) == (
        "anna@example.org",
        {"order": "o-17"},
        0,
    )
    assert FileLoginStateStore(there).read("anna") is None
    assert browser_data(there, "anna") == {}


@pytest.mark.parametrize(
    ("proxy", "left"),
    [
        ("http://proxy.example:8080", "http://proxy.example:8080"),
        ("socks5://key-of-api@h:1", "socks5://h:1"),
        ("me:p:p@h:3128", "h:3128"),
        ("http://u:12/w@h", "http://h"),
    ],
)
def test_credentials_of_a_proxy_are_left_out(here: Path, tmp_path: Path, proxy: str, left: str):
    """Everything before the last ``@`` is credentials, however they are written; the rest stays."""
    path = here / "profiles" / "anna" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"proxy": proxy}))
    written(here, tmp_path / "anna.zip", with_secrets=False)
    with zipfile.ZipFile(tmp_path / "anna.zip") as archive:
        assert json.loads(archive.read("metadata.json"))["proxy"] == left


def test_a_profile_of_metadata_alone(state_dir: Path, there: Path, tmp_path: Path):
    """What was only just created can be exported, with and without secrets."""
    FileProfileStore(state_dir).ensure("anna", 1_795_212_000.0)
    for number, secrets in enumerate((True, False)):
        said = written(state_dir, tmp_path / f"{number}.zip", with_secrets=secrets)
        assert (said.manifest.secrets_left_out, said.manifest.browser_version) == ((), None)
        assert read(there, tmp_path / f"{number}.zip", f"p{number}").settings == {}
        assert FileSessionStore(there).read(f"p{number}") is None


def test_nothing_is_changed_by_an_export(here: Path, tmp_path: Path):
    """The state directory is byte for byte what it was, and two exports are the same."""
    before = everything(here)
    written(here, tmp_path / "a.zip")
    written(here, tmp_path / "b.zip")
    assert everything(here) == before
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_profile_in_use_is_not_exported(here: Path, tmp_path: Path):
    """Neither while somebody holds its lock, nor while a browser without one has its data open; no file is left."""
    home = home_of(here)
    with home.locks.acquire("anna", what="worker"), pytest.raises(ProfileHeld, match="worker"):
        written(here, tmp_path / "anna.zip")
    lock = here / "profiles/anna/browser_profile" / live.LEVELDB_LOCK
    lock.touch()
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as browser:
        assert browser.stdout.readline() == b"held\n"
        with pytest.raises(HolderAlive, match="a browser"):
            written(here, tmp_path / "anna.zip")
        browser.stdin.close()
    assert not (tmp_path / "anna.zip").exists()


def test_what_is_damaged_is_not_exported(here: Path, tmp_path: Path):
    """Torn browser data and metadata that say nothing are refused by name; no file is left."""
    preferences = here / "profiles/anna/browser_profile/Default/Preferences"
    preferences.write_text("{torn")
    with pytest.raises(WorkspaceCorrupt, match="Preferences"):
        written(here, tmp_path / "anna.zip")
    (here / "profiles/anna/metadata.json").write_text("{}")
    with pytest.raises(StateCorrupt, match=r"metadata\.json"):
        written(here, tmp_path / "anna.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_what_was_changed_since_it_was_saved_is_not_exported(here: Path, there: Path, tmp_path: Path):
    """An import notes what every file is; one that is another later, of the same size and time, is named."""
    written(here, tmp_path / "anna.zip")
    read(there, tmp_path / "anna.zip")
    path = there / "profiles/anna/browser_profile/Default/Extensions/abc/1.0/Cache/größe.js"
    before = path.stat()
    path.write_text("lost, too")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WorkspaceCorrupt, match=r"größe\.js: its content is not what was saved"):
        written(there, tmp_path / "again.zip")


def test_a_damaged_session_comes_as_the_version_before(here: Path, there: Path, tmp_path: Path):
    """And that is said."""
    FileSessionStore(here).write(SessionState(profile_id="anna", completion_flags={"newer": True}), fence=6)
    (here / "sessions/anna.json").write_bytes(b"damaged")
    said = written(here, tmp_path / "anna.zip")
    assert said.recovered == ("session",)
    read(there, tmp_path / "anna.zip")
    assert FileSessionStore(there).read("anna").value.completion_flags["mail_created"]


def test_what_cannot_come_along_is_named(here: Path, there: Path, tmp_path: Path):
    """Links, names that not every system has, names that differ only in case: the rest is exported, and can be imported."""
    root = here / "profiles/anna/browser_profile/Default"
    (root / "link").symlink_to("/etc/passwd")
    (root / "links").symlink_to("/etc")
    for name in ("a:b", "preferences", "nul.txt", os.fsdecode(b"\xff")):
        (root / name).write_text("x")
    said = written(here, tmp_path / "anna.zip").manifest
    assert said.skipped["symbolic links"] == 2
    assert [line.partition(":")[0] for line in said.unreadable] == ["Default/a", "Default/nul.txt", "Default/preferences",
                                                                    r"Default/\xff"]  # fmt: skip
    read(there, tmp_path / "anna.zip")
    assert "Default/Preferences" in browser_data(there, "anna")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_named(here: Path, tmp_path: Path):
    """A file without permission is listed, the rest is there."""
    (here / "profiles/anna/browser_profile/Default/empty").chmod(0)
    assert "Default/empty" in written(here, tmp_path / "anna.zip").manifest.unreadable[0]


@pytest.mark.parametrize("name", ["nowhere/x.zip", "a-directory", "there.zip", "a\0b", "x" * 300])
def test_where_no_file_can_be_is_said_at_once(here: Path, tmp_path: Path, name: str):
    """A directory that is missing, a place that is taken, a name that cannot be; what is there stays as it is."""
    (tmp_path / "a-directory").mkdir()
    (tmp_path / "there.zip").write_text("mine")
    with pytest.raises(BadInput):
        written(here, tmp_path / name)
    assert (tmp_path / "there.zip").read_text() == "mine"


def test_a_file_is_replaced_when_asked_for(here: Path, there: Path, tmp_path: Path):
    """As a whole; what a killed export left beside it is removed, a neighbour's is not."""
    path = tmp_path / "anna.zip"
    path.write_text("old")
    left = tmp_path / f".anna.zip.{'0' * 16}.ostler-tmp"
    other = tmp_path / f".bert.zip.{'0' * 16}.ostler-tmp"
    left.touch()
    other.touch()
    written(here, path, overwrite=True)
    assert not left.exists()
    assert other.exists()
    assert read(there, path).profile_id == "anna"


def test_a_profile_that_is_not_there(state_dir: Path, tmp_path: Path):
    """Is said, and looking for it leaves no trace."""
    with pytest.raises(UnknownProfile, match="anna"):
        written(state_dir, tmp_path / "anna.zip")
    assert list(state_dir.iterdir()) == []


@pytest.mark.parametrize("taken", ["profile", "session", "previous session", "browser data", "another case"])
def test_an_id_that_is_taken_is_refused(here: Path, there: Path, tmp_path: Path, taken: str):
    """Whatever is left of a profile keeps its name; nothing is changed."""
    written(here, tmp_path / "anna.zip")
    if taken == "profile":
        FileProfileStore(there).ensure("anna", 1.0)
    elif taken == "another case":
        FileProfileStore(there).ensure("Anna", 1.0)
    elif taken == "browser data":
        (there / "profiles/anna/browser_profile/Default").mkdir(parents=True)
    else:
        FileSessionStore(there).write(SessionState(profile_id="anna"), fence=1)
        if taken == "previous session":
            (there / "sessions/anna.json").rename(there / "sessions/anna.json.prev")
    before = everything(there)
    with pytest.raises(ProfileTaken, match="'anna' cannot be made"):
        read(there, tmp_path / "anna.zip")
    assert everything(there) == before
    assert read(there, tmp_path / "anna.zip", "bert").profile_id == "bert"


def test_what_a_kill_left_of_a_new_profile_is_in_nobodys_way(here: Path, there: Path, tmp_path: Path):
    """Empty directories without metadata are no profile."""
    for name in ("browser_profile", "cache"):
        (there / "profiles/anna" / name).mkdir(parents=True)
    written(here, tmp_path / "anna.zip")
    read(there, tmp_path / "anna.zip")
    assert FileProfileStore(there).read("anna").name == "Anna, Zürich"


def test_an_id_that_is_none_is_refused(here: Path, there: Path, tmp_path: Path):
    """Before anything is written."""
    written(here, tmp_path / "anna.zip")
    for bad in ("../x", "con", "", "x" * 33):
        with pytest.raises(BadInput, match="--as"):
            read(there, tmp_path / "anna.zip", bad)
    assert list(there.iterdir()) == []


def test_somebody_who_makes_that_profile_is_not_disturbed(here: Path, there: Path, tmp_path: Path):
    """Its lock is respected, and nothing is left."""
    written(here, tmp_path / "anna.zip")
    home = home_of(there)
    with home.locks.acquire("anna", what="worker"), pytest.raises(ProfileHeld, match="worker"):
        read(there, tmp_path / "anna.zip")
    assert not (there / "profiles/anna").exists()
    assert not list(there.glob(".import-*"))


def test_a_run_starts_from_the_imported_data(here: Path, there: Path, tmp_path: Path):
    """The workspace of the first run is a clone of it, as the last commit left it."""
    written(here, tmp_path / "anna.zip")
    read(there, tmp_path / "anna.zip")
    workspace = FileWorkspaces(there).acquire("anna", 2, template=None)
    assert (workspace.receipt.source, workspace.rebuilt) == ("profile", False)
    assert (workspace.user_data_dir / "Default/Extensions/abc/1.0/Cache/größe.js").read_text() == "kept, too"


def test_data_that_a_browser_went_ahead_of_is_still_so(here: Path, there: Path, tmp_path: Path):
    """A run that was cut off left its login in the login state: the first run there restores it."""
    manager = FileWorkspaces(here)
    manager.mark_in_use(manager.acquire("anna", 6, template=None), "Chromium", "156.0.8078.108")
    said = written(here, tmp_path / "anna.zip")
    assert said.manifest.behind
    read(there, tmp_path / "anna.zip")
    assert FileWorkspaces(there).acquire("anna", 2, template=None).rebuilt
    assert manager.discard_profile("anna") == 1


def test_a_working_copy_of_an_earlier_profile_is_not_continued(here: Path, there: Path, tmp_path: Path):
    """What a deleted profile of that ID left is removed, or the first run would go on in it."""
    manager = FileWorkspaces(there)
    old = manager.acquire("anna", 9, template=None)
    manager.mark_in_use(old, "Chromium", "156.0.8078.108")
    for path in (there / "profiles/anna").iterdir():
        path.unlink()
    written(here, tmp_path / "anna.zip")
    read(there, tmp_path / "anna.zip")
    assert not old.root.exists()
    assert manager.acquire("anna", 10, template=None).receipt.source == "profile"


class _SlowClock(ManualClock):
    """A clock that does something when it is asked for the archive's date, which is between hashes and copies."""

    def __init__(self, meanwhile) -> None:
        super().__init__()
        self._meanwhile = iter([lambda: None, meanwhile])  # the first who asks is the lock

    def now(self) -> float:
        next(self._meanwhile)()
        return super().now()


@pytest.mark.parametrize("data", [b"y" * 1600, b"longer" * 1000, b""])
def test_what_is_written_to_meanwhile_is_refused(here: Path, tmp_path: Path, data: bytes):
    """A browser that knows nothing of locks changes a file between its hash and its copy: there is no archive."""
    changed = here / "profiles/anna/browser_profile/Default/Local Storage/leveldb/000003.log"
    home = home_of(here, _SlowClock(lambda: changed.write_bytes(data)))
    with pytest.raises(HolderAlive, match="close that browser"):
        export(home, "anna", tmp_path / "anna.zip", with_secrets=True, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_file_that_is_gone_meanwhile_is_named(here: Path, tmp_path: Path):
    """And there is no archive."""
    home = home_of(here, _SlowClock((here / "profiles/anna/browser_profile/Default/empty").unlink))
    with pytest.raises(WorkspaceError, match="Default/empty could not be read"):
        export(home, "anna", tmp_path / "anna.zip", with_secrets=True, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_what_would_be_taken_for_a_bomb_is_stored(here: Path, there: Path, tmp_path: Path, monkeypatch):
    """A profile that is mostly zeros is written without compression, so that it can be imported."""
    monkeypatch.setattr(archive_check, "HARMLESS", 1000)
    (here / "profiles/anna/browser_profile/Default/zeros").write_bytes(b"\0" * 30_000_000)
    assert written(here, tmp_path / "anna.zip").bytes > 30_000_000
    read(there, tmp_path / "anna.zip")
    assert len(browser_data(there, "anna")["Default/zeros"]) == 30_000_000


def test_archives_beyond_four_gigabytes_have_a_large_form(here: Path, there: Path, tmp_path: Path, monkeypatch):
    """It is written and read; here it begins at some kilobytes."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 5)
    written(here, tmp_path / "anna.zip")
    data = (tmp_path / "anna.zip").read_bytes()
    assert data[-42:-38] == b"PK\6\7"
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    read(there, tmp_path / "anna.zip")
    assert browser_data(there, "anna")["Default/empty"] == b""


def test_memory_does_not_grow_with_the_data(here: Path, there: Path, tmp_path: Path):
    """40 MB that do not compress go through with a few megabytes at a time."""
    big = here / "profiles/anna/browser_profile/Default/big"
    with big.open("wb") as file:
        for _ in range(40):
            file.write(os.urandom(1_000_000))
    tracemalloc.start()
    try:
        written(here, tmp_path / "anna.zip")
        read(there, tmp_path / "anna.zip")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert browser_data(there, "anna")["Default/big"] == big.read_bytes()


def test_a_directory_that_cannot_be_written_is_named(here: Path, tmp_path: Path):
    """A disk that takes nothing is the host's fault, not a traceback."""
    with pytest.raises(DurableWriteFailed, match="proc"):
        written(here, Path("/proc/anna.zip"))
