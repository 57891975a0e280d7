"""``ostler config check``: what is wrong with a launch configuration, and what it would set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.printing import columns, print_json, say
from core.clock import SystemClock
from core.domain.launch_configuration import LaunchConfiguration, engine_settings
from core.domain.outcome import ExitCode
from core.settings_launch import check_launch_file
from core.upkeep.launch_view import read_fleet

if TYPE_CHECKING:
    import argparse

    from core.domain.validation_result import ValidationResult
    from core.settings import Settings


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to those of ``ostler config``."""
    command = add_command(
        commands, "check", "say what is wrong with a launch configuration, and what it would set",
        ["config check launch.json", "config check launch.json anna bert --json"],
        more="With profiles, they and the host are looked at, too. Exit code 2 if it cannot be used; "
        "docs/launch-configuration.md has the fields.",
    )  # fmt: skip
    command.add_argument("file", metavar="FILE", help="as given to --launch-config")
    command.add_argument("profiles", metavar="ID", nargs="*", help="what is to be launched")
    command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/config-check.json)")
    command.set_defaults(run=_check)


def _check(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    fleet = read_fleet(settings, arguments.profiles, SystemClock()) if arguments.profiles else None
    found = check_launch_file(arguments.file, cwd=Path.cwd(), fleet=fleet)
    if arguments.json:
        print_json(found)
    else:
        say(_lines(found))
    return ExitCode.DONE if found.is_valid else ExitCode.BAD_INPUT


def _lines(found: ValidationResult[LaunchConfiguration]) -> list[str]:
    issues = [
        f"{issue.severity}: {issue.field}{': ' if issue.field else ''}{issue.message} [{issue.code}]"
        for issue in (*found.errors, *found.warnings)
    ]
    if found.sanitized_data is None:
        return issues
    rows = [("SETTING", "VALUE", "FIELD")]
    rows += [
        (name, msgspec.json.encode(one.value).decode(), one.field)
        for name, one in engine_settings(found.sanitized_data).items()
    ]
    return [*issues, "it can be used, and sets:", *columns(rows)]
