"""One simulation: the real dispatcher in a simulated world, from the first start until every job is at its end.

.venv/bin/python -m tests.simulation SEED     # prints the journal, and what is wrong with it
"""

from __future__ import annotations

from collections import Counter

import anyio
import msgspec
from structlog.testing import capture_logs

from core.dispatch.attempt import AttemptLimits
from core.dispatch.dispatcher import Dispatcher
from core.dispatch.ports import DispatchSettings, Ports
from core.dispatch.shutdown import Stop
from core.domain.admission import AdmissionPolicy
from core.domain.messages import WorkerSettings
from core.domain.model import TERMINAL, JobSpec
from core.domain.outcome import ExitCode
from core.domain.retry import RetryPolicy
from core.errors import OstlerError
from core.queue.memory import MemoryQueue, MemoryStore
from tests.simulation import virtual_time
from tests.simulation.chaos import BY_A_PERSON, Chaos
from tests.simulation.worker import WorldLauncher, WorldReaper
from tests.simulation.world import Killed, Orchestrator, World, WorldMeter, inline

LONGEST = 4 * 3600.0
"""Virtual seconds until which every job has come to its end."""


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        journal: one line for each thing that happened: seconds, whether the fleet said so, and what.
        bugs: what was logged of mistakes in the product's own code.
    """

    seed: int
    journal: list[bytes]
    bugs: list[str]


def simulate(seed: int, *, jobs: int | None = None, seconds: float = 60.0) -> Simulated:
    """Run one simulation.

    Args:
        seed: of all randomness.
        jobs: how many; None: as the seed says.
        seconds: for how long things go wrong.
    """
    with capture_logs() as said:
        simulation = _Simulation(seed, jobs, seconds)
        virtual_time.run(simulation.run)
    bugs = [str(one) for one in said if one["event"] == "supervision_failed"]
    journal = [msgspec.json.encode((one.at, one.event, one.what)) for one in simulation.world.journal]
    return Simulated(seed=seed, journal=journal, bugs=bugs)


class _Simulation:
    def __init__(self, seed: int, jobs: int | None, seconds: float) -> None:
        self.world = World(seed)
        self._store = MemoryStore()
        self._settings = _settings(self.world)
        self._specs = _specs(self.world, jobs)
        self._chaos = Chaos(self.world, self._store, [spec.id for spec in self._specs], seconds=seconds)

    async def run(self) -> None:
        world, jobs = self.world, self._store.jobs
        world.note("queue", jobs=[(spec.id, spec.profile_id) for spec in self._specs])
        with anyio.move_on_after(LONGEST) as scope:
            async with anyio.create_task_group() as tasks:
                world.tasks = tasks
                tasks.start_soon(self._chaos.rage)
                tasks.start_soon(self._chaos.look_after)
                while not jobs or any(job.state not in TERMINAL for job in jobs.values()):
                    await self._one_run()
                    await anyio.sleep(world.chance.uniform(0.1, 3))
                counts = Counter(str(job.state) for job in jobs.values())
                held = [(one.profile_id, world.locks.holder(one.profile_id)) for one in self._specs]
                locked = [name for name, holder in held if holder is not None and holder.what != BY_A_PERSON]
                world.note("at_the_end", counts=dict(sorted(counts.items())), locked=locked)
                tasks.cancel_scope.cancel()
        if scope.cancelled_caught:
            world.note("never_ended")

    async def _one_run(self) -> None:
        """One life of an orchestrator, as ``orchestrator.py`` leads it."""
        world = self.world
        me = self._chaos.orchestrator = Orchestrator(world)
        world.note("orchestrator_started", max_concurrent=self._settings.max_concurrent)
        code: int = ExitCode.HOST_FAULT
        try:
            with me.scope:
                code = await self._dispatch(me)
        except* Killed:
            pass
        except* OstlerError as errors:
            world.note("orchestrator_failed", why=[str(one) for one in errors.exceptions])
        self._chaos.orchestrator = None
        if not me.killed:
            alive = [worker.stamp.pid for worker in me.workers if worker.is_alive]
            world.note("orchestrator_ended", code=int(code), alive=alive)

    async def _dispatch(self, me: Orchestrator) -> int:
        world, queue = self.world, MemoryQueue(self._store)
        number = queue.begin_run(world.clock.now())
        if number == 1 or world.chance.random() < 0.5:
            queue.reconcile("feed", self._specs, now=world.clock.now())
        else:
            queue.resume(world.clock.now())
        ports = Ports(
            queue=me.through(queue, disk=True),
            launcher=WorldLauncher(world, me),
            reaper=me.through(WorldReaper(world)),
            sessions=me.through(world.sessions),
            locks=me.through(world.locks),
            workspaces=me.through(world.workspaces),
            events=me,
            history=world,
            clock=world.clock,
            nonce=lambda: f"{world.chance.getrandbits(64):016x}",
            commands=self._chaos,
            meter=WorldMeter(world),
            blocking=inline(world),
        )
        return await Dispatcher(ports, self._settings, Stop()).run(number)


def _settings(world: World) -> DispatchSettings:
    chance = world.chance
    return DispatchSettings(
        max_concurrent=chance.randint(1, 5),
        max_preparing=chance.randint(1, 4),
        gate_interval=chance.choice((0.0, 0.0, 0.5)),
        stop_grace=2.0,
        limits=AttemptLimits(start=10.0, progress=8.0, hard=90.0),
        retry=RetryPolicy(base_delay=1.0, max_delay=20.0, busy_delay=2.0),
        worker=WorkerSettings(state_dir="/s", log_dir="/l", park=chance.random() < 0.7),
        batch_size=chance.choice((None, None, 1, 3)),
        batch_delay=2.0,
        admission=AdmissionPolicy(calm=2.0),
        max_parked=chance.randint(0, 3),
        wait_parked=chance.choice((0.0, 10.0, 60.0)),
        notice_interval=2.0,
        unsettled_interval=2.0,
    )


def _specs(world: World, jobs: int | None) -> list[JobSpec]:
    """Return jobs, some of which share a profile, and some of whose profiles are cursed."""
    specs: list[JobSpec] = []
    for number in range(jobs or world.chance.randint(5, 14)):
        [kind] = world.chance.choices(("well", "poison", "broken"), (12, 1, 1))
        profile = f"{kind}{number}"
        for nth in range(world.chance.choice((1, 1, 1, 2))):
            priority = world.chance.choice((0, 0, 5))
            specs.append(JobSpec(id=f"{profile}-{nth}", profile_id=profile, flow="/f.py", priority=priority))
    return specs
