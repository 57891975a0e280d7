"""``ostler flow``: a first flow to begin with, what is wrong with one, and what is in it."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.flow_check import FlowReport, check
from core.cli.flow_template import flow_text, queue_text
from core.cli.printing import fitted, folded, print_json, say
from core.console.wording import one_line
from core.domain.outcome import ExitCode
from core.durable import write_failed
from core.errors import BadInput, Problem
from core.process.describe import FlowInspector
from core.queue.feed import FeedDefaults, read_feed

if TYPE_CHECKING:
    import argparse

    from core.domain.messages import FlowDescription
    from core.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
NAME_RULE = "1 to 40 of a-z 0-9 _, the first a letter, and no name of a Python module"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HEADS = ("#", "step", "flag", "timeout", "retries", "commit", "check", "line")
_INDENT = "   "


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(groups, "flow", "begin a flow, check it, or show its steps", ["flow new hello"])
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    new = add_command(
        commands, "new", "write a first flow that works, and queue.json beside it", ["flow new hello", "flow new hello --dir flows"]
    )  # fmt: skip
    new.add_argument("name", metavar="NAME", help=NAME_RULE)
    new.add_argument("--dir", metavar="DIR", default=".", help="where to (default: here); made if it is not there")
    new.set_defaults(run=_new)
    one = add_command(
        commands, "check", "say what is wrong with a flow, and what its changes mean for old sessions",
        ["flow check hello.py", "flow check hello.py --queue queue.json"],
    )  # fmt: skip
    one.add_argument("file", metavar="FILE")
    one.add_argument("--queue", metavar="FILE", help="also check the parameters of this feed's jobs that run the flow")
    one.add_argument("--json", action="store_true", help="as JSON, as in docs/schemas/flow-check.json")
    one.set_defaults(run=_check)
    show = add_command(commands, "show", "print a flow's steps as a table", ["flow show hello.py"])
    show.add_argument("file", metavar="FILE")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=_show)


# --- new -------------------------------------------------------------------------------------------------------------


def _new(arguments: argparse.Namespace, _: Settings) -> ExitCode:
    name: str = arguments.name
    if not _NAME.fullmatch(name) or name in ("core", "workers"):
        raise BadInput([Problem(place="NAME", expected=NAME_RULE, found=repr(name[:64]))])
    folder = Path(arguments.dir)
    flow, queue = folder / f"{name}.py", folder / "queue.json"
    if flow.exists():
        raise BadInput([Problem(place=str(flow), expected="no such file yet", found="one", hint="nothing was written")])
    if importlib.util.find_spec(name) is not None:
        hint = "the flow would hide it from everything that imports it"
        raise BadInput([Problem(place="NAME", expected=NAME_RULE, found=f"{name!r}, which is one", hint=hint)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(flow, flow_text(name))
    except FileExistsError as exc:
        found = "a file of that name" if not folder.is_dir() else "one"
        raise BadInput(
            [Problem(place=str(exc.filename), expected="a directory, or no such file", found=found)]
        ) from None
    except OSError as exc:
        raise write_failed(flow, exc) from exc
    said = [f"wrote {flow}"]
    try:
        _write_new(queue, queue_text(name))
        said.append(f"wrote {queue}")
        run = f"python {_quoted(CHECKOUT / 'orchestrator.py')} {_quoted(queue)}"
    except FileExistsError:
        said.append(f"{queue} is there already and was left as it is; a job for this flow: "
                    f'{{"profile_id": "{name[:30]}-1", "flow": "{name}.py"}}')  # fmt: skip
        run = f"python {_quoted(CHECKOUT / 'run.py')} {name[:30]}-1 --flow {_quoted(flow)}"
    except OSError as exc:
        raise write_failed(queue, exc) from exc
    said += ["next:", f"  ostler flow check {_quoted(flow)}", f"  {run}"]
    say(said)
    return ExitCode.DONE


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; whoever was quicker keeps theirs."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


# --- check -----------------------------------------------------------------------------------------------------------


def _check(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    file = Path(arguments.file).resolve()
    params = [] if arguments.queue is None else _params_of(arguments.queue, file, settings)
    report = check(arguments.file, _inspector(settings), settings.state_dir, params)
    if arguments.json:
        print_json(report)
    else:
        say([*map(str, report.findings), _summary(report)])
    return ExitCode.DONE if report.ok else ExitCode.BAD_INPUT


def _params_of(queue: str, file: Path, settings: Settings) -> list[dict[str, Any]]:
    """Return the different parameter sets of the jobs that run this flow; those that name no flow run it, too."""
    defaults = FeedDefaults(flag_flow=None, config_flow=settings.flow or str(file))
    feed = read_feed(queue, stdin=sys.stdin.buffer, cwd=Path.cwd(), defaults=defaults)
    sets = {msgspec.json.encode(job.params, order="deterministic"): job.params for job in feed if job.flow == str(file)}
    if not sets:
        raise BadInput([Problem(place=queue, expected=f"a job that runs {file.name}", found="none")])
    return list(sets.values())


def _summary(report: FlowReport) -> str:
    count = {level: sum(found.level == level for found in report.findings) for level in ("error", "warning", "note")}
    listed = ", ".join(f"{number} {level}{'s' if number > 1 else ''}" for level, number in count.items() if number)
    what = f"{report.name}: {_plural(len(report.steps), 'step')}" if report.name is not None else "it cannot be run"
    return f"{what}; {_plural(report.sessions, 'session')} compared; {listed or 'nothing to complain about'}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _inspector(settings: Settings) -> FlowInspector:
    return FlowInspector(CHECKOUT / "run.py", None, timeout=settings.describe_timeout, env=os.environ)


# --- show ------------------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    flow = _inspector(settings).describe(Path(arguments.file).resolve(), ())
    if arguments.json:
        print_json(flow)
        return ExitCode.DONE
    head = f"flow {flow.name}" + ("" if flow.browser else ", without a browser")
    width = shutil.get_terminal_size().columns
    heads, *rows = fitted([_HEADS, *_rows(flow)], width)
    say([head, *heads])
    for row, step in zip(rows, flow.steps, strict=True):
        needed = folded(one_line(f"requires {', '.join(step.requires)}"), width - len(_INDENT)) if step.requires else []
        say([*row, *(f"{_INDENT}{part}" for part in needed)])
    return ExitCode.DONE


def _rows(flow: FlowDescription) -> list[tuple[str, ...]]:
    return [
        (
            str(number),
            step.name,
            step.flag or "(always)",
            f"{step.timeout:g} s",
            str(step.retries),
            step.commit,
            "yes" if step.name in flow.checked else "no",
            str(flow.lines.get(step.name, "-")),
        )
        for number, step in enumerate(flow.steps, 1)
    ]
