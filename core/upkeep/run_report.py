"""The report of a queue as a file: which kinds there are, what they are made from, and how they get where they were asked for."""

from __future__ import annotations

import csv
import enum
import io
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from core import durable
from core.console.wording import one_line
from core.errors import BadInput, Problem
from core.input_file import absolute
from core.text import visible_json
from core.upkeep.job_report import ReportRow
from core.upkeep.report_html import write_html
from core.upkeep.report_junit import write_junit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from core.domain.model import JobState
    from core.queue.port import PastAttempt
    from core.upkeep.run_facts import RunFacts

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The second half are the same four in full width, which some spreadsheets take for them."""


class Kind(enum.StrEnum):
    """What a report is written as."""

    HTML = "html"
    JSON = "json"
    JUNIT = "junit"
    CSV = "csv"


_SUFFIXES = {".html": Kind.HTML, ".htm": Kind.HTML, ".json": Kind.JSON, ".xml": Kind.JUNIT, ".csv": Kind.CSV}


class Source(NamedTuple):
    """What a report is made from; jobs are gone through one by one, so that their number does not matter.

    Attributes:
        rows: gives a row for each job, in the order of the queue.
        attempts: gives the attempts of a job, by its ID, the oldest first.
        facts: the latest run.
        at: when the report is made, epoch seconds.
        state_dir: whose report it is.
    """

    rows: Callable[[], Iterator[ReportRow]]
    attempts: Callable[[str], Sequence[PastAttempt]]
    facts: RunFacts
    at: float
    state_dir: Path


class Asked(NamedTuple):
    """A report that somebody wants to have, and where."""

    kind: Kind
    path: Path


def reports_asked(texts: Sequence[str], cwd: Path) -> tuple[Asked, ...]:
    """Return what ``[KIND:]PATH`` means, the kind by the file's suffix if it is not said; each place can be written.

    Raises:
        BadInput: some cannot, or are of no known kind; all of them are named.
    """
    found: list[Asked] = []
    problems: list[Problem] = []
    for text in texts:
        head, colon, rest = text.partition(":")
        kind = Kind(head) if colon and head in set(Kind) else _SUFFIXES.get(Path(text).suffix.lower())
        path = absolute(rest if colon and head in set(Kind) else text, cwd)
        if kind is None or not path.name:
            expected = "PATH that ends in .html, .json, .xml or .csv, or html:, json:, junit: or csv: before it"
            problems.append(Problem(place="--report", expected=expected, found=f'"{text}"'))
        elif (why := not_writable(path)) is not None:
            problems.append(Problem(place="--report", expected="a file that can be written", found=f"{path}: {why}"))
        elif any(asked.path == path for asked in found):
            problems.append(Problem(place="--report", expected="a file of its own for each", found=f"{path} twice"))
        else:
            found.append(Asked(kind=kind, path=path))
    if problems:
        raise BadInput(problems)
    return tuple(found)


def not_writable(path: Path) -> str | None:
    """Return why a file cannot be written where it is to be; None if it can. Nothing is left there."""
    if path.is_dir():
        return "it is a directory"
    if path.exists() and not path.is_file():
        return "it is no regular file"
    try:
        with durable.temporary(path, b"", fsync=False):
            return None
    except OSError as exc:
        return exc.strerror or str(exc)


def write_file(asked: Asked, source: Source) -> None:
    """Write a report where it is to be, all or nothing.

    Raises:
        DurableWriteFailed: it could not be; what was there before still is.
        ForeignDatabase, QueueUnavailable: the queue cannot be read.
    """
    with durable.replacing(asked.path) as file:
        write(asked.kind, source, file)


def write(kind: Kind, source: Source, file: IO[bytes]) -> None:
    """Write a report of a kind."""
    writers = {Kind.HTML: write_html, Kind.JSON: write_json, Kind.JUNIT: write_junit, Kind.CSV: write_csv}
    writers[kind](source, file)


def write_json(source: Source, file: IO[bytes]) -> None:
    """Write what ``ostler report --json`` prints (docs/schemas/report.json), a job a line."""
    counts: Counter[JobState] = Counter()
    comma = b"\n"
    file.write(b'{"jobs": [')
    for row in source.rows():
        counts[row.outcome] += 1
        file.write(comma + visible_json(msgspec.json.encode(row).decode()).encode())
        comma = b",\n"
    file.write(b'\n], "counts": ' + msgspec.json.encode(dict(counts)) + b"}\n")


def write_csv(source: Source, file: IO[bytes]) -> None:
    """Write a line for each job, for a spreadsheet."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ReportRow.__struct_fields__)
    for row in source.rows():
        writer.writerow([_cell(getattr(row, name)) for name in ReportRow.__struct_fields__])
    text.detach()


def _cell(value: object) -> object:
    """Return a cell of a spreadsheet; text that one would take for a formula is marked as text."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
