"""A simulated worker: it keeps the order of ``core.domain.messages``, has effects that are written down, and goes wrong as it is
fated to.
"""

from __future__ import annotations

import signal
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from core.domain.failure import FAILURES, Code, Kind
from core.domain.messages import (
    BrowserClosed,
    BrowserStarted,
    Dismiss,
    Finished,
    Go,
    Hello,
    Launch,
    Parked,
    Phase,
    Planned,
    Prepared,
    Progress,
    Ready,
    Resume,
    StepCommitted,
    StepStarted,
    Stop,
    Yield,
)
from core.domain.model import ProcessStamp
from core.domain.outcome import Busy, Done, Interrupted, Waiting, ended, exit_code_of
from core.domain.session import SessionState
from core.errors import ControlLost, ProfileHeld, SpawnFailed

if TYPE_CHECKING:
    from core.domain.messages import Down, Up
    from core.domain.model import AttemptRecord
    from core.domain.outcome import Outcome
    from core.process.port import WorkerCommand
    from core.redaction import Redactor
    from tests.simulation.world import Orchestrator, World

D = TypeVar("D")
HOST = "simulated"
STEPS = ("sign_up", "verify", "order")
BROKEN = [code for code in Code if FAILURES[code].kind in (Kind.FAILED, Kind.HOST_FAULT, Kind.CORRUPT)]


class Fate(msgspec.Struct, frozen=True):
    """What goes wrong in an attempt, and at which of its moments: ``well``, ``crash``, ``fail``, ``hang``, ``freeze``,
    ``starve`` or ``person``.
    """

    kind: str = "well"
    moment: int = 0
    code: Code = Code.UNKNOWN


WELL = Fate()
KINDS = ("well", "crash", "fail", "hang", "freeze", "starve", "person")


def fate_of(world: World, profile_id: str) -> Fate:
    """Draw what happens to an attempt of this profile."""
    chance = world.chance
    if profile_id.startswith("poison"):
        return Fate("crash", chance.randint(0, 5))
    if profile_id.startswith("broken"):
        return Fate("fail", chance.randint(3, 6), Code.STEP_FAILED)
    if world.calm:
        return WELL
    [kind] = chance.choices(KINDS, (60, 10, 12, 4, 3, 2, 9))
    return Fate(kind, chance.randint(0, 14), chance.choice(BROKEN))


class _Left(Exception):
    """The worker ends in order, saying this."""

    def __init__(self, outcome: Outcome, code: int) -> None:
        self.outcome = outcome
        self.code = code
        super().__init__(outcome)


