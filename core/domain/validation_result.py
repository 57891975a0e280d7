"""What came of checking an input: the value as it can be used, or everything that is wrong with it, in one pass."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")


class IssueCode(StrEnum):
    """What sort of issue it is. The set is closed, and a name never changes its meaning; ``MEANINGS`` says it."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    CONTROL_CHARACTER = "control_character"
    UNKNOWN_FIELD = "unknown_field"
    GIVEN_TWICE = "given_twice"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    SANITIZED = "sanitized"
    SYSTEM_LIMIT = "system_limit"
    IDLE_BROWSERS = "idle_browsers"
    TIMEOUTS_CLASH = "timeouts_clash"
    WITHOUT_EFFECT = "without_effect"
    NOT_SUPPORTED = "not_supported"
    KEEPS_SECRETS = "keeps_secrets"
    NO_PROFILES = "no_profiles"
    BAD_PROFILE_ID = "bad_profile_id"
    PROFILE_TWICE = "profile_twice"
    PROFILE_NEW = "profile_new"
    PROFILE_DAMAGED = "profile_damaged"
    PROFILE_IN_USE = "profile_in_use"
    NOT_ENOUGH_DISK = "not_enough_disk"
    NOT_ENOUGH_MEMORY = "not_enough_memory"


MEANINGS: Mapping[IssueCode, str] = {
    IssueCode.NOT_JSON: "the text is no JSON in UTF-8",
    IssueCode.NOT_AN_OBJECT: "something else stands where an object has to",
    IssueCode.TOO_LARGE: "more text, or more values, than a launch configuration can have",
    IssueCode.TOO_DEEP: "more levels than a launch configuration has",
    IssueCode.CONTROL_CHARACTER: "a name or a text has a character that cannot be printed",
    IssueCode.UNKNOWN_FIELD: "there is no such field",
    IssueCode.GIVEN_TWICE: "a field is there twice, maybe in both spellings",
    IssueCode.WRONG_TYPE: "not the kind of value that the field takes",
    IssueCode.OUT_OF_RANGE: "a number beyond the field's range",
    IssueCode.SANITIZED: "taken as another value than what was written, and that says which",
    IssueCode.SYSTEM_LIMIT: "within the field's range, and beyond what the system configuration allows",
    IssueCode.IDLE_BROWSERS: "batches are so small that browsers stay idle",
    IssueCode.TIMEOUTS_CLASH: "a limit that another limit cuts off",
    IssueCode.WITHOUT_EFFECT: "another field makes this one meaningless",
    IssueCode.NOT_SUPPORTED: "the engine has nothing that this could become",
    IssueCode.KEEPS_SECRETS: "copies of browser data with logins will stay",
    IssueCode.NO_PROFILES: "there is nothing to launch",
    IssueCode.BAD_PROFILE_ID: "this can be no profile's ID",
    IssueCode.PROFILE_TWICE: "a profile is named twice, or two differ only in case",
    IssueCode.PROFILE_NEW: "there is no such profile: it will be made",
    IssueCode.PROFILE_DAMAGED: "the profile has to be recovered first",
    IssueCode.PROFILE_IN_USE: "somebody works with the profile: it has to wait",
    IssueCode.NOT_ENOUGH_DISK: "there is no room for the working copies",
    IssueCode.NOT_ENOUGH_MEMORY: "not all of the browsers fit into memory at a time",
}


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or that should be known.

    Attributes:
        field: path, spelt as it was given; empty for the whole input.
        message: ``expected …, found … (hint)``.
        severity: an error makes the input unusable, a warning does not.
        code: what sort of issue it is.
        expected: what would have been right.
        found: what stood there, shortened.
        hint: what to do about it; may be empty.
    """

    field: str
    message: str
    severity: Literal["error", "warning"]
    code: IssueCode
    expected: str
    found: str
    hint: str = ""


class ValidationResult(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        is_valid: there are no errors.
        sanitized_data: the value as it can be used; null if it is not valid.
        errors: why it is not.
        warnings: what should be known all the same.
    """

    is_valid: bool
    sanitized_data: T | None
    errors: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()


def error(code: IssueCode, field: str, expected: str, found: str, hint: str = "") -> Issue:
    """Return an issue that makes the input unusable."""
    return _issue("error", code, field, (expected, found, hint))


def warning(code: IssueCode, field: str, expected: str, found: str, hint: str = "") -> Issue:
    """Return an issue that should be known."""
    return _issue("warning", code, field, (expected, found, hint))


def result_of(data: T, issues: Sequence[Issue]) -> ValidationResult[T]:
    """Return the value with what was found about it; without it, if there is an error."""
    errors = tuple(issue for issue in issues if issue.severity == "error")
    warnings = tuple(issue for issue in issues if issue.severity == "warning")
    return ValidationResult(
        is_valid=not errors, sanitized_data=None if errors else data, errors=errors, warnings=warnings
    )


def _issue(severity: Literal["error", "warning"], code: IssueCode, field: str, words: tuple[str, str, str]) -> Issue:
    expected, found, hint = words
    message = f"expected {expected}, found {found}{f' ({hint})' if hint else ''}"
    return Issue(field=field, message=message, severity=severity, code=code, expected=expected, found=found, hint=hint)
