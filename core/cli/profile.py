"""``ostler profile``: named profiles, their life and their health.

The commands stand in modules of their own, each with ``register(commands)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.cli import profile_archive, profile_care, profile_life, profile_look, profile_open, profile_settings
from core.cli.command import add_command

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

_COMMANDS: tuple[ModuleType, ...] = (
    profile_life,
    profile_look,
    profile_open,
    profile_settings,
    profile_care,
    profile_archive,
)


def register(groups: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = add_command(
        groups, "profile", "look after named profiles", ["profile list", "profile create anna --platform whatsapp"]
    )
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.register(commands)
