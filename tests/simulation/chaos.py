"""What is done to a simulated fleet from outside: by its operator, by a person, by its host, and by bad luck."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from core.control.port import Cancel, Continue, Drain, GoOn, Look, Pause, SetLimit, StopNow
from core.domain.admission import Load
from core.errors import JobsRefused, ProfileHeld
from core.queue.memory_desk import MemoryDesk

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.control.port import Answer, Request
    from core.queue.memory import MemoryStore
    from tests.simulation.world import Orchestrator, World

BY_A_PERSON = "a person"
DEEDS = {
    "kill": 3,
    "drain": 1,
    "stop": 2,
    "pause": 2,
    "limit": 2,
    "cancel": 1,
    "cancel_waiting": 1,
    "disk": 2,
    "hog": 2,
    "clock": 2,
    "hold_elsewhere": 2,
}
"""What may happen, and how often beside the others."""


class Chaos:
    """Does one deed after the other until its time is over; a person looks after parked jobs all the while.

    Attributes:
        orchestrator: the one that runs now; None between two.
        obey: its control socket; None while nobody listens.
    """

    def __init__(self, world: World, store: MemoryStore, jobs: list[str], *, seconds: float) -> None:
        self._world = world
        self._store = store
        self._jobs = jobs
        self._seconds = seconds
        self.orchestrator: Orchestrator | None = None
        self.obey: Callable[[Request], Answer] | None = None

    async def serve(self, obey: Callable[[Request], Answer]) -> None:
        """Implements ``Commands``."""
        self.obey = obey
        try:
            await anyio.sleep_forever()
        finally:
            self.obey = None

    async def rage(self) -> None:
        """Do it all, then let the world be calm."""
        chance = self._world.chance
        end = anyio.current_time() + self._seconds
        while anyio.current_time() < end:
            await anyio.sleep(chance.expovariate(1 / 5))
            [deed] = chance.choices(list(DEEDS), list(DEEDS.values()))
            self._world.tasks.start_soon(getattr(self, f"_{deed}"))
        self._world.calm = True
        self._world.note("calm")
        self._world.disk_full = False
        self._world.load = Load()
        while True:
            # whoever paused it may have asked one that is gone by now
            self._ask(Continue())
            await anyio.sleep(10)

    async def look_after(self) -> None:
        """Be the person that parked jobs wait for, now and then."""
        while True:
            await anyio.sleep(self._world.chance.uniform(2, 20))
            parked = [] if self.obey is None else self.obey(Look()).run.parked
            if parked:
                self._ask(GoOn(job=self._world.chance.choice(parked).job))

    def _ask(self, request: Request) -> None:
        if self.obey is not None:
            self.obey(request)

    async def _kill(self) -> None:
        if self.orchestrator is not None:
            self.obey = None
            self.orchestrator.kill()

    async def _drain(self) -> None:
        self._end(Drain())

    async def _stop(self) -> None:
        self._end(StopNow())

    def _end(self, request: Request) -> None:
        if self.obey is not None:
            self._world.note("stop_obeyed")
            self.obey(request)

    async def _pause(self) -> None:
        self._ask(Pause())
        await anyio.sleep(self._world.chance.uniform(1, 15))
        self._ask(Continue())

    async def _limit(self) -> None:
        self._ask(SetLimit(max_concurrent=self._world.chance.randint(1, 6)))

    async def _cancel(self) -> None:
        self._ask(Cancel(job=self._world.chance.choice(self._jobs)))

    async def _cancel_waiting(self) -> None:
        job = self._world.chance.choice(self._jobs)
        with suppress(JobsRefused):
            MemoryDesk(self._store).cancel([job], now=self._world.clock.now())
            self._world.note("cancelled_by_hand", job=job)

    async def _disk(self) -> None:
        self._world.disk_full = True
        self._world.note("disk_full")
        await anyio.sleep(self._world.chance.uniform(0.5, 10))
        self._world.disk_full = False
        self._world.note("disk_free")

    async def _hog(self) -> None:
        loads: list[dict[str, Any]] = [{"cpu_others": 0.95}, {"memory_free": 10 << 20}, {"stalled": 0.9}]
        self._world.load = Load(**self._world.chance.choice(loads))
        await anyio.sleep(self._world.chance.uniform(1, 20))
        self._world.load = Load()

    async def _clock(self) -> None:
        seconds = self._world.chance.choice((-3600.0, -60.0, -1.0, 1.0, 60.0, 3600.0))
        self._world.skew += seconds
        self._world.note("clock", seconds=seconds)

    async def _hold_elsewhere(self) -> None:
        profile = self._world.chance.choice(self._jobs).partition("-")[0]
        with suppress(ProfileHeld), self._world.locks.hold(profile, BY_A_PERSON):
            await anyio.sleep(self._world.chance.uniform(1, 20))
