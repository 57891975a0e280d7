"""``ostler status``: who runs, what runs, how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.desk import nothing_yet, queue_of
from core.cli.printing import columns, print_json, say
from core.clock import SystemClock
from core.console.wording import duration, moment, said
from core.domain.outcome import ExitCode
from core.upkeep.status import read_status

if TYPE_CHECKING:
    import argparse

    from core.settings import Settings
    from core.upkeep.status import LastRun, Running, Status

_ALIVE = {True: "", False: "its process is gone", None: "cannot be seen from here"}


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "status", "say who runs, what runs, and how far the queue is", ["status", "status --check"]
    )
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/status.json)")
    command.add_argument(
        "--check", action="store_true", help="exit with 1 unless an orchestrator runs: for health checks"
    )
    command.set_defaults(run=_status)


def _status(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    path = queue_of(settings)
    status = read_status(settings, SystemClock())
    if arguments.json:
        print_json(status)
    else:
        say(_lines(status) if path is not None else [*_lines(status), nothing_yet(settings)])
    return ExitCode.FAILED if arguments.check and status.orchestrator is None else ExitCode.DONE


def _lines(status: Status) -> list[str]:
    lines = [
        f"orchestrator  {status.orchestrator or 'none runs'}",
        f"queue         {said(status.jobs) or 'no jobs'}",
        f"last run      {_run(status.last_run, runs=status.orchestrator is not None)}",
    ]
    if status.held:
        lines.append(f"waits         {status.held} for other jobs (ostler queue list --state queued)")
    if status.again_at is not None:
        lines.append(f"again         next at {moment(status.again_at)}")
    if status.codes:
        named = ", ".join(f"{number} {code}" for code, number in status.codes.items())
        lines.insert(2, f"trouble       {named} (ostler explain JOB)")
    if status.running:
        header = ("profile", "pid", "time", "step", "steps", "")
        lines += ["", *columns([header, *(_row(running, status.at) for running in status.running)])]
        if status.orchestrator is None:
            lines.append("cut off: the next start ends what is left of these, and goes on with them at no cost")
    return [*lines, *status.problems]


def _row(running: Running, now: float) -> tuple[str, ...]:
    name = running.profile_id if running.job == running.profile_id else f"{running.profile_id} ({running.job})"
    return (
        name,
        str(running.pid or "-"),
        duration(now - running.started_at),
        running.step or running.phase or "-",
        f"{running.steps_done}/{running.steps_total}" if running.steps_total else "-",
        _ALIVE[running.alive] if running.pid else "being started",
    )


def _run(run: LastRun | None, *, runs: bool) -> str:
    if run is None:
        return "none"
    if run.ended_at is None:
        return f"number {run.number}, {'under way' if runs else 'cut off, as far as the event log shows'}"
    took = duration(run.ended_at - run.started_at)
    return f"number {run.number} ended with exit code {run.exit_code} after {took}"
