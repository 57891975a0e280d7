"""The worker: one attempt on one profile. Started by the orchestrator, or by hand."""

# what a mode does not need is not imported: a worker is started for every attempt
# ruff: noqa: PLC0415, T201
from __future__ import annotations

from core.venv import enter

if __name__ == "__main__":
    enter()

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from core.domain.outcome import EXIT_CODES, ExitCode
from core.domain.validation import ID_RULE, is_valid_id

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractAsyncContextManager

    from core import settings
    from core.browser.port import BrowserRequest, OpenBrowser
    from core.domain.messages import Hello, WorkerSettings
    from core.domain.outcome import Outcome
    from workers.control import WorkerChannel

CHECKOUT = Path(__file__).resolve().parent
CONTROL_VARIABLE = "OSTLER_CONTROL_FD"
_EXIT_GRACE = 5.0
_KILL_WITHIN = 1.5

EPILOG = """\
exit codes (the same for orchestrator.py):
  0  done: all steps are committed and the profile is saved
  1  failed: a step, the browser or the workspace; running it again goes on from there
  2  bad input: the flow, its parameters or an option cannot be used
  3  the profile's own data is damaged
  4  a step says that a person is needed
  5  somebody else holds the profile; the message names the holder
  6  interrupted: stopped, or its orchestrator is gone; running it again goes on from there
  7  the host could not do its part: no browser, no space, no process
"""


def main() -> int:
    """Run in one of three modes: as a worker of an orchestrator, to describe a flow, or by hand."""
    descriptor = os.environ.pop(CONTROL_VARIABLE, None)
    if descriptor is not None and descriptor.isdecimal() and len(sys.argv) == 2:  # noqa: PLR2004 - the ID alone
        return _work(sys.argv[1], int(descriptor))
    args = _parse()
    if args.describe is not None:
        return _describe(args.describe)
    return _by_hand(args)


# --- as a worker -----------------------------------------------------------------------------------------------------


