"""``ostler profile open``: a profile's own browser for a person, to log in by hand; kept when it is closed."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import size
from core.cli.profiles import manager_of
from core.domain.messages import BrowserStarted, Hello, Note, Phase, Visit, WorkerSettings
from core.domain.model import JobSpec
from core.durable import ensure_directory
from core.errors import BadInput, HostFailed, Problem, ProfileHeld
from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.port import WorkerCommand
from core.process.signals import on_signal
from core.profiles.migration import DEFAULT
from core.profiles.schema import is_start_url
from core.redaction import Redactor
from core.settings import CHECKOUT, load
from core.text import visible
from workers.browser.environment import has_display
from workers.by_hand import ByHand, line_of

if TYPE_CHECKING:
    import argparse

    from core.domain.messages import Up
    from core.domain.outcome import ExitCode
    from core.settings import Settings

# what ends a visit well: ^C, a request, a terminal that is closed (Windows has no such signal)
_ENDS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_CLOSE_WITHIN = 30.0
_END_WITHIN = 180.0


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the group ``profile``."""
    one = add_command(
        commands,
        "open",
        "open a profile's browser, to log in by hand",
        ["profile open anna", "profile open anna --url https://example.org/login"],
        more="What is done there is kept once its last window is closed, or ^C is pressed here; runs that want the profile "
        "meanwhile wait. A profile that is not there yet is made.",
    )
    one.add_argument("profile_id", metavar="ID", nargs="?", help=f"default: the active profile, else {DEFAULT}")
    one.add_argument(
        "--url", metavar="URL", help="what to show first; default: the profile's start page, if it has one"
    )
    one.add_argument(
        "--no-save", dest="save", action="store_false", help="look at what was saved last, and keep nothing"
    )
    one.add_argument("--template", metavar="DIR", help="closed browser profile that a new profile starts from")
    one.add_argument("--browser", metavar="FILE", help="the browser to start")
    one.add_argument(
        "--no-sandbox", dest="sandbox", action="store_const", const=False, help="run the browser without its sandbox"
    )
    one.set_defaults(run=_open)


def _open(arguments: argparse.Namespace, _: Settings) -> ExitCode:
    flags = {name: getattr(arguments, name) for name in ("state_dir", "log_dir", "browser", "sandbox")}
    settings = load(flags, os.environ, cwd=Path.cwd())
    manager = manager_of(settings)
    profile_id = manager.chosen(arguments.profile_id)
    url = None if arguments.url is None else _checked(arguments.url)
    if not has_display(os.environ):
        raise HostFailed(
            "a browser is to be shown, and there is no display here; on a server: ssh -X, or xvfb-run and VNC"
        )
    holder = manager.locks.holder(profile_id)
    if holder is not None:
        raise ProfileHeld(f"profile {profile_id}", str(holder))
    for directory in (settings.state_dir, settings.log_dir):
        ensure_directory(directory)
    template = None if arguments.template is None else Path(arguments.template).resolve()
    manager.tidy()
    if arguments.save and not manager.registry.exists(profile_id):
        manager.create(profile_id, template=template)
        _say(f"made profile {profile_id}" + (", from the template" if template is not None else ""))
    worker = WorkerSettings(
        state_dir=str(settings.state_dir),
        log_dir=str(settings.log_dir),
        browser=settings.browser,
        headed=True,
        sandbox=settings.sandbox,
        action_timeout=settings.action_timeout,
        launch_timeout=settings.browser_timeout,
        # a browser that was used for hours has more to write than one that ran a few steps
        close_timeout=_CLOSE_WITHIN,
        visit=Visit(url=url, save=arguments.save),
    )
    job = JobSpec(id=profile_id, profile_id=profile_id, flow="", template=None if template is None else str(template))
    return asyncio.run(_visit(settings, Hello(job=job, attempt=1, nonce=secrets.token_hex(16), settings=worker)))


async def _visit(settings: Settings, hello: Hello) -> ExitCode:
    plan = LaunchPlan(python=sys.executable, run_py=CHECKOUT / "run.py", log_dir=settings.log_dir)
    words = Words(save=hello.settings.visit is None or hello.settings.visit.save)
    hand = ByHand(SubprocessLauncher(plan, os.environ), None, Redactor(), _say, _END_WITHIN, tell=words.of)
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        on_signal(loop, number, lambda _: hand.stop())
    job = hello.job
    return await hand.run(WorkerCommand(profile_id=job.profile_id, nonce=hello.nonce, job_id=job.id, number=1), hello)


def _say(line: str) -> None:
    # a terminal that was closed must not end what is being saved
    with suppress(OSError):
        print(visible(line), flush=True)  # noqa: T201 - what a person waits for, at once


def _checked(url: str) -> str:
    if is_start_url(url):
        return url
    # not repeated: an address may hold a token
    hint = "" if ":" in url else "with https:// before it"
    raise BadInput(
        [Problem(place="--url", expected="an address like https://example.org/login", found="another", hint=hint)]
    )


def _sites(number: int) -> str:
    return f"{number} site{'' if number == 1 else 's'}"


class Words:
    """What a person reads of their visit.

    Args:
        save: whether it is to be kept.
    """

    def __init__(self, *, save: bool) -> None:
        self._save = save
        self._browser = "the browser"

    def of(self, message: Up) -> str:
        """Return what a message says, empty for nothing."""
        match message:
            case BrowserStarted():
                self._browser = f"{message.name} {message.version}"
                return ""
            case Phase(name="save"):
                return "closed; saving …"
            case Note():
                return self._of_note(message)
            case _:
                return ""

    def _of_note(self, note: Note) -> str:  # noqa: PLR0911 - one per note
        data = note.data
        match note.name:
            case "last_time":
                return f"last time, in {data['phase'] or 'a run'}: {data['reason']}"
            case "workspace_ready":
                return self._of_data(data)
            case "login_state_put_back":
                return f"the login state of {data['exported_at']} was put back"
            case "shown":
                kept = "it is kept" if self._save else "nothing is kept"
                return f"{self._browser} is open: close its last window when you are done, or press ^C here, and {kept}"
            case "saved":
                return (
                    f"saved: {data['files']} files, {size(data['bytes'])}; the login state of {_sites(data['sites'])}"
                )
            case "not_saved":
                return "nothing was kept"
            case "download_kept":
                return f"downloaded {data['file']}"
            case _:
                return line_of(note)

    def _of_data(self, data: dict[str, Any]) -> str:
        cut_off = "an earlier browser on this profile was cut off"
        match data["source"], data["rebuilt"]:
            case "crashed", _:
                return f"{cut_off}; going on from its own data"
            case "profile", True if self._save:
                return f"{cut_off}, and its data is lost or damaged; going on from what was saved last"
            case "profile", True:
                return f"{cut_off}; this is what was saved before"
            case "template", _:
                return "starting from the template"
            case "empty", _:
                return "starting without any browser data"
            case _:
                return ""
