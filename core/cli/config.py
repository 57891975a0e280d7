"""``ostler config``: what is set, and where each value comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from core.cli import config_check, config_failures
from core.cli.command import add_command
from core.cli.printing import print_json, say
from core.domain.failure import Code
from core.domain.limits import written
from core.domain.outcome import ExitCode
from core.domain.session import is_secret
from core.queue.http_feed import is_address
from core.redaction import MASK, mask_path, mask_url
from core.settings import Origin, located, resolve, rules, unknown_variables, variable
from core.settings_failures import TABLE
from core.settings_launch import read_launch_file

if TYPE_CHECKING:
    import argparse

    from core.settings import Resolved, Settings

EPILOG = """\
A value is taken from the first of these that has it: command line, launch configuration, OSTLER_… variable, ostler.toml (or the file that
OSTLER_CONFIG names), default. Of the settings a queue file may have, too (flow, timeout, max_attempts), what a job says
itself comes before all of these, and what the queue's "defaults" say after them.

examples:
  ostler config show
  OSTLER_MAX_CONCURRENT=8 ostler config show --json
"""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        name: as in ``ostler.toml``; with a dot, below a table.
        value: in use; null where nothing is set. Secrets are masked.
        origin: of which source it comes.
        where: the flag, the variable, file and line, or a launch configuration and its field; empty for a default.
        variable: the environment variable that sets it.
    """

    name: str
    value: str | int | float | bool | None
    origin: Literal["flag", "launch", "environment", "file", "default"]
    where: str
    variable: str


class ConfigReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ostler config show --json`` prints.

    Attributes:
        file: the file of settings that is read, whether it is there or not.
        settings: all of them; of ``failures`` those that are set.
        warnings: variables that look like settings and are none.
    """

    file: str
    settings: tuple[Value, ...]
    warnings: tuple[str, ...] = ()


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(groups, "config", "show what is set, and where", ["config show"])
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    show = add_command(commands, "show", "print each setting and where it comes from; secrets are masked", [])
    show.epilog = EPILOG
    show.add_argument("--json", action="store_true", help="as JSON, as in docs/schemas/config-show.json")
    show.add_argument("--launch-config", metavar="FILE", help="with what this launch configuration would set")
    show.set_defaults(run=_show)
    config_check.register(commands)
    config_failures.register(commands)


def report(resolved: Resolved, warnings: list[str]) -> ConfigReport:
    """Return every setting with its origin; of single failures those that are set, ``ostler config failures`` has the rest."""
    origins = located(resolved)
    values = []
    for name in rules():
        if name.startswith(f"{TABLE}.") and name not in origins:
            continue
        value: Any = resolved.settings
        for part in name.split("."):
            value = value[Code(part)] if isinstance(value, dict) else getattr(value, part)
        value = written(value) if name == "limits" else value
        origin = origins.get(name, Origin(kind="default"))
        values.append(
            Value(name=name, value=masked(name, value), origin=origin.kind, where=origin.where, variable=variable(name))
        )
    return ConfigReport(file=str(resolved.file), settings=tuple(values), warnings=tuple(warnings))


def _show(arguments: argparse.Namespace, _: Settings) -> ExitCode:
    cwd, named = Path.cwd(), arguments.launch_config
    launch = None if named is None else read_launch_file(named, cwd=cwd)
    given = {"state_dir": arguments.state_dir, "log_dir": arguments.log_dir}
    resolved = resolve(given, os.environ, cwd=cwd, launch=launch)
    found = report(resolved, unknown_variables(os.environ))
    if arguments.json:
        print_json(found)
        return ExitCode.DONE
    width = max(len(one.name) for one in found.settings)
    texts = [_text(one.value) for one in found.settings]
    most = min(max(map(len, texts)), 48)
    lines = [
        f"{one.name:<{width}}  {text:<{most}}  {one.where or one.origin}"
        for one, text in zip(found.settings, texts, strict=True)
    ]
    say(lines)
    return ExitCode.DONE


def masked(name: str, value: Any) -> str | int | float | bool | None:
    """Return a value for showing, without what is secret by its name, or a password in an address."""
    if value is None or isinstance(value, (bool, int, float)):
        return MASK if value is not None and is_secret(name.rpartition(".")[2]) else value
    if is_secret(name.rpartition(".")[2]) and value:
        return MASK
    if name == "notify" and is_address(str(value)):
        return mask_path(str(value))
    return mask_url(str(value)) if isinstance(value, (str, Path)) else msgspec.json.encode(value).decode()


def _text(value: str | float | bool | None) -> str:  # noqa: FBT001 - one of the kinds of values
    if value is None:
        return "(not set)"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