def _work(profile_id: str, descriptor: int) -> int:
    parent = os.getppid()
    import asyncio

    from core.errors import ControlLost
    from core.process.guard import die_with_parent
    from workers.control import inherited

    nonces: list[str] = []

    def kill(user_data_dir: str | None) -> None:
        from core.process.tree import Marks, kill_tree

        kill_tree(Marks(nonce=nonces[0] if nonces else None, user_data_dir=user_data_dir), within=_KILL_WITHIN)

    channel = inherited(descriptor, kill)
    try:
        die_with_parent(parent)
    except ControlLost:
        return ExitCode.INTERRUPTED
    hello = channel.hello()
    if hello is None:
        return ExitCode.INTERRUPTED
    nonces.append(hello.nonce)
    if hello.job.profile_id != profile_id:
        print(f"told to run {hello.job.profile_id}, but started for {profile_id}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return EXIT_CODES[type(asyncio.run(_attempt(hello, channel)))]


async def _attempt(hello: Hello, channel: WorkerChannel) -> Outcome:
    import asyncio

    from core import logs
    from core.clock import SystemClock
    from core.process.identity import own_stamp
    from core.process.oom import oom_kills
    from core.process.signals import on_signal
    from core.profiles.lock import FileProfileLocks
    from core.profiles.store import FileProfileStore
    from core.redaction import Redactor
    from core.state.login_state import FileLoginStateStore
    from core.state.selector_cache import FileSelectorCache
    from core.state.sessions import FileSessionStore
    from core.workspaces.files import FileWorkspaces
    from workers.artifacts import FileArtifacts
    from workers.failure import hide_typed
    from workers.output import mask_output
    from workers.record import Stores
    from workers.runner import Ports, run
    from workers.steps.load import load

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(loop, number, channel.interrupt)
    state_dir, clock, redactor = Path(hello.settings.state_dir), SystemClock(), Redactor()
    mask_output(lambda text: hide_typed(redactor.text(text)))
    logs.configure_worker(redactor)
    locks = FileProfileLocks(state_dir, clock)
    ports = Ports(
        locks=locks,
        profiles=FileProfileStore(state_dir),
        stores=Stores(FileSessionStore(state_dir), FileLoginStateStore(state_dir)),
        selectors=FileSelectorCache(state_dir),
        workspaces=FileWorkspaces(state_dir, holder=locks.holder, hold=locks.hold),
        browsers=_Browsers(hello.settings),
        artifacts=FileArtifacts(state_dir),
        control=channel,
        clock=clock,
        redactor=redactor,
        standing_fence=lambda profile_id: _standing_fence(state_dir / "workspaces", profile_id),
        load_flow=load,
        oom_kills=oom_kills,
    )
    work = run
    if hello.settings.visit is not None:
        from workers.visit import visit

        work = visit
    async with channel.running():
        outcome = await work(hello, ports, own_stamp())
        # within the loop: its end waits for every task
        _end_soon(EXIT_CODES[type(outcome)])
        return outcome


class _Browsers:
    """Finds the provider when a browser is wanted: Playwright takes long to import."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    def open(self, request: BrowserRequest) -> AbstractAsyncContextManager[OpenBrowser]:
        """Open a browser, see the port."""
        from workers.browser.open import open_provider

        return open_provider(self._settings).open(request)


def _standing_fence(root: Path, profile_id: str) -> int:
    """Return the highest number among a profile's workspaces: its session may have been deleted."""
    names = [path.name.rpartition("-") for path in root.glob(f"{profile_id}-*")]
    return max((int(number) for name, _, number in names if name == profile_id and number.isdecimal()), default=0)


def _end_soon(code: int) -> None:
    """The attempt is over and reported: threads and tasks that a flow left behind do not keep the process."""
    timer = threading.Timer(_EXIT_GRACE, os._exit, (code,))
    timer.daemon = True
    timer.start()


# --- describing a flow -----------------------------------------------------------------------------------------------


def _describe(path: str) -> int:
    """Print what a flow is as JSON; parameter sets come as JSON lines. What its code prints goes to standard error."""
    import msgspec

    parent = os.getppid()
    from core.errors import ControlLost, FlowLoadError
    from core.process.guard import die_with_parent
    from workers.steps.load import describe, load

    try:
        # a flow whose import never ends must not outlive an orchestrator that was killed meanwhile
        die_with_parent(parent)
    except ControlLost:
        return ExitCode.INTERRUPTED
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        lines = [line for line in sys.stdin.buffer.read().splitlines() if line.strip()]
        params = [msgspec.json.decode(line, type=dict) for line in lines]
        data = msgspec.json.encode(describe(load(path), params, Path(path).resolve()))
    except (FlowLoadError, msgspec.MsgspecError) as exc:
        print(" ".join(str(exc).split()), file=sys.stderr)
        return ExitCode.BAD_INPUT
    with os.fdopen(answer, "wb") as out:
        out.write(data + b"\n")
    return ExitCode.DONE


# --- by hand ---------------------------------------------------------------------------------------------------------


def _parse() -> argparse.Namespace:
    import argparse

    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "profile_id", nargs="?", metavar="PROFILE_ID", help=f"{ID_RULE}; default: the active profile, else `default`"
    )
    parser.add_argument("--flow", metavar="FILE", help="default: the profile's own, then that of ostler.toml")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter; JSON for lists"
    )
    parser.add_argument("--headed", action="store_true", default=None, help="show the browser")
    parser.add_argument(
        "--from", dest="from_step", metavar="STEP", help="run this step, done or not, and what is not done after it"
    )
    parser.add_argument("--keep-open", action="store_true", help="leave the browser open until it is closed")
    parser.add_argument(
        "--inspect",
        action="store_true",
        help="show the browser, and open Playwright's inspector where a step fails, or before the step of --from",
    )
    parser.add_argument("--verbose", action="store_true", help="show Ostler's own part of tracebacks, too")
    parser.add_argument("--browser", metavar="FILE", help="the browser to start")
    parser.add_argument(
        "--no-sandbox", dest="sandbox", action="store_const", const=False, help="run the browser without its sandbox"
    )
    parser.add_argument("--screenshots", metavar="WHEN", help="off (default) or on-failure; they may show secrets")
    parser.add_argument(
        "--trace", metavar="WHEN", help="Playwright's trace: off (default), on-failure or always; it holds secrets"
    )
    parser.add_argument("--template", metavar="DIR", help="closed browser profile that a new profile starts from")
    parser.add_argument("--device", choices=("desktop", "mobile"))
    parser.add_argument("--state-dir", metavar="DIR")
    parser.add_argument("--log-dir", metavar="DIR")
    parser.add_argument(
        "--describe", metavar="FLOW", help="print what a flow is, as JSON, and check parameters from stdin"
    )
    args = parser.parse_args()
    args.template = str(Path(args.template).resolve()) if args.template else None
    if args.describe is None and args.profile_id is not None and not is_valid_id(args.profile_id):
        parser.error(f"PROFILE_ID: expected {ID_RULE}, found {args.profile_id!r}")
    return args


