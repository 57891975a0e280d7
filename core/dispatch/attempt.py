"""What the orchestrator knows of one running attempt, folded from the worker's messages. No I/O, no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.domain import events, messages
from core.domain.hard_limit import HardLimit
from core.domain.lifecycle import ATTEMPT, AttemptEvent, AttemptState, advance

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.domain.events import Event
    from core.domain.messages import Up
    from core.domain.model import Claim
    from core.domain.outcome import Outcome


_LAUNCH, _PERSON = "launch", "person"


class AttemptLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds.

    Attributes:
        start: from the spawn to ``Ready``.
        progress: least time without progress that is too long.
        hard: of the whole attempt, unless its job has a limit of its own.
        percent: of what attempts of its flow usually take, if that is less; None: ``hard`` it is.
    """

    start: float
    progress: float
    hard: float
    percent: int | None = None


class Attempt:
    """The orchestrator's side of one execution: where it stands, what it committed, when it is overdue."""

    def __init__(
        self,
        claim: Claim,
        limits: AttemptLimits,
        *,
        started: float,
        redact: Callable[[str], str],
        usual: Callable[[], HardLimit] | None = None,
    ) -> None:
        self.claim = claim
        self.state = advance(ATTEMPT, AttemptState.IDLE, AttemptEvent.INITIALIZE)
        self.ready: messages.Ready | None = None
        self.reported: Outcome | None = None
        self.step = "start"
        self.prepared = False
        self.committed = 0
        self.done: set[str] = set()
        self.todo: tuple[str, ...] = ()
        self.flags: dict[str, str] = {}
        self._limits = limits
        self._redact = redact
        self._limit = limits.progress
        own = claim.job.spec.timeout
        fixed = HardLimit(own or limits.hard)
        self._hard: Callable[[], HardLimit] = usual if usual is not None and own is None else lambda: fixed
        self._began = started
        self._overdue = started + limits.start
        self._pauses: set[object] = set()
        self._paused_at = started
        self._idle = 0.0

    def __repr__(self) -> str:
        return f"<Attempt {self.claim.job.spec.id}#{self.claim.attempt.number} {self.state} in {self.step}>"

    @property
    def steps_total(self) -> int:
        """Steps of the flow, as far as known."""
        return len(self.done | set(self.todo))

    def overdue_at(self) -> tuple[float, str]:
        """Return the monotonic time at which the attempt is to be stopped, and why."""
        if self._pauses:
            return float("inf"), "waits, and not for itself"
        hard = self._hard()
        if self._began + hard.seconds <= self._overdue:
            because = f": {hard.because}" if hard.because else ""
            return self._began + hard.seconds, f"hard limit of {hard.seconds:g} s reached in {self.step}{because}"
        return self._overdue, f"no progress in {self.step}"

    def take(self, message: Up, *, monotonic: float, at: float) -> list[Event]:  # noqa: C901, PLR0911, PLR0912 - one case a message
        """Fold one message in; return what it announces.

        Args:
            message: from the worker.
            monotonic: now, for deadlines.
            at: epoch seconds, for events.
        """
        spec = self.claim.job.spec
        of: dict[str, Any] = {
            "at": at,
            "profile_id": spec.profile_id,
            "job": spec.id,
            "attempt": self.claim.attempt.number,
        }
        match message:
            case messages.Ready():
                self.ready = message
                self._extend(monotonic, self._limits.progress)
            case messages.Phase(name=name, limit=limit):
                self.step = name
                self._extend(monotonic, limit)
                if name == "launch":
                    self._advance(AttemptEvent.INITIALIZED)
                if name == "save":
                    self._advance(AttemptEvent.STOP)
                return [events.PhaseStarted(phase=name, **of)]
            case messages.Planned(done=done, todo=todo, flags=flags):
                self.done, self.todo, self.flags = set(done), todo, flags
                return [events.StepsPlanned(done=done, todo=todo, flags=flags, **of)]
            case messages.Prepared() if not self.prepared:
                self.prepared = True
                self.pause(_LAUNCH, monotonic)
                return [events.AttemptPrepared(**of)]
            case messages.Parked(step=step, why=why, code=code, asks=asks):
                self.step = step
                self.pause(_PERSON, monotonic)
                self._advance(AttemptEvent.NEEDS_PERSON)
                return [events.AttemptParked(step=step, why=self._redact(why), code=code, asks=asks, **of)]
            case messages.BrowserStarted(name=name, version=version, pid=pid):
                self._extend(monotonic, self._limits.progress)
                self._advance(AttemptEvent.BROWSER_STARTED)
                self._advance(AttemptEvent.CONNECTED)
                return [events.BrowserLaunched(browser=name, version=version, pid=pid, **of)]
            case messages.BrowserClosed():
                self._advance(AttemptEvent.STOPPED)
                return [events.BrowserClosed(**of)]
            case messages.StepStarted(step=step, try_=try_, limit=limit):
                self.step = step
                self._extend(monotonic, limit)
                return [events.StepStarted(step=step, try_=try_, **of)]
            case messages.StepCommitted(step=step, flag=flag, seconds=seconds, body_ran=body_ran):
                self._extend(monotonic, self._limits.progress)
                self.done.add(step)
                self.committed += flag is not None
                return [events.StepCommitted(step=step, seconds=seconds, body_ran=body_ran, **of)]
            case messages.StepProblem(reason=reason):
                self._extend(monotonic, self._limits.progress)
                told = msgspec.structs.asdict(message) | {"reason": self._redact(reason), "code": str(message.code)}
                return [events.StepFailed(**told, **of)]
            case messages.Progress():
                self._extend(monotonic, self._limit)
            case messages.Note(name=name, data=data):
                return [events.WorkerNoted(name=name, data=data, **of)]
            case messages.Kept():
                return [events.ArtifactsKept(**msgspec.structs.asdict(message), **of)]
            case messages.Network():
                return [events.NetworkUsed(**msgspec.structs.asdict(message), **of)]
            case messages.Finished(outcome=outcome):
                self.reported = outcome
                self._extend(monotonic, self._limits.progress)
        # a heartbeat moves nothing, and what was learnt is the redactor's
        return []

    def launch(self, monotonic: float) -> None:
        """The browser may start: what was spent waiting for that does not count."""
        self.go_on(_LAUNCH, monotonic, self._limits.progress)

    def resume(self, monotonic: float) -> None:
        """A person is done: what was spent waiting for them does not count."""
        self._advance(AttemptEvent.RESUMED)
        self.go_on(_PERSON, monotonic, self._limits.progress)

    def dismiss(self, monotonic: float) -> None:
        """No person is waited for any more: from here on it has to end in time."""
        self.go_on(_PERSON, monotonic, self._limits.progress)

    def pause(self, why: object, monotonic: float) -> None:
        """It waits for somebody else, for this reason: no limit runs out meanwhile."""
        if not self._pauses:
            self._paused_at = monotonic
        self._pauses.add(why)

    def go_on(self, why: object, monotonic: float, limit: float | None = None) -> None:
        """This reason is gone; with the last of them time goes on.

        ``limit``: seconds without progress that are too long from here on; None: as many as before.
        """
        if why in self._pauses:
            self._pauses.remove(why)
            if not self._pauses:
                self.forgive(monotonic - self._paused_at)
                self._idle += monotonic - self._paused_at
        self._extend(monotonic, self._limit if limit is None else limit)

    def idle(self, monotonic: float) -> float:
        """Return the seconds that it has waited for others so far."""
        return self._idle + (monotonic - self._paused_at if self._pauses else 0.0)

    def forgive(self, seconds: float) -> None:
        """Move all deadlines: for so long nobody could have listened."""
        self._began += seconds
        self._overdue += seconds

    def _extend(self, monotonic: float, limit: float) -> None:
        self._limit = max(limit, self._limits.progress)
        self._overdue = monotonic + self._limit

    def _advance(self, event: AttemptEvent) -> None:
        # what a worker says out of turn (a relaunch for a snapshot, a flow without a browser) does not move the status
        if event in ATTEMPT[self.state]:
            self.state = advance(ATTEMPT, self.state, event)
