"""Classes of failures on a command line: codes, or types that stand for all of theirs, with commas or given again."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from core.domain.failure import CLASSES, Code, ErrorType, codes_of
from core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def read_classes(given: Iterable[str], place: str) -> frozenset[Code]:
    """Return the codes that these classes mean.

    Args:
        given: codes and types, each with commas between them.
        place: the option, for the message.

    Raises:
        BadInput: naming each that is neither.
    """
    expected = f"a type ({', '.join(ErrorType)}) or a code of docs/failures.md"
    return frozenset().union(*map(codes_of, _known(given, place, CLASSES, expected)))


def read_codes(given: Iterable[str], place: str) -> frozenset[Code]:
    """Return these codes; as ``read_classes``, but a type is none."""
    return frozenset(map(Code, _known(given, place, tuple(map(str, Code)), "a code of docs/failures.md")))


def is_class(text: str) -> bool:
    """Whether a text is nothing but classes."""
    return all(name in CLASSES for name in _names([text]))


def nearest(text: str) -> str | None:
    """Return the class that a text is most like, None if it is like none."""
    return next(iter(difflib.get_close_matches(text.strip().lower(), CLASSES, 1, 0.7)), None)


def _names(given: Iterable[str]) -> list[str]:
    return [name.strip() for text in given for name in text.split(",")]


def _known(given: Iterable[str], place: str, known: Collection[str], expected: str) -> list[str]:
    names = _names(given)
    problems = []
    for name in names:
        if name not in known:
            like = next(iter(difflib.get_close_matches(name.lower(), known, 1, 0.7)), None)
            hint = f"did you mean {like}?" if like is not None else ""
            hint = "it is a type: --class takes those" if name in CLASSES else hint
            problems.append(Problem(place=place, expected=expected, found=repr(name[:64]), hint=hint))
    if problems:
        raise BadInput(problems)
    return names
