"""``ostler gc``: removes what ``[retention]`` says may go."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import print_json, say, size
from core.clock import SystemClock
from core.domain.outcome import ExitCode
from core.profiles.lock import FileProfileLocks
from core.state.orchestrator_lock import OrchestratorLock
from core.upkeep.collection import Collection, collect

if TYPE_CHECKING:
    import argparse

    from core.settings import Settings


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "gc", "remove old logs, events, evidence and copies, as [retention] in ostler.toml says",
        ["gc --dry-run", "gc"],
    )  # fmt: skip
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/gc.json)")
    command.set_defaults(run=_collect)


def _collect(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        if not arguments.dry_run and settings.state_dir.is_dir():
            stack.enter_context(OrchestratorLock(settings.state_dir, clock).hold("ostler gc"))
        locks = FileProfileLocks(settings.state_dir, clock)
        found = collect(settings, locks, now=clock.now(), dry_run=arguments.dry_run)
    if arguments.json:
        print_json(found)
    else:
        say(_lines(found))
    return ExitCode.DONE if all(each.in_use for each in found.skipped) else ExitCode.HOST_FAULT


def _lines(found: Collection) -> list[str]:
    would = "would be " if found.dry_run else ""
    lines = [f"{each.kind:<10}{size(each.bytes):>10}  {each.path}" for each in found.removed] if found.dry_run else []
    lines += [f"stays: {each.path}: {each.reason}" for each in found.skipped]
    lines += [
        f"left alone: {each.path} is {each.found}, not Ostler's; if nobody needs it: {each.fix}"
        for each in found.foreign
    ]
    counts = Counter(each.kind for each in found.removed)
    if found.jobs:
        counts["job record"] = found.jobs
    if not counts:
        return [*lines, "nothing to remove"]
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    return [*lines, f"{would}removed: {said}; {size(found.bytes)}"]
