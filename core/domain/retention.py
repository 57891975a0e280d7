"""How long what piles up is kept, and what is due to go: decided here, removed by ``core.upkeep``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Limit = float | Literal["never"]
"""A number of days or bytes; ``never``: nothing goes for this reason."""
DAY = 86_400.0


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[retention]`` of ``ostler.toml``: what ``ostler gc`` removes. Ages count from when a thing last changed.

    Nothing here touches sessions, profiles and their saved browser data, login states or identities.

    Attributes:
        logs_days: logs of profiles, and rotated ones of the orchestrator.
        logs_bytes: what all of these may take together; the oldest go first.
        events_days: rotated event logs; the one in use stays.
        artifacts_days: what attempts left as evidence.
        artifacts_bytes: what all of it may take together; the oldest attempts go first.
        downloads_days: files that flows downloaded. They are results, so by default they stay.
        jobs_days: records of done and cancelled jobs. Without them a feed that still names these jobs runs them again.
        workspaces_days: copies that crashed attempts left for jobs that were never run again.
    """

    logs_days: Limit = 30.0
    logs_bytes: Limit = "never"
    events_days: Limit = 90.0
    artifacts_days: Limit = 30.0
    artifacts_bytes: Limit = 2.0 * 1024**3
    downloads_days: Limit = "never"
    jobs_days: Limit = "never"
    workspaces_days: Limit = 30.0


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Something that may go.

    Attributes:
        path: which file or directory.
        owner: the profile whose lock protects it; empty where the orchestrator's does.
        bytes: its size.
        changed: when it last changed, epoch seconds.
    """

    path: str
    owner: str
    bytes: int
    changed: float


def before(days: Limit, now: float) -> float | None:
    """Return the moment before which things are too old, None if they never are."""
    return None if days == "never" else now - float(days) * DAY


def due(items: Iterable[Item], *, days: Limit, most: Limit = "never", now: float) -> list[Item]:
    """Return what is to go, the oldest first: what is too old, and then what exceeds ``most`` bytes together."""
    oldest = sorted(items, key=lambda item: (item.changed, item.path))
    moment = before(days, now)
    going = [item for item in oldest if moment is not None and item.changed < moment]
    staying = oldest[len(going) :]
    if most != "never":
        excess = sum(item.bytes for item in staying) - float(most)
        for item in staying:
            if excess <= 0:
                break
            going.append(item)
            excess -= item.bytes
    return going
