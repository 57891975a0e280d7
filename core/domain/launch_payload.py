"""The second layer: a launch configuration as a payload, its structure, names, security limits, and rules between fields.

The first one, fields by themselves, is ``launch_input``; the third, profiles and host, ``launch_profiles``. Both spellings of a
name are taken, ours (``batch_size``) and JavaScript's (``batchSize``); issues name a field as it was given.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from core.domain.launch_configuration import SYSTEM, LaunchConfiguration, SystemConfiguration, fields_of
from core.domain.launch_input import LONGEST_SHOWN, Reading, is_group, shown, visible
from core.domain.launch_rules import broken_rules
from core.domain.validation_result import IssueCode, ValidationResult, error, result_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.domain.launch_configuration import Field
    from core.domain.validation_result import Issue

LARGEST = 64 * 1024
"""Bytes of a payload's text."""
DEEPEST = 4
"""Levels of objects and lists: the payload, the system configuration, its groups, and one more to name what stands there."""
MOST_VALUES = 200
_NOTHING_TO_READ = frozenset({IssueCode.NOT_JSON, IssueCode.TOO_LARGE, IssueCode.TOO_DEEP})


def validate_configuration(payload: object) -> ValidationResult[LaunchConfiguration]:
    """Check the payload as a whole (second layer): its structure, names, security limits, and rules between fields.

    Its fields go through the first layer again: whoever sent it may have left that out.

    Args:
        payload: JSON as text or bytes, or decoded.
    """
    return result_of(*read_payload(payload))


def read_payload(payload: object) -> tuple[LaunchConfiguration, list[Issue]]:
    """Return the launch as far as it can be told, with defaults for what is wrong, and everything that was found."""
    issues: list[Issue] = []
    decoded = _decoded(payload, issues)
    if not any(issue.code in _NOTHING_TO_READ for issue in issues):
        issues += _unsafe(decoded)
    if any(issue.code in _NOTHING_TO_READ for issue in issues):
        return LaunchConfiguration(), issues
    if not isinstance(decoded, dict):
        wanted = "an object with the fields of a launch"
        return LaunchConfiguration(), [*issues, error(IssueCode.NOT_AN_OBJECT, "", wanted, shown(decoded))]
    issues += _names(LaunchConfiguration, decoded, "")
    reading = Reading()
    values = reading.fields(LaunchConfiguration, decoded, "")
    issues += reading.issues
    wrong = {issue.field for issue in reading.issues if issue.severity == "error"}
    launch = _built(values)
    for fields, found in broken_rules(launch, values):
        spelt = [reading.spelling.get(name, name) for name in fields]
        if not wrong.intersection(spelt):
            issues.append(msgspec.structs.replace(found, field=spelt[0]))
    return launch, issues


def _decoded(payload: object, issues: list[Issue]) -> object:
    if not isinstance(payload, (str, bytes)):
        return payload
    if len(payload) > LARGEST:
        issues.append(error(IssueCode.TOO_LARGE, "", f"at most {LARGEST} bytes of JSON", f"{len(payload)}"))
        return None
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in found]
        twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(found)

    try:
        text = payload if isinstance(payload, str) else payload.decode("utf-8-sig")
        decoded = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        found = f"{exc.msg[:1].lower()}{exc.msg[1:]}, line {exc.lineno}, column {exc.colno}"
        issues.append(error(IssueCode.NOT_JSON, "", "JSON", found))
    except UnicodeDecodeError as exc:
        issues.append(error(IssueCode.NOT_JSON, "", "JSON in UTF-8", f"byte 0x{exc.object[exc.start]:02x}"))
    except RecursionError:
        issues.append(error(IssueCode.TOO_DEEP, "", f"at most {DEEPEST} levels", "very many"))
    except ValueError as exc:
        issues.append(error(IssueCode.NOT_JSON, "", "numbers that JSON has", str(exc)[:LONGEST_SHOWN]))
    else:
        issues += [error(IssueCode.GIVEN_TWICE, visible(name), "each field once", "it again") for name in twice]
        return decoded
    return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unsafe(decoded: object) -> list[Issue]:
    """Return what a launch configuration of good will never have: deep or very many values, characters that do not print."""
    issues = []
    todo: list[tuple[object, str, int]] = [(decoded, "", 0)]
    seen = 0
    while todo:
        value, path, depth = todo.pop()
        seen += 1
        if seen > MOST_VALUES:
            return [error(IssueCode.TOO_LARGE, "", f"at most {MOST_VALUES} values", "more")]
        if isinstance(value, (dict, list)):
            if depth == DEEPEST:
                return [error(IssueCode.TOO_DEEP, path, f"at most {DEEPEST} levels", "more")]
            todo += [(inner, f"{path}{name}", depth + 1) for name, inner in _inside(value, path)]
            names = [name for name in value if isinstance(name, str)] if isinstance(value, dict) else []
        else:
            names = [value.strip()] if isinstance(value, str) else []
        issues += [
            error(
                IssueCode.CONTROL_CHARACTER,
                path or visible(name[:LONGEST_SHOWN]),
                "characters that can be printed",
                shown(name),
            )
            for name in names
            if not name.isprintable()
        ]
    return issues


def _inside(value: dict[Any, Any] | list[Any], path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, list):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value))
    else:
        dot = "." if path else ""
        yield from ((f"{dot}{visible(str(name)[:LONGEST_SHOWN])}", inner) for name, inner in value.items())


def _names(struct: type[msgspec.Struct], given: Mapping[Any, Any], path: str) -> list[Issue]:
    """Return names that are none, and fields that are there in both spellings."""
    fields = fields_of(struct)
    known = {spelling: field for field in fields.values() for spelling in (field.name, field.camel)}
    issues = []
    for name, value in given.items():
        field = known.get(name) if isinstance(name, str) else None
        if field is None:
            text = visible(str(name)[:LONGEST_SHOWN])
            issues.append(
                error(IssueCode.UNKNOWN_FIELD, f"{path}{text}", "a known field", f'"{text}"', _meant(text, known))
            )
        elif name != field.name and field.name in given:
            issues.append(error(IssueCode.GIVEN_TWICE, f"{path}{name}", "one spelling", f"{field.name}, too"))
        elif is_group(field.type) and isinstance(value, dict):
            issues += _names(field.type, value, f"{path}{name}.")
    return issues


def _meant(name: str, known: Mapping[str, Field]) -> str:
    close = difflib.get_close_matches(name.replace("-", "_"), known, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    groups = {field.name: field.type for field in fields_of(SystemConfiguration).values()}
    inside = [
        f"{SYSTEM}.{group}"
        for group, type_ in groups.items()
        for one in fields_of(type_).values()
        if name in (one.name, one.camel)
    ]
    if inside:
        return f"it stands in {inside[0]}"
    return f"there are {', '.join(dict.fromkeys(field.name for field in known.values()))}"


def _built(values: Mapping[str, Any]) -> LaunchConfiguration:
    """Return the launch that the values amount to; what is missing has the system's default, else its own."""
    groups = fields_of(SystemConfiguration)
    given = values.get(SYSTEM, {})
    system = SystemConfiguration(**{name: groups[name].type(**fields) for name, fields in given.items()})
    batches = system.batch_processing
    defaults = {
        "batch_size": batches.default_batch_size,
        "delay_between_batches": batches.default_delay_between_batches,
        "concurrent_browsers": min(LaunchConfiguration().concurrent_browsers, batches.max_concurrent_browsers),
        "cleanup_on_failure": system.error_handling.cleanup_on_failure,
    }
    return LaunchConfiguration(**{**defaults, **values, SYSTEM: system})
