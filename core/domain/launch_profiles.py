"""The third layer: the profiles that are to be launched, and the host. What it looks at is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from core.domain.launch_input import shown
from core.domain.validation import ID_RULE, case_collisions, is_valid_id
from core.domain.validation_result import IssueCode, ValidationResult, error, result_of, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.domain.launch_configuration import LaunchConfiguration
    from core.domain.validation_result import Issue

_MB = 1024 * 1024


class KnownProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that is there.

    Attributes:
        problem: why it is corrupted; empty if it is not.
        holder: who works with it; empty for nobody.
        bytes: its browser data, of which each attempt makes a copy.
    """

    problem: str = ""
    holder: str = ""
    bytes: int = 0


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be launched, and where.

    Attributes:
        profile_ids: in order.
        known: those of them that are there.
        disk_free: bytes that are free where working copies are; None: not known.
        disk_reserve: bytes of them that stay free.
        memory_free: bytes that are free; None: not known.
        memory_reserve: bytes of them that are left to others.
        browser_memory: bytes that a browser and its worker are taken to want.
    """

    profile_ids: tuple[str, ...]
    known: Mapping[str, KnownProfile] = {}
    disk_free: int | None = None
    disk_reserve: int = 0
    memory_free: int | None = None
    memory_reserve: int = 0
    browser_memory: int = 0


def validate_profiles(launch: LaunchConfiguration, fleet: Fleet) -> ValidationResult[tuple[str, ...]]:
    """Check the profiles and the host (third layer): their data, the resources, and what stands in the way of a launch.

    Args:
        launch: as the second layer returned it.
        fleet: what was found out about profiles and host.

    Returns:
        the profiles, in order.
    """
    return result_of(fleet.profile_ids, [*_of_profiles(fleet), *_of_host(launch, fleet)])


def _of_profiles(fleet: Fleet) -> Iterator[Issue]:
    ids = fleet.profile_ids
    if not ids:
        yield error(IssueCode.NO_PROFILES, "profiles", "at least one profile", "none")
    places: dict[str, str] = {}
    for index, profile_id in enumerate(ids):
        where = f"profiles[{index}]"
        if places.setdefault(profile_id, where) != where:
            yield error(
                IssueCode.PROFILE_TWICE, where, "each profile once", f"{shown(profile_id)}, as in {places[profile_id]}"
            )
    for first, second in case_collisions(places):
        found = f"{shown(second)} beside {shown(first)}"
        yield error(IssueCode.PROFILE_TWICE, places[second], "IDs that differ in more than case", found)
    for profile_id, where in places.items():
        if not is_valid_id(profile_id):
            yield error(IssueCode.BAD_PROFILE_ID, where, ID_RULE, shown(profile_id))
            continue
        known = fleet.known.get(profile_id)
        if known is None:
            hint = f"{profile_id} will be made, with nothing in it"
            yield warning(IssueCode.PROFILE_NEW, where, "a profile that is there", "none of that name", hint)
        elif known.problem:
            hint = f"ostler profile recover {profile_id}"
            yield error(IssueCode.PROFILE_DAMAGED, where, "a profile that is whole", known.problem, hint)
        elif known.holder:
            hint = "it waits, at no cost, and is tried again"
            yield warning(
                IssueCode.PROFILE_IN_USE, where, f"{profile_id} to be free", f"it held by {known.holder}", hint
            )


def _of_host(launch: LaunchConfiguration, fleet: Fleet) -> Iterator[Issue]:
    at_work = min(launch.batch_size + launch.concurrent_browsers, len(fleet.profile_ids))
    copies = sorted((known.bytes for known in fleet.known.values()), reverse=True)[:at_work]
    if fleet.disk_free is not None and fleet.disk_free - fleet.disk_reserve < sum(copies):
        expected = f"{_mb(sum(copies))} for {len(copies)} working copies, and {_mb(fleet.disk_reserve)} that stay free"
        hint = "make room, or have smaller batches"
        yield error(IssueCode.NOT_ENOUGH_DISK, "system.resources", expected, f"{_mb(fleet.disk_free)} free", hint)
    browsers = min(launch.concurrent_browsers, len(fleet.profile_ids))
    if fleet.memory_free is not None and fleet.memory_free - fleet.memory_reserve < browsers * fleet.browser_memory:
        expected = (
            f"{_mb(fleet.browser_memory)} for each of {browsers} browsers, and {_mb(fleet.memory_reserve)} for others"
        )
        hint = "fewer will run at a time"
        yield warning(IssueCode.NOT_ENOUGH_MEMORY, "system.resources", expected, f"{_mb(fleet.memory_free)} free", hint)


def _mb(number: int) -> str:
    return f"{number / _MB:.0f} MB"
