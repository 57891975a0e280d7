"""The laws of ``ProfileStore``, for the files and for the fake."""

from __future__ import annotations

import os
import stat

import msgspec
import pytest

from core.errors import BadInput, StateCorrupt
from core.profiles.memory import MemoryProfileStore
from core.profiles.port import ProfileMetadata, Viewport
from core.profiles.store import FileProfileStore

NOW = 1_795_212_000.0  # 2026-11-20T22:00:00Z


@pytest.fixture(params=["files", "memory"])
def store(request, state_dir):
    return FileProfileStore(state_dir) if request.param == "files" else MemoryProfileStore()


def test_ensure_creates_once(store):
    """A profile that is missing is created with platform ``custom``; one that is there is returned as it is."""
    assert store.read("a") is None
    created = store.ensure("a", NOW)
    assert (created.profile_id, created.platform, created.status) == ("a", "custom", "inactive")
    assert created.created_at == created.last_used == "2026-11-20T22:00:00Z"
    assert store.ensure("a", NOW + 5000) == created
    assert store.read("a") == created


def test_what_was_written_is_read(store):
    """Every field comes back, and a later write replaces them all, also by nothing."""
    full = ProfileMetadata(
        profile_id="a",
        platform="telegram",
        platform_version="1",
        created_at="2026-11-20T20:00:00Z",
        last_used="2026-11-20T21:00:00Z",
        platform_config={"api_id": 1, "limits": [1, 2.5, None]},
        last_activity="2026-11-20T21:30:00Z",
        status="active",
        lock_pid=12,
        name="Anna of support",
        tags=("support", "de"),
        notes="ask Bert\nfor the phone",
        login_state="expired",
        last_error="step login: no field",
        error_phase="steps",
        flow="f.py",
        start_url="https://web.example.org/",
        device="mobile",
        device_descriptor="Pixel 7",
        viewport=Viewport(412, 839),
        proxy="http://u:p@h:1",
        locale="de-DE",
        timezone="Europe/Berlin",
        color_scheme="dark",
        extra_headers={"X-Desk": "7"},
        downloads="/srv/anna",
        browser="Chromium",
        browser_version="156",
        generation=3,
    )
    store.write(full)
    assert store.read("a") == full
    store.write(ProfileMetadata(profile_id="a", created_at="2026-11-20T20:00:00Z", last_used="2026-11-20T21:00:00Z"))
    assert (store.read("a").proxy, store.read("a").generation) == (None, 0)


def test_what_is_read_is_a_copy(store):
    """Changing what was read changes nothing in the store."""
    store.ensure("a", NOW)
    found = store.read("a")
    found.status = "active"
    found.platform_config["api_id"] = 1
    assert (store.read("a").status, store.read("a").platform_config) == ("inactive", {})


def test_what_could_not_be_read_again_is_not_written(store):
    """Metadata that break a rule are refused, naming it, and what is there stays."""
    before = store.ensure("a", NOW)
    with pytest.raises(BadInput, match=r"metadata of profile a: .* generation is below 0"):
        store.write(ProfileMetadata(profile_id="a", generation=-1))
    assert store.read("a") == before


def test_an_id_is_never_a_path(store):
    """What cannot be an ID is refused before a path is made of it."""
    for act in (lambda: store.read("../a"), lambda: store.ensure("../a", NOW)):
        with pytest.raises(BadInput):
            act()


# --- files only ------------------------------------------------------------------------------------------------------


def test_the_layout(state_dir):
    """A new profile is a private directory of the documented shape, its metadata plain JSON with the published names."""
    FileProfileStore(state_dir).ensure("a", NOW)
    root = state_dir / "profiles" / "a"
    assert {entry.name for entry in root.iterdir()} == {"metadata.json", "browser_profile", "cache"}
    for directory in (root, root / "browser_profile", root / "cache"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "metadata.json").stat().st_mode) == 0o600
    metadata = msgspec.json.decode((root / "metadata.json").read_bytes())
    assert {"profile_id", "platform", "created_at", "last_used", "status"} <= set(metadata)


def test_a_half_made_profile_is_none(state_dir):
    """Directories without metadata, as a kill leaves them, are no profile yet, and the next try completes them."""
    (state_dir / "profiles" / "a" / "cache").mkdir(parents=True)
    store = FileProfileStore(state_dir)
    assert store.read("a") is None
    assert store.ensure("a", NOW).profile_id == "a"


def test_unknown_fields_are_kept(state_dir):
    """What a person or a later version wrote beside our fields survives our writes."""
    path = state_dir / "profiles" / "a" / "metadata.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"profile_id": "a", "fingerprint": {"seed": 1}, "proxy": "http://h:1"}')
    store = FileProfileStore(state_dir)
    metadata = store.read("a")
    metadata.proxy = None
    store.write(metadata)
    written = msgspec.json.decode(path.read_bytes())
    assert written["fingerprint"] == {"seed": 1}
    assert "proxy" not in written


def test_a_change_by_somebody_else_shows(state_dir):
    """What a person edits, or a disk changes, is told from what Ostler wrote, whatever it is; the next write is Ostler's again."""
    path = state_dir / "profiles" / "a" / "metadata.json"
    store = FileProfileStore(state_dir)
    metadata = store.ensure("a", NOW)
    metadata.locale, metadata.viewport = "de-DE", Viewport(800, 600)
    store.write(metadata)
    assert not store.was_edited("a")
    good = path.read_bytes()
    path.write_bytes(good.replace(b"de-DE", b"de-DD"))
    assert store.was_edited("a")
    store.write(store.read("a"))
    assert not store.was_edited("a")
    # laid out differently, with a field of somebody's own; and written by nobody who counts
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(good), "mine": [1]}))
    assert store.was_edited("a")
    path.write_bytes(b'{"profile_id": "a"}')
    assert not store.was_edited("a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b'{"profile_id": 1}',
        b'{"profile_id": "b"}',
        b'{"profile_id": "a", "status": "dancing"}',
        b'{"profile_id": "a", "created_at": "yesterday"}',
        b'{"profile_id": "a", "device": "watch"}',
        b'{"profile_id": "a", "tags": ["two words"]}',
    ],
)
def test_what_is_no_metadata_is_corrupt(state_dir, content):
    """A file that does not say what a metadata file must is refused by name, not replaced."""
    path = state_dir / "profiles" / "a" / "metadata.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store = FileProfileStore(state_dir)
    for act in (lambda: store.read("a"), lambda: store.ensure("a", NOW)):
        with pytest.raises(StateCorrupt) as caught:
            act()
        assert caught.value.path == path
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "file of a file"])
def test_metadata_that_is_no_file_is_damaged(state_dir, kind):
    """What stands in the metadata's place and is no file is neither waited for nor read for ever."""
    path = state_dir / "profiles" / "a" / "metadata.json"
    path.parent.mkdir(parents=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path)
    with pytest.raises(StateCorrupt, match=r"metadata\.json"):
        FileProfileStore(state_dir).read("a")
