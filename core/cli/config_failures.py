"""``ostler config failures``: what follows from each failure here, with what is set in place of the table's own numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.printing import columns, print_json, say
from core.domain.failure import FAILURES, Blame, Code, ErrorType, Severity
from core.domain.model import JobState
from core.domain.outcome import ExitCode, exit_code_of
from core.domain.policy import Cost
from core.settings import located, resolve
from core.settings_failures import TABLE

if TYPE_CHECKING:
    import argparse

    from core.settings import Resolved, Settings


class ShownPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from one code.

    Attributes:
        code: which one.
        type: what sort of failure it is.
        severity: how grave it is.
        blame: where it is to be mended.
        cost: what an attempt that ended so is counted as.
        attempts: so many at the most, of crashes so many in a row; null where it costs nothing, and is never given up.
        apart: whether these are counted apart from the job's other failing attempts.
        delay: seconds before the next attempt; null where there is none by itself.
        factor: by which it grows with each attempt of this code.
        max_delay: the longest, in seconds; null as ``delay``.
        jitter: by what share of itself a delay is stretched at random, at the most.
        reclone: whether the next attempt starts from what was saved last.
        end: where the job goes in the end; ``waiting`` and ``queued``: to another attempt, as often as it takes.
        exit_code: of ``run.py``.
        changed: where what differs from the table is set, by name.
    """

    code: Code
    type: ErrorType
    severity: Severity
    blame: Blame
    cost: Cost
    attempts: int | None
    apart: bool
    delay: float | None
    factor: float
    max_delay: float | None
    jitter: float
    reclone: bool
    end: JobState
    exit_code: ExitCode
    changed: dict[str, str]


class ShownPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler config failures --json``: every code, in the order of docs/failures.md."""

    failures: list[ShownPolicy]


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to those of ``ostler config``."""
    command = add_command(
        commands, "failures", "print what follows from each failure, and what of it is set here", ["config failures"],
        more="docs/failures.md says what the codes mean. In ostler.toml a table [failures.CODE] sets attempts, delay, factor, "
        "max_delay, jitter or reclone; what differs from the table of the house is marked with a star.",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/config-failures.json)")
    command.set_defaults(run=_show)


def policies(resolved: Resolved) -> ShownPolicies:
    """Return what holds here for every code."""
    origins = located(resolved)
    return ShownPolicies(failures=[_policy(code, resolved, origins) for code in Code])


def _policy(code: Code, resolved: Resolved, origins: dict[str, Any]) -> ShownPolicy:
    retry, failure = resolved.settings.retry, FAILURES[code]
    rule = retry.rule(code)
    usual = {Cost.ATTEMPT: retry.max_attempts, Cost.CRASH: retry.poison_limit, Cost.NOTHING: None}[rule.cost]
    attempts = rule.attempts or usual
    if rule.attempts is not None and usual is not None and not rule.apart:
        attempts = min(rule.attempts, usual)
    waits = rule.end is JobState.WAITING if rule.cost is Cost.NOTHING else rule.attempts != 1
    own = f"{TABLE}.{code}."
    return ShownPolicy(
        code=code,
        type=failure.type,
        severity=failure.severity,
        blame=failure.blame,
        cost=rule.cost,
        attempts=attempts,
        apart=rule.apart,
        delay=rule.delay if waits else None,
        factor=rule.factor,
        max_delay=rule.max_delay if waits else None,
        jitter=rule.jitter,
        reclone=rule.reclone,
        end=rule.end,
        exit_code=exit_code_of(code),
        changed={name.removeprefix(own): one.where for name, one in origins.items() if name.startswith(own)},
    )


def _show(arguments: argparse.Namespace, _: Settings) -> ExitCode:
    resolved = resolve({"state_dir": arguments.state_dir, "log_dir": arguments.log_dir}, os.environ, cwd=Path.cwd())
    found = policies(resolved)
    if arguments.json:
        print_json(found)
        return ExitCode.DONE
    head = ("code", "type", "severity", "blame", "costs", "attempts", "delay", "up to", "anew", "then")
    rows = [head, *map(_cells, found.failures)]
    said = [f"* {own.code}: {name} is set in {where}" for own in found.failures for name, where in own.changed.items()]
    say([*columns(rows), *said])
    return ExitCode.DONE


def _cells(one: ShownPolicy) -> tuple[str, ...]:
    def marked(name: str, text: str) -> str:
        return f"{text} *" if name in one.changed else text

    return (
        str(one.code),
        str(one.type),
        str(one.severity),
        str(one.blame),
        str(one.cost),
        marked("attempts", "-" if one.attempts is None else str(one.attempts)),
        marked("delay", "-" if one.delay is None else f"{one.delay:g} s"),
        marked("max_delay", "-" if one.max_delay is None else f"{one.max_delay:g} s"),
        marked("reclone", "yes" if one.reclone else "no"),
        str(one.end),
    )
