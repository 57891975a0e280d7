"""The first layer: each field of a launch configuration by itself. What a form checks while somebody types."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.domain.launch_configuration import LaunchConfiguration, fields_of
from core.domain.validation_result import IssueCode, ValidationResult, error, result_of, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.domain.launch_configuration import Field
    from core.domain.validation_result import Issue

LONGEST_SHOWN = 80
_LARGEST_SHOWN = 10**15
_EXACT = 2**53
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


class _Wrong(NamedTuple):
    code: IssueCode
    expected: str
    found: str
    hint: str = ""


class _Taken(NamedTuple):
    value: Any
    note: str = ""


def validate_input(given: Mapping[str, Any]) -> ValidationResult[dict[str, Any]]:
    """Check each field by itself (first layer): kind, range, and text that is to be a number or a truth value.

    Args:
        given: fields by name, in either spelling; a form may ask for a single one. Names that are none are the second layer's.

    Returns:
        values by our names, those of groups in dictionaries of their own; only what was given.
    """
    reading = Reading()
    values = reading.fields(LaunchConfiguration, given, "")
    return result_of(values, reading.issues)


class Reading:
    """The first layer at work.

    Attributes:
        issues: what it found.
        spelling: how names were spelt, by our path.
    """

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.spelling: dict[str, str] = {}

    def fields(
        self, struct: type[msgspec.Struct], given: Mapping[str, Any], path: str, own: str = ""
    ) -> dict[str, Any]:
        """Return what of a struct's fields was given and is right, by our names.

        Args:
            struct: whose fields.
            given: them, in either spelling.
            path: where they stand, as it was spelt, with a dot behind.
            own: the same as we spell it.
        """
        values = {}
        for field in fields_of(struct).values():
            name = next((one for one in (field.name, field.camel) if one in given), None)
            if name is None:
                continue
            spelt, ours = f"{path}{name}", f"{own}{field.name}"
            self.spelling[ours] = spelt
            raw = given[name]
            if not is_group(field.type):
                taken = _taken(field, raw)
            elif isinstance(raw, dict):
                values[field.name] = self.fields(field.type, raw, f"{spelt}.", f"{ours}.")
                continue
            else:
                taken = _Wrong(IssueCode.NOT_AN_OBJECT, "an object", shown(raw))
            if isinstance(taken, _Wrong):
                self.issues.append(error(taken.code, spelt, taken.expected, taken.found, taken.hint))
                continue
            if taken.note:
                self.issues.append(warning(IssueCode.SANITIZED, spelt, _expected(field), shown(raw), taken.note))
            if taken.value is not None:
                values[field.name] = taken.value
        return values


def _taken(field: Field, raw: Any) -> _Taken | _Wrong:
    """Return a value as the field takes it: null is left out, text is read, and what that changed is said."""
    if raw is None:
        return _Taken(None, "" if field.default is None else "left out: it has its default")
    value = raw
    if isinstance(raw, str):
        value = _read(field, raw.strip())
    if field.type is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < _EXACT:
        value = float(value)
    if field.type is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not field.type or (isinstance(value, float) and not math.isfinite(value)):
        return _Wrong(IssueCode.WRONG_TYPE, _expected(field), shown(raw), _hint(field, raw))
    if field.type is not bool and not field.least <= value <= field.most:
        return _Wrong(IssueCode.OUT_OF_RANGE, _expected(field), shown(raw))
    return _Taken(value, f"taken as {shown(value)}" if isinstance(raw, str) else "")


def _read(field: Field, text: str) -> Any:
    if field.type is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return (float(text) if "." in text else int(text)) if _NUMBER.fullmatch(text) else text


def _expected(field: Field) -> str:
    if field.type is bool:
        return "true or false"
    counted = "" if field.unit == "share" else f" ({field.unit})"
    whole = "a whole number of" if field.type is int else "a number of"
    return f"{whole} {field.least:.15g} to {field.most:.15g}{counted}"


def _hint(field: Field, raw: Any) -> str:
    if field.unit == "ms" and isinstance(raw, str) and re.fullmatch(r"\s*[0-9.]+\s*m?s\s*", raw):
        return "milliseconds, without a unit"
    return "a bare true or false" if field.type is bool and isinstance(raw, (int, str)) else ""


def is_group(type_: Any) -> bool:
    """Whether a field holds fields of its own."""
    return issubclass(type_, msgspec.Struct)


def shown(value: Any) -> str:
    """Return a value for a message: on one line, and short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{visible(value if len(value) <= LONGEST_SHOWN else f"{value[: LONGEST_SHOWN - 1]}…")}"'
    if isinstance(value, (int, float)):
        return f"{value:.15g}" if isinstance(value, float) or abs(value) < _LARGEST_SHOWN else "a number of many digits"
    kind = type(value).__name__
    return {"dict": "an object", "list": "a list"}.get(kind, f"a Python {kind}")


def visible(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
