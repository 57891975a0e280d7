"""Why a job is where it is, in a person's words: told from its record, its attempts and what the event log holds of them.

What is told of one attempt is decided anew with the same function that decided then (``core.domain.retry.decide``), so that its
cost is said in the same numbers. Where the event log is gone, the queue's own record still has code and reason.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from core.console.wording import duration, moment
from core.domain import events as ev
from core.domain.failure import Code
from core.domain.model import TERMINAL, Counters, JobState
from core.domain.outcome import ended
from core.domain.policy import ClassifiedError, Cost, classified
from core.domain.retry import decide
from core.domain.schedule import waits_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from core.domain.events import Event
    from core.domain.model import JobRecord
    from core.domain.retry import RetryPolicy
    from core.queue.port import PastAttempt


class FailedTry(msgspec.Struct, frozen=True, kw_only=True):
    """A try of a step that failed within an attempt, and was followed by another try."""

    step: str
    try_: int
    code: str
    reason: str


class ToldAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes:
        number: of the attempt within the job's generation.
        started_at: when it was claimed, epoch seconds.
        seconds: how long it took; null while it goes on.
        outcome: how it ended; null while it goes on.
        step: the step, or the stage of the worker's pipeline, that it ended in or is in; empty if not known.
        error: what went wrong; null if nothing, or not noted.
        committed: steps that it committed.
        tries: of steps that failed and were tried again.
        files: what was kept for people, relative to the state directory.
        notes: what else happened, in sentences.
        then: what followed, and what it cost, in a sentence.
        told: whether the event log has anything of it.
    """

    number: int
    started_at: float
    seconds: float | None
    outcome: str | None
    step: str
    error: ClassifiedError | None
    committed: tuple[str, ...]
    tries: tuple[FailedTry, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]
    then: str
    told: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler explain --json``.

    Attributes:
        state: where the job stands.
        says: the same, and since when or why, in a sentence.
        error: what went wrong last; null if nothing did.
        attempts: of this generation, the oldest first.
        earlier: attempts of earlier generations, which are not told.
        next: what comes next, in a sentence.
        next_at: when, epoch seconds; null where no time is set.
        do: what a person should do, in a sentence or two; empty if nothing.
        missing: what could not be found out, in sentences.
    """

    job: str
    profile_id: str
    state: JobState
    generation: int
    says: str
    error: ClassifiedError | None
    attempts: tuple[ToldAttempt, ...]
    earlier: int
    next: str
    next_at: float | None
    do: str
    missing: tuple[str, ...]


class History(NamedTuple):
    """What is known of a job.

    Attributes:
        job: its record.
        attempts: as the registry keeps them, of all generations, the oldest first.
        events: of the job, the oldest first.
        problems: what could not be read, in sentences.
        mask: takes out what no one may see.
        waits_for: jobs that it waits for, as they stand.
    """

    job: JobRecord
    attempts: Sequence[PastAttempt]
    events: Sequence[Event]
    problems: Sequence[str]
    mask: Callable[[str], str]
    waits_for: Sequence[tuple[str, JobState]] = ()


_MINUTE = 60.0
_THEY = {False: "that one is", True: "all of them are"}
_ASK_AGAIN = frozenset({JobState.FAILED, JobState.QUARANTINED})
_STUCK = _ASK_AGAIN | {JobState.PARKED, JobState.CANCELLED}


def explain(history: History, policy: RetryPolicy, now: float, *, runs: bool) -> Explanation:
    """Tell a job's story.

    Args:
        history: what is known.
        policy: what follows from failures here.
        now: epoch seconds.
        runs: whether an orchestrator is at work.
    """
    job = history.job
    of_now = [one for one in history.attempts if one.generation in (job.generation, None)]
    attempts = _Teller(history, policy, of_now).attempts()
    error = next((one.error for one in reversed(attempts) if one.outcome is not None), None)
    if job.state in {JobState.DONE, JobState.CANCELLED} or (job.state is JobState.QUEUED and job.code is None):
        error = None
    last = attempts[-1] if attempts else None
    return Explanation(
        job=job.spec.id,
        profile_id=job.spec.profile_id,
        state=job.state,
        generation=job.generation,
        says=_says(history, attempts, now, runs=runs),
        error=error,
        attempts=tuple(attempts),
        earlier=len(history.attempts) - len(of_now),
        next=_next(history, now, runs=runs),
        next_at=job.due_at,
        do=_do(job, last, error, runs=runs),
        missing=(*history.problems, *_missing(of_now, attempts)),
    )


_OF_OUTCOME: dict[str, Code] = {
    "crashed": Code.WORKER_KILLED,
    "timed_out": Code.ATTEMPT_TIMEOUT,
    "interrupted": Code.INTERRUPTED,
    "busy": Code.PROFILE_BUSY,
    "host_fault": Code.HOST_FAULT,
    "needs_person": Code.NEEDS_PERSON,
    "corrupt": Code.PROFILE_CORRUPT,
    "rejected": Code.FLOW_INVALID,
}


class _Teller:
    """Goes through the attempts in order, and counts what they cost as it was counted then."""

    def __init__(self, history: History, policy: RetryPolicy, attempts: Sequence[PastAttempt]) -> None:
        self._history = history
        self._policy = policy
        self._attempts = attempts
        self._counters = Counters()

    def attempts(self) -> list[ToldAttempt]:
        """Return all of them, told."""
        next_starts = [one.started_at for one in self._attempts[1:]]
        each = zip_longest(self._attempts, next_starts)
        return [self._told(*self._completed(one, self._of(one, until)), until) for one, until in each]

    def _of(self, attempt: PastAttempt, until: float | None) -> list[Event]:
        """Return the events of an attempt: its number may have been another's, so its time decides, too."""
        return [
            event
            for event in self._history.events
            if getattr(event, "attempt", attempt.number) == attempt.number
            and attempt.started_at <= event.at
            and (until is None or event.at < until)
        ]

    def _completed(self, attempt: PastAttempt, events: list[Event]) -> tuple[PastAttempt, list[Event]]:
        """Return an attempt with a code and a reason, where an earlier version noted neither: its outcome and the log tell."""
        if attempt.ended_at is None or attempt.code is not None or attempt.outcome == "done":
            return attempt, events
        code = _OF_OUTCOME.get(attempt.outcome or "", Code.UNKNOWN)
        reason = next((event.reason for event in events if isinstance(event, ev.AttemptEnded)), "")
        return msgspec.structs.replace(attempt, code=code, reason=reason), events

    def _told(self, attempt: PastAttempt, events: list[Event], until: float | None) -> ToldAttempt:
        mask, profile_id = self._history.mask, self._history.job.spec.profile_id
        flags = {step for event in events if isinstance(event, ev.StepsPlanned) for step in event.flags}
        committed = tuple(event.step for event in events if isinstance(event, ev.StepCommitted))
        step = _step(events)
        then = self._then(attempt, step, until, committed=any(name in flags for name in committed))
        error = None
        if attempt.code is not None:
            error = classified(attempt.code, mask(attempt.reason), step=step, profile_id=profile_id)
        return ToldAttempt(
            number=attempt.number,
            started_at=attempt.started_at,
            seconds=attempt.seconds,
            outcome=attempt.outcome,
            step=step,
            error=error,
            committed=committed,
            tries=tuple(
                FailedTry(step=event.step, try_=event.try_, code=event.code, reason=mask(event.reason))
                for event in events
                if isinstance(event, ev.StepFailed) and event.will_retry
            ),
            files=tuple(name for event in events if isinstance(event, ev.ArtifactsKept) for name in event.files),
            notes=tuple(_notes(events, mask)),
            then=then,
            told=any(hasattr(event, "attempt") for event in events),
        )

    def _then(self, attempt: PastAttempt, step: str, until: float | None, *, committed: bool) -> str:
        if attempt.ended_at is None:
            return "It goes on."
        if attempt.code is None:
            return "The job is done."
        decision = decide(
            self._policy,
            self._counters,
            ended(attempt.code, attempt.reason, step),
            committed=committed,
            now=attempt.ended_at,
            jitter=0.0,
            max_attempts=self._history.job.spec.max_attempts,
        )
        self._counters = decision.counters
        cost = self._cost(attempt.code)
        if until is not None:
            return f"It was tried again {_lasting(until - attempt.ended_at)} later; {cost}."
        return f"{_ENDS[self._history.job.state]}; {cost}."

    def _cost(self, code: Code) -> str:
        """Say what an attempt that ended so cost, after it was counted."""
        rule, counters, own = self._policy.rule(code), self._counters, self._history.job.spec.max_attempts
        if rule.cost is Cost.NOTHING:
            return "it cost no attempt"
        if rule.cost is Cost.CRASH:
            most = rule.attempts or self._policy.poison_limit
            return f"it was crash {counters.crash_streak} of {most} with nothing committed between"
        if rule.apart:
            return f"it was attempt {counters.codes[code]} of {rule.attempts} that may end by {code}"
        text = f"it was failing attempt {counters.failures} of {self._policy.max_attempts if own is None else own}"
        if rule.attempts is None:
            return text
        return f"{text}, and {counters.codes[code]} of {rule.attempts} that may end by {code}"


