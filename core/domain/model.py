"""The records of Ostler: what a job is, how far it has come, and how an attempt of it ended.

All are frozen. Times are seconds since the epoch (``float``, UTC); durations are seconds.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from typing import Any, Literal

import msgspec

from core.domain.failure import Code

Device = Literal["desktop", "mobile"]


class JobState(enum.StrEnum):
    """Where a job stands; ``core.domain.lifecycle`` says how it moves."""

    QUEUED = "queued"
    PREPARED = "prepared"
    RUNNING = "running"
    WAITING = "waiting"
    PARKED = "parked"
    DONE = "done"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobState.DONE, JobState.QUARANTINED, JobState.FAILED, JobState.CANCELLED})
"""States that a job leaves only by being asked for again."""


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user asks for: one entry of a feed, with all defaults resolved.

    Attributes:
        id: the job's key; the profile ID where the feed gives none.
        profile_id: the profile it runs on.
        flow: absolute path of the flow file.
        params: the flow's parameters, as the feed has them.
        priority: higher runs first.
        not_before: epoch seconds before which it must not start.
        timeout: hard limit of one attempt, in seconds.
        max_attempts: how many failing attempts it may have.
        template: absolute path of the user-data-dir that a new profile starts from.
        device: desktop or mobile.
        proxy: URL of the proxy; its password is a secret.
        after: IDs of jobs that must be done before it starts.
        every: seconds from one start to the next, for a job that is run again and again.
    """

    id: str
    profile_id: str
    flow: str
    params: dict[str, Any] = {}
    priority: int = 0
    not_before: float | None = None
    timeout: float | None = None
    max_attempts: int | None = None
    template: str | None = None
    device: Device | None = None
    proxy: str | None = None
    after: tuple[str, ...] = ()
    every: float | None = None


class HostTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt's browsers asked of one host.

    Attributes:
        host: name, and port where it is not the usual one.
        requests: how many were begun, those that the browser answered itself from its cache among them.
        failures: those without an answer, or answered with 400 and up.
        received: bytes of headers and bodies, as they travelled.
        sent: bytes of headers and bodies.
    """

    host: str
    requests: int = 0
    failures: int = 0
    received: int = 0
    sent: int = 0


_IDENTITY_ONLY = ("id", "priority", "not_before", "after", "every")


def revision(spec: JobSpec) -> str:
    """Return the hash of what makes a job a different one; order and time of start do not."""
    fields = {name: value for name, value in msgspec.structs.asdict(spec).items() if name not in _IDENTITY_ONLY}
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()[:16]


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's attempts have cost so far.

    Attributes:
        attempts: executions that got as far as ``go``; numbers the next one.
        failures: attempts that count against ``max_attempts``.
        crash_streak: consecutive crashes with nothing committed between.
        busy: consecutive times the profile was held by somebody else.
        codes: how many attempts ended by each code, but for interrupted ones.
    """

    attempts: int = 0
    failures: int = 0
    crash_streak: int = 0
    busy: int = 0
    codes: dict[Code, int] = {}


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the queue keeps it; ``reason`` and ``code`` say why it is where it is, if its latest attempt failed."""

    spec: JobSpec
    state: JobState = JobState.QUEUED
    counters: Counters = Counters()
    generation: int = 1
    due_at: float | None = None
    reason: str = ""
    code: Code | None = None
    steps_done: int = 0
    steps_total: int = 0
    run_seconds: float = 0.0
    updated_at: float = 0.0


class ProcessStamp(msgspec.Struct, frozen=True, kw_only=True):
    """Which process, beyond reuse of its number.

    Attributes:
        host: host name.
        pid: process ID in that PID namespace.
        started: start time in the kernel's own unit (clock ticks since boot on Linux; rounded epoch seconds elsewhere).
        boot_id: the kernel's boot ID; empty where there is none.
        pid_namespace: identity of the PID namespace; empty where there is none.
    """

    host: str
    pid: int
    started: float
    boot_id: str = ""
    pid_namespace: str = ""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the run registry, durable before the worker may do anything.

    Attributes:
        nonce: unique; stands in the environment of the worker and of all that it starts.
        number: 1 for the job's first attempt.
        fence: the profile's holder number, once the worker has proposed it.
        process: the worker, once it is started.
        user_data_dir: what its browser runs in, once known.
    """

    nonce: str
    job_id: str
    profile_id: str
    number: int
    started_at: float
    fence: int | None = None
    process: ProcessStamp | None = None
    user_data_dir: str | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A job that this orchestrator alone may run now."""

    job: JobRecord
    attempt: AttemptRecord


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """What was announced of an attempt that was cut off.

    Attributes:
        flags: flags of the steps it had planned, by step.
        committed: steps it had announced.
    """

    flags: dict[str, str]
    committed: frozenset[str]


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock, for people and for recovery; the kernel's lock is the truth.

    Attributes:
        pid: its process; 0 if its record is not there.
        host: its host.
        since: epoch seconds.
        what: what it is: ``orchestrator``, ``worker`` …
        started: the process's start time, in clock ticks since boot; None where the kernel does not say.
        boot_id: the kernel's boot ID; empty where there is none.
    """

    pid: int
    host: str
    since: float
    what: str
    started: int | None = None
    boot_id: str = ""

    def __str__(self) -> str:
        since = dt.datetime.fromtimestamp(self.since, dt.UTC)
        return f"{self.what}, pid {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC"
