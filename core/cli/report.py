"""``ostler report``: every job of the queue, for people, spreadsheets and programs."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.desk import nothing_yet, queue_of
from core.cli.printing import columns, print_json, say
from core.cli.run_outputs import report_source
from core.clock import SystemClock
from core.console.wording import OUTCOME, duration, said
from core.domain.outcome import ExitCode
from core.upkeep.job_report import Report, report_rows
from core.upkeep.run_report import Kind, write

if TYPE_CHECKING:
    import argparse

    from core.domain.model import JobState
    from core.settings import Settings
    from core.upkeep.job_report import ReportRow

_HEADER = ("profile", "job", "outcome", "steps", "attempts", "time", "code", "reason")
_FORMATS = ("table", *map(str, Kind))


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups,
        "report",
        "say what became of every job of the queue",
        ["report", "report --format csv > report.csv", "report --format html > report.html"],
    )
    command.add_argument("--format", choices=_FORMATS, default="table", help="default: table")
    command.add_argument(
        "--json", dest="format", action="store_const", const="json", help="as JSON (docs/schemas/report.json)"
    )
    command.set_defaults(run=_report)


def _report(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    path = queue_of(settings)
    if arguments.format in (Kind.HTML, Kind.JUNIT, Kind.CSV):
        with report_source(settings, SystemClock()) as source:
            write(Kind(arguments.format), source, sys.stdout.buffer)
        return ExitCode.DONE
    jobs = tuple(report_rows(settings.state_dir / "queue.db"))
    counts: Counter[JobState] = Counter(row.outcome for row in jobs)
    if arguments.format == "json":
        print_json(Report(jobs=jobs, counts=dict(counts)))
        return ExitCode.DONE
    if jobs:
        say(columns([_HEADER, *map(_cells, jobs)]))
    say([said(counts) or (nothing_yet(settings) if path is None else "no jobs")])
    return ExitCode.DONE


def _cells(row: ReportRow) -> tuple[str, ...]:
    return (
        row.profile_id,
        row.job,
        OUTCOME[row.outcome],
        f"{row.steps_done}/{row.steps_total}" if row.steps_total else "-",
        str(row.attempts),
        duration(row.seconds),
        row.code or "-",
        row.reason,
    )
