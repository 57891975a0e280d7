"""The second layer's rules between fields of a launch configuration, and what a launch may ask for on this system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.domain.validation_result import IssueCode, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.domain.launch_configuration import LaunchConfiguration
    from core.domain.validation_result import Issue

_USUAL_ACTION = 10_000
"""Milliseconds that an action on a page may take unless it is said."""


def broken_rules(launch: LaunchConfiguration, values: Mapping[str, Any]) -> Iterator[tuple[list[str], Issue]]:
    """Yield what does not go together: the fields that have a part in it, by our path, the one to name first, and the issue.

    Args:
        launch: as it would be.
        values: what of it was given, by our names: a default is never beyond a limit.
    """
    yield from _beyond_limits(launch, values)
    yield from _not_possible(launch)
    system = launch.system
    action = system.timeouts.operation_timeout
    if (action or _USUAL_ACTION) >= launch.timeout_per_profile:
        fields = ["timeout_per_profile", "system.timeouts.operation_timeout"]
        expected = f"more than the {action or _USUAL_ACTION} ms of one action"
        found = f"{launch.timeout_per_profile}"
        if action is not None:
            yield fields, error(IssueCode.TIMEOUTS_CLASH, "", expected, found)
        else:
            hint = "an action that hangs is cut off before it can say why"
            yield fields, warning(IssueCode.TIMEOUTS_CLASH, "", expected, found, hint)
    if launch.batch_size < launch.concurrent_browsers:
        expected = f"at least the {launch.concurrent_browsers} browsers at a time"
        hint = "between batches the others have nothing to do"
        yield (
            ["batch_size", "concurrent_browsers"],
            warning(IssueCode.IDLE_BROWSERS, "", expected, f"{launch.batch_size}", hint),
        )
    retries = system.error_handling.retry_attempts
    if retries is not None and not launch.retry_failed_profiles:
        yield (
            ["system.error_handling.retry_attempts", "retry_failed_profiles"],
            warning(
                IssueCode.WITHOUT_EFFECT, "", "retry_failed_profiles to be true", "false", "nothing is tried again"
            ),
        )
    if not launch.cleanup_on_failure:
        hint = "the working copies of jobs that fail stay until `ostler gc`, logins and all"
        yield ["cleanup_on_failure"], warning(IssueCode.KEEPS_SECRETS, "", "true, as a rule", "false", hint)


def _beyond_limits(launch: LaunchConfiguration, values: Mapping[str, Any]) -> Iterator[tuple[list[str], Issue]]:
    limits = launch.system.batch_processing
    of = "system.batch_processing."
    for name, value, most, limit in (
        ("batch_size", launch.batch_size, limits.max_batch_size, "max_batch_size"),
        ("concurrent_browsers", launch.concurrent_browsers, limits.max_concurrent_browsers, "max_concurrent_browsers"),
    ):
        if name in values and value > most:
            yield (
                [name, of + limit],
                error(IssueCode.SYSTEM_LIMIT, "", f"at most {most}, the system's {limit}", f"{value}"),
            )
    delay, least = launch.delay_between_batches, limits.min_delay_between_batches
    if "delay_between_batches" in values and delay < least:
        yield (
            ["delay_between_batches", f"{of}min_delay_between_batches"],
            error(IssueCode.SYSTEM_LIMIT, "", f"at least {least}, the system's min_delay_between_batches", f"{delay}"),
        )
    if limits.default_batch_size > limits.max_batch_size:
        expected = f"at most max_batch_size, which is {limits.max_batch_size}"
        found = f"{limits.default_batch_size}"
        yield [f"{of}default_batch_size", f"{of}max_batch_size"], error(IssueCode.SYSTEM_LIMIT, "", expected, found)
    if limits.default_delay_between_batches < least:
        expected, found = (
            f"at least min_delay_between_batches, which is {least}",
            f"{limits.default_delay_between_batches}",
        )
        fields = [f"{of}default_delay_between_batches", f"{of}min_delay_between_batches"]
        yield fields, error(IssueCode.SYSTEM_LIMIT, "", expected, found)


def _not_possible(launch: LaunchConfiguration) -> Iterator[tuple[list[str], Issue]]:
    interval = launch.system.resources.cleanup_interval
    if interval is not None:
        hint = "attempts clean up as they end, and each start what was left; `ostler gc` removes what is old"
        yield (
            ["system.resources.cleanup_interval"],
            error(IssueCode.NOT_SUPPORTED, "", "no such field", f"{interval}", hint),
        )
