"""``ostler profile recover|tag|migrate``: putting profiles right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import print_json, say
from core.cli.profile_id import add_id
from core.cli.profile_shown import ShownChange, lines_of_recovery
from core.cli.profiles import manager_of
from core.domain.outcome import ExitCode
from core.errors import BadInput, Problem
from core.profiles.migration import DEFAULT

if TYPE_CHECKING:
    import argparse

    from core.profiles.losses import RecoveryReport
    from core.settings import Settings


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the commands to the group."""
    recover = add_command(
        commands, "recover", "get a damaged profile going again, and say what that costs",
        ["profile recover anna --dry-run", "profile recover anna --mode soft", "profile recover anna --mode hard --keep-login"],
        more="soft writes its metadata anew and takes only what is broken out of the rest; it is kept beside it. hard resets login "
        "and browser data; with --keep-login the next run puts the login state into the new browser.",
    )  # fmt: skip
    add_id(recover)
    recover.add_argument("--mode", choices=("soft", "hard"), default="soft", help="default soft")
    recover.add_argument("--keep-login", action="store_true", help="with hard: keep the login state")
    recover.add_argument("--deep", action="store_true", help="with soft: read all browser data to find what is broken")
    recover.add_argument("--dry-run", action="store_true", help="only say what would be lost")
    recover.add_argument("--json", action="store_true", help="as JSON (docs/schemas/profile-recover.json)")
    recover.set_defaults(run=_recover)
    tag = add_command(
        commands, "tag", "add or remove words to find a profile by", ["profile tag anna --add support --remove old"]
    )
    add_id(tag)
    tag.add_argument("--add", metavar="TAG", action="append", default=[], help="may be repeated")
    tag.add_argument("--remove", metavar="TAG", action="append", default=[], help="may be repeated")
    tag.set_defaults(run=_tag)
    migrate = add_command(
        commands, "migrate", "make a named profile of a single one: browser_profile/ and session.json in a directory",
        ["profile migrate ~/old", "profile migrate ~/old --as anna"],
        more="They are moved. In the state directory itself such a profile is found by itself, and becomes `default`.",
    )  # fmt: skip
    migrate.add_argument("directory", metavar="DIR", nargs="?", help="default: the state directory")
    migrate.add_argument("--as", dest="as_id", metavar="ID", default=DEFAULT, help=f"default: {DEFAULT}")
    migrate.set_defaults(run=_migrate)
    for command in (tag, migrate):
        command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/profile-change.json)")


def _recover(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    def tell(report: RecoveryReport) -> None:
        if not arguments.json:
            say(lines_of_recovery(report))

    report = manager_of(settings).recover(
        arguments.profile_id,
        arguments.mode,
        keep_login=arguments.keep_login,
        dry_run=arguments.dry_run,
        deep=arguments.deep,
        beforehand=tell,
    )
    if arguments.json:
        print_json(report)
    elif report.dry_run:
        tell(report)
    else:
        say([f"{report.profile_id} is recovered"])
    return ExitCode.DONE


def _tag(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    if not arguments.add and not arguments.remove:
        raise BadInput([Problem(place="command line", expected="--add or --remove", found="neither")])
    manager = manager_of(settings)
    profile_id = manager.chosen(arguments.profile_id)
    tags = manager.tag(profile_id, add=arguments.add, remove=arguments.remove)
    if arguments.json:
        print_json(ShownChange(did="tagged", id=profile_id, profile=manager.get(profile_id)))
    else:
        say([f"{profile_id}: {', '.join(tags) or 'no tags'}"])
    return ExitCode.DONE


def _migrate(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    manager = manager_of(settings)
    if not manager.migrate(arguments.directory, arguments.as_id):
        where = arguments.directory or settings.state_dir
        raise BadInput([Problem(place="DIR", expected="a directory with browser_profile/ in it", found=str(where))])
    if arguments.json:
        print_json(ShownChange(did="migrated", id=arguments.as_id, profile=manager.get(arguments.as_id)))
    else:
        say([f"{arguments.as_id} is a named profile now"])
    return ExitCode.DONE
