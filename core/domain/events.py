"""The event catalogue: one struct per kind of fact, one JSON line each in ``logs/events.jsonl``.

Every event carries ``type``, ``at`` (epoch seconds, UTC) and ``v``, the version of this catalogue; ``profile_id``, ``job``,
``attempt`` and ``step`` stand where they apply. Events are announcements; the session and the queue are the truth. No event
carries a secret.

What is added (a kind, a field with a default) leaves the version as it is: readers leave out kinds that they do not know, and
ignore fields. What is taken away, renamed or means something else raises it: readers leave out newer lines, and say so.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from core.domain.model import HostTraffic

VERSION = 1
"""Of the catalogue. Lines without one are of the first."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    at: float
    v: Annotated[int, msgspec.Meta(ge=1, le=VERSION)] = VERSION


class _OfAttempt(_Event, frozen=True, kw_only=True):
    profile_id: str
    job: str
    attempt: int


class RunStarted(_Event, frozen=True, kw_only=True, tag="run_started"):
    """An orchestrator took the state directory."""

    run: int
    queued: int
    max_concurrent: int


class FeedRead(_Event, frozen=True, kw_only=True, tag="feed_read"):
    """A feed was read and reconciled with the queue."""

    source: str
    added: int
    updated: int
    unchanged: int
    done: int
    cancelled: int
    resumed: int = 0
    failed: int = 0


class FeedRejected(_Event, frozen=True, kw_only=True, tag="feed_rejected"):
    """What a feed gave during a run is wrong, or cannot be had: the last good version stays."""

    source: str
    problem: str


class OrphanStopped(_Event, frozen=True, kw_only=True, tag="orphan_stopped"):
    """Something an earlier run left behind was proven ours and stopped."""

    profile_id: str
    job: str
    attempt: int
    processes: int


class AttemptStarted(_OfAttempt, frozen=True, kw_only=True, tag="attempt_started"):
    """A worker was told to go: it prepares."""

    pid: int
    fence: int


class AttemptPrepared(_OfAttempt, frozen=True, kw_only=True, tag="attempt_prepared"):
    """The workspace is verified; the browser waits for a slot and for its turn at the launch gate."""


class AttemptLaunched(_OfAttempt, frozen=True, kw_only=True, tag="attempt_launched"):
    """The attempt holds a slot and its browser may start. ``batch``: of which; None where jobs are not batched."""

    batch: int | None = None


class BatchStarted(_Event, frozen=True, kw_only=True, tag="batch_started"):
    """The jobs of a batch are claimed and are prepared in parallel."""

    batch: int
    jobs: tuple[str, ...]
    profiles: tuple[str, ...]


class BatchCompleted(_Event, frozen=True, kw_only=True, tag="batch_completed"):
    """Every job of a batch was launched, or ended before that (``failed``). The next begins at ``next_at`` at the earliest."""

    batch: int
    launched: int
    failed: int
    seconds: float
    next_at: float


class PhaseStarted(_OfAttempt, frozen=True, kw_only=True, tag="phase_started"):
    """A stage of the worker's pipeline began."""

    phase: str


class BrowserLaunched(_OfAttempt, frozen=True, kw_only=True, tag="browser_launched"):
    """The browser runs, in our workspace."""

    browser: str
    version: str
    pid: int | None


class BrowserClosed(_OfAttempt, frozen=True, kw_only=True, tag="browser_closed"):
    """The browser is gone."""


class StepsPlanned(_OfAttempt, frozen=True, kw_only=True, tag="steps_planned"):
    """What this attempt found done and to do, and the flags of the latter by step."""

    done: tuple[str, ...]
    todo: tuple[str, ...]
    flags: dict[str, str] = {}


class StepStarted(_OfAttempt, frozen=True, kw_only=True, tag="step_started"):
    """A try of a step began."""

    step: str
    try_: int


class StepCommitted(_OfAttempt, frozen=True, kw_only=True, tag="step_committed"):
    """A step is durable. ``recovered``: found in the session after a death, and announced late."""

    step: str
    seconds: float
    body_ran: bool = True
    recovered: bool = False


class StepFailed(_OfAttempt, frozen=True, kw_only=True, tag="step_failed"):
    """A try of a step failed. ``code``: what went wrong, as in docs/failures.md."""

    step: str
    try_: int
    reason: str
    will_retry: bool
    code: str = ""


class WorkerNoted(_OfAttempt, frozen=True, kw_only=True, tag="worker_noted"):
    """Something worth knowing inside an attempt, by name."""

    name: str
    data: dict[str, Any]


class ArtifactsKept(_OfAttempt, frozen=True, kw_only=True, tag="artifacts_kept"):
    """Files for people were kept: paths are relative to the state directory. ``why``: the kind of error, ``trace``, or
    ``kept by the flow``, or ``keep_failed``. ``sensitive``: some of them may show secrets, and nothing could be taken out.
    """

    step: str
    why: str
    files: tuple[str, ...]
    sensitive: bool = False


class AttemptParked(_OfAttempt, frozen=True, kw_only=True, tag="attempt_parked"):
    """A step needs a person. The browser stays open and holds no slot; ``asks`` are names of what the step wants to be told."""

    step: str
    why: str
    code: str
    asks: tuple[str, ...] = ()


