"""What the log may hold, decided without files, threads or clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.process.pump import LogFilter, LogLimits
from core.redaction import Redactor

SECRET = b"hunter2-and-more"
LINE = 1000


def new_filter(**limits) -> LogFilter:
    return LogFilter(LogLimits(**{"line": LINE, "burst": 1_000_000, **limits}), Redactor([SECRET.decode()]), 0.0)


@given(
    data=st.lists(st.sampled_from([SECRET, b"a", b" b", b"\n", b"x" * 300, b"\x1b[1m"])),
    sizes=st.lists(st.integers(1, 40)),
)
def test_how_it_is_cut_into_reads_changes_nothing(data, sizes):
    """Any cut of the same bytes gives the same log, and no secret in it."""
    raw = b"".join(data)
    whole = new_filter()
    expected = whole.feed(raw, 0.0) + whole.finish()
    pieces = new_filter()
    got, rest = b"", raw
    for size in sizes:
        got += pieces.feed(rest[:size], 0.0) if rest[:size] else b""
        rest = rest[size:]
    got += pieces.feed(rest, 0.0) if rest else b""
    assert got + pieces.finish() == expected
    if len(raw) < LINE:
        assert SECRET not in expected


@pytest.mark.parametrize("before", range(LINE - len(SECRET) - 1, LINE + 2))
@pytest.mark.parametrize("after", [0, 5, 20_000, 100_000])
def test_no_part_of_a_secret_at_the_cut(before, after):
    """Wherever the cut of a long line falls, not even the beginning of the secret is shown."""
    output = new_filter()
    shown = output.feed(b"y" * before + SECRET + b"z" * after + b"\n", 0.0)
    assert b"hun" not in shown
    assert len(shown) < LINE + 60


@pytest.mark.parametrize("shift", range(len(SECRET) + 1))
def test_no_part_of_a_secret_where_the_raw_line_was_cut(shift):
    """Also if masks before it pull the end of what was kept into what is shown."""
    long = b"hunter2" + b"-and-more" * 200
    output = LogFilter(LogLimits(line=LINE, burst=1_000_000), Redactor([long.decode()]), 0.0)
    shown = output.feed((long * 20)[shift * 110 :].removeprefix(long) + b"z" * 30_000 + b"\n", 0.0)
    assert b"hun" not in shown


def test_dropping_ends_when_there_is_room():
    """The note comes with the next look, not with each line of a steady flood."""
    output = new_filter(rate=100, burst=1000)
    assert output.feed(b"x" * 900 + b"\n", 0.0) == b"x" * 900 + b"\n"
    assert output.feed(b"y" * 200 + b"\n" + b"z\n", 0.0) == b""
    assert output.is_holding_note
    assert output.tick(1.0) == b""
    assert output.feed(b"w\n", 1.0) == b""
    note = output.tick(3.0)
    assert note == b"--- 3 lines (205 bytes) dropped here: more than the log takes ---\n"
    assert not output.is_holding_note
    assert output.feed(b"again\n", 3.0) == b"again\n"
    assert output.finish() == b""


def test_the_last_lines_before_the_end_are_kept():
    """A death is explained by what was printed last, also by a worker that printed too much."""
    output = new_filter(rate=1, burst=1000)
    written = output.feed(b"filler line\n" * 10_000, 0.0)
    output.feed(b"Traceback: " + SECRET + b" was wrong", 0.0)
    last = output.finish()
    note, *tail = last.splitlines()
    assert tail[-1] == b"Traceback: [redacted] was wrong"
    assert len(last) < 10_000
    dropped = int(note.split()[1])
    assert written.count(b"\n") + dropped + len(tail) == 10_001


def test_an_attempt_that_has_had_its_share_trickles():
    """After the attempt's share the rate falls, so that the file has an end."""
    output = new_filter(rate=64_000, burst=2000, attempt=10_000)
    written = 0
    for second in range(100):
        written += len(output.feed((b"x" * 99 + b"\n") * 1000, float(second)))
    assert 10_000 < written < 10_000 + 2000 + 100 * 1000 + 100 * 100
    generous = new_filter(rate=64_000, burst=2000, attempt=10_000_000)
    assert sum(len(generous.feed((b"x" * 99 + b"\n") * 1000, float(n))) for n in range(100)) > written
