"""A profile's ID on the command line: which one is meant where none is given, and which ones a shell may complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.domain.validation import require_id
from core.errors import OstlerError
from core.profiles import places

if TYPE_CHECKING:
    import argparse

    from core.settings import Settings

WHERE_NONE = "default: the active profile, else `default`"


def add_id(parser: argparse.ArgumentParser, *, needed: bool = False, says: str | None = None) -> None:
    """Add the argument for an ID, which shells complete.

    Args:
        parser: where to.
        needed: it must be given.
        says: its help, where that is not obvious.
    """
    if needed:
        action = parser.add_argument("profile_id", metavar="ID", help=says)
    else:
        action = parser.add_argument("profile_id", metavar="ID", nargs="?", help=says or WHERE_NONE)
    action.completer = _known  # type: ignore[attr-defined]


def chosen_id(given: str | None, settings: Settings) -> str:
    """Return the ID that was given, else the active profile's, else ``default``.

    Raises:
        BadInput: it cannot be an ID.
    """
    if given is not None:
        return require_id(given, "ID")
    from core.profiles.manager import ProfileManager  # noqa: PLC0415 - most commands are told an ID

    return ProfileManager(settings.state_dir).chosen()


def _known(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Return the IDs that begin with what was typed; a shell that asks never sees an error."""
    from core.settings import load  # noqa: PLC0415 - only a shell that asks needs it

    try:
        settings = load({"state_dir": getattr(parsed_args, "state_dir", None)}, os.environ, cwd=Path.cwd())
        return [profile_id for profile_id in places.ids(settings.state_dir) if profile_id.startswith(prefix)]
    except (OstlerError, OSError):
        return []
