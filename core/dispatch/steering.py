"""What an operator does to a run that is under way: hold it, change its limit, end a job, let a parked one go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from core.control.port import (
    Answer,
    Cancel,
    Continue,
    Drain,
    GoOn,
    LimitedJob,
    Look,
    ParkedJob,
    Pause,
    RunView,
    SetLimit,
    StopNow,
)
from core.domain import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.control.port import Request
    from core.dispatch.admission import LaunchGate, Slots
    from core.dispatch.handle import Handles
    from core.dispatch.shutdown import Stop
    from core.domain.events import Event

PAUSED = "paused by the operator"
LARGEST_LIMIT = 1000


class Steering:
    """Obeys requests, on the loop.

    Args:
        slots: whose limit is changed.
        gate: what is held.
        handles: the attempts under way.
        stop: the wish to end.
        clock: for events.
        emit: tells what was changed.
        changed: called after a change, so that there is a new plan.
    """

    def __init__(
        self,
        *,
        slots: Slots,
        gate: LaunchGate,
        handles: Handles,
        stop: Stop,
        clock: Clock,
        emit: Callable[[Event], None],
        changed: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._gate = gate
        self._handles = handles
        self._stop = stop
        self._clock = clock
        self._emit = emit
        self._changed = changed
        self._held_since: dict[str, float] = {}

    def obey(self, request: Request) -> Answer:
        """Do what is asked; say what was done, or why not."""
        done, problem = self._do(request)
        if not problem and not isinstance(request, Look):
            self._changed()
        return Answer(done=done, problem=problem, run=self.view())

    def view(self) -> RunView:
        """Return how the run stands."""
        handles = [(handle.claim.job.spec.id, handle) for handle in self._handles]
        return RunView(
            max_concurrent=self._slots.limit,
            running=tuple(job for job, handle in handles if handle.launched and handle.parked is None),
            prepared=tuple(job for job, handle in handles if not handle.launched),
            parked=tuple(_parked(handle.parked) for _, handle in handles if handle.parked is not None),
            limited=tuple(LimitedJob(job=job, why=handle.limited) for job, handle in handles if handle.limited),
            held=self._gate.held,
            stopping="now" if self._stop.now.is_set() else "drain" if self._stop.drain.is_set() else "",
        )

    def hold(self, reason: str) -> None:
        """Start nothing more, for this reason."""
        self.close(reason)
        self.tell_held(reason)

    def let_go(self, reason: str) -> None:
        """This reason is gone."""
        self.open(reason)
        self.tell_resumed(reason)

    def close(self, reason: str) -> None:
        """Let nobody through the gate, without a word; an empty reason is none."""
        if reason and reason not in self._gate.held:
            self._gate.hold(reason)
            self._changed()

    def open(self, reason: str) -> None:
        """Take that back."""
        if reason in self._gate.held:
            self._gate.let_go(reason)
            self._changed()

    def tell_held(self, reason: str) -> None:
        """Say why starts are held; an empty reason is none."""
        if reason and reason not in self._held_since:
            self._held_since[reason] = self._clock.monotonic()
            self._emit(events.StartsHeld(at=self._clock.now(), reason=reason))

    def tell_resumed(self, reason: str) -> None:
        """Say that a reason that was told is gone."""
        if reason in self._held_since:
            seconds = self._clock.monotonic() - self._held_since.pop(reason)
            self._emit(events.StartsResumed(at=self._clock.now(), reason=reason, seconds=seconds))

    def set_limit(self, limit: int, reason: str) -> None:
        """Have so many slots from now on."""
        if limit != self._slots.limit:
            self._slots.limit = limit
            self._emit(events.LimitChanged(at=self._clock.now(), max_concurrent=limit, reason=reason))

    def _do(self, request: Request) -> tuple[str, str]:  # noqa: C901, PLR0911 - one case for each request
        match request:
            case Look():
                return "", ""
            case Pause():
                self.hold(PAUSED)
                return "nothing more is started until `ostler ctl resume`; what runs goes on", ""
            case Continue():
                self.let_go(PAUSED)
                return "jobs are started again", ""
            case Drain():
                if not self._stop.drain.is_set():
                    self._stop.ask()
                return "nothing more is started; the run ends when what runs has ended", ""
            case StopNow():
                self._stop.at_once()
                return "what runs is stopped; the same command goes on", ""
            case SetLimit(max_concurrent=limit):
                if not 1 <= limit <= LARGEST_LIMIT:
                    return "", f"max-concurrent: expected 1 to {LARGEST_LIMIT}, found {limit}"
                self.set_limit(limit, "set by the operator")
                return f"{limit} at a time from now on", ""
            case Cancel(job=job):
                return self._cancel(job)
            case GoOn():
                return self._go_on(request)
            case _ as unreachable:
                assert_never(unreachable)

    def _cancel(self, job: str) -> tuple[str, str]:
        handle = self._handles.of(job)
        if handle is None:
            return "", f"{job} is not under way: `ostler queue cancel {job}` cancels what waits"
        handle.stop("cancel", "cancelled by the operator")
        return f"{job} is being ended", ""

    def _go_on(self, request: GoOn) -> tuple[str, str]:
        handle = self._handles.of(request.job)
        if handle is None or handle.parked is None:
            job = request.job
            begin_anew = f"`ostler queue retry {job}` begins the step of a parked job anew"
            return "", f"{job} does not wait for a person with its browser open: {begin_anew}"
        missing = [name for name in handle.parked.asks if name not in request.answers]
        unasked = [name for name in request.answers if name not in handle.parked.asks]
        if missing or unasked:
            asked = ", ".join(handle.parked.asks) or "nothing"
            return "", f"{request.job}: expected answers to {asked}, found {', '.join(request.answers) or 'none'}"
        if not handle.resume(request.answers):
            return "", f"{request.job} was told already"
        return f"{request.job} goes on with {handle.parked.step} as soon as a slot is free", ""


def _parked(event: events.AttemptParked) -> ParkedJob:
    return ParkedJob(
        job=event.job, profile_id=event.profile_id, step=event.step, why=event.why, since=event.at, asks=event.asks
    )
