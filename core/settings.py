"""The one frozen ``Settings``, built once in a shell and passed on explicitly.

Sources, strongest first: command line, ``OSTLER_…`` environment, ``ostler.toml`` beside the checkout's ``README.md`` (or the
file ``OSTLER_CONFIG`` names), defaults. ``os.environ`` is read nowhere else.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from core.domain.messages import Screenshots, Trace
from core.domain.retention import Retention
from core.domain.retry import RetryPolicy
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = Path(__file__).resolve().parent.parent
MAX_CONCURRENT = 1000


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Durations are seconds, paths are absolute.

    Attributes:
        state_dir: everything durable.
        log_dir: logs and events.
        max_concurrent: slots, 1 to 1000.
        launch_interval: seconds between two starts of a browser, before jitter; None: from the number of cores.
        progress_timeout: least time without progress after which an attempt is stopped.
        timeout: hard limit of one attempt.
        stop_grace: time between asking a worker to end and killing its tree.
        start_timeout: time a worker has from its spawn to ``Ready``.
        describe_timeout: time that loading a flow may take.
        flow: flow of jobs that name none.
        browser: executable.
        headed: show browsers.
        sandbox: None: on, unless the user is root.
        action_timeout: Playwright's own, below every step's.
        screenshots: ``on-failure`` or ``off``; they may show secrets.
        trace: Playwright's: ``on-failure``, ``always`` or ``off``; it holds secrets.
        max_attempts: failing attempts a job may have.
        poison_limit: consecutive crashes that quarantine a job.
        retry_delay: before the first retry; doubles.
        busy_delay: before a held profile is tried again.
        log_max_bytes: size of ``logs/<id>.log`` from which it is rotated between attempts.
        log_keep: how many rotated logs are kept.
        log_rate: bytes a second a worker may write to its log before lines are dropped and counted.
        retention: what ``ostler gc`` removes; ``[retention]`` in the file, ``OSTLER_RETENTION_…`` in the environment.
    """

    state_dir: Path = CHECKOUT / "state"
    log_dir: Path = CHECKOUT / "logs"
    max_concurrent: int = 5
    launch_interval: float | None = None
    progress_timeout: float = 30.0
    timeout: float = 1800.0
    stop_grace: float = 10.0
    start_timeout: float = 30.0
    describe_timeout: float = 20.0
    flow: str | None = None
    browser: str | None = None
    headed: bool = False
    sandbox: bool | None = None
    action_timeout: float = 10.0
    screenshots: Screenshots = "off"
    trace: Trace = "off"
    max_attempts: int = 3
    poison_limit: int = 3
    retry_delay: float = 1.0
    busy_delay: float = 5.0
    log_max_bytes: int = 10 * 1024 * 1024
    log_keep: int = 5
    log_rate: int = 1024 * 1024
    retention: Retention = Retention()

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy that these settings amount to."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            poison_limit=self.poison_limit,
            base_delay=self.retry_delay,
            busy_delay=self.busy_delay,
        )

    @property
    def gate_interval(self) -> float:
        """Seconds between two browser starts: half a second of one core's work, shared by the cores there are."""
        if self.launch_interval is not None:
            return self.launch_interval
        return 1.0 / (os.cpu_count() or 1)


_LEAST: Mapping[str, float] = {
    "max_concurrent": 1,
    "launch_interval": 0,
    "progress_timeout": 1,
    "timeout": 1,
    "stop_grace": 0,
    "start_timeout": 1,
    "describe_timeout": 1,
    "action_timeout": 0.1,
    "max_attempts": 1,
    "poison_limit": 1,
    "retry_delay": 0,
    "busy_delay": 0,
    "log_max_bytes": 4096,
    "log_keep": 0,
    "log_rate": 1024,
}
_PATHS = frozenset({"state_dir", "log_dir", "flow", "browser"})
_CHOICES: Mapping[str, tuple[str, ...]] = {"screenshots": get_args(Screenshots), "trace": get_args(Trace)}
_IN_RETENTION = "retention."
_RETENTION = tuple(_IN_RETENTION + name for name in Retention.__struct_fields__)


