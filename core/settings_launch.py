"""A launch configuration as a file: read, checked, and turned into settings of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from core.domain.launch_configuration import LaunchConfiguration, Setting, engine_settings
from core.domain.launch_payload import LARGEST
from core.domain.launch_validation import validate_launch
from core.errors import BadInput, Problem
from core.input_file import absolute, opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from core.domain.launch_profiles import Fleet
    from core.domain.validation_result import Issue, ValidationResult


class LaunchFile(NamedTuple):
    """What a launch configuration asks for.

    Attributes:
        place: what the user calls it.
        settings: by name, each with the field that it comes from.
        warnings: what should be known of it, a line each.
    """

    place: str
    settings: Mapping[str, Setting]
    warnings: tuple[str, ...]


def check_launch_file(name: str, *, cwd: Path, fleet: Fleet | None = None) -> ValidationResult[LaunchConfiguration]:
    """Return what came of checking a file.

    Args:
        name: as the user calls it; a relative path starts from ``cwd``.
        cwd: see above.
        fleet: what was found out about profiles and host; None: those are not checked.

    Raises:
        BadInput: there is no such file, or it may not be read.
    """
    with opened(absolute(name, cwd), name, "a launch configuration", "write it to a file") as file:
        return validate_launch(file.read(LARGEST + 1), fleet)


def read_launch_file(name: str, *, cwd: Path) -> LaunchFile:
    """Return what a file asks for.

    Args:
        name: as the user calls it; a relative path starts from ``cwd``.
        cwd: see above.

    Raises:
        BadInput: one problem for each that it has.
    """
    found = check_launch_file(name, cwd=cwd)
    if found.sanitized_data is None:
        raise BadInput([_problem(name, issue) for issue in found.errors])
    warnings = tuple(str(_problem(name, issue)) for issue in found.warnings)
    return LaunchFile(name, engine_settings(found.sanitized_data), warnings)


def _problem(place: str, issue: Issue) -> Problem:
    return Problem(place=place, field=issue.field, expected=issue.expected, found=issue.found, hint=issue.hint)
