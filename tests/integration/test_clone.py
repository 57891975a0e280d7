"""Copies on a real disk: what comes along and what does not, which sources are refused, and what a kill leaves."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from core.clock import SystemClock
from core.durable import sweep_temporaries
from core.errors import HolderAlive, NoSpace, OutsideRoot, TemplateLive, TooLarge, WorkspaceCorrupt, WorkspaceError
from core.profiles.lock import FileProfileLocks
from core.workspaces import clone, live, manifest, marker, removal, scratch, verify, version
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
CHILDREN = CHECKOUT / "tests" / "children"


@pytest.fixture
def manager(state_dir: Path) -> FileWorkspaces:
    return FileWorkspaces(state_dir)


@pytest.fixture(autouse=True)
def _no_strays(state_dir: Path):
    """Remove the TMPDIRs of workspaces that a test leaves standing."""
    yield
    for path in scratch.strays(state_dir.resolve() / "workspaces", set()):
        removal.temp_dir(path)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A user-data-dir with one of everything that matters."""
    root = tmp_path / "template"
    for name in (
        "Local State", "Default/Preferences", "Default/Local Storage/leveldb/000003.log",
        "Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log", "Default/Extensions/abc/1.0/Cache/kept.js",
        "Default/Extensions/abc/1.0/LOG", "Default/Local Extension Settings/abc/000003.log",
        "Default/WebStorage/1/CacheStorage/index", "Default/File System/000/t/00/00000000",
        "Default/Cookies-journal", "Default/Login Data-wal",
        "Default/Cache/Cache_Data/f_000001", "Default/Code Cache/js/index", "GrShaderCache/data_0", "BrowserMetrics-spare/x",
        "Default/Service Worker/Database/000003.log", "Safe Browsing/x", "Default/DawnWebGPUCache/x",
        "Default/Local Storage/leveldb/LOG", "Default/Local Storage/leveldb/LOG.old", "DevToolsActivePort", "Default/a.tmp",
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (root / "Default/Local Storage/leveldb/CURRENT").write_bytes(b"MANIFEST-000001\n")
    (root / "Default/Local Storage/leveldb/MANIFEST-000001").write_text("m")
    (root / "Default/Local Storage/leveldb/LOCK").touch()
    (root / "Default/Preferences").write_text(
        json.dumps({"profile": {"exit_type": "Crashed", "name": "Ü"}, "big": 2**60})
    )
    for name in ("Cookies", "Login Data"):
        connection = sqlite3.connect(root / "Default" / name)
        connection.execute("CREATE TABLE cookies (name TEXT, encrypted_value BLOB)")
        connection.execute("INSERT INTO cookies VALUES ('a', CAST('v11secret' AS BLOB)), ('b', CAST('v10' AS BLOB))")
        connection.commit()
        connection.close()
    for name in ("Default/Cookies-journal", "Default/Login Data-wal"):
        (root / name).write_bytes(b"")
    (root / "SingletonLock").symlink_to(f"{socket.gethostname()}-999999999")
    (root / "Default" / "outside").symlink_to("/etc")
    (root / "Default" / "Preferences").chmod(0o644)
    return root


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_a_template_loses_caches_and_traces_and_nothing_else(manager, template: Path):
    """Data comes along, also where it is called like a cache; caches, logs, locks and links do not; modes are private."""
    workspace = manager.acquire("anna", 1, template=template)
    assert _files(workspace.user_data_dir) == {
        "Local State", "Default/Preferences", "Default/Local Storage/leveldb/000003.log",
        "Default/Local Storage/leveldb/CURRENT", "Default/Local Storage/leveldb/MANIFEST-000001",
        "Default/Local Storage/leveldb/LOCK", "Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log",
        "Default/Extensions/abc/1.0/Cache/kept.js", "Default/Extensions/abc/1.0/LOG",
        "Default/Local Extension Settings/abc/000003.log", "Default/WebStorage/1/CacheStorage/index",
        "Default/File System/000/t/00/00000000", "Default/Cookies", "Default/Cookies-journal", "Default/Login Data",
        "Default/Login Data-wal",
    }  # fmt: skip
    for path in (workspace.root, *workspace.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    receipt = workspace.receipt
    assert (receipt.source, receipt.files, receipt.unreadable) == ("template", 16, ())
    assert receipt.skipped["Cache"] == receipt.skipped["Service Worker"] == 1
    assert receipt.skipped["symbolic links"] == 1
    assert receipt.keyring_cookies == 1


def test_the_receipt_names_the_template_and_its_state(manager, template: Path):
    """Where the data came from, which browser wrote it, and a hash that changes with what is copied, not with caches."""
    version.record(template, "Chromium", "156.0.1")
    receipt = manager.acquire("anna", 1, template=template).receipt
    assert (receipt.template, receipt.browser) == (str(template), ("Chromium", "156.0.1"))
    assert receipt.bytes == sum(
        (template / name).stat().st_size for name in _files(manager.expected_user_data_dir("anna", 1))
    )
    (template / "Default/Cache/Cache_Data/f_000001").write_text("more of a cache")
    assert clone.listing_hash(template, service_workers=False) == receipt.template_hash
    (template / "Default/Login Data-wal").write_text("written to")
    assert clone.listing_hash(template, service_workers=False) != receipt.template_hash


def test_a_copy_that_is_too_large_is_refused_before_and_while_it_is_made(template: Path, tmp_path: Path):
    """What is too large beforehand is not begun; what grows meanwhile is not finished."""
    size = clone.copy(template, tmp_path / "one", kind="template", service_workers=False).bytes
    with pytest.raises(TooLarge) as caught:
        clone.copy(template, tmp_path / "two", kind="template", service_workers=False, limit=size - 1)
    assert (caught.value.size, caught.value.limit) == (size, size - 1)
    assert not (tmp_path / "two").exists()

    def grow(copied: int) -> None:
        with (template / "Default/Login Data").open("ab") as file:
            file.truncate(size + 1)

    with pytest.raises(TooLarge):
        clone.copy(template, tmp_path / "two", kind="template", service_workers=False, limit=size, watch=grow)


def test_a_file_on_a_bad_sector_is_listed(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A source that cannot be read to its end leaves no half file behind, and everything else is copied; also without ranges."""
    real = os.read

    def fail(descriptor: int, length: int) -> bytes:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith("Default/Preferences"):
            raise OSError(5, "Input/output error")
        return real(descriptor, length)

    monkeypatch.delattr(os, "copy_file_range")
    monkeypatch.setattr(os, "read", fail)
    receipt = clone.copy(template, tmp_path / "copy", kind="template", service_workers=False)
    assert receipt.unreadable == ("Default/Preferences",)
    assert receipt.files == 15
    assert not (tmp_path / "copy/Default/Preferences").exists()
    assert (tmp_path / "copy/Default/Cookies").read_bytes() == (template / "Default/Cookies").read_bytes()


def test_the_clone_ended_well_and_the_template_is_untouched(manager, template: Path):
    """``Crashed`` becomes ``Normal`` in the clone, everything else in that file stays; the template is as it was."""
    before = {name: (template / name).read_bytes() for name in _files(template) if (template / name).is_file()}
    workspace = manager.acquire("anna", 1, template=template)
    preferences = json.loads((workspace.user_data_dir / "Default/Preferences").read_text())
    assert preferences == {
        "profile": {"exit_type": "Normal", "exited_cleanly": True, "name": "Ü"}, "big": 2**60,
    }  # fmt: skip
    assert {name: (template / name).read_bytes() for name in before} == before


def test_service_workers_stay_in_a_profiles_own_data(manager, template: Path):
    """What a template's copy drops, the profile's own data keeps on the way back and out again."""
    first = manager.acquire("anna", 1, template=template)
    database = first.user_data_dir / "Default/Service Worker/Database"
    database.mkdir(parents=True)
    (database / "000003.log").write_text("mine")
    (first.user_data_dir / "Default/Cache").mkdir()
    (first.user_data_dir / "SingletonLock").symlink_to("elsewhere-1")
    receipt = manager.save_back(first)
    assert receipt.skipped == {"Cache": 1, "SingletonLock": 1}
    second = manager.acquire("anna", 2, template=None)
    assert (second.user_data_dir / "Default/Service Worker/Database/000003.log").read_text() == "mine"
    assert not (second.user_data_dir / "Default/Cache").exists()


def test_what_cannot_be_read_is_listed(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An unreadable file is in the receipt, the rest is copied."""
    real = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("000003.log") and "IndexedDB" in str(path):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    # root may read everything, so the refusal has to be played
    monkeypatch.setattr(os, "open", refuse)
    receipt = clone.copy(template, tmp_path / "copy", kind="template", service_workers=False)
    assert receipt.unreadable == ("Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log",)
    assert receipt.files == 15


def test_a_full_disk_is_said_before_anything_is_made(manager, state_dir: Path, template: Path):
    """A copy that cannot fit is refused, and no workspace is there."""
    with (template / "Default" / "huge").open("wb") as file:
        file.truncate(shutil.disk_usage(state_dir).free + 1)
    with pytest.raises(NoSpace):
        manager.acquire("anna", 1, template=template)
    assert list((state_dir / "workspaces").iterdir()) == []


@pytest.mark.browser
def test_a_template_in_a_running_headless_shell_is_refused(manager, template: Path, browser_executable: str):
    """The headless shell makes no SingletonLock; its kernel lock and its command line give it away, until it is closed."""
    shutil.rmtree(template / "Default/Local Storage")
    browser = subprocess.Popen(
        [browser_executable, "--headless", "--no-sandbox", "--disable-gpu", "--password-store=basic",
         f"--user-data-dir={template}", "--remote-debugging-port=0", "about:blank"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        while "DevTools listening" not in browser.stderr.readline():
            pass
        assert live._process(template) is not None
        with pytest.raises(TemplateLive):
            manager.acquire("anna", 1, template=template)
    finally:
        os.killpg(browser.pid, 9)
        browser.wait()
        browser.stderr.close()
    while live.evidence(template) is not None:
        pass
    assert manager.acquire("anna", 1, template=template).receipt.source == "template"


def test_each_sign_of_life_is_enough(template: Path):
    """A kernel lock of another process, a command line, a SingletonLock with a live process: each by itself."""
    assert live.evidence(template) is None
    (template / "SingletonLock").unlink()
    (template / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    assert "SingletonLock" in live.evidence(template)
    (template / "SingletonLock").unlink()
    lock = template / live.LEVELDB_LOCK
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('ready', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        assert f"pid {child.pid}" in live.evidence(template)
        child.stdin.close()
    with subprocess.Popen(
        [sys.executable, "-c", "print('ready', flush=True); input()", f"--user-data-dir={template}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "ready\n"
        assert f"pid {child.pid}" in live.evidence(template)
        child.stdin.write("\n")
    assert live.evidence(template) is None


def test_a_workspace_with_a_browser_is_neither_taken_nor_saved(manager, template: Path):
    """While a browser runs in it, an earlier attempt's workspace is left alone."""
    workspace = manager.acquire("anna", 1, template=template)
    (workspace.user_data_dir / "SingletonLock").symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    with pytest.raises(HolderAlive):
        manager.acquire("anna", 2, template=template)
    with pytest.raises(HolderAlive):
        manager.save_back(workspace)
    with pytest.raises(HolderAlive):
        manager.put_aside("anna")
    assert workspace.user_data_dir.is_dir()


def test_what_is_put_aside_has_no_caches_and_is_private(manager, state_dir: Path, template: Path):
    """It can be long before anybody looks. One without browser data, as a kill may leave it, is none."""
    workspace = manager.acquire("anna", 1, template=template)
    (workspace.user_data_dir / "Default" / "Cache").mkdir(exist_ok=True)
    kept = state_dir / manager.put_aside("anna")
    assert not (kept / "Default" / "Cache").exists()
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    shutil.rmtree(manager.acquire("anna", 2, template=template).user_data_dir)
    assert manager.put_aside("anna") is None


def test_a_held_profile_is_no_template(state_dir: Path, template: Path):
    """Another profile's saved data may serve as a template, but not while that profile's lock is held."""
    held: set[str] = set()
    manager = FileWorkspaces(state_dir, holder=lambda profile_id: profile_id if profile_id in held else None)
    manager.save_back(manager.acquire("anna", 1, template=template))
    saved = state_dir / "profiles" / "anna" / "browser_profile"
    assert manager.acquire("bert", 1, template=saved).receipt.source == "template"
    held.add("anna")
    with pytest.raises(TemplateLive):
        manager.acquire("carl", 1, template=saved)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Default/Cookies", b"this is no database, but it is long enough to be looked at closely" * 20),
        ("Default/Preferences", b'{"profile": '),
        ("Local State", b""),
        ("Default/Local Storage/leveldb/CURRENT", b"MANIFEST-000009\n"),
        ("Default/Local Storage/leveldb/CURRENT", b""),
    ],
)
def test_damage_is_found(manager, template: Path, name: str, content: bytes):
    """Each kind of damage is a finding that names the file, and a clone of it is refused after the second try."""
    assert verify.findings(template) == []
    (template / name).write_bytes(content)
    assert [finding.split(":")[0] for finding in verify.findings(template)] == [name]
    with pytest.raises(WorkspaceCorrupt, match=name):
        manager.acquire("anna", 1, template=template)


def test_a_torn_page_of_a_database_is_found(template: Path):
    """A database whose middle was overwritten is a finding."""
    with sqlite3.connect(template / "Default/Cookies") as connection:
        connection.executemany("INSERT INTO cookies VALUES (?, ?)", [(f"{n}" * 50, b"x" * 500) for n in range(200)])
    connection.close()
    with (template / "Default/Cookies").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 4096)
    assert verify.findings(template)


def test_a_hot_journal_is_no_damage_and_is_not_touched(template: Path):
    """What a kill in the middle of a transaction leaves is rolled back by whoever opens it; looking does not change it."""
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA cache_size=1'); "
        "c.execute('BEGIN'); c.executemany('INSERT INTO cookies VALUES (?, ?)', [('n' * 90, b'x' * 900)] * 500); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, template / "Default/Cookies"], check=True, timeout=60)
    journal = (template / "Default/Cookies-journal").read_bytes()
    assert journal
    assert verify.findings(template) == []
    assert (template / "Default/Cookies-journal").read_bytes() == journal
    assert verify.keyring_cookies(template) == 1


def test_an_older_browser_is_refused_on_newer_data(manager, template: Path):
    """The version that wrote the data travels with it; an older browser's copy is not used again, the profile keeps its own."""
    first = manager.acquire("anna", 1, template=template)
    manager.mark_in_use(first, "Chromium", "156.0.1")
    manager.save_back(first)
    second = manager.acquire("anna", 2, template=None)
    assert version.written_by(second.user_data_dir) == ("Chromium", "156.0.1")
    with pytest.raises(WorkspaceError, match="older browser"):
        manager.mark_in_use(second, "Chromium", "155.9")
    assert manager.acquire("anna", 3, template=None).receipt.source == "profile"
    with pytest.raises(WorkspaceError, match="damage"):
        version.check(("Microsoft Edge", "156.0"), "Chromium", "157.0")
    version.check(("Chromium", "155.0"), "Chromium", "156.0")
    version.check(None, "Chromium", "1.0")


def test_nothing_of_others_is_removed(manager, state_dir: Path, tmp_path: Path):
    """No marker, another root, a link that leads out: each is refused, and what it names is still there."""
    root = state_dir / "workspaces"
    manager.discard(manager.acquire("anna", 1, template=None))
    theirs = root / "notes-1"
    theirs.mkdir()
    (theirs / "file").touch()
    outside = tmp_path / "outside-1"
    outside.mkdir()
    (outside / marker.NAME).touch()
    (root / "link-1").symlink_to(outside)
    for path in (theirs, outside, root / "link-1"):
        with pytest.raises(OutsideRoot):
            removal.workspace(path, root)
    with pytest.raises(OutsideRoot):
        removal.tree(root / "link-1" / "x", root)
    assert manager.sweep(lambda _profile_id: False) == []
    assert (theirs / "file").exists()
    assert (outside / marker.NAME).exists()


def test_the_temporary_directory_is_short_and_goes_with_the_workspace(manager, state_dir: Path, template: Path):
    """A long state path gets a TMPDIR below the system's own; discard, save-back and sweep remove it."""
    paths = []
    for fence in (1, 2, 3):
        workspace = manager.acquire("anna", fence, template=template)
        assert len(os.fsencode(workspace.temp_dir)) <= scratch.LONGEST
        assert stat.S_IMODE(workspace.temp_dir.stat().st_mode) == 0o700
        (workspace.temp_dir / "left").touch()
        paths.append(workspace.temp_dir)
        if fence == 1:
            manager.discard(workspace)
        elif fence == 2:
            manager.save_back(workspace)
    manager.sweep(lambda _profile_id: False)
    assert not any(path.exists() for path in paths)
    stray = scratch.path_for(state_dir / "workspaces" / "gone-7")
    scratch.create(stray)
    assert manager.sweep(lambda _profile_id: True) == [stray.name]


def test_a_kill_at_any_moment_leaves_nothing_half_visible(state_dir: Path, template: Path):
    """SIGKILL at random moments of acquire, use, discard and save: what is visible verifies, the profile's data is whole,
    the next holder goes on, and the sweep leaves nothing.
    """
    randomness = random.Random(7)
    fence = 1
    root = state_dir / "workspaces"
    saved = state_dir / "profiles" / "anna" / "browser_profile"
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, CHILDREN / "clone_forever.py", state_dir, template, "anna", str(fence)],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        ) as child:  # fmt: skip
            assert child.stdout.readline() == "ready\n"
            try:
                child.wait(randomness.uniform(0.0, 0.25))
            except subprocess.TimeoutExpired:
                child.kill()
            assert child.wait() == -9
        visible = [path for path in root.iterdir() if not path.name.startswith(".")] if root.exists() else []
        assert len(visible) <= 1
        for path in visible:
            found = marker.read(path)
            assert found is not None
            assert found.state in ("verified", "in_use", "cleanup")
            if found.state != "cleanup":
                assert verify.findings(path / "user-data") == []
                assert (path / "user-data" / "Default" / "Cookies").exists()
            fence = max(fence, int(path.name.rpartition("-")[2]))
        if saved.exists():
            assert verify.findings(saved) == manifest.differences(saved, deep=True) == []
            numbers = {(saved / "Default" / f"data-{n}").read_text() for n in range(30)}
            assert len(numbers) == 1
        fence += 1
    manager = FileWorkspaces(state_dir)
    sweep_temporaries(state_dir)  # the orchestrator's, at its start
    manager.sweep(lambda _profile_id: False)
    assert list(root.iterdir()) == []
    assert scratch.strays(root, set()) == []
    manager.discard(manager.acquire("anna", fence, template=template))
    assert not [path.name for path in saved.parent.iterdir() if path.name not in {"browser_profile", ".ahead"}]


def _used(manager: FileWorkspaces, fence: int, template: Path | None = None):
    """A workspace that a browser has run in."""
    workspace = manager.acquire("anna", fence, template=template)
    manager.mark_in_use(workspace, "Chromium", "156.0")
    return workspace


@pytest.mark.parametrize("place", [".ahead", "browser_profile/.ostler-swap"])
@pytest.mark.parametrize("content", [b"", b"\xff\0", b"0" * 40, "directory", "pipe", "nowhere"])
def test_where_a_mark_is_damaged_the_login_state_is_restored(manager, state_dir: Path, template: Path, place, content):
    """Whether a browser went further than what is saved cannot be told any more: then it may have, and that is said."""
    manager.save_back(_used(manager, 1, template))
    assert not manager.acquire("anna", 2, template=None).rebuilt
    path = state_dir / "profiles" / "anna" / place
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "pipe":
        os.mkfifo(path)
    elif content == "nowhere":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
    manager.discard_profile("anna")
    with structlog.testing.capture_logs() as said:
        assert manager.acquire("anna", 3, template=None).rebuilt
    assert [(line["event"], line["path"]) for line in said] == [("mark_damaged", str(path))]


@pytest.mark.parametrize("content", [b"", b"{}", "flipped", "pipe", "directory", "another's"])
def test_a_workspace_with_a_damaged_marker_is_not_taken_over(manager, state_dir: Path, content):
    """What is not known about a crashed attempt's copy cannot be relied on: it is cloned anew, and that is said."""
    path = _used(manager, 1).root / marker.NAME
    if content == "another's":
        theirs = manager.acquire("bert", 1, template=None)
        path.write_bytes((theirs.root / marker.NAME).read_bytes())
    elif content in ("pipe", "directory"):
        path.unlink()
        os.mkfifo(path) if content == "pipe" else path.mkdir()
    else:
        path.write_bytes(path.read_bytes().replace(b"156", b"157") if content == "flipped" else content)
    with structlog.testing.capture_logs() as said:
        again = manager.acquire("anna", 2, template=None)
    assert again.receipt.source == "empty"
    assert [line["event"] for line in said] == ["workspace_not_taken_over"]
    assert [entry.name for entry in (state_dir / "workspaces").glob("anna-*")] == ["anna-2"]


@pytest.mark.parametrize("kind", ["file", "pipe", "nowhere"])
def test_saved_data_that_is_no_directory_is_said(manager, state_dir: Path, template: Path, kind: str):
    """It is neither taken for "nothing saved yet" nor replaced by the template."""
    manager.save_back(manager.acquire("anna", 1, template=template))
    saved = state_dir / "profiles" / "anna" / "browser_profile"
    shutil.rmtree(saved)
    if kind == "file":
        saved.touch()
    elif kind == "pipe":
        os.mkfifo(saved)
    else:
        saved.symlink_to("nowhere")
    with pytest.raises(WorkspaceCorrupt, match="it is no directory"):
        manager.acquire("anna", 2, template=template)


def test_the_sweep_leaves_a_clone_that_is_being_made(state_dir: Path):
    """A half-made copy of a profile whose lock is held belongs to somebody at work."""
    held = {"anna"}
    manager = FileWorkspaces(state_dir, holder=lambda profile_id: profile_id if profile_id in held else None)
    root = state_dir / "workspaces"
    for profile_id in ("anna", "be-rt"):
        (root / f".new-{profile_id}-4.abcdef01").mkdir(parents=True)
    assert manager.sweep(lambda _profile_id: True) == [".new-be-rt-4.abcdef01"]
    assert [path.name for path in root.iterdir()] == [".new-anna-4.abcdef01"]


def test_nobody_takes_over_what_the_sweep_is_about_to_remove(state_dir: Path, template: Path):
    """The profile's lock is held while something of it is removed, and what is held by another stays."""
    locks = FileProfileLocks(state_dir, SystemClock())
    manager = FileWorkspaces(state_dir, hold=locks.hold)
    manager.acquire("anna", 1, template=template)
    with locks.hold("anna", "a run by hand"):
        assert manager.sweep(lambda _profile_id: False) == []
    removing: list[bool] = []

    @contextlib.contextmanager
    def hold(profile_id: str, what: str) -> Iterator[None]:
        with locks.hold(profile_id, what):
            yield
            removing.append((state_dir / "workspaces" / "anna-1").exists())

    assert "anna-1" in FileWorkspaces(state_dir, hold=hold).sweep(lambda _profile_id: False)
    assert removing == [False]
    assert locks.holder("anna") is None
