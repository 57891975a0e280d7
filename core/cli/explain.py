"""``ostler explain``: what happened to a job, why, what comes next, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.desk import opened_desk
from core.cli.printing import print_json, say
from core.clock import SystemClock
from core.console.wording import moment, one_line
from core.domain.failure import Blame
from core.domain.outcome import ExitCode
from core.events.of_job import events_of_job
from core.redaction import Redactor, proxy_password
from core.state.orchestrator_lock import OrchestratorLock
from core.upkeep.explanation import Explanation, History, explain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from core.domain.events import Event
    from core.settings import Settings
    from core.upkeep.explanation import ToldAttempt

_WHOSE = {blame: "nobody's" if blame is Blame.NOBODY else f"the {blame}'s" for blame in Blame}


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups, "explain", "say what happened to a job, why, what comes next and what to do", ["explain anna"],
        more="It is told from the queue and from the event log; what the log no longer has is said. The codes and what follows "
        "from them are in docs/failures.md.",
    )  # fmt: skip
    command.add_argument("job_id", metavar="JOB")
    command.add_argument("--queue", metavar="FILE", help="a queue.db other than that of the state directory")
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/explain.json)")
    command.set_defaults(run=_explain)


def _explain(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    clock = SystemClock()
    runs = OrchestratorLock(settings.state_dir, clock).holder() is not None
    history = read_history(settings, arguments.job_id, arguments.queue)
    told = explain(history, settings.retry, clock.now(), runs=runs)
    if arguments.json:
        print_json(told)
    else:
        say(_lines(told))
    return ExitCode.DONE


def read_history(settings: Settings, job_id: str, named: str | None = None) -> History:
    """Return what queue and event log hold of a job.

    Raises:
        BadInput: there is no queue, or it is none of ours.
        UnknownJob: there is no such job in it.
        ForeignDatabase, NewerSchema, QueueUnavailable: it cannot be read.
    """
    with opened_desk(named, settings) as desk:
        kept, attempts = desk.find(job_id), desk.attempts(job_id)
    log = settings.log_dir / "events.jsonl"
    events: list[Event] = []
    problems = []
    try:
        events = events_of_job(log, job_id)
    except OSError as exc:
        problems = [f"{log} cannot be read: {exc.strerror}."]
    proxy = kept.job.spec.proxy
    password = proxy_password(proxy) if proxy is not None else None
    mask = Redactor([password] if password else []).text
    return History(kept.job, attempts, events, problems, mask, kept.waits_for)


def _lines(told: Explanation) -> Iterator[str]:
    yield told.says
    for attempt in told.attempts:
        yield ""
        yield from _attempt(attempt)
    if told.earlier:
        yield ""
        yield f"Attempts before it was asked for anew, not told here: {told.earlier} (ostler queue show has them)."
    yield ""
    yield f"What comes next: {told.next}"
    if told.do:
        yield f"What to do: {told.do}"
    for sentence in told.missing:
        yield f"Not known: {sentence}"


def _attempt(attempt: ToldAttempt) -> Iterator[str]:
    error = attempt.error
    took = "" if attempt.seconds is None else f", {attempt.seconds:.1f} s"
    what = attempt.outcome or "under way"
    if error is not None:
        what = f"{error.code} ({error.type}, {error.severity}, {_WHOSE[error.blame]} fault)"
    yield f"Attempt {attempt.number}, {moment(attempt.started_at)}{took}: {what}"
    if error is not None:
        yield f"  {error.user_message}"
        yield f"  {one_line(error.technical_message)}"
    if attempt.committed:
        yield f"  Committed: {', '.join(attempt.committed)}"
    for one in attempt.tries:
        yield f"  Try {one.try_} of {one.step} failed: {one_line(one.reason)}"
    for note in attempt.notes:
        yield f"  Also: {one_line(note)}"
    for name in attempt.files:
        yield f"  Kept, below the state directory: {name}"
    yield f"  {attempt.then}"
