"""Reports as files: each kind, from one state directory, and what they are held to."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import os
import re
import statistics
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from core.cli.run_outputs import report_source
from core.clock import ManualClock
from core.domain import events as ev
from core.domain.failure import FAILURES, Code
from core.domain.model import JobState
from core.errors import BadInput
from core.settings import Settings
from core.upkeep.job_report import ReportRow
from core.upkeep.report_html import DONE_LISTED
from core.upkeep.run_facts import RunFacts, run_facts
from core.upkeep.run_report import Asked, Kind, Source, reports_asked, write, write_file
from tests.told_fleet import FAILED, START, make_state

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = '<script>alert(1)</script> & "quoted" \x1b[31m\x00 ]]> \u202e =1+1'
SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "report.json"


@pytest.fixture
def settings(state_dir, log_dir) -> Settings:
    return Settings(state_dir=state_dir, log_dir=log_dir)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Settings:
    """Forty jobs, shared by those that only look."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "state").mkdir()
    settings = Settings(state_dir=folder / "state", log_dir=folder / "logs")
    make_state(settings, 40)
    return settings


def made(settings: Settings, kind: Kind) -> str:
    """Return a report of a kind."""
    file = io.BytesIO()
    with report_source(settings, ManualClock(START + 500)) as source:
        write(kind, source, file)
    return file.getvalue().decode()


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_the_page_says_what_went_wrong_and_what_to_do(told):
    """Numbers, each class with its advice, durations, network, and each job that is not done with why and where to look."""
    page = Page(made(told, Kind.HTML))
    assert "28 done, 4 failed, 2 quarantined, 2 needs a person, 4 waiting" in page.text
    assert "run 1, started 2026-09-21 14:13:20Z, ended after 1:40 with exit code 1" in page.text
    for code in FAILED[:4]:
        assert FAILURES[code].do.replace("{profile}", "PROFILE") in page.text
    assert "1600 requests, 39 failed, 12.8 MB" in page.text
    assert "checkout.py:41: An element that the flow looks for" in page.text
    assert "artifacts/shop-00007/1" in page.text
    seconds = [20 + n * 7 % 40 for n in range(40) if n % 10 < 7]
    lower, middle, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    numbers = f"28{middle:.1f} s{lower:.1f} s to {upper:.1f} s{max(seconds):.1f} s"
    assert f"jobs that are done{numbers}" in page.text
    assert page.tags["tr"] == 4 + 7 + 3 + 40, "heads, codes, durations, jobs"


