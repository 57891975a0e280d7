"""What one entry of a feed may say, what is wrong with it, and the job it becomes once all defaults are applied."""

from __future__ import annotations

import datetime as dt
import functools
import operator
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.domain.model import Device, JobSpec
from core.domain.session import is_secret
from core.domain.validation import ID_RULE, PROXY_SCHEMES, is_proxy, is_valid_id
from core.input_file import absolute
from core.redaction import MASK, mask_url
from core.units import amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LATEST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC).timestamp()
LARGEST_INT = 2**31 - 1
SHORTEST, LONGEST = 1.0, 366 * 86_400.0
"""Of ``every``, in seconds."""
_REMEMBERED = 1024
"""Paths and the like that the jobs of a large feed share."""
IDENTITY_FIELDS = frozenset({"identity", "credentials", "email", "username", "login", "secrets"})
FLOW_PLACES = (
    "a flow from the job, `--flow`, `defaults.flow` of the queue file, the profile's metadata, or `flow` in ostler.toml"
)
EXPECTED = {
    "id": "a job ID as a string",
    "profile_id": "a profile ID as a string",
    "flow": "the path of a flow file as a string",
    "params": "an object of parameters",
    "priority": f"a whole number from {-LARGEST_INT} to {LARGEST_INT}",
    "not_before": "seconds since 1970 as a number, or an ISO 8601 time with an offset",
    "timeout": "a number of seconds above 0",
    "max_attempts": "a whole number from 1",
    "template": "the path of a user-data-dir as a string",
    "device": '"desktop" or "mobile"',
    "proxy": "a proxy URL as a string",
    "after": "a list of job IDs as strings",
    "every": 'a time from one second to a year, as "90s", "15m", "2h" or "1d", or a number of seconds',
}


class RawDefaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all jobs of a feed have in common, unless they say otherwise; ``null`` is the same as saying nothing."""

    flow: str | None = None
    params: dict[str, Any] | None = None
    priority: int | None = None
    not_before: float | str | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    template: str | None = None
    device: Device | None = None
    proxy: str | None = None
    every: float | str | None = None


class RawJob(RawDefaults, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry as the feed has it; a bare ID has only ``profile_id``."""

    profile_id: str
    id: str | None = None
    after: list[str] | None = None

    @property
    def job_id(self) -> str:
        """The job's key."""
        return self.profile_id if self.id is None else self.id


_COMMON = operator.attrgetter(*(name for name in RawDefaults.__struct_fields__ if name != "params"))
_NOTHING = _COMMON(RawDefaults())


class Fault(NamedTuple):
    """One mistake in an entry, without its place.

    ``source`` is empty for the entry itself, else where the value came from: ``defaults``, ``--flow``, ``ostler.toml``.
    """

    field: str
    expected: str
    found: str
    hint: str = ""
    source: str = ""


class FeedDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Where the flow of a job that names none comes from, outside the feed.

    Attributes:
        flag_flow: of ``--flow``, relative to the working directory.
        config_flow: of ``ostler.toml`` or the environment.
        config_place: which of the two.
        profile_flow: gives the flow that a profile's metadata names, absolute, or None.
        settled: fields that the operator has set for this run, which the feed's ``defaults`` therefore do not.
    """

    flag_flow: str | None = None
    config_flow: str | None = None
    config_place: str = "ostler.toml"
    profile_flow: Callable[[str], str | None] = lambda _: None
    settled: frozenset[str] = frozenset()


def without_password(url: str) -> str:
    """Return a proxy URL for showing; of one that is too malformed to find its password, only what follows the ``@``."""
    masked = mask_url(url)
    return masked if masked != url or "@" not in url else f"{MASK}@{url.rpartition('@')[2]}"


def quoted(text: str, most: int = 60) -> str:
    """Return text in double quotes, shortened, control characters escaped."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    return msgspec.json.encode(text).decode()


def identity_hint(name: str, profile_id: str = "<profile_id>") -> str:
    """Return how to give an account's own data, or nothing if the field is none of it."""
    if name.lower() in IDENTITY_FIELDS or is_secret(name):
        return f"an account's own data never stands in a queue; type: .venv/bin/ostler identity set {profile_id} FIELD"
    return ""


def moment(value: float | str) -> float | None:
    """Return epoch seconds, or None if the text is no ISO 8601 time with an offset or the number is out of range."""
    if isinstance(value, str):
        try:
            parsed = dt.datetime.fromisoformat(value)
            value = parsed.timestamp() if parsed.tzinfo is not None else -1.0
        except (ValueError, OverflowError):
            return None
    return float(value) if 0 <= value < LATEST else None


