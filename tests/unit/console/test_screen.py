"""The live picture of a run, as it is drawn for terminals of several sizes."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from core.console.screen import Screen, shares, to_go_on
from core.console.wording import about
from core.domain import events as ev
from core.domain.forecast import Eta
from core.domain.model import JobState
from core.domain.snapshot import JobView, Snapshot
from tests.unit.console.test_console import drawn, folded, of

PACE = Snapshot(job_seconds=(50.0, 60.0, 60.0, 70.0, 80.0))


def a_busy_run() -> list:
    """Eighty jobs in batches of ten: one of each kind of trouble, some that run, some that are prepared, starts held."""
    batch = tuple(f"shop-{number:02}" for number in range(20, 30))
    events: list = [ev.RunStarted(at=100.0, run=1, queued=80, max_concurrent=5)]
    events += [ev.JobChanged(at=101.0, profile_id=f"d{n}", job=f"d{n}", state="done") for n in range(12)]
    events += [
        ev.AttemptEnded(at=102.0, outcome="failed", reason="no button", step="order", seconds=9.0, **of("f1")),
        ev.JobChanged(at=102.0, profile_id="f1", job="f1", state="failed", reason="no button", attempts=1),
        ev.JobChanged(
            at=102.0, profile_id="later", job="later", state="waiting", reason="503", code="site_down",
            retry_at=150.0, attempts=1,
        ),
        ev.JobChanged(at=102.0, profile_id="cap", job="cap", state="parked", reason="a captcha"),
        ev.BatchStarted(at=103.0, batch=2, jobs=batch, profiles=batch),
    ]  # fmt: skip
    for name in batch:
        events.append(ev.AttemptStarted(at=110.0, pid=7, fence=1, **of(name)))
    for name in batch[:4]:
        events += [
            ev.AttemptLaunched(at=111.0, batch=2, **of(name)),
            ev.StepsPlanned(at=112.0, done=(), todo=("log in", "order"), **of(name)),
            ev.StepStarted(at=112.0, step="log in", try_=1, **of(name)),
        ]
    events += [
        ev.AttemptPrepared(at=111.0, **of(batch[9])),
        ev.StepFailed(at=113.0, step="log in", try_=1, reason="slow", will_retry=True, **of(batch[2])),
        ev.AttemptParked(
            at=114.0, step="log in", why="type the code", code="needs_code", asks=("code",), **of(batch[3])
        ),
        ev.StartsHeld(at=115.0, reason="memory: 310 MB free, one more needs 420 MB"),
    ]
    return events


def test_a_busy_run_at_80_columns():
    """Every line of it: what a person is asked for comes first, then trouble, retries, and the rest as far as there is room."""
    lines = drawn(Screen(folded(a_busy_run()), now=160.0), width=80, height=14)
    assert [" ".join(line.strip("━╸╺ ").split()) for line in lines] == [
        "13/80 no estimate yet",
        "12 done · 1 failed · 2 need a person · 1 waiting · 3 running · 6 prepared",
        "55 queued · 4 launched · 1 error · batch 2 of ~8 · 1:00",
        "nothing is started: memory: 310 MB free, one more needs 420 MB",
        "needs a person: type the code (asks for code) ostler ctl resume shop-23",
        "needs a person: a captcha ostler queue retry cap",
        "shop-22 0/2 log in · slow 0:50",
        "later retry due · attempt 2 · site_down: 503",
        "shop-20 0/2 log in 0:50",
        "shop-21 0/2 log in 0:50",
        "shop-24 starting 0:50",
        "shop-25 starting 0:50",
        "+ 4 more: 4 prepared",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_with_history_there_is_an_estimate_before_the_first_job_ends():
    """In round numbers, with a range; wide terminals have the counts in one line."""
    run = folded([ev.RunStarted(at=100.0, run=1, queued=20, max_concurrent=5)], start=PACE)
    lines = drawn(Screen(run, now=100.0), width=200, height=60)
    assert lines[0].rstrip().endswith("0/20 about 4 min (4-5)")
    busy = drawn(Screen(folded(a_busy_run(), start=PACE), now=120.0), width=200, height=60)
    assert len(busy) == 15
    assert "55 queued · 4 launched · 1 error · batch 2 of ~8 · 0:20" in busy[1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (50, 8)])
def test_two_hundred_profiles_under_way_fit(width, height):
    """Trouble is not hidden by what goes well, and what is left out is counted."""
    events: list = [ev.RunStarted(at=100.0, run=1, queued=300, max_concurrent=200)]
    for number in range(200):
        name = f"p{number:03}"
        events += [ev.AttemptStarted(at=101.0, pid=7, fence=1, **of(name)), ev.AttemptLaunched(at=102.0, **of(name))]
    events.append(ev.StepFailed(at=103.0, step="pay", try_=1, reason="no card", will_retry=True, **of("p199")))
    lines = drawn(Screen(folded(events), now=104.0), width=width, height=height)
    assert len(lines) == height - 1
    assert all(cell_len(line) <= width for line in lines)
    assert lines[2].startswith("p199")
    left_out = 200 - (height - 4)
    assert lines[-1].rstrip() == f"+ {left_out} more: {left_out} running"


def test_wide_characters_and_hostile_names_keep_the_lines_in_shape():
    """Cells are counted, not characters; what would move the cursor is gone."""
    name = "\x1b[2J漢字" * 10
    events = [
        ev.RunStarted(at=100.0, run=1, queued=2, max_concurrent=2),
        ev.AttemptStarted(at=101.0, pid=7, fence=1, **of("a")),
        ev.StepStarted(at=101.0, step=name, try_=1, **of("a")),
        ev.StepFailed(at=101.0, step=name, try_=1, reason="\u202e\r\n理由\x07" * 20, will_retry=True, **of("a")),
        ev.JobChanged(at=101.0, profile_id="b", job="b; rm -rf /", state="parked", reason="\x9b2J理由" * 20),
        ev.StartsHeld(at=101.0, reason="\x1b[31m" + "memory " * 40),
    ]
    lines = drawn(Screen(folded(events), now=104.0), width=80, height=24)
    assert all(cell_len(line) <= 80 for line in lines)
    assert not any(re.search("[\x00-\x1f\x7f-\x9f\u202e]", line) for line in lines)
    assert lines[3].rstrip().endswith("ostler queue retry 'b; rm -rf /'")


def test_a_command_is_never_cut_where_it_fits():
    """The reason is, at 80 columns and with the longest of IDs."""
    parked = ev.AttemptParked(at=102.0, step="s", why="w" * 200, code="", **of("a" * 32))
    started = ev.AttemptStarted(at=101.0, pid=7, fence=1, **of("a" * 32))
    run = folded([ev.RunStarted(at=100.0, run=1, queued=1, max_concurrent=1), started, parked])
    assert drawn(Screen(run, now=104.0))[2].rstrip().endswith("… ostler ctl resume " + "a" * 32)


def test_what_to_type_depends_on_whether_the_browser_is_open():
    """Its worker is told to go on; without one the job is queued again."""
    view = JobView(job="a", profile_id="a", state=JobState.PARKED)
    assert to_go_on(view) == "ostler queue retry a"
    assert to_go_on(JobView(job="a", profile_id="a", state=JobState.PARKED, started=1.0)) == "ostler ctl resume a"


@pytest.mark.parametrize(
    ("sizes", "room", "expected"),
    [
        ([1, 2, 3], 6, [1, 2, 3]),
        ([9, 9, 9], 10, [3, 3, 3]),
        ([9, 0, 1], 6, [4, 0, 1]),
        ([5, 5], 1, [0, 0]),
        ([], 3, []),
    ],
)
def test_groups_take_turns(sizes, room, expected):
    """Where not all fit, one line is left to say so."""
    assert shares(sizes, room) == expected


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (None, "no estimate yet"),
        (Eta(0, 0, 0), "about done"),
        (Eta(0.3, 0.2, 0.6), "less than 1 s"),
        (Eta(3, 1.5, 6), "about 3 s (1-6)"),
        (Eta(43, 31, 86), "about 45 s (30-90)"),
        (Eta(240, 190, 350), "about 4 min (3-6)"),
        (Eta(7300, 5000, 9000), "about 2 h (1-2.5)"),
        (Eta(5400, 5400, 5400), "about 90 min"),
        (Eta(75, 36, 190), "about 75 s (35-190)"),
    ],
)
def test_estimates_are_said_in_round_numbers(eta, expected):
    """No more exact than they are."""
    assert about(eta) == expected
