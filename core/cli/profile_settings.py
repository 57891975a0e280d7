"""``ostler profile set`` and ``unset``: what makes a profile's browser the same one in every run, and what people call it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.hidden_value import SOURCES, hidden_value
from core.cli.printing import columns, print_json, say
from core.cli.profile_id import add_id
from core.cli.profile_shown import lines_of_batch
from core.cli.profiles import manager_of
from core.domain.outcome import ExitCode
from core.errors import BadInput, Problem, StateCorrupt
from core.profiles.errors import UnknownProfile
from core.profiles.settings import HEADER, NAMES, Around, assign, is_hidden, shown, unset
from core.profiles.updating import ProfileUpdate, changed_fields, revision_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from core.profiles.manager import ProfileManager
    from core.profiles.port import ProfileMetadata
    from core.settings import Settings

_SEVERAL = "which profile; several with commas between: what becomes of one is nothing to the others"


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add both commands to the group."""
    one = add_command(
        commands, "set", "set what a profile's browser is in every run",
        [
            "profile set anna locale=de-DE timezone=Europe/Berlin viewport=1280x800",
            "profile set anna,bert,carl start_url=https://example.org/",
            "profile set anna proxy --from env:PROXY",
            "profile set anna header.Authorization",
        ],
        more=f"Names: {', '.join(NAMES)}, {HEADER}NAME. What is secret (a proxy's password, a header that authorises) is asked "
        f"for: give the name alone.",
    )  # fmt: skip
    add_id(one, needed=True, says=_SEVERAL)
    one.add_argument("assignments", metavar="NAME=VALUE", nargs="+", help="or NAME alone, to be asked for the value")
    one.add_argument(
        "--from", dest="source", metavar="SOURCE", help=f"where the value of one NAME comes from: {SOURCES}"
    )
    one.set_defaults(run=_set)
    none = add_command(
        commands, "unset", "let one be as it is where nothing is set",
        ["profile unset anna viewport", "profile unset anna header.X-Client", "profile unset anna extra_headers"],
    )  # fmt: skip
    add_id(none, needed=True, says=_SEVERAL)
    none.add_argument("names", metavar="NAME", nargs="+")
    none.set_defaults(run=_unset)
    for command in (one, none):
        command.add_argument("--json", action="store_true", help="as JSON (docs/schemas/profile-set.json)")


def _set(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    typed = [text.partition("=") for text in arguments.assignments]
    require_hidden([(name, text) for name, equals, text in typed if equals])
    asked = [name for name, equals, _ in typed if not equals]
    if arguments.source is not None and (len(asked) != 1 or len(typed) != 1):
        raise BadInput(
            [Problem(place="--from", expected="one NAME without a value", found=f"{len(asked)} of {len(typed)}")]
        )
    assignments = [(name, text if equals else hidden_value(name, arguments.source)) for name, equals, text in typed]
    around = Around(cwd=Path.cwd(), devices=_devices)
    return _change(arguments, settings, "ostler profile set", lambda old: assign(old, assignments, around))


def _unset(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    return _change(arguments, settings, "ostler profile unset", lambda old: unset(old, arguments.names))


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
    arguments: argparse.Namespace, settings: Settings, what: str, change: Callable[[ProfileMetadata], ProfileMetadata]
) -> ExitCode:
    """Change one profile, as it is then; or several, each as it is now, and say what became of it."""
    manager = manager_of(settings)
    ids = dict.fromkeys(arguments.profile_id.split(","))
    if len(ids) == 1 and not arguments.json:

        def put(metadata: ProfileMetadata) -> None:
            for name, value in msgspec.structs.asdict(change(metadata)).items():
                setattr(metadata, name, value)

        _say(manager.change(arguments.profile_id, put, what=what))
        return ExitCode.DONE
    found = manager.update_many([_wanted(manager, profile_id, change) for profile_id in ids], what=what)
    if arguments.json:
        print_json(found)
    else:
        say(lines_of_batch(found))
    if found.missing:
        return ExitCode.BAD_INPUT
    return ExitCode.FAILED if found.conflicts or found.failed else ExitCode.DONE


def _wanted(
    manager: ProfileManager, profile_id: str, change: Callable[[ProfileMetadata], ProfileMetadata]
) -> ProfileUpdate:
    """Return an update, based on what is there now; an empty one of what is not there, or cannot be read."""
    manager.validator.validate_id(profile_id)
    try:
        seen = manager.metadata.load(profile_id)
    except (UnknownProfile, StateCorrupt):
        return ProfileUpdate(profile_id=profile_id, changes={})
    after = change(seen)
    changes = {name: getattr(after, name) for name in changed_fields(seen, after)}
    return ProfileUpdate(profile_id=profile_id, changes=changes, based_on=revision_of(seen))


@functools.cache
def _devices() -> Mapping[str, bool]:
    from workers.browser.devices import chromium_devices  # noqa: PLC0415 - only where a device is named

    return chromium_devices()


def _say(metadata: ProfileMetadata) -> None:
    found = shown(metadata)
    lines = columns(list(found.items())) if found else ["nothing is set: the browser's own values, in each run"]
    say([f"{metadata.profile_id}:", *(f"  {line}" for line in lines)])
