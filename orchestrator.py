"""Runs the profiles of a queue, at most N browsers at a time, one ``run.py`` process each.

The shell: arguments -> Settings -> wiring -> Dispatcher -> exit code.
"""

from __future__ import annotations

from core.venv import enter

if __name__ == "__main__":
    enter()

import contextlib
import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog
from msgspec import structs

from core import durable, logs, settings
from core.cli.dry_run import Ask, plan_run
from core.cli.dry_run_shown import lines_of
from core.cli.printing import print_json, say
from core.cli.run_arguments import attempts_asked, classes_to_retry, parse
from core.cli.run_outputs import console_of, job_log_of, outputs_asked, reports_of
from core.cli.run_source import follower_of, where_from
from core.clock import SystemClock
from core.console.wording import moment
from core.control.socket import ControlSocket
from core.dispatch.attempt import AttemptLimits
from core.dispatch.dispatcher import Dispatcher
from core.dispatch.ports import DispatchSettings, Ports
from core.dispatch.shutdown import Stop
from core.domain import events
from core.domain.limits import merged
from core.domain.messages import WorkerSettings
from core.domain.outcome import ExitCode
from core.errors import BadInput, HolderAlive, OstlerError, QueueUnavailable
from core.events.fan_out import FanOut
from core.events.history import JsonlHistory
from core.events.jsonl import JsonlSink
from core.events.spool import EventSpool
from core.notify import http as notify_http
from core.notify.open import make_notifiers
from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.heap import share_one_heap
from core.process.identity import end_holder
from core.process.meter import SystemMeter
from core.process.pump import LogLimits
from core.process.tree import ProcessReaper
from core.profiles.lock import FileProfileLocks
from core.profiles.manager import ProfileManager
from core.queue.feed_order import refuse_unknown
from core.queue.http_feed import TOKEN
from core.queue.intake import Intake, signature
from core.queue.open import open_named, open_queue
from core.redaction import Redactor
from core.settings_launch import read_launch_file
from core.state.limit_record import FileLimitRecord
from core.state.orchestrator_lock import OrchestratorLock
from core.state.sessions import FileSessionStore
from core.supervision import sd_notify
from core.supervision.ending import told_to_the_end
from core.supervision.open import check_health_file, open_supervision
from core.text import visible
from core.workspaces.files import FileWorkspaces

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Mapping, Sequence

    from core.clock import Clock
    from core.domain.failure import Code
    from core.domain.limits import Limit
    from core.events.port import EventSink
    from core.queue.feed import Feed
    from core.queue.port import JobQueue
    from core.settings import Settings

log = structlog.get_logger(__name__)
NEVER_HALF_WRITTEN = frozenset({"browser_profile", "cache", "downloads", "artifacts"})
"""Directories below ``state/`` that may hold very many files, and none that a durable write puts there."""
OUR_OWN = sd_notify.VARIABLES | {TOKEN, notify_http.TOKEN, "OSTLER_NOTIFY"}
"""Variables that are for this process alone."""
RUN_PY = Path(__file__).resolve().with_name("run.py")


def dispatch_settings(chosen: Settings, *, watch: bool) -> DispatchSettings:
    """Return the dispatcher's share of the settings."""
    worker = WorkerSettings(
        state_dir=str(chosen.state_dir), log_dir=str(chosen.log_dir), browser=chosen.browser, headed=chosen.headed,
        sandbox=chosen.sandbox, action_timeout=chosen.action_timeout, launch_timeout=chosen.browser_timeout, screenshots=chosen.screenshots,
        trace=chosen.trace, park=chosen.parking > 0,
    )  # fmt: skip
    limits = AttemptLimits(
        start=chosen.start_timeout, progress=chosen.progress_timeout, hard=chosen.hard_limit,
        percent=chosen.timeout_percent,
    )  # fmt: skip
    return DispatchSettings(
        keep_failed=chosen.keep_failed,
        max_concurrent=chosen.slots, admission=chosen.admission_policy, max_preparing=chosen.preparing, gate_interval=chosen.gate_interval,
        batch_size=chosen.batch_size, batch_delay=chosen.batch_delay, max_parked=chosen.parking, wait_parked=chosen.wait_parked, stop_grace=chosen.stop_grace, limits=limits, retry=chosen.retry, worker=worker, watch=watch,
        halt=chosen.halt_rule,
    )  # fmt: skip


