"""Everything the dispatcher is given: ports, limits, and nothing that it could reach by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from core.clock import Clock
from core.dispatch.attempt import AttemptLimits
from core.domain.messages import WorkerSettings
from core.domain.retry import RetryPolicy
from core.events.port import EventSink
from core.process.port import Launcher, Reaper
from core.profiles.port import ProfileLocks
from core.queue.port import JobQueue
from core.state.port import SessionStore
from core.workspaces.port import Workspaces

if TYPE_CHECKING:
    from core.domain.model import AttemptRecord


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """What the event log holds of an attempt that was cut off.

    Attributes:
        flags: flags of the steps it had planned, by step.
        committed: steps it had announced.
    """

    flags: Mapping[str, str]
    committed: frozenset[str]


class EventHistory(Protocol):
    """Reads back what was announced."""

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Return, by nonce, what the event log holds of these attempts; absent where it holds nothing."""
        ...


class FeedFollower(Protocol):
    """Watches a feed for edits."""

    def reread(self) -> str | None:
        """Reconcile the queue with the feed if it changed; return why it was rejected, None if all is well.

        A rejected edit leaves the queue as the last good version made it.
        """
        ...


class DispatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a run, in seconds where they are durations."""

    max_concurrent: int
    gate_interval: float
    stop_grace: float
    limits: AttemptLimits
    retry: RetryPolicy
    worker: WorkerSettings
    watch: bool = False
    follow_interval: float = 1.0
    host_fault_limit: int = 10
    orphan_grace: float = 2.0
    unsettled_interval: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the engine acts through."""

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
    follower: FeedFollower | None = None