def load(flags: Mapping[str, Any], env: Mapping[str, str], *, cwd: Path) -> Settings:
    """Return the settings.

    Args:
        flags: what the command line gave, by field name; None for not given.
        env: the environment.
        cwd: what relative paths of flags and variables start from; those of a file start from its directory.

    Raises:
        BadInput: one problem for each value that is wrong, wherever it stands.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    config = Path(env.get("OSTLER_CONFIG") or CHECKOUT / "ostler.toml")
    config = config if config.is_absolute() else cwd / config
    _merge(
        values,
        _from_file(config, required="OSTLER_CONFIG" in env, problems=problems),
        str(config),
        config.parent,
        problems,
    )
    names = {f"OSTLER_{name.upper().replace('.', '_')}": name for name in (*Settings.__struct_fields__, *_RETENTION)}
    for variable, name in names.items():
        if variable in env:
            _merge(values, {name: env[variable]}, variable, cwd, problems)
    _merge(values, {name: value for name, value in flags.items() if value is not None}, "command line", cwd, problems)
    if problems:
        raise BadInput(problems)
    kept = {name: values.pop(name) for name in _RETENTION if name in values}
    retention = Retention(**{name.removeprefix(_IN_RETENTION): value for name, value in kept.items()})
    return Settings(**values, retention=retention)


def _from_file(path: Path, *, required: bool, problems: list[Problem]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if required:
            problems.append(Problem(place="OSTLER_CONFIG", expected="a file", found=f"nothing at {path}"))
    except OSError as exc:
        problems.append(Problem(place=str(path), expected="a readable file", found=exc.strerror or str(exc)))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        problems.append(Problem(place=str(path), expected="TOML in UTF-8", found=str(exc)))
    return {}


def _merge(values: dict[str, Any], given: Mapping[str, Any], place: str, base: Path, problems: list[Problem]) -> None:
    for name, raw in _flat(given).items():
        field = "" if place.startswith("OSTLER_") else name.replace("_", "-") if place == "command line" else name
        problem = _convert(values, name, raw, base)
        if problem is not None:
            expected, found = problem
            problems.append(Problem(place=place, field=field, expected=expected, found=found))


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those of ``[retention]`` under dotted names."""
    table = given.get("retention")
    if not isinstance(table, dict):
        return dict(given)
    inner = {_IN_RETENTION + name: value for name, value in table.items()}
    return {**{name: value for name, value in given.items() if name != "retention"}, **inner}


def _limit(raw: Any) -> float | str | None:
    """Return a retention limit; None for what is none."""
    if raw == "never":
        return "never"
    try:
        value: float = msgspec.convert(raw, float, strict=not isinstance(raw, str))
    except msgspec.ValidationError:
        return None
    return value if 0 <= value < float("inf") else None


def _convert(values: dict[str, Any], name: str, raw: Any, base: Path) -> tuple[str, str] | None:  # noqa: C901, PLR0911 - one way out a mistake
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    if name in _RETENTION:
        values[name] = _limit(raw)
        unit = name.rpartition("_")[2]
        return None if values[name] is not None else (f"a number of {unit}, or 'never'", repr(raw))
    if name == "retention":
        return f"a table with {', '.join(Retention.__struct_fields__)}", repr(raw)
    if name not in fields:
        return "a known setting", repr(name)
    if name in _PATHS:
        if not isinstance(raw, (str, Path)) or not str(raw):
            return "a path", repr(raw)
        path = (base / Path(raw).expanduser()).resolve()
        values[name] = str(path) if name in ("flow", "browser") else path
        return None
    if name in _CHOICES and raw not in _CHOICES[name]:
        return " or ".join(_CHOICES[name]), repr(raw)
    try:
        value = msgspec.convert(raw, fields[name].type, strict=not isinstance(raw, str))
    except msgspec.ValidationError as exc:
        return str(exc).split(" - at ")[0].removeprefix("Expected ").split(", got")[0], repr(raw)
    least = _LEAST.get(name)
    if least is not None and value is not None and not value >= least:
        return f"at least {least:g}", repr(raw)
    if name == "max_concurrent" and value > MAX_CONCURRENT:
        return f"at most {MAX_CONCURRENT}", repr(raw)
    if isinstance(value, float) and value == float("inf"):
        return "a finite number", repr(raw)
    values[name] = value
    return None
