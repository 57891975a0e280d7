"""The report as JUnit XML, for what shows the results of tests: a test case for each job."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from core.console.wording import OUTCOME, duration, in_utc, one_line
from core.domain.failure import FAILURES, code_named
from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.queue.port import PastAttempt
    from core.upkeep.job_report import ReportRow
    from core.upkeep.run_report import Source

BROKEN = frozenset({JobState.FAILED, JobState.QUARANTINED})
_SUITE = "ostler"


def write_junit(source: Source, file: IO[bytes]) -> None:
    """Write the report. Failed and quarantined jobs are failures, their type is the code; what is neither that nor done is skipped.

    Elements and attributes are those that the schemas of Ant and of Jenkins have in common.
    """
    tests = failures = skipped = 0
    seconds = 0.0
    with tempfile.TemporaryFile() as cases:
        for row in source.rows():
            tests += 1
            failures += row.outcome in BROKEN
            skipped += row.outcome is not JobState.DONE and row.outcome not in BROKEN
            seconds += row.seconds
            cases.write(_case(row, source).encode())
        cases.seek(0)
        numbers = f'tests="{tests}" failures="{failures}" errors="0"'
        started = in_utc(source.facts.started_at or source.at)
        properties = {
            "run": source.facts.run,
            "exit_code": "" if source.facts.exit_code is None else source.facts.exit_code,
            "requests": source.facts.network.requests,
            "failed_requests": source.facts.network.failures,
            "bytes": source.facts.network.bytes,
        }
        file.write(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite id="0" package="{_SUITE}" name="{_SUITE}" '
            f'{numbers} skipped="{skipped}" time="{seconds:.3f}" timestamp="{started:%Y-%m-%dT%H:%M:%S}" '
            f"hostname={_attribute(socket.gethostname() or 'localhost')}>\n<properties>\n".encode()
        )  # fmt: skip
        for name, value in properties.items():
            file.write(f'<property name="{name}" value="{value}"/>\n'.encode())
        file.write(b"</properties>\n")
        while block := cases.read(1 << 20):
            file.write(block)
    file.write(b"<system-out></system-out>\n<system-err></system-err>\n</testsuite>\n</testsuites>\n")


def _case(row: ReportRow, source: Source) -> str:
    group = _attribute(f"{_SUITE}.{Path(row.flow).stem}")
    head = f'<testcase name={_attribute(row.job)} classname={group} time="{row.seconds:.3f}"'
    if row.outcome is JobState.DONE:
        return f"{head}/>\n"
    if row.outcome not in BROKEN:
        why = f"{OUTCOME[row.outcome]}: {row.reason}" if row.reason else OUTCOME[row.outcome]
        return f"{head}><skipped message={_attribute(why)}/></testcase>\n"
    told = "\n".join(_told(row, source.attempts(row.job)))
    kind = _attribute(row.code or str(row.outcome))
    return f"{head}><failure type={kind} message={_attribute(row.reason)}>{escape(told)}</failure></testcase>\n"


def _told(row: ReportRow, attempts: Iterable[PastAttempt]) -> Iterable[str]:
    yield f"{OUTCOME[row.outcome]}: {one_line(row.reason)}"
    code = code_named(row.code)
    if code is not None:
        yield one_line(FAILURES[code].do.replace("{profile}", row.profile_id))
    for attempt in attempts:
        what = one_line(f"{attempt.outcome or 'under way'} {attempt.code or ''} {attempt.reason}")
        yield f"attempt {attempt.number}, {duration(attempt.seconds or 0.0)}: {what}"


def _attribute(text: str) -> str:
    return quoteattr(one_line(text))
