"""What a run shows and writes for people: its console, its reports and its job log."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import IO, TYPE_CHECKING, NamedTuple

import structlog

from core import durable
from core.console.open import open_console
from core.errors import OstlerError, UnknownJob
from core.events.job_log import JobLog, check_job_log
from core.events.pace import earlier_pace
from core.input_file import absolute
from core.queue.desk import SqliteDesk
from core.queue.memory import MemoryStore
from core.queue.memory_desk import MemoryDesk
from core.upkeep.job_report import report_rows, rows_of
from core.upkeep.run_facts import RunFacts, run_facts
from core.upkeep.run_report import Asked, Source, reports_asked, write_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from core.clock import Clock
    from core.console.open import RunConsole
    from core.queue.feed import Feed
    from core.queue.port import JobQueue, QueueDesk
    from core.settings import Settings
    from core.upkeep.job_report import ReportRow

log = structlog.get_logger(__name__)


class Outputs(NamedTuple):
    """Files that a run is asked to write: reports at its end, and a job log while it goes on."""

    reports: tuple[Asked, ...] = ()
    job_log: Path | None = None


def outputs_asked(options: argparse.Namespace, cwd: Path) -> Outputs:
    """Return what the command line asks for; each of it can be written.

    Raises:
        BadInput: some of it cannot.
    """
    reports = reports_asked(options.report or (), cwd)
    job_log = None if options.job_log is None else absolute(options.job_log, cwd)
    if job_log is not None:
        check_job_log(job_log)
    return Outputs(reports=reports, job_log=job_log)


def console_of(stream: IO[str], log_dir: Path, queue: JobQueue, feed: Feed | None, clock: Clock) -> RunConsole:
    """Return what standard output shows of a run; earlier runs, in the event log, say how long jobs usually take."""
    earlier = earlier_pace(log_dir / "events.jsonl", _of_flows(queue, feed))
    return open_console(stream, clock, term=os.environ.get("TERM", ""), earlier=earlier)


def _of_flows(queue: JobQueue, feed: Feed | None) -> Callable[[str], bool]:
    """Return what says whether a known job is of one of a feed's flows: what such jobs took is what these will take."""

    @functools.cache
    def flows() -> frozenset[str]:
        """Asked for only where there is a history: going through a long feed takes its time."""
        return frozenset() if feed is None else frozenset(spec.flow for spec in feed.specs)

    def is_alike(job: str) -> bool:
        try:
            return feed is None or queue.job(job).spec.flow in flows()
        except UnknownJob:
            return False

    return is_alike


@contextlib.contextmanager
def job_log_of(outputs: Outputs, queue: Path) -> Iterator[list[JobLog]]:
    """Open the job log, if one is asked for, and give it as a list that has it or is empty.

    Args:
        outputs: what is asked for.
        queue: path of the durable queue, which knows the flow of each job.

    Raises:
        DurableWriteFailed: it cannot be opened.
    """
    if outputs.job_log is None:
        yield []
        return
    with contextlib.closing(SqliteDesk(queue, read_only=True)) as desk:

        def flow_of(job: str) -> str:
            with contextlib.suppress(OstlerError):  # what is not known stays empty
                return desk.find(job).job.spec.flow
            return ""

        try:
            job_log = JobLog(outputs.job_log, flow_of)
        except OSError as exc:
            raise durable.write_failed(outputs.job_log, exc) from exc
        with contextlib.closing(job_log):
            yield [job_log]


@contextlib.contextmanager
def reports_of(outputs: Outputs, queue: JobQueue, path: Path, settings: Settings, clock: Clock) -> Iterator[None]:
    """Write the reports that are asked for when the block ends, however it ends; of the jobs that ``queue`` sees in this run.

    Raises:
        OstlerError: one could not be written, and nothing else went wrong.
    """
    failed: OstlerError | None = None
    try:
        yield
    finally:
        for asked in outputs.reports:
            try:
                with _source(lambda: rows_of(queue.jobs()), path, settings, clock) as source:
                    write_file(asked, source)
            except OstlerError as exc:
                log.error("report_not_written", path=str(asked.path), reason=str(exc))
                failed = failed or exc
    if failed is not None:
        raise failed


@contextlib.contextmanager
def report_source(settings: Settings, clock: Clock) -> Iterator[Source]:
    """Give what a report is made from, of all jobs of a state directory; there may be no queue yet."""
    path = settings.state_dir / "queue.db"
    with _source(lambda: report_rows(path), path, settings, clock) as source:
        yield source


@contextlib.contextmanager
def _source(rows: Callable[[], Iterator[ReportRow]], path: Path, settings: Settings, clock: Clock) -> Iterator[Source]:
    with contextlib.ExitStack() as stack:
        desk: QueueDesk = MemoryDesk(MemoryStore())
        if path.exists():
            desk = SqliteDesk(path, read_only=True)
            stack.callback(desk.close)
        try:
            facts = run_facts(settings.log_dir / "events.jsonl")
        except OSError as exc:
            log.warning("events_not_read", path=str(settings.log_dir), reason=exc.strerror)
            facts = RunFacts()
        yield Source(rows=rows, attempts=desk.attempts, facts=facts, at=clock.now(), state_dir=settings.state_dir)
