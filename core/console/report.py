"""What stands on the screen when a run is over: a table, and one line that sums it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.console.wording import OUTCOME, STYLE, duration, job_name, one_line, said, with_code
from core.domain.model import TERMINAL, JobState
from core.domain.snapshot import KEPT_EVIDENCE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from core.domain.snapshot import JobView, Snapshot

ALL_UP_TO = 50
"""With more jobs than this only those that are not done are listed."""
ROWS = 200
_HEADER = ("profile", "outcome", "steps", "attempts", "time", "reason")
_NUMBERS_WIDTH = 30
"""Columns that steps, attempts, time and the gaps take."""
_REASON_WIDTH = 30
_REASON_LENGTH = 300
_LEFT = frozenset({"profile", "outcome", "reason"})


def rows(snapshot: Snapshot) -> list[JobView]:
    """Return the jobs that the table lists: all of a small run, of a large one those not done; at most ``ROWS``."""
    small = snapshot.total <= ALL_UP_TO
    views = [*snapshot.done.values(), *snapshot.others.values()] if small else list(snapshot.others.values())
    return sorted(views, key=lambda view: view.job)[:ROWS]


def summary(snapshot: Snapshot) -> str:
    """Return the last line: how many ended how, and how long it took."""
    counts = {JobState(state): number for state, number in snapshot.counts.items()}
    if not counts:
        counts = dict(snapshot.ended)
    everything = said(counts) or "no jobs"
    if snapshot.launched == 0 and snapshot.total == 0:
        again = any(counts.get(state) for state in (JobState.FAILED, JobState.QUARANTINED))
        return f"{everything}, nothing to do" + (" (--retry-failed tries them again)" if again else "")
    left = any(number for state, number in counts.items() if state not in TERMINAL)
    stopped = "stopped: " if snapshot.stopping and left else ""
    if snapshot.halted:
        stopped = f"halted: {snapshot.halted}; "
    return f"{stopped}{everything} in {duration(snapshot.seconds)}"


def unlisted(snapshot: Snapshot) -> str:
    """Say what the table leaves out; empty if nothing."""
    more = len(snapshot.others) - ROWS
    return f"and {more} more that are not done; logs/events.jsonl has them all" if more > 0 else ""


def footnotes(snapshot: Snapshot) -> list[str]:
    """Say what the run asked of the network, and where what it kept for people is."""
    notes: list[str] = []
    network = snapshot.network
    if network.requests:
        size = f"{network.bytes / 1e6:.1f} MB"
        unknown = f", without {network.unmeasured} that were not measured" if network.unmeasured else ""
        notes.append(f"network: {_number(network.requests, 'request')}, {network.failures} failed, {size}{unknown}")
    if snapshot.evidence:
        more = ", …" if len(snapshot.evidence_at) == KEPT_EVIDENCE < snapshot.evidence else ""
        places = ", ".join(map(one_line, snapshot.evidence_at))
        notes.append(f"evidence, below the state directory: {places}{more}")
    return notes


def _number(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def as_lines(snapshot: Snapshot) -> list[str]:
    """Return the report as aligned plain text, reasons uncut."""
    lines: list[str] = []
    listed = rows(snapshot)
    if listed:
        table = [_HEADER, *(_cells(view) for view in listed)]
        widths = [max(len(row[column]) for row in table) for column in range(len(_HEADER))]
        lines += [
            "  ".join(
                cell.ljust(width) if name in _LEFT else cell.rjust(width)
                for name, cell, width in zip(_HEADER, row, widths, strict=True)
            ).rstrip()
            for row in table
        ]
    if left_out := unlisted(snapshot):
        lines.append(left_out)
    lines += footnotes(snapshot)
    lines.append(summary(snapshot))
    return lines


def as_table(snapshot: Snapshot, width: int) -> list[RenderableType]:
    """Return the report for a terminal of ``width`` columns; where reasons would be squeezed they stand below the table."""
    from rich import box  # noqa: PLC0415 - rich is slow to import and a pipe does not need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [(STYLE.get(view.state, ""), _cells(view)) for view in rows(snapshot)]
    parts: list[RenderableType] = []
    if cells:
        taken = max(len(row[0]) for _, row in cells) + max(len(row[1]) for _, row in cells) + _NUMBERS_WIDTH
        beside = width - taken >= _REASON_WIDTH
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name in _HEADER if beside else _HEADER[:-1]:
            side: Literal["left", "right"] = "left" if name in _LEFT else "right"
            table.add_column(name, justify=side, no_wrap=name != "reason", overflow="fold")
        for style, (profile, outcome, *numbers, reason) in cells:
            row = [Text(profile), Text(outcome, style=style), *(Text(cell) for cell in numbers)]
            table.add_row(*row, *([Text(_short(reason), style="dim")] if beside else []))
        parts.append(table)
        if not beside:
            parts += [Text(f"{profile}: {_short(reason)}") for _, (profile, *_, reason) in cells if reason]
    if left_out := unlisted(snapshot):
        parts.append(Text(left_out, style="dim"))
    parts += [Text(note, style="dim") for note in footnotes(snapshot)]
    parts.append(Text(summary(snapshot), style="bold"))
    return parts


def _short(reason: str) -> str:
    return reason if len(reason) <= _REASON_LENGTH else reason[:_REASON_LENGTH] + "…"


def _cells(view: JobView) -> tuple[str, ...]:
    return (
        job_name(view),
        OUTCOME[view.state],
        f"{view.steps_done}/{view.steps_total}" if view.steps_total else "-",
        str(view.attempts),
        duration(view.seconds),
        with_code(view.code, view.reason),
    )
