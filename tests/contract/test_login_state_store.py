"""The laws of ``LoginStateStore``, for the files and for the fake."""

from __future__ import annotations

import stat

import pytest

from core.envelope import EnvelopeFile
from core.errors import BadInput, Fenced, NewerSchema, StateCorrupt
from core.state.login_state import FileLoginStateStore
from core.state.memory import MemoryLoginStateStore
from core.state.port import LoginState

FULL = LoginState(
    cookies=[{"name": "sid", "value": "v", "domain": "shop.localhost", "path": "/", "expires": 1.5, "httpOnly": True}],
    origins=[{"origin": "http://id.localhost", "localStorage": [{"name": "t", "value": "ü"}], "indexedDB": []}],
    level="storage",
    exported_at=12.5,
    unexportable=("keys/private",),
)


@pytest.fixture(params=["files", "memory"])
def store(request, state_dir):
    return FileLoginStateStore(state_dir) if request.param == "files" else MemoryLoginStateStore()


def test_what_was_written_is_read(store):
    """Cookies, origins and all the rest come back as they were, with fence and generation."""
    assert store.read("a") is None
    assert store.write("a", FULL, fence=2) == 1
    found = store.read("a")
    assert (found.value, found.fence, found.generation, found.recovered) == (FULL, 2, 1, False)
    assert store.write("a", LoginState(), fence=2) == 2
    assert store.read("a").value == LoginState()


def test_a_lower_fence_changes_nothing(store):
    """A write by an earlier holder is refused and leaves the state."""
    store.write("a", FULL, fence=5)
    with pytest.raises(Fenced):
        store.write("a", LoginState(), fence=4)
    assert store.read("a").value == FULL


def test_profiles_are_apart(store):
    """One profile's login state is not another's."""
    store.write("a", FULL, fence=1)
    assert store.read("b") is None


def test_an_id_is_never_a_path(store):
    """What cannot be an ID is refused before a path is made of it."""
    with pytest.raises(BadInput):
        store.write("../a", FULL, fence=1)
    with pytest.raises(BadInput):
        store.read("../a")


# --- files only ------------------------------------------------------------------------------------------------------


def test_the_file_is_in_the_profile_and_private(state_dir):
    """The state stands in the profile's own directory, 0600 in 0700."""
    FileLoginStateStore(state_dir).write("a", FULL, fence=1)
    path = state_dir / "profiles" / "a" / "session.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_login_belongs_to_its_profile(state_dir):
    """A login state that came from another profile's directory is refused; one without an owner's name is taken."""
    store = FileLoginStateStore(state_dir)
    for profile_id in ("a", "b"):
        store.write(profile_id, FULL, fence=1)
    path = state_dir / "profiles" / "b" / "session.json"
    (state_dir / "profiles" / "a" / "session.json").replace(path)
    with pytest.raises(StateCorrupt, match="belongs to profile 'a'"):
        store.read("b")
    path.unlink()
    EnvelopeFile(path, LoginState).write(FULL, fence=1)
    assert store.read("b").value == FULL


def test_damage_and_newer_versions(state_dir):
    """A torn file gives the version before, two torn ones raise, a newer one is left alone."""
    store = FileLoginStateStore(state_dir)
    path = state_dir / "profiles" / "a" / "session.json"
    store.write("a", FULL, fence=1)
    store.write("a", LoginState(), fence=1)
    good = path.read_bytes()
    path.write_bytes(good[:-10])
    assert (store.read("a").recovered, store.read("a").value) == (True, FULL)
    path.with_name("session.json.prev").write_bytes(b"\0")
    with pytest.raises(StateCorrupt):
        store.read("a")
    path.write_bytes(good.replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(NewerSchema):
        store.write("a", FULL, fence=1)
