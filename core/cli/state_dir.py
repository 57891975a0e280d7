"""What a command that looks at the queue finds in the state directory: a queue, nothing yet, or something that is none of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import Settings

_OURS = frozenset(
    {"queue.db", "orchestrator.lock", "locks", "sessions", "profiles", "workspaces", "downloads", "artifacts", "demo"}
)
_NOBODYS = frozenset({"lost+found"})
"""What a file system of its own has at its root."""


def queue_of(settings: Settings) -> Path | None:
    """Return the queue of the state directory; None if nothing was ever run or added there.

    Raises:
        BadInput: it cannot be read, or holds other things and none of ours.
    """
    directory = settings.state_dir
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return None
    except OSError as exc:
        found = f"one that cannot be read ({exc.strerror or exc})"
        raise BadInput([Problem(place=str(directory), expected="a state directory", found=found)]) from exc
    others = sorted(name for name in names - _NOBODYS if not name.startswith("."))
    if others and not names & _OURS:
        found = f"other things, such as {others[0]!r}"
        hint = "--state-dir names another"
        raise BadInput(
            [Problem(place=str(directory), expected="a state directory, or an empty one", found=found, hint=hint)]
        )
    return directory / "queue.db" if "queue.db" in names else None


def nothing_yet(settings: Settings) -> str:
    """Say that there is nothing."""
    return f"no jobs: nothing was ever run or added in {settings.state_dir}"
