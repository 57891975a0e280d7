"""The world that a simulated fleet runs in: its clock, its disk, what others do on its host, and a journal of all that happens.

Everything random comes from one seed. Nothing here is real, and nothing takes time but the virtual.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from core.dispatch.off_loop import Blocking, OffLoop
from core.domain import events
from core.domain.admission import Load
from core.errors import QueueUnavailable
from core.events import history
from core.profiles.memory import MemoryProfileLocks
from core.state.memory import MemorySessionStore
from core.workspaces.memory import MemoryWorkspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import TaskGroup

    from core.domain.model import Announced, AttemptRecord, ProcessStamp
    from tests.simulation.worker import Worker

T = TypeVar("T")
EPOCH = 1_700_000_000.0
MB = 1024 * 1024
LATENCY = 0.02
"""Seconds that a call off the loop takes at the most."""


class Killed(BaseException):
    """The orchestrator that asks was killed: nothing that it does has an effect any more."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal: an event of the fleet, or a fact that it may not know of."""

    at: float
    event: bool
    what: dict[str, Any]


class World:
    """What outlives an orchestrator.

    Attributes:
        chance: where all randomness comes from.
        journal: events and facts, in the order they happened.
        calm: nothing goes wrong any more, but for profiles that are cursed.
        disk_full: the queue cannot be written.
        skew: seconds that the wall clock was set forward, or back.
        load: what the host is measured as.
        workers: all that were ever started.
        tasks: in which they live.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.journal: list[Entry] = []
        self.calm = False
        self.disk_full = False
        self.skew = 0.0
        self.load = Load()
        self.workers: list[Worker] = []
        self.tasks: TaskGroup
        self.clock = WorldClock(self)
        self.sessions = MemorySessionStore()
        self.locks = MemoryProfileLocks(self.clock)
        self.workspaces = MemoryWorkspaces()

    def note(self, fact: str, **what: Any) -> None:
        """Write a fact down."""
        self.journal.append(Entry(at=anyio.current_time(), event=False, what={"fact": fact, **what}))

    def announced(self, attempts: Sequence[AttemptRecord]) -> Mapping[str, Announced]:
        """Read the events back, as ``JsonlHistory`` does."""
        lines = (msgspec.json.encode(entry.what) for entry in reversed(self.journal) if entry.event)
        return history.announced(map(events.decode, lines), attempts)


class WorldClock:
    """Implements ``Clock``: virtual time, and a wall clock that can be set."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return EPOCH + self.monotonic() + self._world.skew

    def monotonic(self) -> float:
        return anyio.current_time()

    def jitter(self) -> float:
        return self._world.chance.random()


class Orchestrator:
    """One life of an orchestrator: what it acts through, until it is killed.

    Attributes:
        scope: in which it runs.
        killed: whether it was.
        workers: those it started.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.scope = anyio.CancelScope()
        self.killed = False
        self.workers: list[Worker] = []

    def kill(self) -> None:
        """End it as SIGKILL does."""
        self._world.note("orchestrator_killed")
        self.killed = True
        self.scope.cancel()
        for worker in self.workers:
            worker.orphan()

    def check(self) -> None:
        """Raise if it is dead."""
        if self.killed:
            raise Killed

    def emit(self, event: events.Event) -> None:
        """Take one event; what was said stays said."""
        self.check()
        what = msgspec.json.decode(events.encode(event))
        self._world.journal.append(Entry(at=anyio.current_time(), event=True, what=what))

    def through(self, port: Any, *, disk: bool = False) -> Any:
        """Return the port for as long as this life lasts; ``disk``: its calls fail while the disk is full."""
        return _Through(self, self._world, port, disk=disk)


class _Through:
    """A port, as one orchestrator has it."""

    def __init__(self, orchestrator: Orchestrator, world: World, port: Any, *, disk: bool) -> None:
        self._parts = (orchestrator, world, port, disk)

    def __getattr__(self, name: str) -> Any:
        orchestrator, world, port, disk = self._parts
        orchestrator.check()
        found = getattr(port, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            orchestrator.check()
            if disk and not world.calm and (world.disk_full or world.chance.random() < 0.002):
                raise QueueUnavailable(_QUEUE, "the simulated disk is full")
            return found(*args, **kwargs)

        return call


class _Name:
    def __str__(self) -> str:
        return "queue.db"


_QUEUE: Path = _Name()  # type: ignore[assignment]


class _Inline(OffLoop):
    """Takes as long as a thread might, without one: whoever is cancelled meanwhile waits for it, too."""

    def __init__(self, at_once: int, world: World) -> None:
        super().__init__(at_once)
        self._world = world

    async def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        async with self._limiter:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self._world.chance.uniform(0, LATENCY))
                return function(*args, **kwargs)


def inline(world: World) -> Blocking:
    """Return what stands for the threads."""
    blocking = Blocking()
    blocking.queue, blocking.files = _Inline(1, world), _Inline(4, world)
    return blocking


class WorldMeter:
    """Implements ``HostMeter``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def measure(self, attempts: Mapping[str, ProcessStamp], lag: float) -> Load:
        return msgspec.structs.replace(self._world.load, lag=lag, used=dict.fromkeys(attempts, 100 * MB))
