"""What a terminal and a pipe show."""

from __future__ import annotations

import io
import os
import re
import threading

import msgspec
import pytest
from rich.console import Console, Group

from core.clock import ManualClock
from core.console.open import open_console
from core.console.output import LineWriter, PatientStream
from core.console.plain import PlainConsole, line_for
from core.console.progress import ProgressConsole
from core.console.report import ROWS, as_lines, as_table, rows
from core.console.screen import Screen
from core.console.wording import duration, one_line, said
from core.domain import events as ev
from core.domain.model import JobState
from core.domain.snapshot import JobView, Snapshot, fold

HOSTILE = "[bold red]tricky[/] \x1b[31mred\x1b[0m :smile: two\nlines \u202etrojan \udcff [/nonsense]"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def of(job: str = "k18imh7u", attempt: int = 1) -> dict:
    return {"profile_id": job, "job": job, "attempt": attempt}


def a_run(reason: str = "") -> list:
    """One job that ends done and one that fails for ``reason``."""
    return [
        ev.FeedRead(at=100.0, source="queue.json", added=2, updated=0, unchanged=0, done=0, cancelled=0),
        ev.RunStarted(at=100.0, run=1, queued=2, max_concurrent=2),
        ev.AttemptStarted(at=101.0, pid=7, fence=1, **of()),
        ev.AttemptLaunched(at=101.5, **of()),
        ev.StepsPlanned(at=101.0, done=(), todo=("log in", "order"), **of()),
        ev.StepStarted(at=101.0, step="log in", try_=1, **of()),
        ev.StepCommitted(at=103.0, step="log in", seconds=2.0, **of()),
        ev.StepStarted(at=103.0, step="order", try_=1, **of()),
        ev.StepCommitted(at=105.0, step="order", seconds=2.0, **of()),
        ev.AttemptEnded(at=105.0, outcome="done", reason="", step="", seconds=4.0, **of()),
        ev.JobChanged(
            at=105.0, profile_id="k18imh7u", job="k18imh7u", state="done", steps_done=2, steps_total=2, attempts=1
        ),
        ev.AttemptStarted(at=105.0, pid=8, fence=1, **of("m2")),
        ev.StepsPlanned(at=105.0, done=("log in",), todo=("order",), **of("m2")),
        ev.StepStarted(at=105.0, step="order", try_=2, **of("m2")),
        ev.StepFailed(at=106.0, step="order", try_=2, reason=reason, will_retry=False, **of("m2")),
        ev.AttemptEnded(at=106.0, outcome="failed", reason=reason, step="order", seconds=1.0, **of("m2")),
        ev.JobChanged(
            at=106.0,
            profile_id="m2",
            job="m2",
            state="failed",
            reason=reason,
            steps_done=1,
            steps_total=2,
            attempts=1,
        ),
        ev.RunEnded(at=106.0, run=1, exit_code=1, counts={"done": 1, "failed": 1}, seconds=6.0),
    ]


def test_the_report_ends_with_the_network_and_the_evidence():
    """Sums of all attempts, and where to look: three places at most, each once."""
    used = ev.NetworkUsed(at=104.0, requests=1200, failures=3, received=2_000_000, sent=500_000, unmeasured=2, **of())
    kept = [
        ev.ArtifactsKept(
            at=106.0,
            step="order",
            why="ValueError",
            files=(f"artifacts/m{number}/1/a.html",),
            sensitive=True,
            **of("m2"),
        )
        for number in (1, 1, 2, 3, 4)
    ]
    events = a_run()
    snapshot = folded([*events[:-1], used, used, *kept, events[-1]])
    assert as_lines(snapshot)[-3:-1] == [
        "network: 2400 requests, 6 failed, 5.0 MB, without 4 that were not measured",
        "evidence, below the state directory: artifacts/m1/1, artifacts/m2/1, artifacts/m3/1, …",
    ]
    assert any("2400 requests" in line for line in drawn(Group(*as_table(snapshot, 80))))
    assert not any("network" in line or "evidence" in line for line in as_lines(folded(events)))


def folded(events: list, start: Snapshot | None = None) -> Snapshot:
    snapshot = start or Snapshot()
    for event in events:
        snapshot = fold(snapshot, event)
    return snapshot


def drawn(renderable, width: int = 80, height: int = 24) -> list[str]:
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None, markup=False
    )
    console.print(renderable)
    return console.file.getvalue().splitlines()


