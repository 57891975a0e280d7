"""``ostler ctl``: what is done to a run while it is under way."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import columns, print_json, say, say_aside
from core.clock import SystemClock
from core.console.wording import duration
from core.control.port import Cancel, Continue, Drain, GoOn, Look, Pause, SetLimit, StopNow
from core.control.socket import ask
from core.domain.outcome import ExitCode
from core.domain.validation import require_id
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from core.control.port import Answer, Request, RunView
    from core.settings import Settings

_PLAIN: dict[str, tuple[str, Callable[[], Request]]] = {
    "pause": ("start nothing more until resume; what runs goes on", Pause),
    "drain": ("start nothing more, and end the run when what runs has ended", Drain),
    "stop": ("stop what runs, and the run; the same command goes on", StopNow),
}


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    top = add_command(
        groups,
        "ctl",
        "look at a run that is under way, hold it, change it, let parked jobs go on",
        ["ctl", "ctl pause", "ctl limit 2", "ctl cancel anna", "ctl resume bert"],
        more="Without a subcommand it says how the run stands.",
    )
    top.add_argument("--json", action="store_true", help="as JSON (docs/schemas/ctl.json)")
    top.set_defaults(run=_look)
    commands = top.add_subparsers(metavar="SUBCOMMAND")
    for name, (says, request) in _PLAIN.items():
        add_command(commands, name, says, [f"ctl {name}"]).set_defaults(run=_send, request=request)
    limit = add_command(commands, "limit", "change how many browsers run at a time", ["ctl limit 2"])
    limit.add_argument("number", metavar="N", help="1 to 1000")
    limit.set_defaults(run=_limit)
    cancel = add_command(commands, "cancel", "end a job that runs, for good", ["ctl cancel anna"])
    cancel.add_argument("job", metavar="JOB")
    cancel.set_defaults(run=_cancel)
    resume = add_command(
        commands,
        "resume",
        "take a pause back, or let a parked job go on",
        ["ctl resume", "ctl resume anna", "ctl resume anna < code.txt"],
        more=(
            "With a job: its person is done, and the same step comes next. What the step asks for is asked here, or read from "
            "standard input, a line each; it never goes on the command line."
        ),
    )
    resume.add_argument("job", metavar="JOB", nargs="?")
    resume.set_defaults(run=_resume)


def _look(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    answer = ask(settings.state_dir, Look())
    if arguments.json:
        print_json(answer.run)
    else:
        say(_lines(answer.run, SystemClock().now()))
    return ExitCode.DONE


def _send(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    return _told(ask(settings.state_dir, arguments.request()))


def _limit(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    text: str = arguments.number
    if not (text.isascii() and text.isdecimal() and len(text) <= len("1000")):
        raise BadInput([Problem(place="N", expected="a number from 1 to 1000", found=repr(text[:64]))])
    return _told(ask(settings.state_dir, SetLimit(max_concurrent=int(text))))


def _cancel(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    return _told(ask(settings.state_dir, Cancel(job=require_id(arguments.job, "JOB"))))


def _resume(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    if arguments.job is None:
        return _told(ask(settings.state_dir, Continue()))
    job = require_id(arguments.job, "JOB")
    parked = {one.job: one for one in ask(settings.state_dir, Look()).run.parked}
    asks = parked[job].asks if job in parked else ()
    return _told(ask(settings.state_dir, GoOn(job=job, answers={name: _asked(name) for name in asks})))


def _asked(name: str) -> str:
    """Return what a person types, unseen; without a terminal, the next line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    line = sys.stdin.readline()
    if not line.endswith("\n") and not line:
        raise BadInput(
            [Problem(place="standard input", field=name, expected="a line with the answer", found="its end")]
        )
    return line.rstrip("\r\n")


def _told(answer: Answer) -> ExitCode:
    if answer.problem:
        say_aside(answer.problem)
        return ExitCode.BAD_INPUT
    say([answer.done])
    return ExitCode.DONE


def _lines(run: RunView, now: float) -> list[str]:
    lines = [
        f"slots      {len(run.running)} of {run.max_concurrent} taken: {', '.join(run.running) or 'none'}",
        f"prepared   {', '.join(run.prepared) or 'none'}",
        f"starts     {'held: ' + '; '.join(run.held) if run.held else 'as slots become free'}",
    ]
    if run.stopping:
        lines.append(f"stopping   {'at once' if run.stopping == 'now' else 'when what runs has ended'}")
    if run.limited:
        lines += ["", *columns([("limited", "waits for"), *((one.job, one.why) for one in run.limited)])]
    if run.parked:
        header = ("parked", "for", "step", "wants", "why")
        rows = [
            (one.job, duration(now - one.since), one.step, ", ".join(one.asks) or "-", one.why) for one in run.parked
        ]
        lines += ["", *columns([header, *rows]), "when it is done: ostler ctl resume JOB"]
    return lines
