"""The last lines of a log, by level, across its older parts and while it is rotated or truncated."""

from __future__ import annotations

import pytest

from core.rotation import rotate
from core.upkeep.log_lines import LevelFilter, LogReader

INFO = b"2026-01-01T00:00:00Z [info     ] planned attempt=1"
ERROR = b"2026-01-01T00:00:00Z [error] attempt_failed"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "p1.log"


def lines(*texts: bytes) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def test_lines_without_a_level_follow_the_line_before():
    """A traceback is kept with its error, prints with theirs, and our marks always."""
    given = [
        b"--- attempt 1 of p1 ---",
        INFO,
        b"printed",
        ERROR,
        b"  detail",
        INFO,
        b"Traceback (most recent call last):",
        b"  x",
    ]
    kept = LevelFilter("error")
    assert [line for line in given if kept.keep(line)] == [given[0], ERROR, b"  detail", *given[6:]]


def test_levels_of_json_lines_are_known():
    """The orchestrator's own log is JSON."""
    kept = LevelFilter("warning")
    assert kept.keep(b'{"event": "x", "level": "warning"}')
    assert not kept.keep(b'{"event": "x", "level": "info", "at": "now"}')


def test_older_parts_fill_up_what_is_missing(path):
    """In the order in which it was written, and no more than was asked for."""
    path.with_name("p1.log.2").write_bytes(lines(b"1", b"2"))
    path.with_name("p1.log.1").write_bytes(lines(b"3", b"4"))
    path.write_bytes(lines(b"5"))
    reader = LogReader(path)
    assert reader.last(4) == [b"2", b"3", b"4", b"5"]
    reader.close()


def test_older_parts_are_filtered_on_their_own(path):
    """Where one ends does not decide how the next begins."""
    path.with_name("p1.log.1").write_bytes(lines(INFO, ERROR))
    path.write_bytes(lines(INFO))
    reader = LogReader(path, least="error")
    assert reader.last(9) == [ERROR]
    reader.close()


@pytest.mark.parametrize("how", ["renamed", "truncated", "removed"])
def test_following_goes_on_after_a_rotation(path, how):
    """Nothing that was written before or after is lost."""
    path.write_bytes(lines(b"1"))
    reader = LogReader(path)
    assert reader.last(9) == [b"1"]
    with path.open("ab") as stream:
        stream.write(lines(b"2"))
    if how == "renamed":
        path.rename(path.with_name("p1.log.1"))
        path.write_bytes(lines(b"3"))
        assert [*reader.new(), *reader.new()] == [b"2", b"3"]
    elif how == "removed":
        path.unlink()
        assert reader.new() == [b"2"]
        path.write_bytes(lines(b"3"))
        assert reader.new() == [b"3"]
    else:
        assert reader.new() == [b"2"]
        path.write_bytes(lines(b"3"))
        assert reader.new() == [b"3"]
    reader.close()


def test_a_log_that_is_not_there_yet_is_waited_for(path):
    """Following may begin before the first attempt does; half a line is none yet."""
    reader = LogReader(path)
    assert reader.last(9) == []
    path.write_bytes(b"1\nhal")
    assert reader.new() == [b"1"]
    with path.open("ab") as stream:
        stream.write(b"f\n")
    assert reader.new() == [b"half"]
    reader.close()


def test_lines_longer_than_one_reading_come_whole(path):
    """A megabyte without a newline does not look like the end."""
    path.write_bytes(lines(b"x" * 3_000_000, b"y"))
    reader = LogReader(path)
    assert [len(line) for line in reader.last(9)] == [3_000_000, 1]
    reader.close()


def test_a_rotation_before_the_last_lines_are_read_shows_none_twice(path):
    """What was the log when we looked is an older part by now, and is not read again as one."""
    path.with_name("p1.log.1").write_bytes(lines(b"1"))
    path.write_bytes(lines(b"2"))
    reader = LogReader(path)
    rotate(path, 1, keep=9)
    path.write_bytes(lines(b"3"))
    assert reader.last(9) == [b"1", b"2", b"3"]
    assert reader.new() == []
    reader.close()