class Terminal(io.StringIO):
    """Pretends to be a terminal, as far as a stream can."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_one_line_per_event_that_matters():
    """Times first, then who and what; at the end an aligned table and a summary."""
    stream = io.StringIO()
    with PlainConsole(stream) as console:
        for event in a_run("the button was not found"):
            console.emit(event)
    lines = stream.getvalue().splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d .*", line) for line in lines[:9])
    assert [line[9:] for line in lines[:9]] == [
        "read queue.json: 2 new",
        "run 1: 2 jobs to do, 2 at a time",
        "k18imh7u started, attempt 1",
        "k18imh7u log in done in 2.0 s (1/2)",
        "k18imh7u order done in 2.0 s (2/2)",
        "k18imh7u done",
        "m2 started, attempt 1",
        "m2 order failed, try 2: the button was not found",
        "m2 failed: the button was not found",
    ]
    assert lines[9:] == [
        "profile   outcome  steps  attempts  time  reason",
        "k18imh7u  done       2/2         1  0:04",
        "m2        failed     1/2         1  0:01  the button was not found",
        "1 done, 1 failed in 0:06",
    ]


@pytest.mark.parametrize("make", [PlainConsole, lambda stream: ProgressConsole(stream, ManualClock())])
def test_a_finished_queue_says_so_in_one_line(make):
    """A second run of a finished queue has nothing to show but that."""
    stream = Terminal()
    console = make(stream)
    console.emit(ev.RunStarted(at=1.0, run=2, queued=0, max_concurrent=5))
    console.emit(ev.RunEnded(at=1.0, run=2, exit_code=0, counts={"done": 12}, seconds=0.0))
    console.close()
    console.close()
    assert ESCAPES.sub("", stream.getvalue()).strip() == "12 done, nothing to do"


def test_jobs_that_failed_before_are_named_with_the_way_to_try_them_again():
    """They are left alone unless asked for."""
    assert as_lines(Snapshot(counts={"done": 11, "failed": 1})) == [
        "11 done, 1 failed, nothing to do (--retry-failed tries them again)"
    ]
    assert as_lines(Snapshot()) == ["no jobs, nothing to do"]


@pytest.mark.parametrize("make", [PlainConsole, lambda stream: ProgressConsole(stream, ManualClock())])
def test_foreign_text_is_text(make):
    """Markup, emoji codes, escape codes, line breaks, bidi marks and lone surrogates in a reason are neither obeyed nor fatal."""
    stream = Terminal()
    console = make(stream)
    for event in a_run(HOSTILE):
        console.emit(event)
    console.close()
    text = stream.getvalue()
    assert "\x1b[31mred" not in text
    assert "\u202e" not in text
    shown = " ".join(ESCAPES.sub("", text).split())
    assert "[bold red]tricky[/]" in shown
    assert ":smile:" in shown


def test_the_live_screen_fits_80_columns():
    """Bar, counts and one line for each running profile; nothing wraps, nothing is cut that need not be."""
    events = a_run()[:8]
    lines = drawn(Screen(folded(events), now=104.0))
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) == 3
    assert lines[0].rstrip().endswith("0/2 about 2 s (1-6)")
    assert lines[1].strip() == "1 running · 1 queued · 1 launched · 0:04"
    assert re.fullmatch(r"k18imh7u 1/2 order +0:03", lines[2].strip())


def test_the_live_screen_says_tries_attempts_reasons_and_a_stop():
    """What makes a line longer than usual is there, and cut at the edge."""
    events = [
        ev.RunStarted(at=100.0, run=1, queued=4, max_concurrent=2),
        ev.JobChanged(at=100.0, profile_id="w", job="w", state="waiting", retry_at=200.0, reason="later"),
        ev.JobChanged(at=100.0, profile_id="p", job="p", state="parked", reason="a code by phone"),
        ev.AttemptStarted(at=101.0, pid=7, fence=1, **of("a" * 32, attempt=2)),
        ev.AttemptLaunched(at=101.5, **of("a" * 32, attempt=2)),
        ev.StepStarted(at=101.0, step="order", try_=1, **of("a" * 32, attempt=2)),
        ev.StepFailed(at=102.0, step="order", try_=1, reason="x" * 200, will_retry=True, **of("a" * 32, attempt=2)),
        ev.StepStarted(at=102.0, step="order", try_=2, **of("a" * 32, attempt=2)),
        ev.StopAsked(at=103.0, how="drain"),
    ]
    lines = drawn(Screen(folded(events), now=104.0), width=110)
    assert "1 needs a person · 1 waiting · 1 running · 1 queued · 1 launched" in lines[1]
    assert "finishing (^C: stop now)" in lines[1]
    assert re.fullmatch(r"needs a person: a code by phone +ostler queue retry p", lines[2])
    assert "a" * 32 in lines[3]
    assert "order · try 2 · attempt 2 · xxx" in lines[3]
    assert "…" in lines[3]
    assert re.fullmatch(r"w +retry in 1:36 · attempt 1 · later", lines[4].rstrip())


@pytest.mark.parametrize("width", [1, 2, 7, 20, 40, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 10])
def test_no_size_of_the_terminal_breaks_the_screen(width, height):
    """However small it is made, something is drawn, and not more running profiles than fit."""
    events = [ev.RunStarted(at=100.0, run=1, queued=50, max_concurrent=50)]
    events += [ev.AttemptStarted(at=101.0, pid=7, fence=1, **of(f"profile{n}")) for n in range(50)]
    lines = drawn(Screen(folded(events), now=104.0), width=width, height=height)
    assert len(lines) <= max(height, 4)
    if width >= 20 and height >= 10:
        assert lines[-1].startswith("+ 44 more: 44 prep")


def test_an_empty_run_can_be_drawn():
    """Before the first event there is a bar without a number to divide by."""
    assert "0/0" in drawn(Screen(Snapshot(), now=0.0))[0]


def test_a_live_run_ends_with_the_table_and_gives_the_cursor_back():
    """The display is replaced by the report."""
    stream = Terminal()
    clock = ManualClock(100.0)
    console = ProgressConsole(stream, clock)
    for event in a_run("no button"):
        console.emit(event)
    console.emit(ev.FeedRejected(at=1.0, source="queue.json", problem="line 3: expected a list"))
    console.close()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
    shown = ESCAPES.sub("", stream.getvalue())
    assert "1 done, 1 failed in 0:06" in shown
    assert "queue.json cannot be used; the last good version stays: line 3: expected a list" in shown
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("rich"):
            thread.join(10)
            assert not thread.is_alive()


def test_reasons_stand_below_the_table_where_they_would_be_squeezed():
    """At 80 columns a 32-character profile leaves no room beside it."""
    views = {"a" * 32: JobView(job="a" * 32, profile_id="a" * 32, state=JobState.FAILED, reason="why " * 200)}
    snapshot = Snapshot(others=views, total=1, launched=1, counts={"failed": 1})
    wide, narrow = as_table(snapshot, 120), as_table(snapshot, 70)
    assert len(wide) == 2
    assert len(narrow) == 3
    assert max(len(line) for part in narrow for line in drawn(part, width=70)) <= 70
    assert narrow[1].plain.startswith("a" * 32 + ": why why")
    assert narrow[1].plain.endswith("…")


def test_a_large_run_lists_only_what_is_not_done():
    """Beyond 50 jobs the done ones are a number; beyond 200 in trouble the rest is one, too."""
    many = {f"j{n:04}": JobView(job=f"j{n:04}", profile_id="p", state=JobState.FAILED) for n in range(ROWS + 5)}
    done = {"d": JobView(job="d", profile_id="d", state=JobState.DONE)}
    snapshot = Snapshot(others=many, done=done, total=1000, launched=1000, counts={"done": 795, "failed": 205})
    assert len(rows(snapshot)) == ROWS
    lines = as_lines(snapshot)
    assert lines[-2:] == [
        "and 5 more that are not done; logs/events.jsonl has them all",
        "795 done, 205 failed in 0:00",
    ]
    assert lines[1].startswith("p (j0000)  failed")
    assert any("and 5 more" in line for part in as_table(snapshot, 80) for line in drawn(part))
    small = Snapshot(others={}, done=done, total=1, ended={JobState.DONE: 1}, launched=1, stopping="drain")
    assert rows(small) == list(done.values())
    assert as_lines(small)[-1] == "1 done in 0:00", "a stop that found everything done has stopped nothing"
    cut_short = Snapshot(others={}, total=2, counts={"done": 1, "queued": 1}, launched=1, stopping="drain")
    assert as_lines(cut_short)[-1].startswith("stopped: 1 done")


def test_other_plain_lines():
    """Each kind of event that a pipe mentions has its sentence; those that do not matter have none."""
    stream = io.StringIO()
    console = PlainConsole(stream)
    for event in [
        ev.RunStarted(at=1.0, run=1, queued=1, max_concurrent=1),
        ev.FeedRead(at=1.0, source="q", added=0, updated=1, unchanged=5, done=2, cancelled=3),
        ev.FeedRead(at=1.0, source="q", added=0, updated=0, unchanged=5, done=0, cancelled=0),
        ev.FeedRejected(at=1.0, source="q", problem="bad"),
        ev.OrphanStopped(at=1.0, processes=4, **of("p")),
        ev.StepCommitted(at=1.0, step="s", seconds=0.0, recovered=True, **of("p")),
        ev.StepCommitted(at=1.0, step="s", seconds=0.0, body_ran=False, **of("p")),
        ev.StepFailed(at=1.0, step="s", try_=1, reason="r", will_retry=True, **of("p")),
        ev.JobChanged(at=1.0, profile_id="p", job="p", state="waiting", reason="r", retry_at=3.2),
        ev.JobChanged(at=1.0, profile_id="p", job="p", state="running"),
        ev.StopAsked(at=1.0, how="drain"),
        ev.StopAsked(at=1.0, how="now"),
        ev.BrowserClosed(at=1.0, **of("p")),
    ]:
        console.emit(event)
    console.close()
    assert [line[9:] for line in stream.getvalue().splitlines()] == [
        "run 1: 1 job to do, 1 at a time",
        "read q: 1 changed, 3 cancelled, 2 done",
        "read q: nothing new",
        "q cannot be used; the last good version stays: bad",
        "p was still running from an earlier run; stopped (4 processes)",
        "p s was done before the interruption",
        "p s was already true",
        "p s failed, try 1: r; trying again",
        "p waiting: r; again in 2 s",
        "stop asked: running jobs may finish; ask again to stop now",
        "stop asked: stopping now",
    ]


@pytest.mark.parametrize(
    ("stream", "term", "expected"),
    [
        (io.StringIO(), "xterm", PlainConsole),
        (Terminal(), "xterm", ProgressConsole),
        (Terminal(), "dumb", PlainConsole),
    ],
)
def test_the_console_follows_the_stream(stream, term, expected):
    """A live display only where a person can see one."""
    console = open_console(stream, ManualClock(), term=term)
    assert isinstance(console, expected)
    console.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None, "no-such-encoding"])
def test_a_terminal_without_utf8_gets_plain_lines(encoding):
    """What its encoding lacks would come out as rubbish."""
    stream = Terminal()
    stream.encoding = encoding
    console = open_console(stream, ManualClock())
    assert isinstance(console, PlainConsole)
    console.close()


def test_an_old_encoding_gets_question_marks():
    """Writing never raises for a character that the stream cannot say."""
    raw = io.BytesIO()
    stream = PatientStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("naïve …\n")
    stream.flush()
    assert raw.getvalue() == b"na?ve ?\n"


def test_a_pipe_that_is_closed_ends_the_writing_only():
    """`orchestrator.py | head -1` costs lines, not the run."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=True) as stream:
        console = PlainConsole(stream)
        for event in a_run():
            console.emit(event)
        console.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what the stream still holds must go somewhere at its end


