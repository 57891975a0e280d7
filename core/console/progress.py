"""A run on a terminal: a bar, counts, and a line for each running profile; redrawn from a snapshot a few times a second."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from core.console.output import PatientStream
from core.console.report import as_table
from core.console.wording import OUTCOME, STYLE, duration, one_line
from core.domain import events as ev
from core.domain.model import JobState
from core.domain.snapshot import Snapshot, eta, fold

with suppress(ImportError):  # Windows has none, and writes no ^C
    import termios

if TYPE_CHECKING:
    from typing import IO

    from rich.console import ConsoleOptions, RenderResult

    from core.clock import Clock
    from core.domain.events import Event
    from core.domain.snapshot import JobView

REFRESH_PER_SECOND = 4
_HEAD = 3
"""Lines that are not a running profile: bar, counts, and one to spare for the cursor."""


class ProgressConsole:
    """A live display. ``emit`` only folds; drawing is the display's own thread's, so a stopped terminal stops nobody."""

    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self._clock = clock
        self._snapshot = Snapshot()
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
        return Screen(self._snapshot, self._clock.now())

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


class Screen:
    """One picture of a run, for whatever size the terminal has by the time it is drawn."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self._snapshot = snapshot
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        snapshot = self._snapshot
        yield self._bar()
        yield self._counts()
        room = max(options.size.height - _HEAD, 1)
        views = list(snapshot.running.values())
        shown = views if len(views) <= room else views[: room - 1]
        if shown:
            yield self._lines(shown)
        if len(shown) < len(views):
            yield _cut(Text(f"… and {len(views) - len(shown)} more", style="dim"))

    def _bar(self) -> Table:
        snapshot = self._snapshot
        left = eta(snapshot, self._now)
        bar = Table.grid(expand=True, padding=(0, 1, 0, 0))
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        bar.add_column(no_wrap=True, justify="right")
        bar.add_row(
            ProgressBar(total=max(snapshot.total, 1), completed=snapshot.finished),
            Text(f"{snapshot.finished}/{snapshot.total}"),
            Text("ETA -:--" if left is None else f"ETA {duration(left)}"),
        )
        return bar

    def _counts(self) -> Text:
        snapshot = self._snapshot
        parts: list[tuple[str, str]] = [
            (f"{number} {word}", STYLE.get(state, ""))
            for state, word in OUTCOME.items()
            if (number := snapshot.ended.get(state, 0))
        ]
        numbers = {
            "needs a person": snapshot.parked,
            "waiting": snapshot.waiting,
            "running": len(snapshot.running),
            "queued": snapshot.queued,
            "launched": snapshot.launched,
        }
        styles = {"needs a person": STYLE[JobState.PARKED], "waiting": STYLE[JobState.WAITING]}
        parts += [(f"{number} {word}", styles.get(word, "")) for word, number in numbers.items() if number]
        if snapshot.started_at is not None:
            parts.append((duration(self._now - snapshot.started_at), "dim"))
        if snapshot.halted:
            parts.append((f"halted: {snapshot.halted}", "yellow"))
        if snapshot.stopping:
            parts.append(("stopping now" if snapshot.stopping == "now" else "finishing (^C: stop now)", "yellow"))
        text = Text()
        for position, (part, style) in enumerate(parts):
            text.append(" · " if position else "", style="dim")
            text.append(part, style=style)
        return _cut(text)

    def _lines(self, views: list[JobView]) -> Table:
        lines = Table.grid(expand=True, padding=(0, 1, 0, 0))
        lines.add_column(no_wrap=True, overflow="ellipsis", max_width=32)
        lines.add_column(no_wrap=True, justify="right")
        lines.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        lines.add_column(no_wrap=True, justify="right")
        for view in views:
            steps = f"{view.steps_done}/{view.steps_total}" if view.steps_total else ""
            spent = "" if view.started is None else duration(self._now - view.started)
            lines.add_row(Text(one_line(view.profile_id), style="cyan"), Text(steps), _doing(view), Text(spent))
        return lines


def _doing(view: JobView) -> Text:
    text = Text(one_line(view.step or view.phase or "starting"))
    if view.try_ > 1:
        text.append(f" · try {view.try_}", style="yellow")
    if view.attempts > 1:
        text.append(f" · attempt {view.attempts}", style="yellow")
    if view.reason:
        text.append(f" · {one_line(view.reason)}", style="dim")
    return text


def _cut(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
