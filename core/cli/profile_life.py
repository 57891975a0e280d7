"""``ostler profile create|activate|deactivate|delete|clone|rename``: the life of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import print_json, say
from core.cli.profile_id import add_id
from core.cli.profile_settings import require_hidden
from core.cli.profile_shown import ShownChange
from core.cli.profiles import manager_of
from core.domain.outcome import ExitCode
from core.domain.validation import ID_RULE, require_id
from core.errors import BadInput, Problem
from core.profiles.platforms import platform_names
from core.profiles.port import ProfileMetadata
from core.profiles.settings import Around, assign
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    import argparse

    from core.profiles.inspection import Profile
    from core.settings import Settings

_JSON = "as JSON (docs/schemas/profile-change.json)"
_SETTINGS = ("flow", "start_url", "device", "locale", "timezone", "viewport", "color_scheme")


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the commands to the group."""
    _register_create(commands)
    activate = add_command(
        commands, "activate", "make a profile the one that is meant where no ID is given", ["profile activate anna"]
    )
    add_id(activate, needed=True)
    activate.set_defaults(run=_activate)
    deactivate = add_command(commands, "deactivate", "let no profile be the active one", ["profile deactivate"])
    add_id(deactivate)
    deactivate.set_defaults(run=_deactivate)
    delete = add_command(
        commands, "delete", "remove a profile with its session and browser data", ["profile delete anna", "profile delete anna --force"],
        more="Downloads, evidence and logs of its runs stay. The active profile, and one that somebody works with, is refused.",
    )  # fmt: skip
    add_id(delete, needed=True)
    delete.add_argument("--force", action="store_true", help="also the active one; and stop who works with it")
    delete.set_defaults(run=_delete)
    clone = add_command(
        commands, "clone", "make a copy of a profile: settings, browser data and login state",
        ["profile clone anna anna2", "profile clone anna anna2 --with-session"],
        more="The copy has no step done, unless its session is copied, too.",
    )  # fmt: skip
    add_id(clone, needed=True)
    clone.add_argument("new", metavar="NEW", help=ID_RULE)
    clone.add_argument(
        "--with-session", action="store_true", help="what is done for it, its identity and its outputs, too"
    )
    clone.set_defaults(run=_clone)
    rename = add_command(
        commands, "rename", "give a profile another ID", ["profile rename anna bert"],
        more="Session, downloads and evidence go along. Refused while jobs of the queue name it.",
    )  # fmt: skip
    add_id(rename, needed=True)
    rename.add_argument("new", metavar="NEW", help=ID_RULE)
    rename.set_defaults(run=_rename)
    for command in (activate, deactivate, delete, clone, rename):
        command.add_argument("--json", action="store_true", help=_JSON)


def _register_create(commands: argparse._SubParsersAction[Any]) -> None:
    create = add_command(
        commands, "create", "make a profile",
        ["profile create anna --platform whatsapp", "profile create anna --template ~/base --tag support",
         "profile create anna --import ~/old"],
        more="It begins with what its platform says: a start page, and this host's language and time zone, which stay with it. "
        "`ostler profile set` changes all of it.",
    )  # fmt: skip
    add = create.add_argument
    add("profile_id", metavar="ID", help=ID_RULE)
    add("--platform", metavar="NAME", default="custom", help=f"{', '.join(platform_names())} (default custom)")
    add("--template", metavar="DIR", help="closed user-data-dir that its browser data begins with")
    add("--import", dest="source", metavar="DIR", help="closed user-data-dir, or a directory with browser_profile/ and session.json, "
        "that it goes on with")  # fmt: skip
    add("--name", metavar="TEXT", help="what people call it")
    add("--tag", metavar="TAG", action="append", default=[], dest="tags", help="a word to find it by; may be repeated")
    add("--flow", metavar="FILE", help="flow of jobs that name none")
    add("--start-url", metavar="URL", help="where a person begins")
    add("--device", choices=("desktop", "mobile"))
    add("--locale", metavar="TAG", help="as de-DE")
    add("--timezone", metavar="NAME", help="as Europe/Berlin")
    add("--viewport", metavar="WxH", help="as 1280x720")
    add("--color-scheme", choices=("light", "dark", "no-preference"))
    add("--json", action="store_true", help=_JSON)
    create.set_defaults(run=_create)


def _create(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = require_id(arguments.profile_id, "ID")
    typed = [(name, text) for name in _SETTINGS if (text := getattr(arguments, name)) is not None]
    require_hidden(typed)
    chosen = assign(ProfileMetadata(profile_id=profile_id), typed, Around(cwd=Path.cwd(), devices=dict))
    profile = manager_of(settings).create(
        profile_id,
        arguments.platform,
        template=arguments.template,
        source=arguments.source,
        name=arguments.name,
        tags=arguments.tags,
        settings={name: getattr(chosen, name) for name, _ in typed},
    )
    return _done(arguments, ShownChange(did="created", id=profile.id, profile=profile), f"{profile.id} is created")


def _activate(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    manager = manager_of(settings)
    before = manager.activate(arguments.profile_id)
    profile = manager.get(arguments.profile_id)
    if before == profile.id:
        text = f"{profile.id} is the active profile already"
    else:
        text = f"{profile.id} is the active profile" + ("" if before is None else f"; before it was {before}")
    return _done(arguments, ShownChange(did="activated", id=profile.id, profile=profile), text)


def _deactivate(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    manager = manager_of(settings)
    before = manager.deactivate(arguments.profile_id)
    profile = None if before is None else manager.get(before)
    text = "no profile was active" if before is None else f"{before} is not active any more"
    return _done(arguments, ShownChange(did="deactivated", id=before, profile=profile), text)


def _delete(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = arguments.profile_id
    manager_of(settings).delete(profile_id, force=arguments.force)
    notes: tuple[str, ...] = ()
    if _is_wanted(settings.state_dir, profile_id):
        notes = (f"jobs of the queue still name it, and make it anew: ostler queue list --profile {profile_id}",)
    return _done(arguments, ShownChange(did="deleted", id=profile_id, notes=notes), f"{profile_id} is deleted")


def _clone(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile = manager_of(settings).clone(arguments.profile_id, arguments.new, with_session=arguments.with_session)
    text = f"{profile.id} is a copy of {arguments.profile_id}"
    return _done(arguments, ShownChange(did="cloned", id=profile.id, profile=profile), text)


def _rename(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    profile_id = require_id(arguments.profile_id, "ID")
    if _is_wanted(settings.state_dir, profile_id):
        hint = f"wait for them, or cancel them: ostler queue list --profile {profile_id}"
        found = f"jobs of the queue that name {profile_id}"
        raise BadInput([Problem(place="ID", expected="a profile that no job waits for", found=found, hint=hint)])
    profile: Profile = manager_of(settings).rename(profile_id, arguments.new)
    return _done(
        arguments, ShownChange(did="renamed", id=profile.id, profile=profile), f"{profile_id} is {profile.id} now"
    )


def _done(arguments: argparse.Namespace, change: ShownChange, text: str) -> ExitCode:
    if arguments.json:
        print_json(change)
    else:
        say([text, *change.notes])
    return ExitCode.DONE


def _is_wanted(state_dir: Path, profile_id: str) -> bool:
    """Whether a job that has not ended names a profile."""
    path = state_dir / "queue.db"
    if not path.exists():
        return False
    queue = SqliteQueue(path, read_only=True)
    try:
        return profile_id in queue.pending_profiles()
    finally:
        queue.close()
