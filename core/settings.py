"""The one frozen ``Settings``, built once in a shell and passed on explicitly.

Sources, strongest first: command line, ``OSTLER_…`` environment, ``ostler.toml`` beside the checkout's ``README.md`` (or the
file ``OSTLER_CONFIG`` names), defaults. ``os.environ`` is read nowhere else.
"""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from core.domain.messages import Screenshots, Trace
from core.domain.retention import Retention
from core.domain.retry import RetryPolicy
from core.errors import BadInput, Problem
from core.input_file import absolute
from core.settings_file import ConfigFile
from core.settings_value import LARGEST, WEEK, Rule, Wrong, convert, members, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        watch_interval: seconds between two looks at a queue that a server or a command gives.
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
    watch_interval: float = 30.0
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


_DEFAULTS = Settings()
_LEAST: Mapping[str, float] = {
    "max_concurrent": 1,
    "progress_timeout": 1,
    "timeout": 1,
    "start_timeout": 1,
    "describe_timeout": 1,
    "watch_interval": 1,
    "action_timeout": 0.1,
    "max_attempts": 1,
    "poison_limit": 1,
    "log_max_bytes": 4096,
    "log_rate": 1024,
}
"""The smallest value of a number; 0 where nothing is said."""
_MOST: Mapping[str, float] = {"max_concurrent": MAX_CONCURRENT}
"""The largest; a week of seconds, or none, where nothing is said."""
_PATHS = frozenset({"flow", "browser"})
"""Texts that are paths."""
_NO_SETTINGS = frozenset(
    {
        "OSTLER_CONFIG",
        "OSTLER_FEED_TOKEN",
        "OSTLER_CONTROL_FD",
        "OSTLER_ATTEMPT",
        "OSTLER_DRIVER",
        "OSTLER_UPDATE_SNAPSHOTS",
    }
)
"""Variables of our own that set nothing here."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from.

    Attributes:
        kind: of which source.
        where: the flag, the variable, or file and line; empty for a default.
    """

    kind: Literal["flag", "environment", "file", "default"]
    where: str = ""


class Resolved(NamedTuple):
    """The settings, and where each comes from, by dotted name."""

    settings: Settings
    origins: dict[str, Origin]
    file: Path


class _Given(NamedTuple):
    """A value as one source has it."""

    name: str
    raw: Any
    kind: Literal["flag", "environment", "file"]
    place: str
    base: Path


def rules() -> dict[str, Rule]:
    """Return every setting by its dotted name, those of nested tables among them."""
    return {rule.name: rule for rule in _rules(Settings, "")}


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"OSTLER_{name.upper().replace('.', '_')}"


def flag(name: str) -> str:
    """Return the flag of a setting, as it is typed."""
    return "--no-sandbox" if name == "sandbox" else f"--{name.replace('_', '-')}"


def load(flags: Mapping[str, Any], env: Mapping[str, str], *, cwd: Path) -> Settings:
    """Return the settings; see ``resolve``."""
    return resolve(flags, env, cwd=cwd).settings


def resolve(flags: Mapping[str, Any], env: Mapping[str, str], *, cwd: Path) -> Resolved:
    """Return the settings and where they come from.

    Args:
        flags: what the command line gave, by field name; None for not given.
        env: the environment.
        cwd: what relative paths of flags and variables start from; those of a file start from its directory.

    Raises:
        BadInput: one problem for each value that is wrong, wherever it stands.
    """
    known = rules()
    problems: list[Problem] = []
    file = _file(env, cwd, problems)
    given = [_Given(name, raw, "file", str(file.path), file.path.parent) for name, raw in file.values.items()]
    given += [
        _Given(name, env[variable(name)], "environment", variable(name), cwd) for name in known if variable(name) in env
    ]
    given += [_Given(name, raw, "flag", flag(name), cwd) for name, raw in flags.items() if raw is not None]
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for one in given:
        rule = known.get(one.name)
        value = (
            _unknown(one.name, known, one.raw)
            if rule is None
            else convert(rule, one.raw, one.base, is_text=one.kind != "file")
        )
        if isinstance(value, Wrong):
            problems.append(_problem(one, value, file))
        else:
            values[one.name] = value
            origins[one.name] = Origin(kind=one.kind, where=one.place)
    problems += _conflicts(values, origins, file)
    if problems:
        raise BadInput(problems)
    return Resolved(_built(Settings, values, ""), origins, file.path)


