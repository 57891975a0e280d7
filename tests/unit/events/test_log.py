"""The event log as a whole: parts in order, and each line an event or what is wrong with it."""

from __future__ import annotations

import os

import pytest

from core.domain.events import StopAsked, encode
from core.events.log import BadLine, EventLog, Line
from core.rotation import rotate


def asked(number: int) -> StopAsked:
    return StopAsked(at=float(number), how="drain")


def everything(log: EventLog, since: float = 0.0) -> list:
    found = list(log.past(since))
    while lines := log.new():
        found += lines
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def test_parts_are_read_in_the_order_in_which_they_were_written(path):
    """The oldest first, then the newest, then what is added, across rotations; each line as it stands there."""
    path.with_name("events.jsonl.2").write_bytes(encode(asked(1)))
    path.with_name("events.jsonl.1").write_bytes(encode(asked(2)) + encode(asked(3)))
    path.write_bytes(encode(asked(4)))
    log = EventLog(path)
    assert everything(log) == [Line(asked(number), encode(asked(number)).rstrip()) for number in (1, 2, 3, 4)]
    with path.open("ab") as stream:
        stream.write(encode(asked(5)))
    rotate(path, 1, 3)
    path.write_bytes(encode(asked(6)))
    assert [line.event for line in everything_new(log)] == [asked(5), asked(6)]
    log.close()


def everything_new(log: EventLog) -> list[Line]:
    found: list[Line] = []
    while lines := log.new():
        found += lines
    return found


def test_what_is_rotated_between_two_looks_is_read_once(path):
    """What was the newest part when it began stays the newest to it."""
    path.write_bytes(encode(asked(1)))
    log = EventLog(path)
    rotate(path, 1, 3)
    path.write_bytes(encode(asked(2)))
    assert [line.event for line in everything(log)] == [asked(1), asked(2)]
    log.close()


def test_old_parts_are_left_out_as_a_whole(path):
    """Those that were written before the time that is asked for."""
    old = path.with_name("events.jsonl.1")
    old.write_bytes(encode(asked(1)))
    os.utime(old, (50.0, 50.0))
    path.write_bytes(encode(asked(2)))
    for since, expected in ((100.0, [asked(2)]), (50.0, [asked(1), asked(2)])):
        log = EventLog(path)
        assert [line.event for line in everything(log, since)] == expected
        log.close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"type":"st', "no whole line of JSON"),
        (b"\xff\xfe", "no whole line of JSON"),
        (b'{"type":"stop_asked","at":1,"x":' + b"[" * 5000, "no whole line of JSON"),
        (b'{"type":"from_the_future","at":1}', "an event that this Ostler does not know: 'from_the_future'"),
        (b'{"type":"stop_asked","at":1,"v":2,"way":"now"}', "written by a newer Ostler (version 2 of the events"),
        (b'{"type":"from_the_future","at":1,"v":9}', "written by a newer Ostler (version 9 of the events"),
        (b'{"type":"stop_asked","at":1,"how":7}', "Expected `str`, got `int` - at `$.how`"),
        (b'{"type":7}', "Expected `str`"),
        (b"7", "Expected `object`, got `int`"),
    ],
)
def test_a_bad_line_is_named_and_the_next_one_is_read(path, text, problem):
    """With its part and its number, from 1 in each part; an empty line is nothing."""
    path.with_name("events.jsonl.1").write_bytes(b"\n" + text + b"\n")
    path.write_bytes(encode(asked(1)) + text + b"\n" + encode(asked(2)))
    log = EventLog(path)
    old, first, bad, second = everything(log)
    assert (old.part, old.number, first.event, second.event) == ("events.jsonl.1", 2, asked(1), asked(2))
    assert isinstance(bad, BadLine) and (bad.part, bad.number) == ("events.jsonl", 2)
    assert bad.problem.startswith(problem)
    rotate(path, 1, 3)
    path.write_bytes(text + b"\n")
    assert [line.number for line in log.new()] == [1]
    log.close()


def test_a_log_that_is_not_there_yet_is_empty(path):
    """And followed once it is."""
    log = EventLog(path)
    assert everything(log) == []
    path.write_bytes(encode(asked(1)))
    assert [line.event for line in log.new()] == [asked(1)]
    log.close()
