"""``ostler session``: what is done for a profile, and doing it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.command import add_command
from core.cli.printing import print_json, say, say_aside
from core.cli.profile_id import add_id, chosen_id
from core.cli.stores import change_session, shown, stored_session
from core.domain.outcome import ExitCode
from core.domain.session import reset
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    import argparse

    from core.domain.session import SessionState
    from core.settings import Settings


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(groups, "session", "show or reset what is done for a profile", ["session show anna"])
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    show = add_command(
        commands,
        "show",
        "print a profile's session; secrets are masked",
        ["session show anna", "session show anna --json"],
    )
    add_id(show)
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=_show)
    again = add_command(
        commands, "reset", "forget what is done, so that it is done again; identity and outputs stay",
        ["session reset anna --step greeted", "session reset anna"],
    )  # fmt: skip
    add_id(again, needed=True)
    again.add_argument("--step", metavar="NAME", help="only this completion flag")
    again.set_defaults(run=_reset)


def _show(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = chosen_id(arguments.profile_id, settings)
    stored = stored_session(settings, profile_id)
    if stored is None:
        raise BadInput([_missing(profile_id)])
    if stored.recovered:
        say_aside("the session's file is damaged; this is the version before (the bytes are kept beside it)")
    plain = shown(stored.value)
    if arguments.json:
        print_json(plain)
        return ExitCode.DONE
    lines = [f"{name:<18}{plain[name]}" for name in ("profile_id", "status", "platform", "login_generation")]
    for group in ("completion_flags", "identity", "outputs", "remembered"):
        lines += [group, *_table(plain[group])]
    say(lines)
    return ExitCode.DONE


def _table(values: dict[str, Any]) -> list[str]:
    extra = values.get("extra")
    flat = (
        {**{name: value for name, value in values.items() if name != "extra"}, **extra}
        if isinstance(extra, dict)
        else values
    )
    present = {name: value for name, value in flat.items() if value is not None}
    texts = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in present.items()
    }
    return [f"  {name:<24}{text}" for name, text in texts.items()] or ["  (nothing)"]


def _reset(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    flag: str | None = arguments.step
    profile_id: str = arguments.profile_id

    def change(session: SessionState | None) -> SessionState:
        if session is None:
            raise BadInput([_missing(profile_id)])
        if flag is not None and flag not in session.completion_flags:
            known = ", ".join(sorted(session.completion_flags)) or "none"
            raise BadInput(
                [Problem(place="--step", expected=f"one of this profile's flags ({known})", found=repr(flag))]
            )
        return reset(session, flag)

    if stored_session(settings, profile_id) is None:  # before the lock: looking for what is not there leaves no trace
        raise BadInput([_missing(profile_id)])
    change_session(settings, profile_id, "ostler session reset", change)
    say([f"{profile_id}: {flag or 'all steps'} will be done again: by run.py, or a run of the queue with --again"])
    return ExitCode.DONE


def _missing(profile_id: str) -> Problem:
    return Problem(place="ID", expected="a profile with a session", found=repr(profile_id))
