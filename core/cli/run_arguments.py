"""The command line of ``orchestrator.py``: its grammar, and what some of its flags mean together."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from core.cli.classes import is_class, nearest, read_classes
from core.domain.failure import Code
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DIGITS = 9
DESCRIPTION = "Runs the profiles of a queue, at most N browsers at a time, one run.py process each."
EPILOG = """\
examples:
  python orchestrator.py --max-concurrent 5 queue.json
  python orchestrator.py --flow hello.py ids.txt --watch
  python orchestrator.py https://host/queue.json --watch
  python orchestrator.py --retry-failed
  python orchestrator.py --dry-run queue.json

exit codes (the first that applies, in this order):
  2 bad input, nothing was launched     5 another orchestrator holds the state directory
  7 the host could not do its part      6 interrupted: the same command goes on
  1 a job failed for good               3 a job is quarantined
  4 a job waits for a person            0 all done
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the command line, by setting name where it is a setting; None for what was not given."""
    parser = argparse.ArgumentParser(
        prog="orchestrator.py", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("queue", nargs="?", help="queue.json, jobs.jsonl, ids.txt, queue.db, http(s)://…, or - for stdin; none: go on")
    add("--queue-command", metavar="CMD", help="the queue is what this command prints; no shell is started")
    add("--max-concurrent", metavar="N", help="browsers at a time (default 5), or auto")
    add(
        "--launch-config",
        metavar="FILE",
        help="batches, limits, retries as a panel has them (docs/launch-configuration.md)",
    )
    add("--flow", metavar="FILE", help="flow of jobs that name none")
    add("--again", action="store_true", help="run jobs that have ended once more; committed steps stay done")
    add(
        "--retry-failed",
        metavar="CLASS",
        nargs="?",
        const="",
        action="append",
        help="give failed and quarantined jobs another chance: all, or those of a code or type (docs/failures.md)",
    )
    add("--dry-run", action="store_true", help="check everything, print the plan; launch nothing, write nothing")
    add("--json", action="store_true", help="with --dry-run: as JSON")
    add(
        "--watch",
        action="store_true",
        help="stay: follow edits of the queue file, server or command, and run `every` jobs",
    )
    add("--watch-interval", metavar="SECONDS", help="between two looks at a server or command (default 30)")
    add("--take-over", action="store_true", help="kill a frozen orchestrator that holds the state directory")
    add("--state-dir", metavar="DIR")
    add("--log-dir", metavar="DIR")
    add("--launch-interval", metavar="SECONDS", help="between two browser starts (default: from the cores)")
    add("--batch-size", metavar="N", help="prepare N jobs together, then launch them one by one")
    add("--batch-delay", metavar="SECONDS", help="between two batches (default 2)")
    add(
        "--keep-failed",
        action="store_true",
        default=None,
        help="keep the working copy of a job that failed; it holds logins",
    )
    add("--wait-parked", metavar="SECONDS", help="keep browsers open for a person, and wait so long in the end")
    add("--max-parked", metavar="N", help="how many, beyond --max-concurrent (default: as many)")
    add("--progress-timeout", metavar="SECONDS", help="stop an attempt that makes no progress for so long (default 30)")
    add(
        "--timeout",
        metavar="SECONDS|N%",
        help="hard limit of one attempt (default 1800); 300%%: of what its flow usually takes",
    )
    add("--halt", metavar="WHEN,WHY", help="end early: soon,fail=3, or now,fail=10%% (docs/fleet.md)")
    add("--stop-grace", metavar="SECONDS", help="between asking a worker to end and killing it (default 10)")
    add("--max-attempts", metavar="N", help="failing attempts a job may have (default 3)")
    add("--retries", metavar="N", help="the same, counted without the first: one less than --max-attempts")
    add("--poison-limit", metavar="N", help="crashes in a row that quarantine a job (default 3)")
    add("--retry-delay", metavar="SECONDS", help="before the first retry (default 1); doubles with each")
    add("--notify", metavar="COMMAND|URL", help="tell somebody: JSON on its standard input, or POSTed to it")
    add("--notify-on", metavar="WHAT", help="finished,needs_person,quarantined,pressure (default: all)")
    add("--health-file", metavar="PATH", help="rewritten every few seconds while the run lives")
    add("--browser", metavar="PATH")
    add("--headed", action="store_true", default=None, help="show the browsers")
    add("--screenshots", metavar="WHEN", help="off (default) or on-failure; they may show secrets")
    add("--trace", metavar="WHEN", help="Playwright's: off (default), on-failure or always; it holds secrets")
    add("--no-sandbox", dest="sandbox", action="store_const", const=False, help="run browsers without their sandbox")
    add(
        "--report",
        metavar="[KIND:]PATH",
        action="append",
        help="write a report at the end: .html, .json, .xml (JUnit) or .csv, or KIND: html, json, junit, csv; "
        "may be given several times",
    )
    add("--job-log", metavar="PATH", help="append a line of tab-separated values for each attempt that ends")
    options = parser.parse_args(argv)
    if options.json and not options.dry_run:
        parser.error("--json goes with --dry-run; a run prints none, `ostler report --json` does")
    return options


def classes_to_retry(options: argparse.Namespace, cwd: Path) -> frozenset[Code]:
    """Return the codes whose jobs ``--retry-failed`` gives another chance: none where it was not asked for, all without a class.

    It has always been right to write ``--retry-failed queue.json``: what is no class, and cannot be one that is misspelt, is
    the queue.

    Raises:
        BadInput: a class that there is not.
    """
    given: list[str] = options.retry_failed or []
    for index, text in enumerate(given):
        misspelt = nearest(text) is not None and not os.path.exists(cwd / text)  # noqa: PTH110 - a name too long is no error of it
        if text and not is_class(text) and not misspelt and options.queue is None and options.queue_command is None:
            options.queue, given[index] = text, ""
    named = [text for text in given if text]
    codes = read_classes(named, "--retry-failed")
    return frozenset(Code) if len(named) < len(given) else codes


def attempts_asked(options: argparse.Namespace) -> object:
    """Return what was asked for as ``max_attempts``, also where it was said as ``--retries``.

    Raises:
        BadInput: both were given, or it is no number.
    """
    retries = options.retries
    if retries is None:
        return options.max_attempts
    expected, found = "", ""
    if options.max_attempts is not None:
        expected, found = "--retries or --max-attempts, which is one more", "both"
    elif not retries.isdecimal() or len(retries) > _DIGITS:
        expected, found = "a whole number, 0 or more", f'"{retries}"'
    if expected:
        raise BadInput([Problem(place="command line", field="retries", expected=expected, found=found)])
    return int(retries) + 1