def located(resolved: Resolved) -> dict[str, Origin]:
    """Return the origins, with the line of those that come from the file."""
    file = ConfigFile(resolved.file, required=False)
    return {
        name: Origin(kind="file", where=f"{origin.where}:{file.place(name)[0]}") if origin.kind == "file" else origin
        for name, origin in resolved.origins.items()
    }


def unknown_variables(env: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that looks like one of ours and is none: it is not an error, and yet does nothing."""
    known = {variable(name) for name in rules()} | _NO_SETTINGS
    lines = []
    for name in sorted(env):
        if name.upper().startswith("OSTLER_") and name not in known and not name.startswith("OSTLER_TEST_"):
            close = difflib.get_close_matches(name.upper(), sorted(known), 1, 0.7)
            hint = f"did you mean {close[0]}?" if close else "`ostler config show` lists those that do"
            lines.append(f"{name}: expected a variable that sets something, found one that does not ({hint})")
    return lines


def _rules(struct: Any, prefix: str) -> Iterator[Rule]:
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name
        if _is_table(field.type):
            yield from _rules(field.type, f"{name}.")
            continue
        most = LARGEST if int in members(field.type) else sys.float_info.max
        rule = Rule(name, field.type, _LEAST.get(name, 0.0), most, name in _PATHS)
        yield rule._replace(most=_MOST.get(name, WEEK if rule.unit == "seconds" else most))


def _is_table(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _built(struct: Any, values: Mapping[str, Any], prefix: str) -> Any:
    fields = {}
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name
        if _is_table(field.type):
            fields[field.name] = _built(field.type, values, f"{name}.")
        elif name in values:
            fields[field.name] = values[name]
    return struct(**fields)


def _file(env: Mapping[str, str], cwd: Path, problems: list[Problem]) -> ConfigFile:
    named = env.get("OSTLER_CONFIG")
    path = absolute(named, cwd) if named else CHECKOUT / "ostler.toml"
    if named == "":
        hint = "unset it to have ostler.toml"
        problems.append(Problem(place="OSTLER_CONFIG", expected="the path of a file", found="nothing", hint=hint))
    try:
        return ConfigFile(path, required=bool(named))
    except BadInput as exc:
        problems += exc.problems
        return ConfigFile(CHECKOUT / "no such file", required=False)


def _unknown(name: str, known: Mapping[str, Rule], raw: Any) -> Wrong:
    inside = [rule for rule in known if rule.startswith(f"{name}.")]
    if inside:
        if raw == {}:
            return Wrong("values in a table", "none", "leave it out")
        return Wrong(f"a table with {', '.join(rule.rpartition('.')[2] for rule in inside)}", shown(name, raw))
    if (table := name.rpartition(".")[0]) in known:
        return Wrong(known[table].expected, "a table", f"{table} is a value: {table} = …")
    folded = name.replace("-", "_").lower()
    last = folded.rpartition(".")[2]
    same = [rule for rule in known if rule.rpartition(".")[2] == last]
    close = same or difflib.get_close_matches(folded, known, 1, 0.6) or difflib.get_close_matches(last, known, 1, 0.7)
    if not close:
        return Wrong("a known setting", f'"{name}"', "`ostler config show` lists them")
    table, _, leaf = close[0].rpartition(".")
    if table != name.rpartition(".")[0]:
        return Wrong(
            "a known setting",
            f'"{name}"',
            f"{leaf} stands under [{table}]" if table else f"{leaf} stands above the first [table]",
        )
    return Wrong("a known setting", f'"{name}"', f'did you mean "{close[0]}"?')


def _problem(one: _Given, wrong: Wrong, file: ConfigFile) -> Problem:
    line, column = file.place(one.name) if one.kind == "file" else (None, None)
    field = one.name if one.kind == "file" and wrong.expected != "a known setting" else ""
    return Problem(
        place=one.place,
        line=line,
        column=column,
        field=field,
        expected=wrong.expected,
        found=wrong.found,
        hint=wrong.hint,
    )


def _conflicts(values: Mapping[str, Any], origins: Mapping[str, Origin], file: ConfigFile) -> list[Problem]:
    """Return what is right in itself, but not together: the action's limit must strike first, it has the explanation."""
    name = "action_timeout"
    whole = values.get("progress_timeout", _DEFAULTS.progress_timeout)
    if name not in values or values[name] < whole:
        return []
    origin = origins[name]
    line, column = file.place(name) if origin.kind == "file" else (None, None)
    return [
        Problem(
            place=origin.where, line=line, column=column, field=name if origin.kind == "file" else "",
            expected=f"less than progress_timeout, which is {whole:g}", found=f"{values[name]:g}",
        )
    ]  # fmt: skip