def test_a_reader_who_stops_reading_stops_nobody():
    """Emitting returns while the pipe is full; closing gives up after its patience."""
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    lines = LineWriter(PatientStream(stream))
    for _ in range(20_000):
        lines.write("x" * 100)
    assert lines.dropped > 0
    lines.close(patience=0.05)
    assert lines._thread.is_alive()
    drain = threading.Thread(target=_read_all, args=(reader,))
    drain.start()
    lines.close()
    assert not lines._thread.is_alive()
    stream.close()
    drain.join(10)


def _read_all(reader: int) -> None:
    while os.read(reader, 1 << 20):
        pass
    os.close(reader)


def test_durations_counts_and_lines():
    """The small words."""
    assert [duration(seconds) for seconds in (-1, 0, 59.6, 3599, 3600)] == ["0:00", "0:00", "1:00", "59:59", "1:00:00"]
    assert said({JobState.PARKED: 1, JobState.DONE: 3, JobState.FAILED: 0}) == "3 done, 1 needs a person"
    assert one_line(" a\tb\x00\x9b c ") == "a b c"


def test_a_reason_is_told_with_its_code() -> None:
    """On a line of its own and in the report: the code is what --retry-failed and `ostler queue list` take."""
    failed = ev.JobChanged(
        at=5.0, profile_id="anna", job="anna", state="failed", reason="no\nbutton", code="selector_gone"
    )
    snapshot = fold(Snapshot(run=1, total=1), failed)
    assert line_for(failed, snapshot) == "anna failed: selector_gone: no button"
    assert any("selector_gone: no button" in line for line in as_lines(snapshot))
    assert line_for(msgspec.structs.replace(failed, code=""), snapshot) == "anna failed: no button"
