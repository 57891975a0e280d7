"""Chooses how somebody is told."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from core.domain.notification import About
from core.errors import BadInput, Problem
from core.notify.command import CommandDestination
from core.notify.delivery import Notifier
from core.notify.http import HttpDestination
from core.queue.http_feed import is_address

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from core.notify.port import Destination

_PLACE = "--notify"
LIMIT = 10.0
"""Seconds that one try may take."""


def make_notifiers(
    to: str | None, about: str, env: Mapping[str, str], *, private: Collection[str] = ()
) -> list[Notifier]:
    """Return what tells somebody; nothing where nobody is to be told.

    Args:
        to: an address, or a command.
        about: what of, with commas.
        env: of this process; a token for a server is taken from it.
        private: variables that no command is to see.

    Raises:
        BadInput: one of them is none.
    """
    kinds = _kinds(about)
    if to is None:
        return []
    destination: Destination
    if is_address(to):
        destination = HttpDestination(to, env, limit=LIMIT, place=_PLACE)
    else:
        known = {name: value for name, value in env.items() if name not in private}
        destination = CommandDestination(to, known, cwd=Path.cwd(), limit=LIMIT, place=_PLACE)
        _refuse_missing(shlex.split(to)[0], known.get("PATH"))
    return [Notifier(destination, kinds)]


def _refuse_missing(program: str, path: str | None) -> None:
    """Refuse a command that cannot be started: it would be noticed when somebody is to be told, and is not."""
    if "://" in program:  # it may have a secret in it
        found = "an address of another kind"
    elif shutil.which(program, path=path) is None:
        found = f"{program!r}, which is no program here"
    else:
        return
    raise BadInput([Problem(place=_PLACE, expected="a command, or an address https://…", found=found)])


def _kinds(text: str) -> frozenset[About]:
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if name not in tuple(About)]
    if wrong:
        expected = f"some of {', '.join(About)}, with commas"
        raise BadInput([Problem(place="--notify-on", expected=expected, found=repr(wrong[0][:64]))])
    return frozenset(map(About, names))
