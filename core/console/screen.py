"""One picture of a run: bar, counts, why nothing starts, and the jobs that matter most; drawn for the size the terminal has."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.control import Control
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from core.console.wording import OUTCOME, STYLE, about, duration, job_name, one_line, with_code
from core.domain.forecast import eta
from core.domain.model import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from core.domain.snapshot import JobView, Snapshot

_LOW = 10
"""Terminals of fewer lines get one line of counts."""
_COUNT_LINES = 3
_DIM, _TROUBLE = "dim", "yellow"


class Screen:
    """A run as it stands at ``now``, epoch seconds. With ``anew`` the terminal is cleared first."""

    def __init__(self, snapshot: Snapshot, now: float, *, anew: bool = False) -> None:
        self._snapshot = snapshot
        self._now = now
        self._anew = anew

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._anew:
            yield Control(ControlType.HOME, ControlType.CLEAR)
        width, height = options.max_width, options.size.height
        yield self._bar()
        counts = packed(self._counts(), width, _COUNT_LINES if height >= _LOW else 1)
        yield from counts
        if self._snapshot.held:
            why = "; ".join(map(one_line, self._snapshot.held))
            yield _cut(Text(f"nothing is started: {why}", style=_TROUBLE))
        # one line is the bar, one is left for the cursor
        room = height - 2 - len(counts) - bool(self._snapshot.held)
        groups = self._groups()
        numbers = shares([len(group) for group in groups], max(room, 1))
        for group, number in zip(groups, numbers, strict=True):
            if number:
                yield self._rows(group[:number])
        if more := _more([view for group, number in zip(groups, numbers, strict=True) for view in group[number:]]):
            yield _cut(Text(more, style=_DIM))

    def _bar(self) -> Table:
        snapshot = self._snapshot
        bar = Table.grid(expand=True, padding=(0, 1, 0, 0))
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        bar.add_column(no_wrap=True, justify="right")
        bar.add_row(
            ProgressBar(total=max(snapshot.total, 1), completed=snapshot.finished, complete_style="cyan"),
            Text(f"{snapshot.finished}/{snapshot.total}"),
            Text(about(eta(snapshot, self._now))),
        )
        return bar

    def _counts(self) -> list[Text]:
        snapshot = self._snapshot
        parts = [
            (f"{number} {word}", STYLE.get(state, ""))
            for state, word in OUTCOME.items()
            if (number := snapshot.ended.get(state, 0))
        ]
        numbers = {
            "needs a person" if snapshot.parked == 1 else "need a person": (snapshot.parked, STYLE[JobState.PARKED]),
            "waiting": (snapshot.waiting, STYLE[JobState.WAITING]),
            "running": (snapshot.under_way(JobState.RUNNING), ""),
            "prepared": (snapshot.under_way(JobState.PREPARED), ""),
            "queued": (snapshot.queued, ""),
            "launched": (snapshot.launched, ""),
            "error" if snapshot.errors == 1 else "errors": (snapshot.errors, STYLE[JobState.FAILED]),
        }
        parts += [(f"{number} {word}", style) for word, (number, style) in numbers.items() if number]
        if snapshot.batch:
            parts.append((f"batch {snapshot.batch} of ~{snapshot.batches}", ""))
        if snapshot.started_at is not None:
            parts.append((duration(self._now - snapshot.started_at), _DIM))
        if snapshot.halted:
            parts.append((f"halted: {snapshot.halted}", _TROUBLE))
        if snapshot.stopping:
            parts.append(("stopping now" if snapshot.stopping == "now" else "finishing (^C: stop now)", _TROUBLE))
        return [Text(part, style=style) for part, style in parts]

    def _groups(self) -> list[list[JobView]]:
        """Return what is listed, what matters most first: who needs a person, trouble, retries, the rest."""
        running = self._snapshot.running.values()
        others = self._snapshot.others.values()
        parked = [view for view in (*running, *others) if view.state is JobState.PARKED]
        busy = [view for view in running if view.state is not JobState.PARKED]
        waiting = [view for view in others if view.state is JobState.WAITING]
        return [
            parked,
            [view for view in busy if _in_trouble(view)],
            sorted(waiting, key=lambda view: view.retry_at or 0.0),
            sorted((view for view in busy if not _in_trouble(view)), key=lambda view: view.state is JobState.PREPARED),
        ]

    def _rows(self, views: Sequence[JobView]) -> Table:
        if views[0].state is JobState.PARKED:
            return _asked(views)
        rows = Table.grid(expand=True, padding=(0, 1, 0, 0))
        rows.add_column(no_wrap=True, overflow="ellipsis", max_width=32)
        rows.add_column(no_wrap=True, justify="right")
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        rows.add_column(no_wrap=True, justify="right")
        for view in views:
            steps = f"{view.steps_done}/{view.steps_total}" if view.steps_total else ""
            spent = "" if view.started is None else duration(self._now - view.started)
            rows.add_row(Text(job_name(view), style="cyan"), Text(steps), self._doing(view), Text(spent))
        return rows

    def _doing(self, view: JobView) -> Text:
        reason = with_code(view.code, view.reason)
        if view.state is JobState.WAITING:
            text = Text(style=_TROUBLE)
            due = view.retry_at is None or view.retry_at <= self._now
            text.append("retry due" if due else f"retry in {duration((view.retry_at or 0.0) - self._now)}")
            text.append(f" · attempt {view.attempts + 1}")
        else:
            text = Text(one_line(view.step or view.phase or "starting"))
            if view.try_ > 1:
                text.append(f" · try {view.try_}", style=_TROUBLE)
            if view.attempts > 1:
                text.append(f" · attempt {view.attempts}", style=_TROUBLE)
        if reason:
            text.append(f" · {reason}", style=_DIM)
        return text


def _asked(views: Sequence[JobView]) -> Table:
    """Return what people are asked to do, and what to type then; the command is never cut."""
    rows = Table.grid(expand=True, padding=(0, 1, 0, 0))
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    rows.add_column(no_wrap=True, justify="right")
    for view in views:
        asks = f" (asks for {', '.join(map(one_line, view.asks))})" if view.asks else ""
        what = Text(f"needs a person: {one_line(view.reason)}{asks}", style=STYLE[JobState.PARKED])
        rows.add_row(what, Text(to_go_on(view)))
    return rows


def to_go_on(view: JobView) -> str:
    """Return what a person types after having done what a parked job asks for: its browser is open, or it starts again."""
    name = shlex.quote(one_line(view.job))
    return f"ostler ctl resume {name}" if view.started is not None else f"ostler queue retry {name}"


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Return how many of each group are shown in ``room`` lines, one of which says how many are not, if not all fit.

    Groups take turns, a line each, so that none of them hides another.
    """
    shown = [0] * len(sizes)
    left = room if sum(sizes) <= room else room - 1
    while left > 0 and any(taken < size for taken, size in zip(shown, sizes, strict=True)):
        for index, size in enumerate(sizes):
            if shown[index] < size and left > 0:
                shown[index] += 1
                left -= 1
    return shown


def packed(parts: Iterable[Text], width: int, most: int) -> list[Text]:
    """Return the parts in at most so many lines, broken between parts only; what does not fit is cut."""
    lines = [Text()]
    for part in parts:
        if lines[-1].cell_len and lines[-1].cell_len + len(" · ") + part.cell_len > width and len(lines) < most:
            lines.append(Text())
        lines[-1].append(" · " if lines[-1].cell_len else "", style=_DIM)
        lines[-1].append_text(part)
    return [_cut(line) for line in lines]


def _more(views: Sequence[JobView]) -> str:
    if not views:
        return ""
    numbers = {word: sum(view.state is state for view in views) for state, word in OUTCOME.items()}
    return f"+ {len(views)} more: " + ", ".join(f"{number} {word}" for word, number in numbers.items() if number)


def _in_trouble(view: JobView) -> bool:
    return bool(view.reason) or view.try_ > 1 or view.attempts > 1


def _cut(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
