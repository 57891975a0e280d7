"""The report as one HTML file that needs nothing else: no script, no other file, nothing from a network."""

from __future__ import annotations

import tempfile
from collections import Counter
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.console.wording import OUTCOME, duration, moment, one_line, with_code
from core.domain.failure import FAILURES, Code, code_named
from core.domain.model import JobState
from core.upkeep.run_facts import taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.domain.snapshot import NetworkTotal
    from core.queue.port import PastAttempt
    from core.upkeep.job_report import ReportRow
    from core.upkeep.run_facts import RunFacts, Taken
    from core.upkeep.run_report import Source

OTHERS_LISTED = 5_000
DONE_LISTED = 1_000
ATTEMPTS_LISTED = 10
_STYLE = Path(__file__).with_name("report.css")
_HEAD = "<tr><th>profile<th>outcome<th class=n>steps<th class=n>attempts<th class=n>time"


def write_html(source: Source, file: IO[bytes]) -> None:
    """Write the report: a summary, what went wrong and what to do, durations, and the jobs, those that are not done first.

    Of more than ``OTHERS_LISTED`` jobs that are not done, and ``DONE_LISTED`` that are, the rest is a number.
    """
    counts: Counter[JobState] = Counter()
    codes: Counter[Code] = Counter()
    seconds: list[float] = []
    with tempfile.TemporaryFile() as others, tempfile.TemporaryFile() as done:
        for row in source.rows():
            counts[row.outcome] += 1
            if row.outcome is JobState.DONE:
                seconds.append(row.seconds)
                if counts[JobState.DONE] <= DONE_LISTED:
                    done.write((_cells(row) + "\n").encode())
                continue
            if (code := code_named(row.code)) is not None:
                codes[code] += 1
            if counts.total() - counts[JobState.DONE] <= OTHERS_LISTED:
                evidence = source.facts.evidence.get(row.job, ())
                others.write((_cells(row) + _why(row, source.attempts(row.job), evidence) + "\n").encode())
        for line in _top(source, counts, codes, seconds):
            file.write((line + "\n").encode())
        not_done = counts.total() - counts[JobState.DONE]
        if not_done:
            file.write(f"<h2>Not done</h2>\n<div class=wide><table>{_HEAD}<th>why\n".encode())
            _end_table(file, others, not_done - OTHERS_LISTED)
        if counts[JobState.DONE]:
            file.write(f"<h2>Done</h2>\n<div class=wide><table>{_HEAD}\n".encode())
            _end_table(file, done, counts[JobState.DONE] - DONE_LISTED)
    file.write(f"<footer>Made {moment(source.at)} from {_text(str(source.state_dir))}</footer>\n".encode())


def _top(source: Source, counts: Counter[JobState], codes: Counter[Code], seconds: Sequence[float]) -> Iterator[str]:
    facts = source.facts
    yield '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    yield f"<title>Ostler: {_said(counts)}</title>\n<style>\n{_STYLE.read_text('utf-8')}</style>"
    yield f"<h1>{_said(counts)}</h1>\n<p class=sub>{_run(facts)}</p>"
    tiles = (f"<li class={state}><b>{counts[state]}</b> {word}" for state, word in OUTCOME.items() if counts[state])
    yield f"<ul class=tiles>{''.join(tiles)}</ul>"
    if total := counts.total():
        shares = (
            f'<i class={state} style="width:{100 * counts[state] / total:.3f}%"></i>'
            for state in OUTCOME
            if counts[state]
        )
        yield f"<div class=bar>{''.join(shares)}</div>"
    if codes:
        yield "<h2>What went wrong</h2>\n<div class=wide><table><tr><th>code<th class=n>jobs<th>what it is<th>what to do"
        for code, number in codes.most_common():
            failure = FAILURES[code]
            says, do = failure.says.replace("{where}", ""), failure.do.replace("{profile}", "PROFILE")
            yield f"<tr><td><code>{code}</code><td class=n>{number}<td>{_text(says)}<td>{_text(do)}"
        yield "</table></div>"
    if seconds or facts.steps:
        yield "<h2>Durations</h2>\n<div class=wide><table class=fit>"
        yield "<tr><th>of<th class=n>times<th class=n>median<th class=n>middle half<th class=n>longest"
        if seconds:
            yield _durations("jobs that are done", taken(seconds))
        for step, times in facts.steps.items():
            yield _durations(step, times)
        yield "</table></div>"
    if facts.network.requests:
        yield f"<h2>Network</h2>\n<p>{_network(facts.network)}</p>"


