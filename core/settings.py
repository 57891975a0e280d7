"""The one frozen ``Settings``, built once in a shell and passed on explicitly.

Sources, strongest first: command line, a launch configuration, ``OSTLER_…`` environment, ``ostler.toml`` beside the checkout's ``README.md`` (or the
file ``OSTLER_CONFIG`` names), defaults. ``os.environ`` is read nowhere else.
"""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from core.errors import BadInput, Problem
from core.input_file import absolute
from core.settings_failures import TABLE, built_changes, failure_rules, unknown_failure
from core.settings_file import ConfigFile
from core.settings_forms import FORMS
from core.settings_table import CHECKOUT, DEFAULTS, LEAST, MOST, NO_SETTINGS, PATHS, REPLACED, Settings
from core.settings_value import LARGEST, WEEK, Rule, Wrong, convert, members, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from core.settings_launch import LaunchFile

__all__ = [
    "CHECKOUT",
    "Origin",
    "Resolved",
    "Settings",
    "load",
    "located",
    "resolve",
    "rules",
    "unknown_variables",
    "variable",
]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value comes from.

    Attributes:
        kind: of which source.
        where: the flag, the variable, file and line, or file and field; empty for a default.
    """

    kind: Literal["flag", "launch", "environment", "file", "default"]
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
    kind: Literal["flag", "launch", "environment", "file"]
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


def resolve(
    flags: Mapping[str, Any], env: Mapping[str, str], *, cwd: Path, launch: LaunchFile | None = None
) -> Resolved:
    """Return the settings and where they come from.

    Args:
        flags: what the command line gave, by field name; None for not given.
        env: the environment.
        cwd: what relative paths of flags and variables start from; those of a file start from its directory.
        launch: what a launch configuration asks for.

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
    if launch is not None:
        given += [
            _Given(name, one.value, "launch", f"{launch.place} {one.field}", cwd)
            for name, one in launch.settings.items()
        ]
    given += [_Given(name, raw, "flag", flag(name), cwd) for name, raw in flags.items() if raw is not None]
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for one in given:
        rule = known.get(one.name)
        value = (
            unknown_failure(one.name, one.raw) or _unknown(one.name, known, one.raw)
            if rule is None
            else convert(rule, one.raw, one.base, is_text=one.kind in ("environment", "flag"))
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
    known = {variable(name) for name in rules()} | NO_SETTINGS
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
        if name == TABLE:
            yield from failure_rules()
            continue
        if _is_table(field.type):
            yield from _rules(field.type, f"{name}.")
            continue
        most = LARGEST if int in members(field.type) else sys.float_info.max
        type_, form = FORMS.get(name, (field.type, None))
        rule = Rule(name, type_, LEAST.get(name, 0.0), most, name in PATHS, name not in REPLACED, form)
        yield rule._replace(most=MOST.get(name, WEEK if rule.unit == "seconds" else most))


def _is_table(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _built(struct: Any, values: Mapping[str, Any], prefix: str) -> Any:
    fields = {}
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name
        if name == TABLE:
            fields[field.name] = built_changes(values)
        elif _is_table(field.type):
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
    known = {name: rule for name, rule in known.items() if not name.startswith(f"{TABLE}.")}
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
    name = f"{one.name}.{wrong.below}" if wrong.below else one.name
    line, column = file.place(name) if one.kind == "file" else (None, None)
    field = name if (one.kind == "file" or wrong.below) and wrong.expected != "a known setting" else ""
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
    """Return what is right in itself, but not together: the action's limit must strike first, it has the explanation; a delay
    of failures cannot be longer than the longest.
    """
    wrong: dict[str, str] = {}
    whole = values.get("progress_timeout", DEFAULTS.progress_timeout)
    if values.get("action_timeout", 0) >= whole:
        wrong["action_timeout"] = f"less than progress_timeout, which is {whole:g}"
    for name, longest in values.items():
        first = name.replace(".max_delay", ".delay")
        if name.startswith(f"{TABLE}.") and first != name and values.get(first, 0) > longest:
            wrong[first] = f"at most max_delay, which is {longest:g}"
    problems = []
    for name, expected in wrong.items():
        origin = origins[name]
        line, column = file.place(name) if origin.kind == "file" else (None, None)
        problems.append(
            Problem(
                place=origin.where, line=line, column=column, field=name if origin.kind == "file" else "",
                expected=expected, found=f"{values[name]:g}",
            )
        )  # fmt: skip
    return problems
