"""``ostler profile set`` and ``unset``: what makes a profile's browser the same one in every run, and what people call it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.hidden_value import SOURCES, hidden_value
from core.cli.printing import columns, say
from core.cli.profile_id import add_id
from core.domain.outcome import ExitCode
from core.errors import BadInput, Problem
from core.profiles.manager import ProfileManager
from core.profiles.settings import HEADER, NAMES, Around, assign, is_hidden, shown, unset

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from core.profiles.port import ProfileMetadata
    from core.settings import Settings


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add both commands to the group."""
    one = add_command(
        commands, "set", "set what a profile's browser is in every run",
        [
            "profile set anna locale=de-DE timezone=Europe/Berlin viewport=1280x800",
            "profile set anna proxy --from env:PROXY",
            "profile set anna header.Authorization",
        ],
        more=f"Names: {', '.join(NAMES)}, {HEADER}NAME. What is secret (a proxy's password, a header that authorises) is asked "
        f"for: give the name alone.",
    )  # fmt: skip
    add_id(one, needed=True)
    one.add_argument("assignments", metavar="NAME=VALUE", nargs="+", help="or NAME alone, to be asked for the value")
    one.add_argument(
        "--from", dest="source", metavar="SOURCE", help=f"where the value of one NAME comes from: {SOURCES}"
    )
    one.set_defaults(run=_set)
    none = add_command(
        commands, "unset", "let one be as it is where nothing is set",
        ["profile unset anna viewport", "profile unset anna header.X-Client", "profile unset anna extra_headers"],
    )  # fmt: skip
    add_id(none, needed=True)
    none.add_argument("names", metavar="NAME", nargs="+")
    none.set_defaults(run=_unset)


def _set(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = arguments.profile_id
    typed = [text.partition("=") for text in arguments.assignments]
    require_hidden([(name, text) for name, equals, text in typed if equals])
    asked = [name for name, equals, _ in typed if not equals]
    if arguments.source is not None and (len(asked) != 1 or len(typed) != 1):
        raise BadInput(
            [Problem(place="--from", expected="one NAME without a value", found=f"{len(asked)} of {len(typed)}")]
        )
    assignments = [(name, text if equals else hidden_value(name, arguments.source)) for name, equals, text in typed]
    around = Around(cwd=Path.cwd(), devices=_devices)
    changed = _change(settings, profile_id, "ostler profile set", lambda old: assign(old, assignments, around))
    _say(changed)
    return ExitCode.DONE


def _unset(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = arguments.profile_id
    changed = _change(settings, profile_id, "ostler profile unset", lambda old: unset(old, arguments.names))
    _say(changed)
    return ExitCode.DONE


def require_hidden(typed: list[tuple[str, str]]) -> None:
    """Refuse secrets on the command line; they are not repeated, and yet others may have seen them.

    Raises:
        BadInput: for each of them, how to give it.
    """
    problems = [
        Problem(
            place="NAME=VALUE", field=name, expected="no secret on the command line", found="one",
            hint=f"others on this host may have read it: change it, then type the name alone, or use --from {SOURCES}",
        )
        for name, text in typed
        if is_hidden(name, text)
    ]  # fmt: skip
    if problems:
        raise BadInput(problems)


def _change(
    settings: Settings, profile_id: str, what: str, change: Callable[[ProfileMetadata], ProfileMetadata]
) -> ProfileMetadata:
    manager = ProfileManager(settings.state_dir)
    manager.validator.validate_id(profile_id)
    manager.tidy()
    manager.registry.require(profile_id)

    def put(metadata: ProfileMetadata) -> None:
        for name, value in msgspec.structs.asdict(change(metadata)).items():
            setattr(metadata, name, value)

    # under its lock: a run writes at its end what it read at its start
    with manager.locks.acquire(profile_id, what=what):
        return manager.metadata.update(profile_id, put)


@functools.cache
def _devices() -> Mapping[str, bool]:
    from workers.browser.devices import chromium_devices  # noqa: PLC0415 - only where a device is named

    return chromium_devices()


def _say(metadata: ProfileMetadata) -> None:
    found = shown(metadata)
    lines = columns(list(found.items())) if found else ["nothing is set: the browser's own values, in each run"]
    say([f"{metadata.profile_id}:", *(f"  {line}" for line in lines)])
