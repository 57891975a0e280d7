"""Workers that follow a script: the fakes. No processes, no tasks and no time of their own.

    def script(command: WorkerCommand, nth: int) -> Script:
        return Script(Say(message=ready), AwaitGo(), Say(message=Finished(outcome=Done())), Exit(code=0))

    launcher = ScriptedLauncher(script)

A scripted child acts only when its orchestrator does something: on ``spawn``, ``send``, ``terminate``, ``kill_tree`` and
``release``. Whatever it says is there at once. It counts as running until somebody has waited for it, so ``peak`` is the
number of slots that were really taken.
"""

from __future__ import annotations

import signal
from collections import deque
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import msgspec

from core.domain.messages import Dismiss, Down, Go, Launch, LimitGiven, Resume, Stop, Up, Yield
from core.domain.model import ProcessStamp
from core.errors import ControlLost, SpawnFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.process.port import WorkerCommand
    from core.redaction import Redactor

HOST = "scripted"
_FIRST_PID = 1000


class Say(msgspec.Struct, frozen=True, kw_only=True, tag="say"):
    """Send a message up."""

    message: Up


class Garble(msgspec.Struct, frozen=True, kw_only=True, tag="garble"):
    """Send a line that is no message: ``size`` bytes of it."""

    size: int = 10


class AwaitHello(msgspec.Struct, frozen=True, tag="await_hello"):
    """Go on once anything was sent down."""


class AwaitGo(msgspec.Struct, frozen=True, tag="await_go"):
    """Go on once ``Go`` was sent; on ``Stop``, too, unless the script is deaf to it."""


class AwaitLaunch(msgspec.Struct, frozen=True, tag="await_launch"):
    """Go on once ``Launch`` was sent; on ``Stop``, too, unless the script is deaf to it."""


class AwaitDecision(msgspec.Struct, frozen=True, tag="await_decision"):
    """Go on once ``Resume`` or ``Dismiss`` was sent."""


class AwaitYield(msgspec.Struct, frozen=True, tag="await_yield"):
    """Go on once ``Yield`` was sent."""


class AwaitLimit(msgspec.Struct, frozen=True, kw_only=True, tag="await_limit"):
    """Go on once it is the turn of what was asked for under this number; on ``Stop``, too."""

    ticket: int = 1


class AwaitStop(msgspec.Struct, frozen=True, tag="await_stop"):
    """Go on once ``Stop`` was sent."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Go on when the test calls ``release``."""


class Hang(msgspec.Struct, frozen=True, tag="hang"):
    """Do nothing more; only a signal ends it."""


class CloseControl(msgspec.Struct, frozen=True, tag="close_control"):
    """Close the control channel, and live on."""


class Exit(msgspec.Struct, frozen=True, kw_only=True, tag="exit"):
    """End with this exit code."""

    code: int = 0


class Crash(msgspec.Struct, frozen=True, kw_only=True, tag="crash"):
    """Die of a signal, without a word; ``starved``: the kernel did it, for want of memory."""

    signal: int = signal.SIGKILL
    starved: bool = False


Action = (
    Say
    | Garble
    | AwaitHello
    | AwaitGo
    | AwaitLaunch
    | AwaitDecision
    | AwaitYield
    | AwaitLimit
    | AwaitStop
    | Hold
    | Hang
    | CloseControl
    | Exit
    | Crash
)


class Script(msgspec.Struct, frozen=True):
    """What a worker does, in order; after the last action it exits with 0.

    Attributes:
        actions: in order.
        ignore_term: SIGTERM does not end it.
        ignore_stop: ``Stop`` does not move it past ``AwaitGo`` and ``AwaitLaunch``.
        refuse: instead of all that, the host cannot start it, for this reason.
        tree: how many processes it is, itself included; what ``kill_tree`` returns.
    """

    actions: tuple[Action, ...] = ()
    ignore_term: bool = False
    ignore_stop: bool = False
    refuse: str | None = None
    tree: int = 1


def script(*actions: Action, ignore_term: bool = False, ignore_stop: bool = False, tree: int = 1) -> Script:
    """Return a script of these actions."""
    return Script(actions=actions, ignore_term=ignore_term, ignore_stop=ignore_stop, tree=tree)


