"""One value of a setting: converted, held to its limits, and, if it is wrong, explained."""

from __future__ import annotations

import math
import os
import re
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.domain.session import is_secret
from core.input_file import absolute
from core.redaction import MASK, mask_url
from core.units import UNITS, amount

if TYPE_CHECKING:
    from collections.abc import Callable

WEEK = 7 * 86_400.0
LARGEST = 2**53
_PLAIN = frozenset({"factor", "jitter", "threshold"})
"""Numbers that count nothing."""
_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
_LONGEST_NUMBER = 4096
"""Bits of a number that a message may show: Python refuses to spell out thousands of digits."""


class Wrong(NamedTuple):
    """Why a value cannot be taken; ``below``: the name of the part of a table that is to blame."""

    expected: str
    found: str
    hint: str = ""
    below: str = ""


class Form(NamedTuple):
    """A way to write a setting that no type says.

    Attributes:
        expected: what it takes, in words.
        read: returns the value, or a ``Wrong``; None for what is meant as another type. Called with what was given, and whether
            it comes from where everything is text.
    """

    expected: str
    read: Callable[[Any, bool], Any]


class Rule(NamedTuple):
    """What a setting takes.

    Attributes:
        name: with dots.
        type: as msgspec has it.
        least: the smallest number.
        most: the largest number.
        is_path: a text that is a path.
        follows: whether a link at that path is followed.
        form: a way to write it that no type says; ``type`` has what it takes besides.
    """

    name: str
    type: Any
    least: float
    most: float
    is_path: bool
    follows: bool = True
    form: Form | None = None

    @property
    def unit(self) -> str:
        """What a number of it counts."""
        last = self.name.rpartition(".")[2].rpartition("_")[2]
        if last in _PLAIN:
            return ""
        if last in UNITS:
            return last
        return "bytes" if last == "rate" else "seconds" if float in members(self.type) else ""

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        words = [self._word(one) for one in members(self.type)]
        words += [] if self.form is None else [self.form.expected]
        return " or ".join("a path" if self.is_path and word == "a text" else word for word in words)

    def _word(self, one: Any) -> str:
        if typing.get_origin(one) is typing.Literal:
            return " or ".join(f'"{choice}"' for choice in typing.get_args(one))
        if one in (int, float) and self.unit:
            return f"a {'whole ' if one is int else ''}number of {self.unit}"
        return _WORDS.get(one, getattr(one, "__name__", str(one)))


def members(type_: Any) -> list[Any]:
    """Return the alternatives of a type, but for None."""
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(type_) for one in members(part)]
    if typing.get_origin(type_) is typing.Annotated:
        return members(typing.get_args(type_)[0])
    return [] if type_ is type(None) else [type_]


def convert(rule: Rule, raw: Any, base: Path, *, is_text: bool) -> Any:
    """Return the value, or a ``Wrong``.

    Args:
        rule: what is wanted.
        raw: what was given.
        base: where relative paths start.
        is_text: whether ``raw`` comes from where everything is text: a variable or the command line.
    """
    if is_text and raw == "":
        return Wrong(rule.expected, "nothing", "leave it out to have the default")
    if rule.form is not None and (formed := rule.form.read(raw, is_text)) is not None:
        return formed
    if rule.is_path or rule.type is Path:
        return _path(rule, raw, base)
    try:
        value = _converted(rule.type, raw, is_text=is_text)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return Wrong(rule.expected, shown(rule.name, raw), _hint(rule, raw, is_text=is_text))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not rule.least <= value <= rule.most:
        least = f"{rule.least:.15g}"
        limits = f"at least {least}" if rule.most >= LARGEST else f"{least} to {rule.most:.15g}"
        hint = "it counts seconds, not milliseconds" if rule.unit == "seconds" and rule.most < value < math.inf else ""
        return Wrong(f"{rule._replace(form=None).expected}, {limits}", shown(rule.name, raw), hint)
    return value


def shown(name: str, value: Any) -> str:
    """Return a value for a message: short, and without what may be secret."""
    if is_secret(name.rpartition(".")[2]) and value not in (None, ""):
        return MASK
    if isinstance(value, (str, Path)):
        text = mask_url(str(value))
        return '"' + (text if len(text) <= 80 else f"{text[:79]}…") + '"'  # noqa: PLR2004 - a line's worth
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return "a number of very many digits"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - as above


def _path(rule: Rule, raw: Any, base: Path) -> Any:
    if not isinstance(raw, (str, Path)):
        return Wrong(rule.expected, shown(rule.name, raw))
    if not str(raw) or "\0" in str(raw):
        hint = "" if str(raw) else "leave it out to have the default"
        return Wrong(rule.expected, "a zero in it" if str(raw) else "nothing", hint)
    # not Path.resolve: it raises for a loop of links, which is found out by whoever opens it
    try:
        path = absolute(str(raw), base)
        path = Path(os.path.realpath(path if rule.follows else path.parent)) / ("" if rule.follows else path.name)
    except UnicodeEncodeError:
        return Wrong(rule.expected, "characters that no path has")
    # os.path, not Path: a name too long is no error of it
    if rule.type is Path and os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
        return Wrong("a directory", f"a file at {path}")
    return path if rule.type is Path else str(path)


def _converted(type_: Any, raw: Any, *, is_text: bool) -> Any:
    """Return the value as its type; a number may come as text only where everything is text."""
    if not is_text or not isinstance(raw, str):
        return msgspec.convert(raw, type_)
    for reading in (str, int, float):
        try:
            return msgspec.convert(reading(raw), type_)
        except (msgspec.ValidationError, ValueError, OverflowError):
            continue
    return msgspec.convert(raw, type_, strict=False)


def _hint(rule: Rule, raw: Any, *, is_text: bool) -> str:
    kinds = members(rule.type)
    number = int in kinds or float in kinds
    if isinstance(raw, str) and number:
        if (value := amount(raw, rule.unit)) is not None:
            return f"without a unit: {value:.15g}" if float in kinds else f"without a unit: {round(value)}"
        if re.fullmatch(r"[0-9]+,[0-9]+", raw):
            return f"with a point: {raw.replace(',', '.')}" if float in kinds else ""
        if not is_text and re.fullmatch(r"[0-9]+(\.[0-9]+)?", raw):
            return f"without quotes: {raw}"
    if bool in kinds and isinstance(raw, (str, int)) and not is_text:
        return (
            "a bare true or false" if str(raw).lower() in {"true", "false", "yes", "no", "on", "off", "0", "1"} else ""
        )
    return ""
