"""The state machines of Ostler, each one table.

Rules: a pair that is not in a table is illegal, raises ``IllegalTransition`` and changes nothing. Terminal states stand in
the table with what may still happen to them, ``{}`` if nothing. The README's diagram is made from ``JOB`` by
``as_mermaid`` and a test holds the two equal.

A *job* is what the user asked for; it outlives processes. ``interrupted`` puts it back without cost. An *attempt* is one
execution. A job is *prepared* from its claim until its browser may start; where nothing is
left to do, it ends without a browser. A *workspace* is the private copy that one attempt runs in. A *manager* hands out such
copies to whoever drives browsers without Ostler's runs.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

from core.domain.model import JobState
from core.errors import IllegalTransition

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobEvent(enum.StrEnum):
    """What can happen to a job."""

    CLAIMED = "claimed"
    STARTED = "started"
    COMPLETED = "completed"
    RETRY = "retry"
    DUE = "due"
    INTERRUPTED = "interrupted"
    PARKED = "parked"
    GIVEN_UP = "given up"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"
    AGAIN = "again"


class AttemptState(enum.StrEnum):
    """Where one execution stands."""

    IDLE = "idle"
    INITIALIZING = "initializing"
    LAUNCHING = "launching"
    CONNECTING = "connecting"
    READY = "ready"
    PARKED = "parked"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CLOSED = "closed"
    ERROR = "error"
    CLEANUP = "cleanup"


class AttemptEvent(enum.StrEnum):
    """What can happen to an execution."""

    INITIALIZE = "initialize"
    INITIALIZED = "initialized"
    BROWSER_STARTED = "browser started"
    CONNECTED = "connected"
    NEEDS_PERSON = "needs person"
    RESUMED = "resumed"
    STOP = "stop"
    STOPPED = "stopped"
    CLOSE = "close"
    FAILED = "failed"
    CLEAN_UP = "clean up"


class WorkspaceState(enum.StrEnum):
    """Where a private copy of browser data stands."""

    CREATING = "creating"
    READY = "ready"
    VERIFIED = "verified"
    IN_USE = "in_use"
    CLEANUP = "cleanup"
    DESTROYED = "destroyed"


class WorkspaceEvent(enum.StrEnum):
    """What can happen to a private copy."""

    CLONED = "cloned"
    VERIFIED = "verified"
    LAUNCHED = "launched"
    TAKEN_OVER = "taken over"
    RELEASED = "released"
    REMOVED = "removed"


class ManagerState(enum.StrEnum):
    """Where a manager of private copies stands."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    SHUTDOWN = "shutdown"


class ManagerEvent(enum.StrEnum):
    """What can happen to a manager of private copies."""

    USED = "used"
    CLOSED = "closed"


_J, _JE = JobState, JobEvent
JOB: Mapping[JobState, Mapping[JobEvent, JobState]] = {
    _J.QUEUED: {_JE.CLAIMED: _J.PREPARED, _JE.CANCELLED: _J.CANCELLED},
    _J.PREPARED: {
        _JE.STARTED: _J.RUNNING,
        _JE.COMPLETED: _J.DONE,
        _JE.RETRY: _J.WAITING,
        _JE.INTERRUPTED: _J.QUEUED,
        _JE.PARKED: _J.PARKED,
        _JE.GIVEN_UP: _J.FAILED,
        _JE.QUARANTINED: _J.QUARANTINED,
        _JE.CANCELLED: _J.CANCELLED,
    },
    _J.RUNNING: {
        _JE.COMPLETED: _J.DONE,
        _JE.RETRY: _J.WAITING,
        _JE.INTERRUPTED: _J.QUEUED,
        _JE.PARKED: _J.PARKED,
        _JE.GIVEN_UP: _J.FAILED,
        _JE.QUARANTINED: _J.QUARANTINED,
        _JE.CANCELLED: _J.CANCELLED,
    },
    _J.WAITING: {_JE.DUE: _J.QUEUED, _JE.CANCELLED: _J.CANCELLED},
    _J.PARKED: {_JE.AGAIN: _J.QUEUED, _JE.CANCELLED: _J.CANCELLED},
    _J.DONE: {_JE.AGAIN: _J.QUEUED},
    _J.QUARANTINED: {_JE.AGAIN: _J.QUEUED},
    _J.FAILED: {_JE.AGAIN: _J.QUEUED},
    _J.CANCELLED: {_JE.AGAIN: _J.QUEUED},
}