class ScriptedChild:
    """A worker that follows a script.

    Attributes:
        command: how it was started.
        sent: what its orchestrator sent, in order, whether it listened or not.
        signals: names of what it was hit with: ``term``, ``kill``.
        returncode: None while it lives.
        closed: whether its orchestrator has closed it.
        out_of_memory: whether it was starved.
        user_data_dirs: what ``kill_tree`` was called with.
    """

    def __init__(
        self, command: WorkerCommand, plan: Script, pid: int, on_reaped: Callable[[ScriptedChild], None]
    ) -> None:
        self.command = command
        self.plan = plan
        self.sent: list[Down] = []
        self.signals: list[str] = []
        self.user_data_dirs: list[str | None] = []
        self.returncode: int | None = None
        self.closed = False
        self.out_of_memory = False
        self._on_reaped = on_reaped
        self._stamp = ProcessStamp(host=HOST, pid=pid, started=float(pid))
        self._todo = deque(plan.actions)
        self._released = 0
        self._inbox: deque[Up] = deque()
        self._control_open = True
        self._changed = anyio.Event()
        self._advance()

    @property
    def stamp(self) -> ProcessStamp:
        """A stamp of a host called ``scripted``, unique within a launcher."""
        return self._stamp

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.returncode is None

    def release(self) -> None:
        """Let it past its next ``Hold``, be it there already or not."""
        self._released += 1
        self._advance()

    async def send(self, message: Down) -> None:
        """Note the message and act on it.

        Raises:
            ControlLost: it has ended, or has closed the channel.
        """
        await anyio.lowlevel.checkpoint()
        if not self._control_open or self.closed:
            raise ControlLost("the scripted worker is gone")
        self.sent.append(message)
        self._advance()

    async def receive(self) -> Up | None:
        """Return its next message, None once it has ended or closed the channel."""
        await anyio.lowlevel.checkpoint()
        while not self._inbox:
            if not self._control_open or self.closed:
                return None
            await self._changed.wait()
        return self._inbox.popleft()

    def terminate(self) -> None:
        """Hit it with SIGTERM."""
        self.signals.append("term")
        if not self.plan.ignore_term:
            self._end(-signal.SIGTERM)

    async def kill_tree(self, user_data_dir: str | None) -> int:
        """Hit all of it with SIGKILL."""
        await anyio.lowlevel.checkpoint()
        self.signals.append("kill")
        self.user_data_dirs.append(user_data_dir)
        if not self.is_alive:
            return 0
        self._end(-signal.SIGKILL)
        return self.plan.tree

    async def wait(self) -> int:
        """Return its exit code once it has ended."""
        await anyio.lowlevel.checkpoint()
        while self.returncode is None:
            await self._changed.wait()
        self._on_reaped(self)
        return self.returncode

    async def close(self) -> None:
        """End the conversation, and the worker if it lives."""
        self.closed = True
        if self.is_alive:
            self._end(-signal.SIGKILL)
        self._notify()
        self._on_reaped(self)

    def _advance(self) -> None:
        """Act until the script waits for something."""
        while self.returncode is None:
            if not self._todo:
                self._end(0)
            elif self._may_pass(self._todo[0]):
                self._act(self._todo.popleft())
            else:
                break
        self._notify()

    def _may_pass(self, action: Action) -> bool:  # noqa: PLR0911 - one case for each thing to wait for
        match action:
            case AwaitHello():
                return bool(self.sent)
            case AwaitGo():
                return self._heard(Go) or (self._heard(Stop) and not self.plan.ignore_stop)
            case AwaitLaunch():
                return self._heard(Launch) or (self._heard(Stop) and not self.plan.ignore_stop)
            case AwaitDecision():
                return self._heard(Resume) or self._heard(Dismiss)
            case AwaitYield():
                return self._heard(Yield)
            case AwaitLimit(ticket=ticket):
                given = any(isinstance(one, LimitGiven) and one.ticket == ticket for one in self.sent)
                return given or self._heard(Stop)
            case AwaitStop():
                return self._heard(Stop)
            case Hold():
                return self._released > 0
            case Hang():
                return False
            case _:
                return True

    def _heard(self, kind: type[Down]) -> bool:
        return any(isinstance(message, kind) for message in self.sent)

    def _act(self, action: Action) -> None:
        match action:
            case Say(message=message):
                if self._control_open:
                    self._inbox.append(message)
            case Hold():
                self._released -= 1
            case CloseControl():
                self._control_open = False
            case Exit(code=code):
                self._end(code)
            case Crash(signal=number, starved=starved):
                self.out_of_memory = starved
                self._end(-number)
            case _:
                # waited for long enough; a garbled line is skipped by the receiving side
                pass

    def _end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self._control_open = False
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class ScriptedLauncher:
    """Starts scripted workers.

    Args:
        plan: the script of the ``nth`` worker (from 1) that is started for this profile.

    Attributes:
        spawned: all workers, in order.
        refused: commands that ended in ``SpawnFailed``.
        running: workers that nobody has waited for.
        peak: the most that ran at once.
    """

    def __init__(self, plan: Callable[[WorkerCommand, int], Script]) -> None:
        self._plan = plan
        self._counts: dict[str, int] = {}
        self._spawned = anyio.Event()
        self.spawned: list[ScriptedChild] = []
        self.refused: list[WorkerCommand] = []
        self.running: set[ScriptedChild] = set()
        self.peak = 0

    async def spawn(self, command: WorkerCommand, redactor: Redactor) -> ScriptedChild:  # noqa: ARG002 - the port's
        """Start a scripted worker.

        Raises:
            SpawnFailed: its script says so.
        """
        await anyio.lowlevel.checkpoint()
        nth = self._counts[command.profile_id] = self._counts.get(command.profile_id, 0) + 1
        plan = self._plan(command, nth)
        if plan.refuse is not None:
            self.refused.append(command)
            raise SpawnFailed(f"the worker of {command.profile_id}", plan.refuse)
        child = ScriptedChild(command, plan, _FIRST_PID + len(self.spawned), self.running.discard)
        self.spawned.append(child)
        self.running.add(child)
        self.peak = max(self.peak, len(self.running))
        self._spawned.set()
        self._spawned = anyio.Event()
        return child

    def of(self, profile_id: str) -> list[ScriptedChild]:
        """Return the workers of a profile, in order."""
        return [child for child in self.spawned if child.command.profile_id == profile_id]

    async def until_spawned(self, count: int) -> None:
        """Wait until so many workers have been started."""
        while len(self.spawned) < count:
            await self._spawned.wait()
