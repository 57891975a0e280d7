"""The laws of ``SessionStore``, for the files and for the fake."""

from __future__ import annotations

import os

import msgspec
import pytest

from core.domain.session import Identity, SessionState
from core.envelope import EnvelopeFile
from core.errors import BadInput, Fenced, NewerSchema, StateCorrupt
from core.state.memory import MemorySessionStore
from core.state.sessions import FileSessionStore

FULL = SessionState(
    profile_id="k18imh7u",
    status="PROCESSING",
    platform="mobile",
    completion_flags={"mail_created": True, "two_fa_enabled": False},
    identity=Identity(email="user@example.org", password="pwd", extra={"codes": ["a", "b"]}),
    outputs={"api_key": "k", "ö": [1, 2.5, None]},
    remembered={"order": {"cart": "c-1"}},
    login_generation=4,
)


@pytest.fixture(params=["files", "memory"])
def store(request, state_dir):
    return FileSessionStore(state_dir) if request.param == "files" else MemorySessionStore()


def test_what_was_written_is_read(store):
    """Every field comes back as it was, with fence and generation."""
    assert store.read("k18imh7u") is None
    assert store.write(FULL, fence=3) == 1
    found = store.read("k18imh7u")
    assert (found.value, found.fence, found.generation, found.recovered) == (FULL, 3, 1, False)


def test_generations_count_per_profile(store):
    """Each write of a profile has the next number; profiles do not see each other."""
    assert [store.write(SessionState(profile_id="a"), fence=1) for _ in range(3)] == [1, 2, 3]
    assert store.write(SessionState(profile_id="b"), fence=1) == 1
    assert store.read("a").generation == 3


def test_a_lower_fence_changes_nothing(store):
    """A write by an earlier holder is refused; one by the same or a later holder is not."""
    store.write(SessionState(profile_id="a", status="COMPLETED"), fence=5)
    with pytest.raises(Fenced) as caught:
        store.write(SessionState(profile_id="a", status="FAILED"), fence=4)
    assert (caught.value.ours, caught.value.newer) == (4, 5)
    found = store.read("a")
    assert (found.value.status, found.fence, found.generation) == ("COMPLETED", 5, 1)
    store.write(SessionState(profile_id="a"), fence=5)
    store.write(SessionState(profile_id="a"), fence=6)
    assert store.read("a").fence == 6


def test_what_is_read_is_a_copy(store):
    """Changing what was written or read changes nothing in the store."""
    session = SessionState(profile_id="a", completion_flags={"x": True})
    store.write(session, fence=1)
    session.completion_flags["x"] = False
    store.read("a").value.completion_flags["x"] = False
    assert store.read("a").value.completion_flags == {"x": True}


def test_delete(store):
    """A deleted session is gone for good, also its previous generation."""
    store.write(SessionState(profile_id="a"), fence=1)
    store.write(SessionState(profile_id="a"), fence=1)
    assert store.delete("a") is True
    assert store.read("a") is None
    assert store.delete("a") is False


@pytest.mark.parametrize("profile_id", ["", "../a", "a/b", "con", "a" * 33, ".x"])
def test_an_id_is_never_a_path(store, profile_id):
    """What cannot be an ID is refused before a path is made of it."""
    for act in (
        lambda: store.read(profile_id),
        lambda: store.write(SessionState(profile_id=profile_id), fence=1),
        lambda: store.delete(profile_id),
    ):
        with pytest.raises(BadInput):
            act()


# --- files only ------------------------------------------------------------------------------------------------------


def test_the_file_has_the_documented_names(state_dir):
    """The payload is the session structure with its published field names."""
    FileSessionStore(state_dir).write(FULL, fence=3)
    disk = msgspec.json.decode((state_dir / "sessions" / "k18imh7u.json").read_bytes())
    payload = disk["payload"]
    assert {"profile_id", "status", "platform", "completion_flags", "identity", "outputs"} <= set(payload)
    assert payload["identity"]["email"] == "user@example.org"
    assert payload["identity"]["two_fa_secret"] is None
    assert payload["completion_flags"] == {"mail_created": True, "two_fa_enabled": False}


def test_a_damaged_session_is_recovered_and_said(state_dir):
    """A torn file gives the session before it with ``recovered``; two torn ones raise; neither is a reset."""
    store = FileSessionStore(state_dir)
    path = state_dir / "sessions" / "a.json"
    store.write(SessionState(profile_id="a", status="PENDING"), fence=1)
    store.write(SessionState(profile_id="a", status="PROCESSING"), fence=1)
    path.write_bytes(path.read_bytes()[:40])
    found = store.read("a")
    assert (found.recovered, found.value.status) == (True, "PENDING")
    path.with_name("a.json.prev").write_bytes(b"")
    with pytest.raises(StateCorrupt):
        store.read("a")


def test_a_newer_session_is_left_alone(state_dir):
    """A file with a higher schema number is refused by reading and writing, and stays as it is."""
    store = FileSessionStore(state_dir)
    store.write(SessionState(profile_id="a"), fence=1)
    path = state_dir / "sessions" / "a.json"
    path.write_bytes(path.read_bytes().replace(b'"schema":1', b'"schema":999'))
    before = path.read_bytes()
    with pytest.raises(NewerSchema):
        store.read("a")
    with pytest.raises(NewerSchema):
        store.write(SessionState(profile_id="a"), fence=1)
    assert path.read_bytes() == before


def test_a_field_of_another_type_is_corrupt(state_dir):
    """A whole envelope around something that is no session is never taken for one."""
    path = state_dir / "sessions" / "a.json"
    EnvelopeFile(path, dict[str, int]).write({"profile_id": 1}, fence=1)
    with pytest.raises(StateCorrupt):
        FileSessionStore(state_dir).read("a")


def test_another_profiles_session_is_not_believed(state_dir):
    """A whole file in the wrong place: what one account has done says nothing about another."""
    store = FileSessionStore(state_dir)
    store.write(SessionState(profile_id="a"), fence=1)
    (state_dir / "sessions" / "a.json").rename(state_dir / "sessions" / "b.json")
    with pytest.raises(StateCorrupt, match="belongs to profile 'a'"):
        store.read("b")


@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_session_that_is_no_file_is_damaged(state_dir, kind):
    """A pipe, a device or a link to nothing in a session's place is refused; nobody waits for its end, or starts anew."""
    path = state_dir / "sessions" / "a.json"
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    store = FileSessionStore(state_dir)
    reason = "leads nowhere" if kind == "link" else "no regular file"
    with pytest.raises(StateCorrupt, match=reason):
        store.read("a")
    with pytest.raises(StateCorrupt, match=reason):
        store.write(SessionState(profile_id="a"), fence=1)
