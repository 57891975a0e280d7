"""``ostler queue``: looks at the durable queue and changes it by hand, also while an orchestrator works on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli import queue_shown as shown
from core.cli.classes import read_classes, read_codes
from core.cli.command import add_command
from core.cli.desk import nothing_yet, opened_desk, queue_of
from core.cli.printing import print_json, say, say_aside
from core.cli.queue_feed import export, of_ids, read_jobs
from core.clock import SystemClock
from core.domain.lifecycle import JobEvent
from core.domain.model import JobState
from core.domain.outcome import ExitCode
from core.errors import BadInput, JobsRefused, Problem
from core.queue.feed_order import refuse_unknown
from core.queue.feed_schema import feed_schema_text
from core.queue.operating import allowed_states
from core.queue.port import BY_HAND, Selection

if TYPE_CHECKING:
    import argparse

    from core.cli.main import Command
    from core.settings import Settings

_LIMIT = 50
_JOBS = "JOB"


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(groups, "queue", "look at the queue and change it, also while it runs", ["queue list"])
    commands = group.add_subparsers(metavar="COMMAND", required=True)

    add = add_command(
        commands, "add", "add jobs", ["queue add anna bert --flow hello.py", "queue add --from more.json"],
        more=f"They belong to the feed {BY_HAND!r}, which no queue file cancels. A run without a queue argument takes "
        "them, also one that is under way; a run on a queue file sees only what that file names. Jobs that are known are "
        "left as they are.",
    )  # fmt: skip
    add.add_argument("profile_ids", metavar="ID", nargs="*", help="profile IDs")
    add.add_argument("--from", dest="source", metavar="FILE", help="a queue file of any form; - for standard input")
    add.add_argument("--flow", metavar="FILE", help="flow of jobs that name none")
    add.add_argument(
        "--after", metavar="JOB", action="append", help="not before these jobs are done (comma, or given again)"
    )
    add.add_argument("--every", metavar="TIME", help="run it again and again: 90s, 15m, 2h, 1d")
    _common(add, _add)

    list_ = add_command(
        commands,
        "list",
        "list jobs",
        ["queue list --state failed,quarantined", "queue list --profile 'shop-*' --code selector_gone --json"],
    )
    _filters(list_)
    list_.add_argument("--limit", metavar="N", default=str(_LIMIT), help=f"at most so many (default {_LIMIT}; 0: all)")
    _common(list_, _list)

    show = add_command(commands, "show", "show one job and its attempts", ["queue show anna"])
    show.add_argument("job_id", metavar=_JOBS)
    _common(show, _show)

    retry = add_command(
        commands, "retry", "run jobs again", ["queue retry anna", "queue retry --class network"],
        more="Those that ended start as a new generation; those that wait for a person go on. What is done stays done: a "
        "committed step is not run again.",
    )  # fmt: skip
    retry.add_argument("job_ids", metavar=_JOBS, nargs="*")
    _filters(retry)
    _common(retry, _retry)

    cancel = add_command(
        commands, "cancel", "cancel jobs that no worker has in hand", ["queue cancel anna", "queue cancel --profile 'old-*'"],
        more="A job that a queue file still names comes back when that file is read again.",
    )  # fmt: skip
    cancel.add_argument("job_ids", metavar=_JOBS, nargs="*")
    _filters(cancel)
    _common(cancel, _cancel)

    out = add_command(
        commands, "export", "write jobs as a queue file to standard output",
        ["queue export > rest.json", "queue export --all --format jsonl"],
        more="Without --all or --state those that have not ended.",
    )  # fmt: skip
    out.add_argument("--format", choices=("json", "jsonl"), default="json")
    out.add_argument("--all", action="store_true", help="those that ended, too")
    out.add_argument("--with-secrets", action="store_true", help="keep the passwords of proxies")
    _filters(out)
    _common(out, _export, json=False)

    schema = add_command(
        commands, "schema", "print the JSON Schema of queue files", ["queue schema > queue.schema.json"],
        more='With "$schema": "queue.schema.json" beside "jobs", an editor checks and completes a queue file.',
    )  # fmt: skip
    schema.set_defaults(run=_schema)


def _common(command: argparse.ArgumentParser, run: Command, *, json: bool = True) -> None:
    command.add_argument("--queue", metavar="FILE", help="a queue.db other than that of the state directory")
    if json:
        command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=run)


def _filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--state", metavar="STATE", action="append", help="these states (comma, or given again)")
    command.add_argument("--flow", metavar="FILE", help="path of the flow, or the name of its file")
    command.add_argument("--profile", metavar="PATTERN", help="profile IDs like this: 'shop-*'")
    command.add_argument("--reason", metavar="TEXT", help="text that the reason contains")
    command.add_argument("--code", metavar="CODE", action="append", help="what went wrong, as in docs/failures.md")
    command.add_argument(
        "--class", dest="classes", metavar="CLASS", action="append", help="the same, or a type: network, timeout, …"
    )


def _selection(arguments: argparse.Namespace, among: frozenset[JobState] = frozenset(JobState)) -> Selection:
    states = [part.strip() for given in arguments.state or () for part in given.split(",")]
    wrong = sorted(set(states) - set(among))
    if wrong:
        expected = f"states among {', '.join(state for state in JobState if state in among)}"
        raise BadInput([Problem(place="--state", expected=expected, found=", ".join(map(repr, wrong)))])
    chosen = [read_codes(arguments.code, "--code")] if arguments.code is not None else []
    chosen += [read_classes(arguments.classes, "--class")] if arguments.classes is not None else []
    return Selection(
        states=frozenset(map(JobState, states)),
        flow=arguments.flow,
        profile=arguments.profile,
        reason=arguments.reason,
        codes=frozenset.intersection(*chosen) if chosen else None,
    )


def _add(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    feed = read_jobs(arguments, settings)
    with opened_desk(arguments.queue, settings, create=True) as desk:
        try:
            refuse_unknown(feed, desk.known)
        except BadInput as exc:
            raise BadInput(of_ids(exc.problems) if arguments.profile_ids else exc.problems) from None
        added = desk.add(feed, now=SystemClock().now())
    known = [shown.KnownJob(id=job_id, state=state) for job_id, state in added.known]
    lines = [f"added {added.added}"]
    lines += [f"{job.id} is there already, {job.state}; left as it is" for job in known[:_LIMIT]]
    if len(known) > _LIMIT:
        lines.append(f"… and {len(known) - _LIMIT} more that are there already")
    return _print(arguments, shown.ShownAdded(added=added.added, known=known), lines)


def _list(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    selection = _selection(arguments)
    if not arguments.limit.isdecimal():
        raise BadInput([Problem(place="--limit", expected="a whole number from 0", found=repr(arguments.limit))])
    with opened_desk(arguments.queue, settings) as desk:
        jobs = [shown.without_secrets(kept) for kept in desk.select(selection, int(arguments.limit) or None)]
        total = desk.count(selection)
    is_new = arguments.queue is None and queue_of(settings) is None
    lines = [nothing_yet(settings)] if is_new else shown.jobs_table(jobs, total)
    return _print(arguments, shown.ShownJobs(jobs=jobs, total=total), lines)


def _show(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    with opened_desk(arguments.queue, settings) as desk:
        history = shown.with_history(desk.find(arguments.job_id), desk.attempts(arguments.job_id))
    return _print(arguments, history, shown.history_table(history))


def _retry(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    chosen = _chosen(arguments, JobEvent.AGAIN)
    with opened_desk(arguments.queue, settings) as desk:
        changed = desk.again(chosen, now=SystemClock().now())
    return _print(arguments, shown.ShownChange(changed=changed), [f"{len(changed)} queued again", *changed])


def _cancel(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    chosen = _chosen(arguments, JobEvent.CANCELLED)
    try:
        with opened_desk(arguments.queue, settings) as desk:
            changed = desk.cancel(chosen, now=SystemClock().now())
    except JobsRefused as exc:
        if any(state in {JobState.PREPARED, JobState.RUNNING} for _, state in exc.refused):
            say_aside("what a worker has in hand cannot be cancelled; let it end, or stop the run")
        raise
    return _print(arguments, shown.ShownChange(changed=changed), [f"{len(changed)} cancelled", *changed])


def _chosen(arguments: argparse.Namespace, event: JobEvent) -> list[str] | Selection:
    """Return the jobs that are named, or what selects them; retrying everything must be said."""
    selection = _selection(arguments, allowed_states(event))
    filtered = selection != Selection()
    if bool(arguments.job_ids) == filtered:
        found = "both" if filtered else "neither"
        raise BadInput([Problem(place=_JOBS, expected="job IDs, or a selection such as --state", found=found)])
    if arguments.job_ids:
        return list(arguments.job_ids)
    if event is JobEvent.AGAIN and not selection.states:
        usual = frozenset({JobState.FAILED, JobState.QUARANTINED})
        return msgspec.structs.replace(selection, states=usual)
    return selection


def _export(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    selection = _selection(arguments)
    with opened_desk(arguments.queue, settings) as desk:
        without = export(
            desk, selection, sys.stdout, ended=arguments.all or bool(selection.states), lines=arguments.format == "jsonl",
            with_secrets=arguments.with_secrets,
        )  # fmt: skip
    if without:
        say_aside(f"{without} proxies were written without their password; --with-secrets keeps it")
    return ExitCode.DONE


def _schema(arguments: argparse.Namespace, settings: Settings) -> ExitCode:  # noqa: ARG001 - a command takes both
    sys.stdout.write(feed_schema_text())
    return ExitCode.DONE


def _print(arguments: argparse.Namespace, record: msgspec.Struct, lines: list[str]) -> ExitCode:
    if arguments.json:
        print_json(record)
    else:
        say(lines)
    return ExitCode.DONE