def launch_plan(chosen: Settings) -> LaunchPlan:
    """Return how workers are started."""
    limits = LogLimits(rate=chosen.log_rate, max_bytes=chosen.log_max_bytes, keep=chosen.log_keep)
    return LaunchPlan(python=sys.executable, run_py=RUN_PY, log_dir=chosen.log_dir, limits=limits)


def worker_environment() -> dict[str, str]:
    """Return what workers see of the environment: no token, no address that is one, nor what a service manager says to us."""
    return {name: value for name, value in os.environ.items() if name not in OUR_OWN}


def tidy_up(state_dir: Path) -> None:
    """Remove what killed writers left, and finish or take back what killed operations on profiles had begun."""
    swept = durable.sweep_temporaries(state_dir, beside=NEVER_HALF_WRITTEN)
    log.info("started", temporary_files_swept=len(swept))
    ProfileManager(state_dir).tidy(stale=True)


def follow_limits(
    chosen: Settings, feed: Feed | None, intake: Intake | None, record: FileLimitRecord
) -> Callable[[], Mapping[str, Limit]]:
    """Return what says what holds by key: the settings, then the feed, edits included; without one, those that were read before."""
    name = None if feed is None else feed.name

    def keep(taken: Feed) -> None:
        record.keep_feed(taken.name, taken.limits)

    if feed is not None and intake is not None:
        keep(feed)
        intake.taken = keep
    return lambda: merged(chosen.limits, record.feed_limits(name))


def take_in(
    queue: JobQueue, feed: Feed | None, sink: EventSink, clock: Clock, *, again: bool, retry_failed: Collection[Code]
) -> None:
    """Make the queue follow its feed, or go on with what it holds."""
    if feed is None:
        queue.resume(clock.now(), again=again, retry_failed=retry_failed)
        return
    changes = queue.reconcile(feed.name, feed.specs, now=clock.now(), again=again, retry_failed=retry_failed)
    sink.emit(events.FeedRead(at=clock.now(), source=feed.name, **structs.asdict(changes)))


def rehearse(options: argparse.Namespace, resolved: settings.Resolved) -> int:
    """Print what ``run`` would do; what it would refuse is refused."""
    outputs_asked(options, Path.cwd())
    make_notifiers(resolved.settings.notify, resolved.settings.notify_on, os.environ)
    check_health_file(resolved.settings.health_file)
    given = where_from(options, resolved, run_py=RUN_PY, env=worker_environment())
    ask = Ask(again=options.again, retry_failed=classes_to_retry(options, Path.cwd()))
    own = resolved.settings.state_dir / "queue.db"
    with contextlib.ExitStack() as stack:
        if given.reader is not None:
            stack.callback(given.reader.close)
        feed = None if given.intake is None else given.intake.accept()
        plan = plan_run(resolved.settings, given.named or (own if own.exists() else None), feed, ask)
    if options.json:
        print_json(plan)
    else:
        say(lines_of(plan))
    return ExitCode.DONE


