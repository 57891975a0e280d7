"""``ostler identity``: a profile's own data. Values come from a prompt, standard input, a private file or the environment;
never from the command line, where every user of the host could read them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.hidden_value import SOURCES, hidden_value, private_file, standard_input
from core.cli.printing import print_json, say
from core.cli.profile_id import add_id, chosen_id
from core.cli.stores import change_session, shown, stored_session
from core.domain.outcome import ExitCode
from core.domain.session import Identity, SessionState
from core.domain.validation import require_id
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    import argparse

    from core.settings import Settings

_FIELDS = tuple(name for name in Identity.__struct_fields__ if name != "extra")
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(
        groups, "identity", "give a profile its e-mail address, password and so on", ["identity set anna password"]
    )
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    one = add_command(
        commands, "set", "set one field; asks for the value on a terminal",
        ["identity set anna password", "identity set anna password --from env:ANNA_PASSWORD"],
    )  # fmt: skip
    add_id(one, needed=True)
    one.add_argument("field", metavar="FIELD", help=f"{', '.join(_FIELDS)}, or any other name")
    one.add_argument("--from", dest="source", metavar="SOURCE", help=SOURCES)
    one.set_defaults(run=_set)
    many = add_command(
        commands, "import", "set the fields of a JSON object; those it does not name stay",
        ["identity import anna anna.json"],
    )  # fmt: skip
    add_id(many, needed=True)
    many.add_argument("source", metavar="FILE", help="a file with mode 0600, or - for standard input")
    many.set_defaults(run=_import)
    show = add_command(commands, "show", "print a profile's identity; secrets are masked", ["identity show anna"])
    add_id(show)
    show.add_argument("--json", action="store_true", help="as JSON, which it is anyway")
    show.set_defaults(run=_show)


def _set(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id, field = require_id(arguments.profile_id), arguments.field
    if not _NAME.fullmatch(field) or field == "extra":
        # not repeated: whoever types `password=…` here has typed a secret
        hint = f"the value comes with --from: {SOURCES}" if "=" in field else ""
        raise BadInput(
            [Problem(place="FIELD", expected="a name of letters, digits and _", found="something else", hint=hint)]
        )
    value = hidden_value(field, arguments.source)
    if not value:
        raise BadInput([Problem(place=arguments.source or "prompt", field=field, expected="a value", found="nothing")])
    _merge(settings, profile_id, "ostler identity set", {field: value}, place="--from")
    say([f"{profile_id}: {field} is set"])
    return ExitCode.DONE


def _import(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id, source = require_id(arguments.profile_id), arguments.source
    place = "<stdin>" if source == "-" else source
    text = standard_input() if source == "-" else private_file(source)
    try:
        values = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as exc:
        raise BadInput([Problem(place=place, expected="a JSON object", found=str(exc))]) from None
    _merge(settings, profile_id, "ostler identity import", values, place=place)
    say([f"{profile_id}: {', '.join(values) or 'nothing'} set"])
    return ExitCode.DONE


def _show(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = chosen_id(arguments.profile_id, settings)
    stored = stored_session(settings, profile_id)
    if stored is None:
        raise BadInput([Problem(place="ID", expected="a profile with a session", found=repr(profile_id))])
    plain = shown(stored.value)["identity"]
    print_json(plain)
    return ExitCode.DONE


def _merge(settings: Settings, profile_id: str, what: str, values: dict[str, Any], *, place: str) -> None:
    """Set these fields, those that ``Identity`` does not name under ``extra``; the others stay as they are."""
    known = {name: value for name, value in values.items() if name in _FIELDS}
    extra = values.get("extra", {})
    if not isinstance(extra, dict):
        raise BadInput([Problem(place=place, field="extra", expected="an object", found=type(extra).__name__)])
    extra = {**extra, **{name: value for name, value in values.items() if name not in (*_FIELDS, "extra")}}
    try:
        msgspec.convert(known, Identity)
    except msgspec.ValidationError as exc:
        raise BadInput([Problem(place=place, expected="text", found=str(exc))]) from None

    def change(session: SessionState | None) -> SessionState:
        session = session or SessionState(profile_id=profile_id)
        identity = msgspec.structs.replace(session.identity, **known, extra={**session.identity.extra, **extra})
        return msgspec.structs.replace(session, identity=identity)

    change_session(settings, profile_id, what, change)
