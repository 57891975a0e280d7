"""``ostler doctor``: whether this host can run a fleet, and what earlier runs left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import lines_of_findings, print_json, say
from core.clock import SystemClock
from core.domain.outcome import ExitCode
from core.errors import OstlerError
from core.profiles.lock import FileProfileLocks
from core.settings import CHECKOUT
from core.state.orchestrator_lock import OrchestratorLock
from core.upkeep import host, integrity, leftovers, storage
from core.upkeep.finding import CheckUp, Level, bad, ok, warn
from workers.browser.discover import Wanted, discover

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from core.settings import Settings
    from core.upkeep.finding import Finding

_TIMEOUT = 30.0
_LIBRARY = re.compile(r"lib[\w.+-]+\.so[.\d]*")


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the command line."""
    command = add_command(
        groups,
        "doctor",
        "say whether this host can run a fleet, and what to type where it cannot",
        ["doctor", "doctor --json"],
    )
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/doctor.json)")
    command.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    findings = tuple(_findings(settings))
    well = all(finding.level is not Level.BAD for finding in findings)
    if arguments.json:
        print_json(CheckUp(well=well, findings=findings))
    else:
        say(lines_of_findings(findings))
    return ExitCode.DONE if well else ExitCode.FAILED


def _findings(settings: Settings) -> Iterator[Finding]:
    clock, state = SystemClock(), settings.state_dir
    yield host.check_python(sys.version_info[:3], Path(sys.prefix), CHECKOUT / ".venv")
    yield host.check_packages((CHECKOUT / "requirements.lock").read_text("utf-8"), host.installed_version)
    yield host.check_descriptors(host.descriptor_limit(), settings.slots)
    yield host.check_clock(clock.now(), _newest(settings), host.boot_id())
    if sys.platform == "linux":
        yield host.check_shared_memory(_shared_memory())
    for name, directory in (("state", state), ("log", settings.log_dir)):
        free, inodes = storage.free_of(storage.nearest(directory))
        yield from storage.check_space(name, directory, free=free, inodes=inodes)
    locks = state / "locks"
    try:
        with storage.scratch(locks if locks.is_dir() else state) as scratch:
            yield storage.check_locks(scratch)
            yield storage.check_writes(scratch)
            yield _driver()
            yield from _browser(settings, scratch)
            yield from leftovers.check_sessions(state, scratch)
    except OSError as exc:
        yield bad(
            "writes", f"nothing can be written to {state}: {exc.strerror}", f"see who owns {state}: ls -ld {state}"
        )
    queue, attempts = leftovers.check_queue(state / "queue.db")
    runs = OrchestratorLock(state, clock).holder() is not None
    locked = FileProfileLocks(state, clock)

    def held(profile_id: str) -> bool:
        return locked.holder(profile_id) is not None

    yield queue
    yield from leftovers.check_profiles(state)
    yield integrity.check_selectors(state)
    yield from leftovers.check_attempts(attempts, runs=runs)
    yield from leftovers.check_browsers(state / "workspaces", attempts, held)
    yield from leftovers.check_directories(state, held, runs=runs)


def _driver() -> Finding:
    """Start Playwright's driver: a slim system may lack a library that the browser does without."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "playwright", "--version"],
            capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return bad("driver", f"Playwright's driver did not answer within {_TIMEOUT:g} s", "make setup")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        missing = _LIBRARY.search(done.stderr)
        fix = (
            f"install the package with {missing[0]} (on Debian libatomic1 has libatomic.so.1)"
            if missing
            else "make setup"
        )
        return bad("driver", f"Playwright's driver does not start: {said}", fix)
    return ok("driver", f"Playwright {done.stdout.strip().removeprefix('Version ')}")


def _browser(settings: Settings, scratch: Path) -> Iterator[Finding]:
    """Launch one, in a new place: what worked before proves nothing about today."""
    wanted = Wanted(
        state_dir=scratch, environ=dict(os.environ), browser=settings.browser, headed=settings.headed,
        sandbox=settings.sandbox,
    )  # fmt: skip
    try:
        found = discover(wanted)
    except OstlerError as exc:
        yield bad("browser", str(exc), "the message says what to type")
        return
    yield ok("browser", f"{found.name} {found.version} at {found.executable}")
    if found.sandbox:
        yield ok("sandbox", "works")
    elif settings.sandbox is False:
        yield warn(
            "sandbox", "switched off by --no-sandbox, OSTLER_SANDBOX or ostler.toml", "switch it on if it works here"
        )
    else:
        yield warn("sandbox", "none: Chromium has no sandbox for root", "run Ostler as a user of its own")


def _newest(settings: Settings) -> float | None:
    """Return when the youngest of our own records was written."""
    found = []
    for path in (
        settings.log_dir / "events.jsonl",
        settings.state_dir / "queue.db",
        settings.state_dir / "orchestrator.lock",
    ):
        try:
            found.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(found, default=None)


def _shared_memory() -> int | None:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - not a place of ours to write to
    except OSError:
        return None
    return found.f_blocks * found.f_frsize