class Worker:
    """Implements ``Child``. Its life is a task of the world's."""

    def __init__(self, world: World, command: WorkerCommand, pid: int) -> None:
        self._world = world
        self.command = command
        self._stamp = ProcessStamp(host=HOST, pid=pid, started=float(pid))
        self._fate = fate_of(world, command.profile_id)
        self._moments = 0
        self._up: deque[Up] = deque()
        self._down: deque[Down] = deque()
        self._changed = anyio.Event()
        self._open = True
        self._deaf = False
        self._stopping: str | None = None
        self._yielding = False
        self._orphaned = False
        self._life = anyio.CancelScope()
        self._held = ExitStack()
        self._returncode: int | None = None
        self.out_of_memory = False

    # --- as its orchestrator sees it ---------------------------------------------------------------------------------

    @property
    def stamp(self) -> ProcessStamp:
        return self._stamp

    @property
    def is_alive(self) -> bool:
        return self._returncode is None

    async def send(self, message: Down) -> None:
        await anyio.lowlevel.checkpoint()
        if not self._open:
            raise ControlLost("the simulated worker is gone")
        self._down.append(message)
        if isinstance(message, Stop):
            self._ask(message.reason)
        self._yielding = self._yielding or isinstance(message, Yield)
        self._tell()

    async def receive(self) -> Up | None:
        await anyio.lowlevel.checkpoint()
        while not self._up:
            if not self._open:
                return None
            await self._changed.wait()
        return self._up.popleft()

    def terminate(self) -> None:
        self._ask("SIGTERM")

    async def kill_tree(self, user_data_dir: str | None) -> int:
        await anyio.sleep(0.01)
        if not self.is_alive:
            return 0
        self._die(-signal.SIGKILL)
        return 1

    async def wait(self) -> int:
        await anyio.lowlevel.checkpoint()
        while self._returncode is None:
            await self._changed.wait()
        return self._returncode

    async def close(self) -> None:
        if self.is_alive:
            self._die(-signal.SIGKILL)

    def orphan(self) -> None:
        """Its orchestrator was killed: it notices, unless it is frozen."""
        self._orphaned = True
        self._tell()

    def _ask(self, reason: str) -> None:
        if self._stopping is None:
            self._stopping = reason
        self._tell()

    # --- its life ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Until it ends, or is ended."""
        self._note("worker_born", nonce=self.command.nonce)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._notice_orphaned)
            with self._life:
                try:
                    outcome, code = await self._work(self._held)
                except _Left as left:
                    outcome, code = left.outcome, left.code
                self._say(Finished(outcome=outcome))
                await anyio.sleep(0.05)
                self._die(code)
            tasks.cancel_scope.cancel()

    async def _notice_orphaned(self) -> None:
        while not self._orphaned or self._deaf:
            await self._changed.wait()
        await anyio.sleep(self._world.chance.uniform(0.01, 0.3))
        if self.is_alive and not self._deaf:
            self._die(70)

    async def _work(self, held: ExitStack) -> tuple[Outcome, int]:
        chance, profile = self._world.chance, self.command.profile_id
        await self._spend(chance.uniform(0.1, 0.4))
        hello = await self._hear(Hello)
        try:
            held.enter_context(self._world.locks.hold(profile, "worker"))
        except ProfileHeld:
            return Busy(holder="somebody else"), 5
        stored = self._world.sessions.read(profile)
        fence = 1 + (0 if stored is None else stored.fence)
        data = str(self._world.workspaces.expected_user_data_dir(profile, fence))
        self._say(Ready(fence=fence, process=self._stamp, user_data_dir=data))
        await self._hear(Go)
        self._note("told_to_go", fence=fence)
        session = SessionState(profile_id=profile) if stored is None else stored.value
        session = self._write(msgspec.structs.replace(session, status="PROCESSING"), fence)
        for phase in ("restore", "clone"):
            self._say(Phase(name=phase))
            await self._spend(chance.uniform(0, 0.5))
        todo = tuple(step for step in STEPS if not session.completion_flags.get(self._flag(step)))
        done = tuple(step for step in STEPS if step not in todo)
        self._say(Planned(done=done, todo=todo, flags={step: self._flag(step) for step in todo}))
        if not todo:
            return Done(), 0
        self._say(Prepared())
        await self._hear(Launch)
        self._note("browser_on")
        held.callback(lambda: self._note("browser_off"))
        self._say(Phase(name="launch"))
        await self._spend(0.2)
        self._say(BrowserStarted(name="simulated", version="1", pid=None))
        for step in todo:
            if self._yielding:
                return Interrupted(reason="told to yield"), 6
            session = await self._take(step, session, fence, park=hello.settings.park)
        self._say(BrowserClosed())
        self._say(Phase(name="save"))
        await self._spend(0.1)
        return Done(), 0

    async def _take(self, step: str, session: SessionState, fence: int, *, park: bool) -> SessionState:
        self._say(StepStarted(step=step, try_=1, limit=5.0))
        for _ in range(self._world.chance.randint(1, 3)):
            await self._spend(self._world.chance.uniform(0.1, 1.5), step, park=park)
            self._say(Progress())
        self._note("acted", step=step, fence=fence)
        await self._spend(0.05, step, park=park)
        flags = {**session.completion_flags, self._flag(step): True}
        session = self._write(msgspec.structs.replace(session, completion_flags=flags), fence)
        self._note("committed", step=step, fence=fence)
        await self._spend(0.05, step, park=park)
        self._say(StepCommitted(step=step, flag=self._flag(step), seconds=1.0))
        return session

    async def _spend(self, seconds: float, step: str = "", *, park: bool = False) -> None:
        """One moment of its life: so many seconds, or its end. A stop ends it in order."""
        self._moments += 1
        if self._moments > self._fate.moment and self._fate.kind != "well":
            kind, self._fate = self._fate.kind, msgspec.structs.replace(self._fate, kind="well")
            await self._suffer(kind, step, park=park)
        with anyio.move_on_after(seconds):
            while self._stopping is None:
                await self._changed.wait()
            await anyio.sleep(0.1)
            raise _Left(Interrupted(reason=self._stopping), 6)

    async def _suffer(self, kind: str, step: str, *, park: bool) -> None:
        match kind:
            case "crash":
                self._die(-signal.SIGKILL)
                await anyio.sleep_forever()
            case "starve":
                self.out_of_memory = True
                self._die(-signal.SIGKILL)
                await anyio.sleep_forever()
            case "freeze":
                self._deaf = True
                await anyio.sleep_forever()
            case "hang":
                while self._stopping is None:
                    await self._changed.wait()
            case "fail":
                reason = "fated to fail"
                raise _Left(ended(self._fate.code, reason, step), exit_code_of(self._fate.code))
            case _ if step and park:
                self._say(Parked(step=step, why="a person is needed"))
                decided = await self._hear(Resume, Dismiss)
                if isinstance(decided, Dismiss):
                    raise _Left(Waiting(step=step, why="nobody came"), 4)
            case _ if step:
                raise _Left(Waiting(step=step, why="a person is needed"), 4)
            case _:
                pass  # nobody is needed before there is a browser

    async def _hear(self, *kinds: type[D]) -> D:
        """Wait for a message of these kinds; a stop ends it in order."""
        while True:
            for message in tuple(self._down):
                if isinstance(message, kinds):
                    self._down.remove(message)
                    return message
            if self._stopping is not None:
                await anyio.sleep(0.05)
                raise _Left(Interrupted(reason=self._stopping), 6)
            await self._changed.wait()

    def _write(self, session: SessionState, fence: int) -> SessionState:
        self._world.sessions.write(session, fence=fence)
        return session

    def _flag(self, step: str) -> str:
        return f"{step}_done"

    def _say(self, message: Up) -> None:
        if self._open:
            self._up.append(message)
            self._tell()

    def _die(self, code: int) -> None:
        if self._returncode is None:
            self._returncode = code
            self._open = False
            self._life.cancel()
            self._held.close()
            self._note("worker_gone", code=code)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _note(self, fact: str, **what: object) -> None:
        self._world.note(fact, profile=self.command.profile_id, job=self.command.job_id, pid=self._stamp.pid, **what)


