"""The laws of ``SelectorCache``, for the file and for the fake."""

from __future__ import annotations

import os
import stat

import msgspec
import pytest
import structlog.testing
from filelock import FileLock

from core.state.memory import MemorySelectorCache
from core.state.port import Selector
from core.state.selector_cache import FileSelectorCache

KEY = ("http://shop.localhost", "demo", "submit button")
BY_ROLE = Selector(kind="role", value="button", name="Send", exact=True)
BY_CSS = Selector(kind="css", value="#send")


@pytest.fixture(params=["file", "memory"])
def make(request, state_dir):
    return lambda **options: (
        FileSelectorCache(state_dir, **options) if request.param == "file" else MemorySelectorCache(**options)
    )


@pytest.fixture
def cache(make):
    return make()


def test_what_was_learnt_is_returned(cache):
    """A selector comes back whole, under its own origin, flow and label only."""
    assert cache.get(*KEY) is None
    cache.learn(*KEY, BY_ROLE, profile_id="a", now=1.0)
    assert cache.get(*KEY) == BY_ROLE
    for other in (("http://mail.localhost", *KEY[1:]), (KEY[0], "other", KEY[2]), (*KEY[:2], "cancel")):
        assert cache.get(*other) is None


def test_the_last_one_learnt_wins(cache):
    """A selector that was confirmed later replaces the one before."""
    cache.learn(*KEY, BY_ROLE, profile_id="a", now=1.0)
    cache.learn(*KEY, BY_CSS, profile_id="b", now=2.0)
    assert cache.get(*KEY) == BY_CSS


def test_three_failures_in_a_row_silence_it_until_learnt_anew(cache):
    """After the third failure an entry is not returned; learning it again brings it back with a clean slate."""
    cache.learn(*KEY, BY_ROLE, profile_id="a", now=1.0)
    for expected in (BY_ROLE, BY_ROLE, None):
        cache.demote(*KEY, BY_ROLE, now=2.0)
        assert cache.get(*KEY) == expected
    cache.learn(*KEY, BY_ROLE, profile_id="a", now=3.0)
    assert cache.get(*KEY) == BY_ROLE
    cache.demote(*KEY, BY_ROLE, now=4.0)
    assert cache.get(*KEY) == BY_ROLE


def test_a_success_in_between_resets_the_failures(cache):
    """Only failures in a row count."""
    for _ in range(4):
        cache.learn(*KEY, BY_ROLE, profile_id="a", now=1.0)
        cache.demote(*KEY, BY_ROLE, now=2.0)
        cache.demote(*KEY, BY_ROLE, now=2.0)
    assert cache.get(*KEY) == BY_ROLE


def test_the_failure_of_another_selector_does_not_count(cache):
    """Somebody who still used the selector before cannot demote the one that is there now."""
    cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    for _ in range(5):
        cache.demote(*KEY, BY_ROLE, now=2.0)
    assert cache.get(*KEY) == BY_CSS
    cache.demote("http://nowhere", "x", "y", BY_ROLE, now=1.0)
    assert cache.get("http://nowhere", "x", "y") is None


def test_the_oldest_make_room(make):
    """Over the limit the entries that changed longest ago go; the new one never does."""
    cache = make(max_entries=3)
    for n, at in enumerate((5.0, 2.0, 9.0, 4.0)):
        cache.learn(f"http://{n}", "f", "l", BY_CSS, profile_id="a", now=at)
    assert [cache.get(f"http://{n}", "f", "l") is not None for n in range(4)] == [True, False, True, True]
    cache.learn("http://4", "f", "l", BY_CSS, profile_id="a", now=0.0)
    assert cache.get("http://4", "f", "l") == BY_CSS
    assert cache.get("http://3", "f", "l") is None


# --- the file only ---------------------------------------------------------------------------------------------------


def test_the_file_is_keyed_by_origin_flow_label(state_dir):
    """The file is private JSON that a person can read, and counts hits and failures."""
    cache = FileSelectorCache(state_dir)
    cache.learn(*KEY, BY_ROLE, profile_id="a", now=1.0)
    cache.learn(*KEY, BY_ROLE, profile_id="b", now=2.0)
    cache.demote(*KEY, BY_ROLE, now=3.0)
    path = state_dir / ".selector_cache.json"
    entry = msgspec.json.decode(path.read_bytes())["entries"][KEY[0]][KEY[1]][KEY[2]]
    assert entry == {
        "selector": {"kind": "role", "value": "button", "name": "Send", "exact": True},
        "hits": 2,
        "failures": 1,
        "learnt_by": "b",
        "at": 3.0,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (state_dir / "locks" / "selector_cache.lock").exists()


@pytest.mark.parametrize("content", [b"", b"\0\xff", b'{"schema":1,"entr', b"[]", b'{"schema":1,"entries":{"a":1}}'])
def test_a_damaged_file_is_an_empty_cache(state_dir, content):
    """Damage costs what was learnt, nothing more: reading gives nothing; learning starts anew, says so, and keeps the bytes."""
    cache = FileSelectorCache(state_dir)
    path = state_dir / ".selector_cache.json"
    assert cache.damage() == ""
    path.write_bytes(content)
    assert cache.get(*KEY) is None
    assert cache.damage() != ""
    with structlog.testing.capture_logs() as said:
        cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    assert [line["event"] for line in said] == ["selector_cache_damaged"]
    assert path.with_name(".selector_cache.json.corrupt").read_bytes() == content
    assert cache.get(*KEY) == BY_CSS
    assert cache.damage() == ""


def test_a_selector_that_changed_by_itself_is_damage(state_dir):
    """A whole file with another selector in it would press another button."""
    cache = FileSelectorCache(state_dir)
    cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    path = state_dir / ".selector_cache.json"
    path.write_bytes(path.read_bytes().replace(b"#send", b"#seno"))
    assert (cache.get(*KEY), cache.damage()) == (None, f"{path} is damaged: the checksum does not match")


def test_a_pipe_is_an_empty_cache(state_dir):
    """Nobody waits for what stands in the cache's place; the next update replaces it."""
    path = state_dir / ".selector_cache.json"
    os.mkfifo(path)
    cache = FileSelectorCache(state_dir)
    assert cache.get(*KEY) is None
    assert "no regular file" in cache.damage()
    cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    assert path.is_file()


def test_a_newer_file_is_left_alone(state_dir):
    """A newer version's cache is read as empty and never replaced."""
    newer = b'{"schema":2,"entries":["of another form"]}'
    (state_dir / ".selector_cache.json").write_bytes(newer)
    cache = FileSelectorCache(state_dir)
    assert "newer version" in cache.damage()
    assert cache.get(*KEY) is None
    cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    assert (state_dir / ".selector_cache.json").read_bytes() == newer


def test_readers_need_no_lock(state_dir):
    """A reader is served while somebody holds the writers' lock."""
    cache = FileSelectorCache(state_dir)
    cache.learn(*KEY, BY_CSS, profile_id="a", now=1.0)
    with FileLock(state_dir / "locks" / "selector_cache.lock"):
        assert cache.get(*KEY) == BY_CSS