def _by_hand(args: argparse.Namespace) -> int:
    import asyncio

    from core import settings
    from core.errors import BadInput, OstlerError
    from workers.browser.environment import has_display

    if (args.inspect or args.keep_open) and not has_display(os.environ):
        asked = "--inspect" if args.inspect else "--keep-open"
        print(f"run.py: {asked} shows a browser, and there is no display here; on a server: xvfb-run", file=sys.stderr)
        return ExitCode.HOST_FAULT
    flags = {
        name: getattr(args, name)
        for name in ("headed", "browser", "sandbox", "state_dir", "log_dir", "screenshots", "trace")
    }
    try:
        chosen = settings.load(flags, os.environ, cwd=Path.cwd())
        for line in settings.unknown_variables(os.environ):
            _say(line)
        _choose_profile(args, chosen)
        return asyncio.run(_attempt_by_hand(args, chosen))
    except BadInput as exc:
        _say(exc)
        return ExitCode.BAD_INPUT
    except OstlerError as exc:
        _say(exc)
        return ExitCode.HOST_FAULT


def _choose_profile(args: argparse.Namespace, chosen: settings.Settings) -> None:
    """Take the active profile where none is named, after what a killed operation left has been put right."""
    import logging

    from core import logs
    from core.profiles import ProfileManager
    from core.redaction import Redactor

    logs.configure_worker(Redactor(), level=logging.WARNING)
    manager = ProfileManager(chosen.state_dir)
    manager.tidy()
    if args.profile_id is None:
        args.profile_id = manager.chosen()
        _say(f"profile {args.profile_id}")


def _say(text: object) -> None:
    from core.text import visible

    print(visible(str(text)), file=sys.stderr)


async def _attempt_by_hand(args: argparse.Namespace, chosen: settings.Settings) -> int:
    import asyncio
    import secrets

    from core.domain.messages import Hello, WorkerSettings
    from core.domain.model import JobSpec
    from core.durable import ensure_directory
    from core.process.child import LaunchPlan, SubprocessLauncher
    from core.process.port import WorkerCommand
    from core.process.signals import on_signal
    from core.redaction import Redactor
    from core.text import visible
    from workers.by_hand import ByHand

    for directory in (chosen.state_dir, chosen.log_dir):
        ensure_directory(directory)
    job = JobSpec(
        id=args.profile_id,
        profile_id=args.profile_id,
        flow=_flow_of(args, chosen),
        params=_params(args.param),
        template=args.template,
        device=args.device,
    )
    worker = WorkerSettings(
        state_dir=str(chosen.state_dir),
        log_dir=str(chosen.log_dir),
        browser=chosen.browser,
        headed=chosen.headed or args.keep_open or args.inspect,
        sandbox=chosen.sandbox,
        action_timeout=chosen.action_timeout,
        launch_timeout=chosen.browser_timeout,
        screenshots=chosen.screenshots,
        trace=chosen.trace,
        from_step=args.from_step,
        keep_open=args.keep_open,
        inspect=args.inspect,
        verbose=args.verbose,
    )
    nonce = secrets.token_hex(16)
    plan = LaunchPlan(python=sys.executable, run_py=CHECKOUT / "run.py", log_dir=chosen.log_dir)
    launcher = SubprocessLauncher(plan, os.environ)
    log = chosen.log_dir / f"{args.profile_id}.log"
    hand = ByHand(
        launcher, log, Redactor(), lambda line: print(visible(line), flush=True), chosen.stop_grace, limits=chosen.limits
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(loop, number, lambda _: hand.stop())
    command = WorkerCommand(profile_id=args.profile_id, nonce=nonce, job_id=job.id, number=1)
    return await hand.run(command, Hello(job=job, attempt=1, nonce=nonce, settings=worker))


def _flow_of(args: argparse.Namespace, chosen: settings.Settings) -> str:
    from core.errors import BadInput, Problem
    from core.profiles.store import FileProfileStore

    if args.flow:
        return str(Path(args.flow).resolve())
    metadata = FileProfileStore(chosen.state_dir).read(args.profile_id)
    found = (metadata.flow if metadata is not None else None) or chosen.flow
    if found:
        return found
    hint = "give --flow FILE, or set flow in state/profiles/<id>/metadata.json or in ostler.toml"
    raise BadInput([Problem(place="--flow", expected="a flow", found="none", hint=hint)])


def _params(given: list[str]) -> dict[str, object]:
    import msgspec

    from core.errors import BadInput, Problem

    params: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput([Problem(place="--param", expected="NAME=VALUE", found=repr(name))])
        # plain text stays text: the worker converts it to what the flow declares
        try:
            params[name] = msgspec.json.decode(value) if value[:1] in ("[", "{", '"') else value
        except msgspec.DecodeError as exc:
            raise BadInput([Problem(place="--param", field=name, expected="JSON", found=str(exc))]) from exc
    return params


if __name__ == "__main__":
    sys.exit(main())