def run(options: argparse.Namespace, resolved: settings.Resolved) -> int:
    """Wire everything up and run the queue."""
    share_one_heap()
    chosen = resolved.settings
    clock = SystemClock()
    retry_failed = classes_to_retry(options, Path.cwd())
    outputs = outputs_asked(options, Path.cwd())
    given = where_from(options, resolved, run_py=RUN_PY, env=worker_environment())
    reader, source, intake, named = given
    seen = signature(source.path) if source is not None and source.path is not None else None
    with contextlib.ExitStack() as stack:
        if reader is not None:
            stack.callback(reader.close)
        # read before anything is touched; flows are asked only by whoever holds the state directory
        feed = intake.read() if intake is not None else None
        notifiers = make_notifiers(chosen.notify, chosen.notify_on, os.environ, private=OUR_OWN)
        supervision = stack.enter_context(open_supervision(chosen.health_file, os.environ, clock))
        lock = OrchestratorLock(chosen.state_dir, clock)
        stack.enter_context(lock.hold(end_holder=end_holder if options.take_over else None))
        if intake is not None and feed is not None:
            intake.check(feed)
        durable.ensure_directory(chosen.log_dir)
        stack.callback(logs.configure_orchestrator(chosen.log_dir, Redactor()).close)
        for notifier in notifiers:
            stack.callback(notifier.close)
        tidy_up(chosen.state_dir)
        own = chosen.state_dir / "queue.db"
        queue = open_queue(own, create=True) if named is None else open_named(named)
        stack.callback(queue.close)
        if feed is not None:
            refuse_unknown(feed, queue.known)
        stack.enter_context(reports_of(outputs, queue, named or own, chosen, clock))
        number = queue.begin_run(clock.now(), feed=None if feed is None else feed.name)
        sink = stack.enter_context(contextlib.closing(JsonlSink(chosen.log_dir / "events.jsonl", clock)))
        console = stack.enter_context(console_of(sys.stdout, chosen.log_dir, queue, feed, clock))
        job_log = stack.enter_context(job_log_of(outputs, named or own))
        everything = FanOut([sink, *job_log, console, supervision.standing, *notifiers])
        stack.enter_context(told_to_the_end(number, everything, supervision.standing, queue.counts, clock))
        take_in(queue, feed, everything, clock, again=options.again, retry_failed=retry_failed)
        interval = chosen.watch_interval
        follower = follower_of(given, queue, clock, interval=interval, seen=seen) if options.watch else None
        record = stack.enter_context(contextlib.closing(FileLimitRecord(chosen.state_dir, clock)))
        locks = FileProfileLocks(chosen.state_dir, clock)
        ports = Ports(
            queue=queue,
            launcher=SubprocessLauncher(launch_plan(chosen), worker_environment()),
            reaper=ProcessReaper(),
            sessions=FileSessionStore(chosen.state_dir),
            locks=locks,
            workspaces=FileWorkspaces(chosen.state_dir, holder=locks.holder, hold=locks.hold),
            events=everything,
            history=JsonlHistory(chosen.log_dir / "events.jsonl"),
            clock=clock,
            nonce=lambda: uuid.uuid4().hex,
            follower=follower,
            commands=ControlSocket(chosen.state_dir),
            left=EventSpool(chosen.state_dir),
            meter=SystemMeter(chosen.state_dir) if chosen.admission == "on" else None,
            attendant=supervision.attendant,
            limit_record=record,
            limits=follow_limits(chosen, feed, intake, record),
        )
        dispatcher = Dispatcher(ports, dispatch_settings(chosen, watch=options.watch), Stop())
        code = anyio.run(dispatcher.run, number)
        again_at: float | None = None
        # only a word to the user: how the run ended stands
        with contextlib.suppress(QueueUnavailable):
            again_at = None if options.watch else queue.outlook().again_at
    if again_at is not None:
        _say(f"due again at {moment(again_at)}: the first run after that does it; --watch stays for it")
    return code


def _say(text: object) -> None:
    """Write to standard error; where nobody can read it, the exit code says it all the same."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{visible(str(text))}\n")
        sys.stderr.flush()


def main(argv: Sequence[str]) -> int:
    """Return the exit code; errors that we can name are one message on standard error."""
    options = parse(argv)
    flags = {name: getattr(options, name, None) for name in settings.Settings.__struct_fields__}
    try:
        flags["max_attempts"] = attempts_asked(options)
        launch = None if options.launch_config is None else read_launch_file(options.launch_config, cwd=Path.cwd())
        resolved = settings.resolve(flags, os.environ, cwd=Path.cwd(), launch=launch)
        for line in (*settings.unknown_variables(os.environ), *(() if launch is None else launch.warnings)):
            _say(line)
        return rehearse(options, resolved) if options.dry_run else run(options, resolved)
    except BadInput as exc:
        _say(exc)
        return ExitCode.BAD_INPUT
    except HolderAlive as exc:
        _say(exc)
        return ExitCode.HOLDER_ALIVE
    except OstlerError as exc:
        _say(exc)
        return ExitCode.HOST_FAULT
    except KeyboardInterrupt:
        _say("\ninterrupted; the same command goes on")
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