def _end_table(file: IO[bytes], rows: IO[bytes], left_out: int) -> None:
    rows.seek(0)
    while block := rows.read(1 << 20):
        file.write(block)
    file.write(b"</table></div>\n")
    if left_out > 0:
        note = (
            f"<p class=sub>and {left_out} more, which are not listed here; a report as json or csv has them all</p>\n"
        )
        file.write(note.encode())


def _cells(row: ReportRow) -> str:
    name = row.profile_id if row.job == row.profile_id else f"{row.profile_id} ({row.job})"
    steps = f"{row.steps_done}/{row.steps_total}" if row.steps_total else "-"
    return (
        f"<tr><td>{_text(name)}<td><span class={row.outcome}>{OUTCOME[row.outcome]}</span>"
        f"<td class=n>{steps}<td class=n>{row.attempts}<td class=n>{duration(row.seconds)}"
    )


def _why(row: ReportRow, attempts: Sequence[PastAttempt], evidence: Sequence[str]) -> str:
    parts = [f"<td>{_text(with_code(row.code, row.reason))}"]
    told = attempts[-ATTEMPTS_LISTED:]
    if len(attempts) > 1:
        lines = (
            f"<li>attempt {attempt.number}, {moment(attempt.started_at)}, {duration(attempt.seconds or 0.0)}: "
            f"{_text(attempt.outcome or 'under way')} {_text(with_code(str(attempt.code or ''), attempt.reason))}"
            for attempt in told
        )
        parts.append(f"<ul>{''.join(lines)}</ul>")
    if evidence:
        parts.append(f"<p>evidence: {', '.join(f'<code>{_text(place)}</code>' for place in evidence)}</p>")
    return "".join(parts)


def _durations(name: str, times: Taken) -> str:
    middle = f"{_seconds(times.lower)} to {_seconds(times.upper)}"
    numbers = (str(times.number), _seconds(times.median), middle, _seconds(times.longest))
    return f"<tr><td>{_text(name)}" + "".join(f"<td class=n>{number}" for number in numbers)


def _run(facts: RunFacts) -> str:
    if not facts.run:
        return "no run is known to the event log"
    parts = [f"run {facts.run}"]
    if facts.started_at is not None:
        parts.append(f"started {moment(facts.started_at)}")
    if facts.ended_at is None:
        parts.append("not ended")
    else:
        took = "" if facts.started_at is None else f" after {duration(facts.ended_at - facts.started_at)}"
        parts.append(f"ended{took} with exit code {facts.exit_code}")
    if facts.halted:
        parts.append(f"halted: {_text(facts.halted)}")
    return ", ".join(parts)


def _network(network: NetworkTotal) -> str:
    unknown = f", without {network.unmeasured} that were not measured" if network.unmeasured else ""
    return f"{network.requests} requests, {network.failures} failed, {network.bytes / 1e6:.1f} MB{unknown}"


def _said(counts: Counter[JobState]) -> str:
    return ", ".join(f"{counts[state]} {word}" for state, word in OUTCOME.items() if counts[state]) or "no jobs"


def _seconds(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else f"{seconds:.1f} s"  # noqa: PLR2004 - from a minute on


def _text(text: str) -> str:
    return escape(one_line(text))
