"""The laws of ``core.state.port.LimitRecord``, for the file and its fake; and what only the file does."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.domain.limits import MOST, read_limits
from core.errors import DurableWriteFailed
from core.state.limit_record import FileLimitRecord
from core.state.memory import MemoryLimitRecord

NOW = 1_000_000.0


@pytest.fixture(params=["file", "memory"])
def record(request, state_dir, clock):
    """One of each kind."""
    if request.param == "memory":
        yield MemoryLimitRecord()
        return
    opened = FileLimitRecord(state_dir, clock)
    yield opened
    opened.close()


@pytest.fixture
def reopen(state_dir, clock):
    """Opens the file as a later run does; the one before was killed."""
    opened = []

    def open_() -> FileLimitRecord:
        opened.append(FileLimitRecord(state_dir, clock))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def begin(record, key: str, at: float) -> None:
    """Let somebody in who begins at once."""
    record.note(key, at)
    record.began(key, at, at)


def test_a_start_is_of_when_it_began(record):
    """Until that is known, of when it was let in; what nobody was let in for is taken as it is said."""
    record.note("a", NOW)
    record.note("a", NOW + 1)
    assert sorted(record.starts()["a"]) == [NOW, NOW + 1]
    record.began("a", NOW, NOW + 5)
    assert sorted(record.starts()["a"]) == [NOW + 1, NOW + 5]
    record.began("b", NOW, NOW + 6)
    assert list(record.starts()["b"]) == [NOW + 6]


def test_who_was_let_in_by_a_run_that_was_killed_began_at_the_latest_now(reopen, clock):
    """It may have begun when its orchestrator was dead already; for a run after that it is a start like another."""
    first = reopen()
    begin(first, "a", NOW)
    first.note("a", NOW + 1)
    now = clock.now()
    assert reopen().starts() == {"a": (NOW, now)}
    clock.advance(100)
    assert reopen().starts() == {"a": (NOW, now)}


def test_starts_are_remembered_by_key(record):
    """In the order they came."""
    assert record.starts() == {}
    for key, at in (("a", NOW), ("b", NOW + 1), ("a", NOW + 2)):
        begin(record, key, at)
    assert {key: list(starts) for key, starts in record.starts().items()} == {"a": [NOW, NOW + 2], "b": [NOW + 1]}


def test_threads_may_note_together(record):
    """Nothing is lost or torn."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: record.note("a", NOW + number), range(400)))
    assert sorted(record.starts()["a"]) == [NOW + number for number in range(400)]


def test_the_file_outlives_its_writer(reopen, state_dir, clock):
    """Unclosed, as after a kill; private; what is older than any period is forgotten, and torn lines are skipped."""
    first = reopen()
    begin(first, "old", NOW - 8 * 86_400)
    begin(first, "a", NOW)
    path = state_dir / "limits.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("ab") as file:
        file.write(b'{"type":"start","key":"a","at":1000001.0}\n\xff\n{"type":"st')
    assert reopen().starts() == {"a": (NOW, NOW + 1)}
    assert path.read_bytes().count(b"\n") == 2


def test_what_feeds_limit_is_remembered(reopen):
    """Each feed's latest; of two that limit a key the one that was read last; a feed may stop limiting anything."""
    first = reopen()
    first.keep_feed("q.json", read_limits({"a": "1/s", "b": "2/s"}))
    first.keep_feed("other.json", read_limits({"b": "3/s"}))
    first.keep_feed("none.json", {})
    assert reopen().feed_limits() == read_limits({"a": "1/s", "b": "3/s"})
    assert reopen().feed_limits("q.json") == read_limits({"a": "1/s", "b": "2/s"})
    assert reopen().feed_limits("none.json") == {}
    reopen().keep_feed("other.json", {})
    assert reopen().feed_limits() == read_limits({"a": "1/s", "b": "2/s"})


def test_the_file_stays_small(reopen, state_dir):
    """No more starts of a key than any limit can want, and no more lines than twice that and some."""
    record = reopen()
    for number in range(3 * MOST):
        begin(record, "a", NOW + number / MOST)
    assert len(record.starts()["a"]) == MOST
    assert (state_dir / "limits.jsonl").read_bytes().count(b"\n") <= 2 * MOST + 1001
    assert list(reopen().starts()["a"]) == list(record.starts()["a"])


def test_a_start_that_cannot_be_written_is_said_and_no_error(reopen, monkeypatch, capsys):
    """It holds in this run; what is written after it can be read."""
    record = reopen()
    write = os.write

    def torn(descriptor, data):
        write(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", torn)
    record.note("a", NOW)
    monkeypatch.setattr(os, "write", write)
    begin(record, "a", NOW + 1)
    assert sorted(record.starts()["a"]) == [NOW, NOW + 1]
    assert reopen().starts() == {"a": (NOW + 1,)}
    assert "limit_not_recorded" in capsys.readouterr().out


def test_a_file_that_cannot_be_made_is_said(clock, tmp_path):
    """By its path: the state directory is no directory."""
    (tmp_path / "state").touch()
    with pytest.raises(DurableWriteFailed, match="state"):
        FileLimitRecord(tmp_path / "state", clock)


def test_a_file_that_cannot_be_rewritten_is_written_on(reopen, state_dir, monkeypatch, capsys):
    """It grows, that is said once, and it is tried again later."""
    record = reopen()
    with monkeypatch.context() as patch:
        patch.setattr("core.state.limit_record.write_bytes", _full)
        for number in range(2 * MOST):
            begin(record, "a", NOW + number / MOST)
        assert capsys.readouterr().out.count("limit_not_recorded") == 1
    assert list(reopen().starts()["a"]) == list(record.starts()["a"])


def _full(path, data, *, fsync):
    raise DurableWriteFailed(path, 28, "No space left on device")