_ENDS = {
    JobState.QUEUED: "It goes on with the next attempt",
    JobState.PREPARED: "It is tried again now",
    JobState.RUNNING: "It is tried again now",
    JobState.WAITING: "It will be tried again",
    JobState.PARKED: "It waits for a person",
    JobState.DONE: "The job is done",
    JobState.QUARANTINED: "The job was set aside",
    JobState.FAILED: "The job was given up",
    JobState.CANCELLED: "The job was cancelled",
}


def _lasting(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _MINUTE else duration(seconds)


def _step(events: Iterable[Event]) -> str:
    step = ""
    for event in events:
        if isinstance(event, ev.StepStarted) or (isinstance(event, ev.AttemptEnded) and event.step):
            step = event.step
        elif isinstance(event, ev.PhaseStarted):
            step = event.phase
    return step


def _notes(events: Iterable[Event], mask: Callable[[str], str]) -> Iterable[str]:
    for event in events:
        match event:
            case ev.OrphanStopped():
                yield f"it was cut off with its orchestrator; {event.processes} processes were still there, and stopped"
            case ev.AttemptParked():
                yield f"it waited for a person in {event.step}: {mask(event.why)}"
            case ev.AttemptResumed():
                yield f"a person was done, and it went on with {event.step}"
            case ev.WorkerNoted(name="workspace_rebuilt"):
                yield f"the copy of the browser data was made anew: {mask(str(event.data.get('reason', '')))}"
            case ev.WorkerNoted(name="not_authenticated"):
                yield "the flow's check found no login"
            case ev.StepCommitted(recovered=True):
                yield f"{event.step} was found committed after the interruption"
            case _:
                pass


def _says(history: History, attempts: Sequence[ToldAttempt], now: float, *, runs: bool) -> str:  # noqa: PLR0911 - one for each state
    job, last = history.job, attempts[-1] if attempts else None
    name, reason = job.spec.id, history.mask(job.reason)
    tries = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    place = f"in {last.step}" if last is not None and last.step else "at its beginning"
    why = f": {reason}" if reason else ""
    match job.state:
        case JobState.DONE:
            return f"{name} is done, after {tries} and {_lasting(job.run_seconds)}."
        case JobState.PREPARED | JobState.RUNNING if not runs:
            return f"{name} was cut off with its orchestrator {place}."
        case JobState.PREPARED | JobState.RUNNING if reason:
            return f"{name} waits for a person, with its browser open{why}."
        case JobState.PREPARED | JobState.RUNNING:
            since = f", for {_lasting(now - last.started_at)}" if last is not None else ""
            number = f"attempt {last.number} is {place}" if last is not None else "it was claimed"
            return f"{name} is under way: {number}{since}."
        case JobState.WAITING:
            return f"{name} waits for its next try, after {tries}."
        case JobState.QUEUED:
            return f"{name} waits for its turn{why}."
        case JobState.PARKED:
            return f"{name} waits for a person{why}."
        case JobState.QUARANTINED:
            return f"{name} was set aside, after {tries}, and is not tried again by itself."
        case JobState.FAILED:
            return f"{name} failed for good, after {tries}."
        case _:
            return f"{name} was cancelled{why}."


def _next(history: History, now: float, *, runs: bool) -> str:
    job = history.job
    if history.waits_for:
        stuck = [f" ostler explain {name}" for name, state in history.waits_for if state in _STUCK]
        why = f" What keeps it:{','.join(stuck)}." if stuck else ""
        return f"It {waits_text(history.waits_for)}, and starts once {_THEY[len(history.waits_for) > 1]} done.{why}"
    match job.state:
        case JobState.WAITING | JobState.QUEUED:
            when = "as soon as it has a slot"
            if job.due_at is not None and job.due_at > now:
                when = f"in {_lasting(job.due_at - now)}, at {moment(job.due_at)}"
            return (
                f"The next attempt starts {when}."
                if runs
                else f"No orchestrator runs. With one, the next attempt starts {when}."
            )
        case JobState.PREPARED | JobState.RUNNING:
            return (
                "It goes on."
                if runs
                else "No orchestrator runs: the next start ends what is left of it, and goes on at no cost."
            )
        case JobState.PARKED:
            return "It is queued again by the next start of the orchestrator, and begins with the same step."
        case _ if job.due_at is not None:
            return f"It is run again at {moment(job.due_at)}, by a run with --watch, or by the first one that starts after that."
        case _:
            return "Nothing, by itself."


def _do(job: JobRecord, last: ToldAttempt | None, error: ClassifiedError | None, *, runs: bool) -> str:
    if job.state in {JobState.PREPARED, JobState.RUNNING}:
        return f"Do what it asks for, then: ostler ctl resume {job.spec.id}" if job.reason and runs else ""
    if error is None:
        return ""
    again = f" Then: ostler queue retry {job.spec.id}" if job.state in _ASK_AGAIN else ""
    kept = f" Evidence: {last.files[0]} …" if last is not None and last.files and job.state in TERMINAL else ""
    return f"{error.suggested_action}{kept}{again}"


def _missing(attempts: Sequence[PastAttempt], told: Sequence[ToldAttempt]) -> Iterable[str]:
    for attempt, story in zip(attempts, told, strict=True):
        # a worker that was never told to go has nothing announced but its end
        if not story.told:
            yield f"The event log has nothing of attempt {attempt.number}, {moment(attempt.started_at)}: what is told of it is the queue's."
        elif attempt.ended_at is not None and attempt.code is None and attempt.outcome != "done":
            yield f"An earlier version recorded attempt {attempt.number}, without its code: what is told of it is a guess."