_A, _AE = AttemptState, AttemptEvent
ATTEMPT: Mapping[AttemptState, Mapping[AttemptEvent, AttemptState]] = {
    _A.IDLE: {_AE.INITIALIZE: _A.INITIALIZING},
    _A.INITIALIZING: {_AE.INITIALIZED: _A.LAUNCHING, _AE.STOP: _A.STOPPING, _AE.FAILED: _A.ERROR},
    _A.LAUNCHING: {_AE.BROWSER_STARTED: _A.CONNECTING, _AE.STOP: _A.STOPPING, _AE.FAILED: _A.ERROR},
    _A.CONNECTING: {_AE.CONNECTED: _A.READY, _AE.STOP: _A.STOPPING, _AE.FAILED: _A.ERROR},
    _A.READY: {_AE.NEEDS_PERSON: _A.PARKED, _AE.STOP: _A.STOPPING, _AE.FAILED: _A.ERROR},
    _A.PARKED: {_AE.RESUMED: _A.READY, _AE.STOP: _A.STOPPING, _AE.FAILED: _A.ERROR},
    _A.STOPPING: {_AE.STOPPED: _A.STOPPED, _AE.FAILED: _A.ERROR},
    _A.STOPPED: {_AE.CLOSE: _A.CLOSED},
    _A.CLOSED: {},
    _A.ERROR: {_AE.CLEAN_UP: _A.CLEANUP},
    _A.CLEANUP: {},
}

_W, _WE = WorkspaceState, WorkspaceEvent
WORKSPACE: Mapping[WorkspaceState, Mapping[WorkspaceEvent, WorkspaceState]] = {
    _W.CREATING: {_WE.CLONED: _W.READY, _WE.RELEASED: _W.CLEANUP},
    _W.READY: {_WE.VERIFIED: _W.VERIFIED, _WE.RELEASED: _W.CLEANUP},
    _W.VERIFIED: {_WE.LAUNCHED: _W.IN_USE, _WE.TAKEN_OVER: _W.READY, _WE.RELEASED: _W.CLEANUP},
    _W.IN_USE: {_WE.TAKEN_OVER: _W.READY, _WE.RELEASED: _W.CLEANUP},
    _W.CLEANUP: {_WE.REMOVED: _W.DESTROYED},
    _W.DESTROYED: {},
}

_M, _ME = ManagerState, ManagerEvent
MANAGER: Mapping[ManagerState, Mapping[ManagerEvent, ManagerState]] = {
    _M.INITIALIZED: {_ME.USED: _M.ACTIVE, _ME.CLOSED: _M.SHUTDOWN},
    _M.ACTIVE: {_ME.USED: _M.ACTIVE, _ME.CLOSED: _M.SHUTDOWN},
    _M.SHUTDOWN: {},
}

_State = TypeVar("_State", bound=enum.StrEnum)
_Event = TypeVar("_Event", bound=enum.StrEnum)


def advance(table: Mapping[_State, Mapping[_Event, _State]], state: _State, event: _Event) -> _State:
    """Return the state that ``event`` leads to.

    Raises:
        IllegalTransition: the pair is not in the table.
    """
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransition(type(state).__name__.removesuffix("State").lower(), state, event) from None


def as_mermaid(table: Mapping[_State, Mapping[_Event, _State]], initial: _State) -> str:
    """Return the table as a Mermaid state diagram, one arrow a line."""
    lines = ["stateDiagram-v2", f"    [*] --> {initial}"]
    for state, events in table.items():
        lines += [f"    {state} --> {target}: {event}" for event, target in events.items()]
        if not events:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


SESSION_STATUS: Mapping[JobState, str] = {
    _J.QUEUED: "PENDING",
    _J.PREPARED: "PROCESSING",
    _J.RUNNING: "PROCESSING",
    _J.WAITING: "WAITING",
    _J.PARKED: "NEEDS_PERSON",
    _J.DONE: "COMPLETED",
    _J.QUARANTINED: "QUARANTINED",
    _J.FAILED: "FAILED",
    _J.CANCELLED: "CANCELLED",
}
"""The session's ``status`` for each state of the job that runs on it."""
