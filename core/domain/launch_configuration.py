"""How a fleet is launched, as a panel or a file says it: few fields, narrow ranges, whole numbers and milliseconds.

The ranges bind here only; settings and the command line reach as far as the host does. Every field says in its annotation
what it takes; the table in docs/launch-configuration.md and the published schema are made from that.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

SYSTEM = "system"
"""The field of the payload that holds the system configuration."""
_DAY = 86_400_000
_MB = 1024 * 1024

BatchSize = Annotated[int, Meta(ge=1, le=20, extra_json_schema={"unit": "jobs"})]
Browsers = Annotated[int, Meta(ge=1, le=5, extra_json_schema={"unit": "browsers"})]
Retries = Annotated[int, Meta(ge=1, le=10, extra_json_schema={"unit": "attempts"})]
Pause = Annotated[int, Meta(ge=0, le=_DAY, extra_json_schema={"unit": "ms"})]
Second = Annotated[int, Meta(ge=1000, le=_DAY, extra_json_schema={"unit": "ms"})]
TenSeconds = Annotated[int, Meta(ge=10_000, le=_DAY, extra_json_schema={"unit": "ms"})]
Megabytes = Annotated[int, Meta(ge=0, le=1024 * 1024, extra_json_schema={"unit": "MB"})]
Share = Annotated[float, Meta(ge=0, le=1, extra_json_schema={"unit": "share"})]
"""Numbers by the least that they may be, and what they count; of milliseconds a day is the most."""


def says(text: str) -> Meta:
    """Return what a field is for, and which setting it becomes."""
    return Meta(description=text)


class BatchProcessing(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch may ask for on this system, and what it has where it says nothing: limits can only be narrowed."""

    default_batch_size: Annotated[BatchSize, says("batch size of a launch that names none")] = 10
    max_batch_size: Annotated[BatchSize, says("largest batch size that a launch may ask for")] = 20
    min_delay_between_batches: Annotated[Second, says("shortest delay that a launch may ask for")] = 1000
    default_delay_between_batches: Annotated[Second, says("delay of a launch that names none")] = 2000
    max_concurrent_browsers: Annotated[Browsers, says("most browsers that a launch may ask for")] = 5


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long one thing may take. None: as the settings say."""

    profile_initialization: Annotated[
        Second | None, says("from the start of a worker until it answers: `start_timeout`")
    ] = None
    browser_launch: Annotated[
        Second | None,
        says("starting the browser; it is connected to in the same call: `browser_timeout` is the sum of both"),
    ] = None
    cdp_connection: Annotated[Second | None, says("connecting to the browser; see `browser_launch`")] = None
    operation_timeout: Annotated[
        Second | None, says("one action on a page (a click, a navigation): `action_timeout`")
    ] = None


class ErrorHandling(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a failure. None: as the settings say."""

    retry_attempts: Annotated[
        Retries | None,
        says("attempts after the first, where a launch retries: `max_attempts` is one more"),
    ] = None
    retry_delay: Annotated[Pause | None, says("before the first retry; doubles: `retry_delay`")] = None
    cleanup_on_failure: Annotated[bool, says("`cleanup_on_failure` of a launch that does not say")] = True
    continue_on_error: Annotated[bool, says("whether more jobs are started after one failed for good")] = True


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What others are left of the host, and how long a browser may wait for a person. None: as the settings say."""

    memory_threshold: Annotated[
        Megabytes | None,
        says("memory that stays free for others; less of it, and nothing is started: `memory_reserve_bytes`"),
    ] = None
    cpu_threshold: Annotated[
        Share | None,
        says("share of all cores that others may use; more of it, and nothing is started: `cpu_threshold`"),
    ] = None
    cleanup_interval: Annotated[
        Second | None,
        says(
            "not possible: each attempt cleans up as it ends, and each start what was left, so nothing is due in between"
        ),
    ] = None
    max_idle_time: Annotated[
        Pause | None,
        says("how long a browser stays open for a person once nothing else is left to do: `wait_parked`"),
    ] = None


class SystemConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every launch on this system, in four groups."""

    batch_processing: BatchProcessing = BatchProcessing()
    timeouts: Timeouts = Timeouts()
    error_handling: ErrorHandling = ErrorHandling()
    resources: Resources = Resources()


class LaunchConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How a fleet is launched. It is whole: what is not named has its default, whatever the settings say."""

    batch_size: Annotated[
        BatchSize, says("jobs that are prepared together, then launched one by one: `batch_size`")
    ] = 10
    delay_between_batches: Annotated[
        Second, says("between the last launch of a batch and the next batch: `batch_delay`")
    ] = 2000
    timeout_per_profile: Annotated[
        TenSeconds,
        says(
            "longest time without progress, a step's own limit aside: `progress_timeout`, and `start_timeout` unless set below"
        ),
    ] = 30_000
    retry_failed_profiles: Annotated[
        bool, says("whether a job that failed is tried again: `max_attempts`, 1 if not, else 3 unless set below")
    ] = False
    cleanup_on_failure: Annotated[
        bool,
        says("whether the working copy of a job that failed is removed; if not it is kept as evidence: `keep_failed`"),
    ] = True
    concurrent_browsers: Annotated[Browsers, says("browsers at a time: `max_concurrent`")] = 3
    system: Annotated[SystemConfiguration, says("what holds for every launch on this system")] = SystemConfiguration()


class Setting(NamedTuple):
    """A value of the engine's, and the field that it comes from."""

    value: int | float | bool | str
    field: str


class Field(NamedTuple):
    """What a field takes.

    Attributes:
        name: in our spelling.
        type: int, float, bool, or the struct of a group.
        least: the smallest number.
        most: the largest.
        unit: what it counts; empty where it counts nothing.
        default: where it is not named; None: as the settings say.
        says: what it is for.
    """

    name: str
    type: Any
    least: float
    most: float
    unit: str
    default: Any
    says: str

    @property
    def camel(self) -> str:
        """The name as JavaScript spells it."""
        first, *rest = self.name.split("_")
        return first + "".join(part.title() for part in rest)


def fields_of(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """Return what each field of a struct takes, by our name."""
    found = {}
    for one in msgspec.structs.fields(struct):
        type_, metas = _unwrapped(one.type)
        least, most, unit, text = 0.0, 0.0, "", ""
        for meta in metas:
            least, most = (meta.ge or 0, meta.le) if meta.le is not None else (least, most)
            unit = (meta.extra_json_schema or {}).get("unit", unit)
            text = meta.description or text
        found[one.name] = Field(one.name, type_, least, most, unit, one.default, text)
    return found


def engine_settings(launch: LaunchConfiguration) -> dict[str, Setting]:
    """Return what a launch asks of the engine: settings by name, in their units (seconds, bytes)."""
    found = {
        "batch_size": Setting(launch.batch_size, "batch_size"),
        "batch_delay": Setting(launch.delay_between_batches / 1000, "delay_between_batches"),
        "progress_timeout": Setting(launch.timeout_per_profile / 1000, "timeout_per_profile"),
        "start_timeout": Setting(launch.timeout_per_profile / 1000, "timeout_per_profile"),
        "max_attempts": Setting(3 if launch.retry_failed_profiles else 1, "retry_failed_profiles"),
        "keep_failed": Setting(not launch.cleanup_on_failure, "cleanup_on_failure"),
        "max_concurrent": Setting(launch.concurrent_browsers, "concurrent_browsers"),
    }
    for name, field, value in _of_system(launch):
        if value is not None:
            found[name] = Setting(value, f"{SYSTEM}.{field}")
    return found


def _of_system(launch: LaunchConfiguration) -> list[tuple[str, str, int | float | str | None]]:
    limits, errors, resources = launch.system.timeouts, launch.system.error_handling, launch.system.resources
    both = [limit for limit in (limits.browser_launch, limits.cdp_connection) if limit is not None]
    retries = errors.retry_attempts if launch.retry_failed_profiles else None
    return [
        ("start_timeout", "timeouts.profile_initialization", _seconds(limits.profile_initialization)),
        ("browser_timeout", "timeouts.browser_launch", sum(both) / 1000 if both else None),
        ("action_timeout", "timeouts.operation_timeout", _seconds(limits.operation_timeout)),
        ("max_attempts", "error_handling.retry_attempts", None if retries is None else retries + 1),
        ("halt", "error_handling.continue_on_error", None if errors.continue_on_error else "soon,fail=1"),
        ("retry_delay", "error_handling.retry_delay", _seconds(errors.retry_delay)),
        ("memory_reserve_bytes", "resources.memory_threshold", _times(resources.memory_threshold, _MB)),
        ("cpu_threshold", "resources.cpu_threshold", resources.cpu_threshold),
        ("wait_parked", "resources.max_idle_time", _seconds(resources.max_idle_time)),
    ]


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _times(number: int | None, factor: int) -> int | None:
    return None if number is None else number * factor


def _unwrapped(type_: Any) -> tuple[Any, list[Meta]]:
    """Return a type without its annotations and without None, and the annotations, outer ones last."""
    metas: list[Meta] = list(getattr(type_, "__metadata__", ()))
    inner = type_.__origin__ if metas else type_
    options = [one for one in getattr(inner, "__args__", ()) if one is not type(None)]
    if not metas and not options:
        return type_, []
    found, within = _unwrapped(options[0] if options else inner)
    return found, [*within, *metas]