def test_the_page_needs_nothing_else_and_runs_nothing(settings):
    """No script, nothing from elsewhere, and foreign text is text."""
    make_state(settings, 20, reason=HOSTILE)
    text = made(settings, Kind.HTML)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in text and "@import" not in text and "://" not in text
    assert '<script>alert(1)</script> & "quoted"' in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_junit_is_as_its_schemas_say(told):
    """Numbers agree with what is there; failures have type and message; what waits is skipped."""
    root = ET.fromstring(made(told, Kind.JUNIT).encode())
    assert [child.tag for child in root] == ["testsuite"]
    suite = root[0]
    order = [child.tag for child in suite]
    assert order == ["properties", *["testcase"] * 40, "system-out", "system-err"]
    assert {"name", "timestamp", "hostname", "tests", "failures", "errors", "time", "id", "package"} <= set(
        suite.attrib
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    cases = suite.findall("testcase")
    assert all({"name", "classname", "time"} == set(case.attrib) and len(case) <= 1 for case in cases)
    failures = suite.findall("testcase/failure")
    assert int(suite.attrib["tests"]) == 40
    assert int(suite.attrib["failures"]) == len(failures) == 6
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped")) == 6
    assert all(failure.attrib["type"] in set(Code) and failure.attrib["message"] for failure in failures)
    assert float(suite.attrib["time"]) == pytest.approx(sum(float(case.attrib["time"]) for case in cases))
    assert "attempt 1, 0:29: failed selector_gone" in (failures[0].text or "")


@pytest.mark.parametrize("kind", [Kind.JUNIT, Kind.JSON, Kind.CSV])
def test_foreign_text_breaks_no_format(settings, kind):
    """Control characters are gone or spelled out; a spreadsheet takes nothing for a formula."""
    make_state(settings, 20, reason="=" + HOSTILE)
    text = made(settings, kind)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    if kind is Kind.JUNIT:
        messages = [failure.attrib["message"] for failure in ET.fromstring(text.encode()).iter("failure")]
        assert messages[0].startswith('=<script>alert(1)</script> & "quoted"')
    elif kind is Kind.JSON:
        report = json.loads(text)
        jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
        assert report["counts"] == {"done": 14, "failed": 2, "quarantined": 1, "parked": 1, "waiting": 2}
        assert report["jobs"][7]["reason"] == "=" + HOSTILE
    else:
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 20
        assert rows[7]["reason"].startswith("'=<script>")


@pytest.mark.parametrize("kind", Kind)
def test_where_nothing_was_ever_run_a_report_says_so(settings, kind):
    """It is whole and empty."""
    text = made(settings, kind)
    if kind is Kind.HTML:
        assert "no jobs" in text and "no run is known" in text
    elif kind is Kind.JUNIT:
        assert ET.fromstring(text.encode())[0].attrib["tests"] == "0"
    elif kind is Kind.JSON:
        assert json.loads(text) == {"jobs": [], "counts": {}}
    else:
        assert text.count("\n") == 1


def test_a_run_that_has_not_ended_is_told_as_it_is(settings):
    """What is known of the run before is not taken for it."""
    make_state(settings, 10, ended=False)
    log = settings.log_dir / "events.jsonl"
    before = [
        ev.RunStarted(at=1.0, run=0, queued=1, max_concurrent=1),
        ev.NetworkUsed(at=1.0, profile_id="a", job="a", attempt=1, requests=9, failures=9, received=9, sent=9),
        ev.RunEnded(at=2.0, run=0, exit_code=0, counts={}, seconds=1.0),
    ]
    log.write_bytes(b"".join(map(ev.encode, before)) + log.read_bytes())
    facts = run_facts(log)
    assert (facts.run, facts.started_at, facts.ended_at, facts.network.requests) == (1, START, None, 400)
    assert "not ended" in made(settings, Kind.HTML)
    log.write_bytes(
        b"".join(map(ev.encode, [*before, ev.RunEnded(at=9.0, run=1, exit_code=3, counts={}, seconds=1.0)]))
    )
    facts = run_facts(log)
    assert (facts.run, facts.started_at, facts.exit_code) == (1, None, 3), "its start was rotated away"
    assert "run 1, ended with exit code 3" in made(settings, Kind.HTML)


def test_why_a_run_ended_early_is_told(settings):
    """Beside its exit code."""
    make_state(settings, 10, ended=False)
    log = settings.log_dir / "events.jsonl"
    ends = [
        ev.RunHalted(at=START + 9, reason="3 failed: <more> than allowed", at_once=False),
        ev.RunEnded(at=START + 10, run=1, exit_code=1, counts={}, seconds=10.0),
    ]
    log.write_bytes(log.read_bytes() + b"".join(map(ev.encode, ends)))
    assert "exit code 1, halted: 3 failed: &lt;more&gt; than allowed</p>" in made(settings, Kind.HTML)


def test_an_event_log_that_cannot_be_read_costs_its_part_only(settings):
    """The jobs stand in the queue."""
    make_state(settings, 10)
    log = settings.log_dir / "events.jsonl"
    log.unlink()
    log.mkdir()
    assert "7 done" in made(settings, Kind.HTML)


def test_what_is_asked_for_is_understood(tmp_path):
    """By its suffix, or by what is said before it; a Windows drive, or a name with a colon, is no kind."""
    texts = ("a.html", "b.json", "c.xml", "d.CSV", "junit:e.txt", f"html:{tmp_path / 'f'}", "x:g.json")
    found = reports_asked(texts, tmp_path)
    kinds = [Kind.HTML, Kind.JSON, Kind.JUNIT, Kind.CSV, Kind.JUNIT, Kind.HTML, Kind.JSON]
    paths = ["a.html", "b.json", "c.xml", "d.CSV", "e.txt", "f", "x:g.json"]
    assert found == tuple(Asked(kind, tmp_path / path) for kind, path in zip(kinds, paths, strict=True))
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing"


def test_what_cannot_be_written_is_named_at_once(tmp_path):
    """All of it, before anything is launched."""
    (tmp_path / "directory.html").mkdir()
    os.mkfifo(tmp_path / "pipe.xml")
    texts = ("report", "junit:", "nowhere/a.html", "directory.html", "pipe.xml", "twice.json", "csv:twice.json")
    with pytest.raises(BadInput) as refused:
        reports_asked(texts, tmp_path)
    said = str(refused.value).splitlines()
    assert len(said) == 6
    assert "ends in .html, .json, .xml or .csv" in said[0]
    assert "No such file or directory" in said[2]
    assert "it is a directory" in said[3]
    assert "no regular file" in said[4]
    assert "twice" in said[5]


def test_a_report_takes_the_place_of_the_last_one_as_a_whole(settings, tmp_path):
    """It is private, and nothing lies beside it."""
    make_state(settings, 10)
    path = tmp_path / "out" / "report.json"
    path.parent.mkdir()
    path.write_text("before")
    with report_source(settings, ManualClock(START)) as source:
        write_file(Asked(Kind.JSON, path), source)
    assert json.loads(path.read_text("utf-8"))["counts"]["done"] == 7
    assert path.stat().st_mode & 0o777 == 0o600
    assert [other.name for other in path.parent.iterdir()] == ["report.json"]


def test_thousands_of_jobs_are_not_held_in_memory():
    """Each kind takes them one by one; the page lists so many and counts the rest."""

    def rows() -> Iterator[ReportRow]:
        for number in range(3_000):
            state = JobState.DONE if number % 3 else JobState.FAILED
            yield ReportRow(
                profile_id=f"shop-{number}", job=f"shop-{number}", flow="/flows/checkout.py", outcome=state,
                steps_done=number % 5, steps_total=4, attempts=1, seconds=1.5, code="" if number % 3 else "site_down",
                reason="" if number % 3 else "net::ERR_CONNECTION_RESET at checkout.py:41", updated_at=1.0,
            )  # fmt: skip

    source = Source(rows=rows, attempts=lambda _: (), facts=RunFacts(), at=START, state_dir=Path("/state"))
    with tempfile.TemporaryFile() as file:
        tracemalloc.start()
        for kind in Kind:
            file.seek(0)
            file.truncate()
            write(kind, source, file)
            if kind is Kind.HTML:
                assert file.tell() < 500_000
                file.seek(0)
                page = file.read().decode()
                assert f"and {2000 - DONE_LISTED} more, which are not listed here" in page
                assert page.count("<td>shop-") == 1000 + DONE_LISTED
                del page
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("kind", Kind)
def test_numbers_that_somebody_made_up_end_no_report(settings, kind):
    """Of times and durations in the event log, as far as a number goes."""
    make_state(settings, 20)
    of = {"profile_id": "a", "job": "a", "attempt": 1}
    odd: list[ev.Event] = [ev.RunStarted(at=1e308, run=2, queued=1, max_concurrent=1)]
    odd += [ev.StepCommitted(at=-1e308, step="pay", seconds=1e308, **of)] * 2
    odd.append(ev.RunEnded(at=-1e308, run=2, exit_code=0, counts={}, seconds=1e308))
    with (settings.log_dir / "events.jsonl").open("ab") as log:
        log.write(b"".join(map(ev.encode, odd)))
    assert made(settings, kind)


@pytest.mark.parametrize("sign", "=+-@\uff1d\uff0b\uff0d\uff20")
def test_a_spreadsheet_takes_no_cell_for_a_formula(settings, sign):
    """Some take signs in full width for the usual ones."""
    make_state(settings, 10, reason=f"{sign}SUM(1)")
    rows = list(csv.DictReader(io.StringIO(made(settings, Kind.CSV))))
    assert rows[7]["reason"] == f"'{sign}SUM(1)"