def interval(value: float | str) -> float | None:
    """Return seconds, or None if the text is no number with a unit of time, or it is out of range."""
    seconds = amount(value, "seconds") if isinstance(value, str) else float(value)
    return seconds if seconds is not None and SHORTEST <= seconds <= LONGEST else None


class Resolver:
    """Checks the entries of one feed and makes jobs of them; ``has_order`` once one of them comes after another.

    Args:
        base: directory that the feed's relative paths start from.
        cwd: directory that ``--flow`` starts from.
        outside: where a flow comes from that the feed does not name.
    """

    def __init__(self, *, base: Path, cwd: Path, outside: FeedDefaults) -> None:
        self.defaults = RawDefaults()
        self.has_order = False
        self._base = base
        self._cwd = cwd
        self._outside = outside
        self._profile_flows: dict[str, str] = {}
        self._is_file: dict[str, bool] = {}
        self._is_dir: dict[str, bool] = {}
        self._fine: set[tuple[Any, ...]] = set()
        self._harmless: set[str] = set()

    def resolve(self, job: RawJob) -> JobSpec:
        """Return the job with all defaults applied; the entry must be free of faults."""
        common, settled = self.defaults, self._outside.settled
        _, flow = self._flow(job)
        template = _first(job.template, common.template)
        not_before = _first(job.not_before, common.not_before)
        every = _first(job.every, common.every)
        return JobSpec(
            id=job.job_id,
            profile_id=job.profile_id,
            flow=flow or "",
            params={**(common.params or {}), **(job.params or {})},
            priority=_first(job.priority, common.priority) or 0,
            not_before=None if not_before is None else moment(not_before),
            timeout=_first(job.timeout, None if "timeout" in settled else common.timeout),
            max_attempts=_first(job.max_attempts, None if "max_attempts" in settled else common.max_attempts),
            template=None if template is None else _absolute(template, self._base),
            device=_first(job.device, common.device),
            proxy=_first(job.proxy, common.proxy),
            after=tuple(dict.fromkeys(job.after or ())),
            every=None if every is None else interval(every),
        )

    def are_fine(self, entries: Iterable[RawJob | str]) -> bool:
        """Whether ``faults`` finds nothing but IDs, of which nothing is asked here, in entries of a feed.

        What a job has in common with one that was fine is not looked at again.
        """
        if _NOTHING in self._fine:
            entries = [entry for entry in entries if not isinstance(entry, str)]
        for entry in entries:
            common = _NOTHING if isinstance(entry, str) else _COMMON(entry)
            if not isinstance(entry, str) and entry.after:
                self.has_order = True
                if any(_after_faults(entry)):
                    return False
            if common not in self._fine:
                job = RawJob(profile_id=entry) if isinstance(entry, str) else entry
                if any(self.faults(job)):
                    return False
                if len(self._fine) < _REMEMBERED and self._flow(job)[0] != "profile":
                    self._fine.add(common)
            elif not isinstance(entry, str) and entry.params and not self._harmless.issuperset(entry.params):
                if any(map(is_secret, entry.params)):
                    return False
                self._harmless.update(entry.params)
        return True

    def faults(self, job: RawJob) -> Iterator[Fault]:
        """Yield what is wrong with an entry whose types are right."""
        if not is_valid_id(job.profile_id):
            yield Fault("profile_id", f"a profile ID of {ID_RULE}", quoted(job.profile_id))
        if job.id is not None and not is_valid_id(job.id):
            yield Fault("id", f"a job ID of {ID_RULE}", quoted(job.id))
        yield from _after_faults(job)
        yield from self.common_faults(job)
        yield from self._flow_faults(job)

    def common_faults(self, given: RawDefaults) -> Iterator[Fault]:
        """Yield what is wrong with values that a job and the defaults both may have."""
        yield from _number_faults(given)
        if given.template is not None:
            path = _absolute(given.template, self._base)
            if path not in self._is_dir:
                self._is_dir[path] = os.path.isdir(path)  # noqa: PTH112 - a path too long is no error of it
            if not self._is_dir[path]:
                what = "a file" if os.path.isfile(path) else "nothing"  # noqa: PTH113 - as above
                yield Fault("template", "an existing user-data-dir", f"{what} at {_shortened(path)}")
        if given.proxy is not None and not is_proxy(given.proxy):
            known = ", ".join(PROXY_SCHEMES)
            yield Fault("proxy", f"scheme://[user:password@]host:port ({known})", quoted(without_password(given.proxy)))
        for name in given.params or {}:
            if is_secret(name):
                yield Fault(f"params.{name}", "no secrets in a queue", quoted(name), identity_hint(name))

    def default_faults(self) -> Iterator[Fault]:
        """Yield what is wrong with the feed's own defaults."""
        yield from self.common_faults(self.defaults)
        if self.defaults.flow is not None:
            yield from self._missing(_absolute(self.defaults.flow, self._base), "")

    def _flow(self, job: RawJob) -> tuple[str, str | None]:
        """Return where the job's flow comes from, and its absolute path or None."""
        if job.flow is not None:
            return "", _absolute(job.flow, self._base)
        if self._outside.flag_flow is not None:
            return "--flow", _absolute(self._outside.flag_flow, self._cwd)
        if self.defaults.flow is not None:
            return "defaults", _absolute(self.defaults.flow, self._base)
        flow = self._profile_flows.get(job.profile_id)
        if flow is None and is_valid_id(job.profile_id):
            flow = self._outside.profile_flow(job.profile_id)
            if flow is not None:
                self._profile_flows[job.profile_id] = flow
        if flow is not None:
            return "profile", _absolute(flow, self._cwd)
        if self._outside.config_flow is not None:
            return self._outside.config_place, _absolute(self._outside.config_flow, self._cwd)
        return "", None

    def _flow_faults(self, job: RawJob) -> Iterator[Fault]:
        source, path = self._flow(job)
        if path is None:
            yield Fault("flow", FLOW_PLACES, "none")
        else:
            yield from self._missing(path, source)

    def _missing(self, path: str, source: str) -> Iterator[Fault]:
        if path not in self._is_file:
            self._is_file[path] = os.path.isfile(path)  # noqa: PTH113 - as above
        if not self._is_file[path]:
            what = "a directory" if os.path.isdir(path) else "nothing"  # noqa: PTH112
            hint = "the profile's metadata names it" if source == "profile" else ""
            yield Fault(
                "flow",
                "an existing flow file",
                f"{what} at {_shortened(path)}",
                hint,
                "" if source == "profile" else source,
            )


