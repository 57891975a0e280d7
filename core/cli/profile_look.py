"""``ostler profile list|status|size|usage|diff|doctor``: what there is to know of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.cli.command import add_command
from core.cli.printing import lines_of_findings, print_json, say
from core.cli.profile_id import add_id
from core.cli.profile_shown import (
    ShownProfile,
    ShownProfiles,
    lines_of_difference,
    lines_of_list,
    lines_of_size,
    lines_of_status,
    lines_of_usage,
)
from core.domain.outcome import ExitCode
from core.profiles.manager import ProfileManager
from core.profiles.views import STATUSES
from core.upkeep.finding import CheckUp, Level

if TYPE_CHECKING:
    import argparse

    from core.profiles.views import Which
    from core.settings import Settings


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the commands to the group."""
    listing = add_command(
        commands, "list", "list profiles: status, platform, login, who works with them",
        ["profile list", "profile list --status failed --status in_use", "profile list --corrupted --json"],
    )  # fmt: skip
    which = listing.add_mutually_exclusive_group()
    for name, says in (
        ("all", "all of them (default)"),
        ("active", "the active one"),
        ("corrupted", "those that are damaged"),
    ):
        which.add_argument(f"--{name}", dest="which", action="store_const", const=name, help=says)
    which.add_argument(
        "--status",
        action="append",
        metavar="STATUS",
        help=f"those in one of these, given once or more: {', '.join(STATUSES)}",
    )
    listing.set_defaults(run=_list, which="all")
    status = add_command(
        commands, "status", "say everything about one profile, and what is damaged",
        ["profile status anna", "profile status anna --deep"],
        more="Damage that is found is marked: such a profile is not activated before it is recovered. Exit code 3 if there is any.",
    )  # fmt: skip
    add_id(status)
    status.set_defaults(run=_status)
    size = add_command(commands, "size", "say what a profile takes on disk, by part", ["profile size anna"])
    add_id(size)
    size.set_defaults(run=_size)
    usage = add_command(
        commands, "usage", "say what all profiles take: on disk, and in memory where somebody works with them",
        ["profile usage", "profile usage --json"],
    )  # fmt: skip
    usage.set_defaults(run=_usage)
    diff = add_command(
        commands, "diff", "say how a profile's browser data differs from its template",
        ["profile diff anna", "profile diff anna --against bert", "profile diff anna --against ~/base"],
    )  # fmt: skip
    add_id(diff)
    diff.add_argument("--against", metavar="WHAT", help="another profile, or a user-data-dir; default: its template")
    diff.set_defaults(run=_diff)
    doctor = add_command(
        commands, "doctor", "look at all profiles and at what stands around them", ["profile doctor", "profile doctor --deep"],
        more="What killed operations left is finished first. Exit code 1 if anything is BAD.",
    )  # fmt: skip
    doctor.set_defaults(run=_doctor)
    for command in (status, doctor):
        command.add_argument(
            "--deep", action="store_true", help="read all browser data and compare it with what was saved"
        )
    for command, name in ((listing, "list"), (status, "status"), (size, "size"), (usage, "usage"), (diff, "diff")):
        command.add_argument("--json", action="store_true", help=f"as JSON (docs/schemas/profile-{name}.json)")
    doctor.add_argument("--json", action="store_true", help="as JSON (docs/schemas/doctor.json)")


def _list(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    manager = ProfileManager(settings.state_dir)
    which: Which = arguments.which
    found = manager.by_status(*arguments.status) if arguments.status else manager.list(which)
    if arguments.json:
        print_json(ShownProfiles(active=manager.registry.get_active(), profiles=found))
    else:
        say(lines_of_list(found))
    return ExitCode.DONE


def _status(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    report = ProfileManager(settings.state_dir).status(arguments.profile_id, deep=arguments.deep)
    if arguments.json:
        print_json(ShownProfile.of(report))
    else:
        say([*lines_of_status(report), *lines_of_findings(report.findings)])
    bad = report.profile.status == "corrupted" or any(finding.level is Level.BAD for finding in report.findings)
    return ExitCode.QUARANTINED if bad else ExitCode.DONE


def _size(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    found = ProfileManager(settings.state_dir).size(arguments.profile_id)
    if arguments.json:
        print_json(found)
    else:
        say(lines_of_size(found))
    return ExitCode.DONE


def _usage(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    found = ProfileManager(settings.state_dir).get_memory_usage()
    if arguments.json:
        print_json(found)
    else:
        say(lines_of_usage(found))
    return ExitCode.DONE


def _diff(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    found = ProfileManager(settings.state_dir).diff(arguments.profile_id, against=arguments.against)
    if arguments.json:
        print_json(found)
    else:
        say(lines_of_difference(found))
    return ExitCode.DONE


def _doctor(arguments: argparse.Namespace, settings: Settings) -> ExitCode:
    findings = ProfileManager(settings.state_dir).doctor(deep=arguments.deep)
    well = all(finding.level is not Level.BAD for finding in findings)
    if arguments.json:
        print_json(CheckUp(well=well, findings=findings))
    else:
        say(lines_of_findings(findings))
    return ExitCode.DONE if well else ExitCode.FAILED
