"""The author's part of a traceback: what went wrong in a flow is told in lines of the flow, not in lines of ours."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHECKOUT = Path(__file__).resolve().parent.parent
_NOT_THE_AUTHORS = tuple(
    f"{path}{os.sep}"
    for path in (
        _CHECKOUT / "core",
        _CHECKOUT / "workers",
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)
_SHELL = str(_CHECKOUT / "run.py")
_LEFT_OUT = "{count} lines of Ostler and of libraries are left out; run.py --verbose shows them"


def place_of(error: BaseException) -> str:
    """Return where in the author's files an error comes from, as ``flow.py:41``; empty if it touched none of them."""
    for one in chain(error):
        for frame in reversed(traceback.extract_tb(one.__traceback__)):
            if is_authors(frame.filename):
                return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""


def definition_of(function: object) -> str:
    """Return where a function is defined, as ``flow.py:41``; empty if that cannot be known."""
    code = getattr(function, "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code is not None else ""


def authors_traceback(error: BaseException) -> str:
    """Return the traceback with the author's frames alone, and how many others were left out; all of it if none is theirs."""
    told = traceback.TracebackException.from_exception(error)
    left_out = sum(_thin(one) for one in _told_chain(told))
    if not place_of(error):
        return "".join(traceback.TracebackException.from_exception(error).format()).rstrip()
    text = "".join(told.format()).rstrip()
    return f"{text}\n({_LEFT_OUT.format(count=left_out)})" if left_out else text


def whole_traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it."""
    return "".join(traceback.format_exception(error)).rstrip()


def is_authors(filename: str) -> bool:
    """Whether code of this file is the author's: neither ours, nor Python's, nor a library's."""
    return not (filename.startswith(("<", *_NOT_THE_AUTHORS)) or filename == _SHELL)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, each once; a group's members come after the group."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [*members, one.__cause__, None if one.__suppress_context__ else one.__context__]


def _told_chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting = [told]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [more for more in (one.__cause__, one.__context__, *(one.exceptions or ())) if more is not None]


def _thin(told: traceback.TracebackException) -> int:
    """Keep the author's frames; return how many others there were."""
    authors = [frame for frame in told.stack if is_authors(frame.filename)]
    left_out = len(told.stack) - len(authors)
    told.stack = traceback.StackSummary.from_list(authors)
    return left_out
