"""Chooses what a run is shown with."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Protocol, Self

from core.console.plain import PlainConsole
from core.events.port import EventSink

if TYPE_CHECKING:
    from typing import IO

    from core.clock import Clock
    from core.domain.snapshot import Snapshot

_DUMB = frozenset({"dumb", "unknown"})


class RunConsole(EventSink, Protocol):
    """Shows a run as its events come, and its report at ``RunEnded``. ``emit`` never raises and waits for no reader."""

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close."""
        ...

    def close(self) -> None:
        """Give the terminal back, and wait a moment until what was said is written; safe to call twice."""
        ...


def open_console(
    stream: IO[str] | None, clock: Clock, *, term: str = "", earlier: Snapshot | None = None
) -> RunConsole:
    """Return a live display for a terminal, plain lines for anything else.

    Args:
        stream: where to write, usually standard output; None if that was closed before the start.
        clock: for elapsed time and ETA.
        term: the environment's ``TERM``; ``dumb`` and ``unknown`` get plain lines.
        earlier: durations of earlier runs are in it; None: nothing is known of any.
    """
    if stream is None:
        return PlainConsole(io.StringIO())
    if stream.isatty() and term not in _DUMB and _speaks_utf8(stream):
        from core.console.progress import ProgressConsole  # noqa: PLC0415 - rich costs time that a pipe need not pay

        return ProgressConsole(stream, clock, earlier)
    return PlainConsole(stream, earlier)


def _speaks_utf8(stream: IO[str]) -> bool:
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "ascii").name == "utf-8"
    except LookupError:
        return False
