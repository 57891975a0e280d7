"""A run on a terminal: redrawn from a snapshot a few times a second, and replaced by the report at its end."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from rich.console import Console
from rich.live import Live
from rich.text import Text

from core.console.output import PatientStream
from core.console.report import as_table
from core.console.screen import Screen
from core.console.wording import one_line
from core.domain import events as ev
from core.domain.snapshot import Snapshot, fold

with suppress(ImportError):  # Windows has none, and writes no ^C
    import termios

if TYPE_CHECKING:
    from typing import IO

    from core.clock import Clock
    from core.domain.events import Event

REFRESH_PER_SECOND = 4


class ProgressConsole:
    """A live display. ``emit`` only folds; drawing is the display's own thread's, so a stopped terminal stops nobody."""

    def __init__(self, stream: IO[str], clock: Clock, earlier: Snapshot | None = None) -> None:
        self._clock = clock
        self._snapshot = Snapshot() if earlier is None else earlier
        self._width = 0
        # PatientStream has of a text stream what rich uses
        file = cast("IO[str]", PatientStream(stream))
        self._console = Console(file=file, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._quiet = _QuietKeys()
        self._live = Live(
            console=self._console,
            get_renderable=self._screen,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )

    def emit(self, event: Event) -> None:
        """Take one event; the first that says there is work starts the display, the end of the run replaces it."""
        self._snapshot = fold(self._snapshot, event)
        if isinstance(event, (ev.RunStarted, ev.AttemptStarted)) and self._snapshot.total + self._snapshot.launched:
            self._quiet.enter()
            self._live.start()
        elif isinstance(event, ev.FeedRejected):
            problem = f"{one_line(event.source)} cannot be used; the last good version stays: {one_line(event.problem)}"
            self._console.print(Text(problem, style="yellow"))
        elif isinstance(event, ev.RunEnded):
            self.close()
            self._report()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()
        self._quiet.leave()

    def _screen(self) -> Screen:
        """Return the next picture. A terminal that got another width has folded the last one, so it cannot be drawn over."""
        before, self._width = self._width, self._console.width
        return Screen(self._snapshot, self._clock.now(), anew=bool(before) and before != self._width)

    def _report(self) -> None:
        for part in as_table(self._snapshot, self._console.width):
            self._console.print(part)


class _QuietKeys:
    """Keeps the terminal from writing ``^C`` into the display, which would leave a torn copy of it behind."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def enter(self) -> None:
        """Switch it off, where standard input is a terminal."""
        if self._before is not None or "termios" not in sys.modules:
            return
        with suppress(termios.error, OSError, ValueError, AttributeError):
            before = termios.tcgetattr(sys.stdin)
            quiet = list(before)
            quiet[3] &= ~termios.ECHOCTL
            termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
            self._before = before

    def leave(self) -> None:
        """Put it back as it was."""
        if self._before is not None:
            with suppress(termios.error, OSError, ValueError):
                termios.tcsetattr(sys.stdin, termios.TCSANOW, self._before)
            self._before = None
