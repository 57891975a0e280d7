"""How a run stands, in a few numbers: for a service manager's line and for a health file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain import events as ev
from core.domain.model import JobState
from core.domain.snapshot import Snapshot, fold

if TYPE_CHECKING:
    from core.domain.events import Event

_PROGRESS = (
    ev.AttemptStarted,
    ev.PhaseStarted,
    ev.BrowserLaunched,
    ev.StepStarted,
    ev.StepCommitted,
    ev.AttemptEnded,
    ev.JobChanged,
)


class Standing:
    """A sink that remembers.

    Attributes:
        snapshot: the run.
        progressed_at: when something last went on, epoch seconds; None if nothing has yet.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.progressed_at: float | None = None

    def emit(self, event: Event) -> None:
        """Take one event."""
        self.snapshot = fold(self.snapshot, event)
        if isinstance(event, _PROGRESS):
            self.progressed_at = event.at

    def line(self) -> str:
        """Return it in one line for people."""
        snapshot = self.snapshot
        ended = snapshot.ended
        numbers = {
            "failed": ended.get(JobState.FAILED, 0),
            "quarantined": ended.get(JobState.QUARANTINED, 0),
            "need a person": snapshot.parked,
            "running": len(snapshot.running),
            "waiting": snapshot.waiting,
            "queued": snapshot.queued,
        }
        said = [f"{ended.get(JobState.DONE, 0)} of {snapshot.total} done"]
        said += [f"{number} {word}" for word, number in numbers.items() if number]
        line = ", ".join(said)
        if snapshot.held:
            line += f"; nothing is started: {', '.join(snapshot.held)}"
        if snapshot.stopping:
            line += "; stopping now" if snapshot.stopping == "now" else "; finishing what runs"
        return " ".join(line.split())