@functools.lru_cache(maxsize=_REMEMBERED)
def _absolute(text: str, base: Path) -> str:
    """Return a path of the feed as an absolute one; remembered, since the jobs of a large feed share a few."""
    return os.path.normpath(absolute(text, base))


def _shortened(path: str, most: int = 300) -> str:
    return path if len(path) <= most else f"{path[: most // 2]}…{path[-most // 2 :]}"


def _first(own: Any, common: Any) -> Any:
    return common if own is None else own


def _after_faults(job: RawJob) -> Iterator[Fault]:
    for number, name in enumerate(job.after or ()):
        if not is_valid_id(name):
            yield Fault(f"after[{number}]", f"a job ID of {ID_RULE}", quoted(name))


def _number_faults(given: RawDefaults) -> Iterator[Fault]:
    if given.priority is not None and abs(given.priority) > LARGEST_INT:
        yield Fault("priority", EXPECTED["priority"], str(given.priority))
    if given.timeout is not None and given.timeout <= 0:
        yield Fault("timeout", EXPECTED["timeout"], f"{given.timeout:g}")
    if given.max_attempts is not None and not 1 <= given.max_attempts <= LARGEST_INT:
        yield Fault("max_attempts", EXPECTED["max_attempts"], str(given.max_attempts))
    if given.every is not None and interval(given.every) is None:
        found = quoted(given.every) if isinstance(given.every, str) else f"{given.every:.15g}"
        yield Fault("every", EXPECTED["every"], found)
    if given.not_before is not None and moment(given.not_before) is None:
        yield _not_before_fault(given.not_before)


def _not_before_fault(value: float | str) -> Fault:
    if isinstance(value, str):
        try:
            dt.datetime.fromisoformat(value)
            hint = "it has no offset: append Z or +02:00"
        except ValueError:
            hint = "for example 2026-11-20T08:00:00+01:00"
        return Fault("not_before", EXPECTED["not_before"], quoted(value), hint)
    hint = "these are milliseconds" if LATEST <= value < LATEST * 1000 else ""
    return Fault("not_before", EXPECTED["not_before"], f"{value:.15g}", hint)
