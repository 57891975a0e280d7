"""Everything the dispatcher is given: ports, limits, and nothing that it could reach by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from core.clock import Clock
from core.control.port import Commands
from core.dispatch.attempt import AttemptLimits
from core.dispatch.off_loop import Blocking
from core.domain.admission import AdmissionPolicy
from core.domain.halt import Halt
from core.domain.limits import Limit
from core.domain.messages import WorkerSettings
from core.domain.retry import RetryPolicy
from core.events.port import EventHistory, EventSink, LeftEvents
from core.process.port import HostMeter, Launcher, Reaper
from core.profiles.port import ProfileLocks
from core.queue.port import JobQueue, Reconciled
from core.state.port import LimitRecord, SessionStore
from core.workspaces.port import Workspaces


class FeedFollower(Protocol):
    """Watches a feed for edits."""

    source: str

    def look(self) -> Callable[[], Reconciled | str] | str | None:
        """Look once, without touching the queue: loading a changed flow may take its time.

        Returns None if nothing changed, why the edit was rejected, or what brings it into the queue when called, and
        returns what that changed, or why it was rejected. A rejected edit leaves the queue as the last good version made
        it; one that was not brought in, because that was not called or raised, is found again by the next look.
        """
        ...


class Attends(Protocol):
    """Runs on the loop from when jobs are taken until none is any more. Laws: it does not raise, and does not block the loop."""

    async def attend(self) -> None:
        """Do what it does until cancelled."""
        ...


class DispatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a run, in seconds where they are durations. ``batch_size`` None: jobs start one by one.
    ``halt``: when the run ends early because of how its jobs end. ``max_parked``: browsers that stay open for a person, beyond the slots; ``wait_parked``: for how long, once nothing else is
    left.
    """

    max_concurrent: int
    max_preparing: int
    gate_interval: float
    stop_grace: float
    limits: AttemptLimits
    retry: RetryPolicy
    worker: WorkerSettings
    halt: Halt | None = None
    batch_size: int | None = None
    batch_delay: float = 2.0
    keep_failed: bool = False
    """Whether the working copies of jobs that failed are put aside, not removed."""
    admission: AdmissionPolicy = AdmissionPolicy()
    max_parked: int = 0
    wait_parked: float = 0.0
    watch: bool = False
    follow_interval: float = 0.5
    notice_interval: float = 1.0
    host_fault_limit: int = 10
    orphan_grace: float = 2.0
    unsettled_interval: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the engine acts through. ``limits``: says what holds by key now, edits of the feed included."""

    queue: JobQueue
    launcher: Launcher
    reaper: Reaper
    sessions: SessionStore
    locks: ProfileLocks
    workspaces: Workspaces
    events: EventSink
    history: EventHistory
    clock: Clock
    nonce: Callable[[], str]
    left: LeftEvents | None = None
    follower: FeedFollower | None = None
    commands: Commands | None = None
    meter: HostMeter | None = None
    blocking: Blocking = field(default_factory=Blocking)
    attendant: Attends | None = None
    limit_record: LimitRecord | None = None
    limits: Callable[[], Mapping[str, Limit]] = dict