class AttemptResumed(_OfAttempt, frozen=True, kw_only=True, tag="attempt_resumed"):
    """A person is done, and the attempt has a slot again: it goes on with the same step."""

    step: str


class LimitHeld(_OfAttempt, frozen=True, kw_only=True, tag="limit_held"):
    """An attempt has waited for a second for what a key limits, and goes on waiting; ``reason``: what the limit is."""

    key: str
    reason: str


class LimitPassed(_OfAttempt, frozen=True, kw_only=True, tag="limit_passed"):
    """The attempt of a ``limit_held`` waits no more: it was its turn, or it no longer wants it. ``seconds``: how long it waited."""

    key: str
    seconds: float


class NetworkUsed(_OfAttempt, frozen=True, kw_only=True, tag="network_used"):
    """What an attempt's browsers asked of the network, sent when the last of them is closed; an attempt that was killed has
    none. ``hosts`` are the busiest, ``more_hosts`` counts those left out; totals include them. ``received`` and ``sent`` are
    bytes, those of ``unmeasured`` requests left out: they had not come to their end, or were broken off in the middle, as
    downloads are. ``proxy`` is host and port.
    """

    requests: int
    failures: int
    received: int
    sent: int
    unmeasured: int = 0
    proxy: str | None = None
    hosts: tuple[HostTraffic, ...] = ()
    more_hosts: int = 0


class AttemptEnded(_OfAttempt, frozen=True, kw_only=True, tag="attempt_ended"):
    """The attempt's tree is gone and its outcome is recorded. ``seconds``: without what it waited for a slot, for a person or
    for a limit. ``code``: what went wrong, as in docs/failures.md.
    """

    outcome: str
    reason: str
    step: str
    seconds: float
    code: str = ""


class JobChanged(_Event, frozen=True, kw_only=True, tag="job_changed"):
    """A job moved. ``retry_at`` stands with ``waiting``, ``code`` with what went wrong, as in docs/failures.md."""

    profile_id: str
    job: str
    state: str
    reason: str = ""
    retry_at: float | None = None
    steps_done: int = 0
    steps_total: int = 0
    attempts: int = 0
    code: str = ""


class ProfileChanged(_Event, frozen=True, kw_only=True, tag="profile_changed"):
    """Somebody, not a run, changed a named profile. ``what``: ``created``, ``updated``, ``renamed``, ``deleted``, ``activated``,
    ``deactivated`` or ``recovered``. ``before``: its ID before it was renamed. ``fields``: which of its metadata, without their
    values; ``revision``: what the next update may be based on.
    """

    profile_id: str
    what: str
    before: str = ""
    fields: tuple[str, ...] = ()
    revision: str = ""


class LimitChanged(_Event, frozen=True, kw_only=True, tag="limit_changed"):
    """How many attempts may run a browser at a time, and why it is another number than before."""

    max_concurrent: int
    reason: str


class StartsHeld(_Event, frozen=True, kw_only=True, tag="starts_held"):
    """Nothing more is started until ``starts_resumed`` of the same reason."""

    reason: str


class StartsResumed(_Event, frozen=True, kw_only=True, tag="starts_resumed"):
    """A reason for which nothing was started is gone."""

    reason: str
    seconds: float


class RunHalted(_Event, frozen=True, kw_only=True, tag="run_halted"):
    """So many jobs ended so that ``--halt`` ends the run: nothing more is started. ``at_once``: what runs is stopped, too."""

    reason: str
    at_once: bool


class StopAsked(_Event, frozen=True, kw_only=True, tag="stop_asked"):
    """A signal or the operator asked for a stop: ``drain`` or ``now``."""

    how: str


class RunEnded(_Event, frozen=True, kw_only=True, tag="run_ended"):
    """The orchestrator is about to exit."""

    run: int
    exit_code: int
    counts: dict[str, int]
    seconds: float


Event = (
    RunStarted
    | FeedRead
    | FeedRejected
    | OrphanStopped
    | AttemptStarted
    | AttemptPrepared
    | AttemptLaunched
    | BatchStarted
    | BatchCompleted
    | PhaseStarted
    | BrowserLaunched
    | BrowserClosed
    | StepsPlanned
    | StepStarted
    | StepCommitted
    | StepFailed
    | AttemptParked
    | AttemptResumed
    | LimitHeld
    | LimitPassed
    | WorkerNoted
    | ArtifactsKept
    | NetworkUsed
    | AttemptEnded
    | JobChanged
    | ProfileChanged
    | LimitChanged
    | StartsHeld
    | StartsResumed
    | RunHalted
    | StopAsked
    | RunEnded
)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """Return the event as one JSON line, with its newline: nothing is written that could not be read back.

    Raises:
        msgspec.ValidationError: a field is of a wrong type; says which.
        TypeError, ValueError, OverflowError, RecursionError: a field has no form in JSON.
    """
    line = msgspec.json.encode(event)
    _decoder.decode(line)
    return line + b"\n"


def decode(line: bytes) -> Event:
    """Return the event of one JSON line.

    Raises:
        msgspec.ValidationError: not an event of this catalogue, or one of a newer version of it.
        msgspec.DecodeError: not JSON.
    """
    return _decoder.decode(line)
