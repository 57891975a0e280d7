"""Checks how a fleet is to be launched: three layers, each a function, and all that is wrong in one pass.

1. ``launch_input.validate_input``: each field by itself, as a form checks it.
2. ``launch_payload.validate_configuration``: the payload as a whole, and rules between its fields.
3. ``launch_profiles.validate_profiles``: the profiles and the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.launch_payload import read_payload
from core.domain.launch_profiles import validate_profiles
from core.domain.validation_result import ValidationResult, result_of

if TYPE_CHECKING:
    from core.domain.launch_configuration import LaunchConfiguration
    from core.domain.launch_profiles import Fleet


def validate_launch(payload: object, fleet: Fleet | None = None) -> ValidationResult[LaunchConfiguration]:
    """Check a launch configuration, and with it the fleet that it is for.

    Args:
        payload: JSON as text or bytes, or decoded; ``batch_size`` and ``batchSize`` are the same.
        fleet: what was found out about profiles and host; None: those are not checked.
    """
    launch, issues = read_payload(payload)
    if fleet is not None:
        found = validate_profiles(launch, fleet)
        issues += [*found.errors, *found.warnings]
    return result_of(launch, issues)
