"""Keeps ``jobs.turn`` true: who is next of each profile, who stands behind, whose time has not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.queue.statements import read_statements

if TYPE_CHECKING:
    from core.queue.reconciling import Statements

_STATEMENTS = read_statements("lines.sql")
_FEW = 100


def arrange(connection: Statements, now: float, scope: str | None) -> None:
    """Put all pending jobs in line anew; only what stands wrong is written."""
    connection.execute(_STATEMENTS["leave"], {"scope": scope})
    connection.execute(_STATEMENTS["arrange"], {"now": now, "scope": scope})


def wake(connection: Statements, now: float, scope: str | None) -> None:
    """Put those in line whose time has come."""
    profiles = [row[0] for row in connection.execute(_STATEMENTS["woken"], {"now": now, "most": _FEW + 1})]
    if len(profiles) > _FEW:
        arrange(connection, now, scope)
    elif profiles:
        connection.execute(_STATEMENTS["wake"], {"now": now})
        for profile_id in profiles:
            promote(connection, profile_id)


def promote(connection: Statements, profile_id: str) -> None:
    """Say who is next of a profile: its best job in line, unless it is in use."""
    connection.execute(_STATEMENTS["demote"], {"profile_id": profile_id})
    connection.execute(_STATEMENTS["promote"], {"profile_id": profile_id})
