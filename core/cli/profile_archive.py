"""``ostler profile export`` and ``ostler profile import``: a profile in a ZIP, and back."""

from __future__ import annotations

import os
import platform
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import print_json, say
from core.cli.profile_archive_shown import ShownArchive, lines_of_export, lines_of_import
from core.cli.profile_id import add_id
from core.cli.profiles import manager_of
from core.domain.outcome import ExitCode
from core.errors import BrowserError
from core.input_file import absolute
from core.profiles.archive_fit import doubts

if TYPE_CHECKING:
    import argparse

    from core.profiles.archive_manifest import Manifest
    from core.settings import Settings


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add both commands to the group."""
    out = add_command(
        commands, "export", "write a profile into a ZIP file, mode 0600",
        ["profile export anna anna.zip", "profile export anna anna.zip --with-secrets"],
        more="Without --with-secrets there is nothing in it that opens the account: no login, no browser data, no password.",
    )  # fmt: skip
    add_id(out, needed=True)
    out.add_argument("file", metavar="FILE")
    out.add_argument("--with-secrets", action="store_true", help="with login, browser data and passwords")
    out.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    out.add_argument("--json", action="store_true", help="as JSON (docs/schemas/profile-archive.json)")
    out.set_defaults(run=_export)
    into = add_command(
        commands, "import", "make a profile of a file that `export` wrote",
        ["profile import anna.zip", "profile import anna.zip --as bert"],
        more="Everything in it is checked before anything is written. Settings such as a proxy or a flow come along: import "
        "only files of people that you trust.",
    )  # fmt: skip
    into.add_argument("file", metavar="FILE")
    into.add_argument("--as", dest="as_id", metavar="ID", help="another ID than the one it had")
    into.add_argument("--json", action="store_true", help="as JSON (docs/schemas/profile-archive.json)")
    into.set_defaults(run=_import)


def _export(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    target = absolute(arguments.file, Path.cwd())
    made = manager_of(settings).export(
        arguments.profile_id, target, with_secrets=arguments.with_secrets, overwrite=arguments.overwrite
    )
    shown = ShownArchive.of_manifest(
        made.manifest, arguments.profile_id, arguments.file, made.bytes, recovered=made.recovered
    )
    if arguments.json:
        print_json(shown)
    else:
        say(lines_of_export(shown))
    return ExitCode.DONE


def _import(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    path = absolute(arguments.file, Path.cwd())
    made = manager_of(settings).import_(path, as_id=arguments.as_id, place=arguments.file)
    found = _doubts(made.manifest, settings)
    status = path.stat()
    if made.manifest.with_secrets and stat.S_IMODE(status.st_mode) & 0o077 and os.name != "nt":
        found.append(
            f"others on this host can read {arguments.file}, which opens the account: chmod 600 it, or remove it"
        )
    shown = ShownArchive.of_manifest(
        made.manifest, made.profile_id, arguments.file, status.st_size, doubts=tuple(found), settings=made.settings
    )
    if arguments.json:
        print_json(shown)
    else:
        say(lines_of_import(shown))
    return ExitCode.DONE


def _doubts(manifest: Manifest, settings: Settings) -> list[str]:
    if not manifest.has_browser_data:
        return []
    from workers.browser.discover import Wanted, discover  # noqa: PLC0415 - only here is a browser looked for

    wanted = Wanted(
        state_dir=settings.state_dir,
        environ=dict(os.environ),
        browser=settings.browser,
        headed=settings.headed,
        sandbox=settings.sandbox,
    )
    try:
        found = discover(wanted)
    except BrowserError:
        return doubts(manifest, platform.system(), None)
    return doubts(manifest, platform.system(), (found.name, found.version))
