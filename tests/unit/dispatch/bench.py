"""A dispatcher with every port faked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio

from core.clock import SystemClock
from core.dispatch.attempt import AttemptLimits
from core.dispatch.dispatcher import Dispatcher
from core.dispatch.ports import DispatchSettings, Ports
from core.dispatch.shutdown import Stop
from core.domain.messages import (
    Finished,
    Planned,
    Prepared,
    Ready,
    StepCommitted,
    WorkerSettings,
)
from core.domain.model import Announced, JobSpec, ProcessStamp
from core.domain.outcome import Done, ExitCode
from core.domain.retry import RetryPolicy
from core.events.recording import RecordingEvents
from core.process.port import WorkerCommand
from core.process.scripted import (
    AwaitGo,
    AwaitHello,
    AwaitLaunch,
    Exit,
    Say,
    Script,
    ScriptedLauncher,
    script,
)
from core.process.scripted_reaper import ScriptedReaper
from core.profiles.memory import MemoryProfileLocks
from core.queue.memory import MemoryQueue
from core.state.memory import MemorySessionStore
from core.workspaces.memory import MemoryWorkspaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.domain import messages
    from core.domain.model import AttemptRecord
    from core.process.scripted import Action

SETTINGS = DispatchSettings(
    max_concurrent=2,
    max_preparing=4,
    gate_interval=0,
    stop_grace=0.05,
    limits=AttemptLimits(start=5, progress=5, hard=20),
    retry=RetryPolicy(base_delay=0.01, busy_delay=0.01, max_attempts=2),
    worker=WorkerSettings(state_dir="/s", log_dir="/l"),
    follow_interval=0.01,
    unsettled_interval=0.01,
)


def ready(fence: int = 1) -> Say:
    stamp = ProcessStamp(host="scripted", pid=1, started=1.0)
    return Say(message=Ready(fence=fence, process=stamp, user_data_dir="/w/user-data"))


def say(message: messages.Up) -> Say:
    return Say(message=message)


def worker(*actions: Action, **how: Any) -> Script:
    """A worker that shakes hands, prepares, is launched, and then does ``actions``."""
    return script(AwaitHello(), ready(), AwaitGo(), say(Prepared()), AwaitLaunch(), *actions, **how)


DONE = (
    say(Planned(done=(), todo=("a",), flags={"a": "a"})),
    say(StepCommitted(step="a", flag="a", seconds=0.1)),
    say(Finished(outcome=Done())),
    Exit(code=0),
)


class History:
    """What the event log is made to hold."""

    def __init__(self) -> None:
        self.held: dict[str, Announced] = {}

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        return {attempt.nonce: self.held[attempt.job_id] for attempt in attempts if attempt.job_id in self.held}


@dataclass
class Bench:
    """A dispatcher and all that it acts through."""

    plan: Callable[[WorkerCommand, int], Script] = lambda _command, _nth: worker(*DONE)
    settings: DispatchSettings = SETTINGS
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    sink: RecordingEvents = field(default_factory=RecordingEvents)
    sessions: MemorySessionStore = field(default_factory=MemorySessionStore)
    locks: MemoryProfileLocks = field(default_factory=lambda: MemoryProfileLocks(SystemClock()))
    workspaces: Any = None
    history: History = field(default_factory=History)
    follower: Any = None
    commands: Any = None
    meter: Any = None
    others: Any = None
    attendant: Any = None
    limit_record: Any = None
    limits: Callable[[], Any] = dict
    left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stop = Stop()
        self.clock = SystemClock(seed=1)
        self.numbers = count(1)

    def add(self, *ids: str, **fields: Any) -> None:
        specs = [JobSpec(id=one, profile_id=one, flow="/f.py", **fields) for one in ids]
        self.queue.reconcile("feed", specs, now=self.clock.now())

    async def run(self, run: int = 0) -> ExitCode:
        self.launcher = ScriptedLauncher(self.plan)
        self.reaper = ScriptedReaper(self.launcher, left=self.left)
        ports = Ports(
            queue=self.queue,
            launcher=self.launcher,
            reaper=self.reaper,
            sessions=self.sessions,
            locks=self.locks,
            workspaces=self.workspaces or MemoryWorkspaces(),
            events=self.sink,
            history=self.history,
            clock=self.clock,
            nonce=lambda: f"n{next(self.numbers)}",
            follower=self.follower,
            commands=self.commands,
            meter=self.meter,
            left=self.others,
            attendant=self.attendant,
            limit_record=self.limit_record,
            limits=self.limits,
        )
        number = run or self.queue.begin_run(self.clock.now())
        with anyio.fail_after(20):
            self.dispatcher = Dispatcher(ports, self.settings, self.stop)
            return await self.dispatcher.run(number)

    def states(self) -> dict[str, str]:
        return {job.spec.id: str(job.state) for job in self.queue.jobs()}

    def seen(self, kind: type[Any]) -> list[Any]:
        return self.sink.of(kind)