class WorldLauncher:
    """Implements ``Launcher`` for one orchestrator."""

    def __init__(self, world: World, orchestrator: Orchestrator) -> None:
        self._world = world
        self._orchestrator = orchestrator

    async def spawn(self, command: WorkerCommand, redactor: Redactor) -> Worker:
        await anyio.sleep(self._world.chance.uniform(0, 0.02))
        self._orchestrator.check()
        if not self._world.calm and self._world.chance.random() < 0.02:
            raise SpawnFailed(f"the worker of {command.profile_id}", "no process to be had")
        worker = Worker(self._world, command, 1000 + len(self._world.workers))
        self._world.workers.append(worker)
        self._orchestrator.workers.append(worker)
        self._world.tasks.start_soon(worker.live)
        child: Worker = self._orchestrator.through(worker)
        return child


class WorldReaper:
    """Implements ``Reaper``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def is_alive(self, stamp: ProcessStamp) -> bool | None:
        return any(worker.stamp == stamp and worker.is_alive for worker in self._world.workers)

    async def reap(self, attempt: AttemptRecord, grace: float) -> int:
        await anyio.sleep(0.01)
        found = [one for one in self._world.workers if one.command.nonce == attempt.nonce and one.is_alive]
        for worker in found:
            worker.terminate()
            with anyio.move_on_after(grace):
                await worker.wait()
            await worker.kill_tree(attempt.user_data_dir)
        return len(found)

    async def leftovers(self, known: object) -> list[ProcessStamp]:
        return [worker.stamp for worker in self._world.workers if worker.is_alive]
