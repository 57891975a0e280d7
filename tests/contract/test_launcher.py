"""Every launcher obeys the laws of ``core.process.port``: the one with real processes and the scripted one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import msgspec
import pytest

from core.domain.messages import Finished, Go, Heartbeat, Progress, Stop
from core.domain.model import AttemptRecord
from core.domain.outcome import Done
from core.errors import ControlLost, SpawnFailed
from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.port import WorkerCommand
from core.process.pump import LogLimits
from core.process.scripted import (
    AwaitGo,
    AwaitStop,
    CloseControl,
    Crash,
    Exit,
    Garble,
    Hang,
    Say,
    ScriptedLauncher,
    script,
)
from core.process.scripted_reaper import ScriptedReaper
from core.process.tree import ProcessReaper
from core.redaction import Redactor

WORKER = Path(__file__).parent.parent / "children" / "script_worker.py"
pytestmark = pytest.mark.timeout(60)
COMMAND = WorkerCommand(profile_id="p1", nonce="0" * 8 + os.urandom(8).hex(), job_id="j1", number=2)


class Bench:
    """A launcher and its reaper of one kind."""

    def __init__(self, kind: str, log_dir: Path) -> None:
        self.kind = kind
        self.log_dir = log_dir
        self.children = []
        self.reaper = None

    async def spawn(self, plan, command=COMMAND):
        if self.kind == "real":
            env = {**os.environ, "SCRIPT_WORKER": msgspec.json.encode(plan).decode()}
            limits = LogLimits(grace=0.5)
            launch = LaunchPlan(python=sys.executable, run_py=WORKER, log_dir=self.log_dir, limits=limits)
            if plan.refuse is not None:
                launch = msgspec.structs.replace(launch, python="/nowhere/python")
            launcher = SubprocessLauncher(launch, env)
            self.reaper = ProcessReaper()
        else:
            launcher = ScriptedLauncher(lambda command, nth: plan)
            self.reaper = ScriptedReaper(launcher)
        child = await launcher.spawn(command, Redactor())
        self.children.append(child)
        return child


@pytest.fixture(params=["real", "scripted"])
async def bench(request, tmp_path):
    bench = Bench(request.param, tmp_path)
    yield bench
    for child in bench.children:
        await child.close()


async def test_messages_come_in_order_and_then_none(bench):
    """What a worker says arrives in order, and None says that nothing more will."""
    child = await bench.spawn(script(*(Say(message=Progress(note=str(n))) for n in range(50)), Exit(code=4)))
    assert [(await child.receive()).note for _ in range(50)] == [str(n) for n in range(50)]
    assert await child.receive() is None
    assert await child.receive() is None
    assert await child.wait() == 4


async def test_what_is_no_message_is_skipped(bench):
    """A garbled line and one of two megabytes do not end the conversation."""
    said = [Garble(), Say(message=Heartbeat()), Garble(size=2_000_000), Say(message=Finished(outcome=Done()))]
    child = await bench.spawn(script(*said))
    assert await child.receive() == Heartbeat()
    assert await child.receive() == Finished(outcome=Done())
    assert await child.receive() is None


async def test_go_is_waited_for(bench):
    """A worker that waits for ``Go`` goes on when it comes."""
    child = await bench.spawn(script(AwaitGo(), Say(message=Heartbeat()), Exit(code=1)))
    await child.send(Go())
    assert await child.receive() == Heartbeat()
    assert await child.wait() == 1


async def test_a_killed_worker_is_not_taken_for_starved(bench):
    """Unless the kernel shows that it was short of memory, whoever killed it."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Crash()))
    assert not child.out_of_memory
    assert await child.receive() == Heartbeat()
    assert await child.wait() == -signal.SIGKILL
    assert not child.out_of_memory


async def test_stop_reaches_a_worker_that_is_deaf_to_sigterm(bench):
    """The channel works where the signal is ignored."""
    plan = script(Say(message=Heartbeat()), AwaitStop(), Exit(code=6), ignore_term=True)
    child = await bench.spawn(plan)
    assert await child.receive() == Heartbeat()
    child.terminate()
    await child.send(Stop(reason="enough", grace=1.0))
    assert await child.wait() == 6


async def test_terminate_ends_one_that_listens(bench):
    """SIGTERM is reported as the negative number."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Hang()))
    await child.receive()
    child.terminate()
    assert await child.wait() == -signal.SIGTERM
    child.terminate()


async def test_kill_tree_ends_one_that_does_not(bench):
    """A worker that ignores everything is killed, and counted."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Hang(), ignore_term=True))
    await child.receive()
    child.terminate()
    assert await child.kill_tree(None) == 1
    assert await child.kill_tree("/nowhere") == 0
    assert await child.receive() is None
    assert await child.wait() == -signal.SIGKILL


async def test_a_crash_is_a_negative_exit_code(bench):
    """Death by a signal is told apart from an exit."""
    child = await bench.spawn(script(Crash(signal=signal.SIGSEGV)))
    assert await child.wait() == -signal.SIGSEGV
    assert await child.wait() == -signal.SIGSEGV


async def test_sending_to_the_dead_is_control_lost(bench):
    """Whoever writes to a worker that has ended is told so."""
    child = await bench.spawn(script(Exit()))
    await child.wait()
    with pytest.raises(ControlLost):
        await child.send(Go())


async def test_a_closed_channel_is_not_a_death(bench):
    """End of file comes from a worker that lives on, too."""
    child = await bench.spawn(script(CloseControl(), Hang()))
    assert await child.receive() is None
    assert bench.reaper.is_alive(child.stamp) is True


async def test_a_host_that_cannot_says_spawn_failed(bench):
    """No process, no child, one typed error."""
    with pytest.raises(SpawnFailed, match="p1"):
        await bench.spawn(msgspec.structs.replace(script(), refuse="no such interpreter"))


async def test_close_ends_what_nobody_waited_for(bench):
    """Closing twice is safe, and a worker is never forgotten."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Hang(), ignore_term=True))
    await child.receive()
    await child.close()
    await child.close()
    assert bench.reaper.is_alive(child.stamp) is False
    assert await child.receive() is None
    with pytest.raises(ControlLost):
        await child.send(Go())


async def test_close_wakes_a_receiver(bench):
    """A task that waits for a message gets None when another closes the child."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Hang()))
    await child.receive()
    got = []

    async def receive() -> None:
        got.append(await child.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await child.close()
    assert got == [None]


async def test_the_reaper_finds_it_by_its_nonce_alone(bench):
    """An attempt that was killed between spawn and record is found, ended once, and then gone."""
    child = await bench.spawn(script(Say(message=Heartbeat()), Hang()))
    await child.receive()
    attempt = AttemptRecord(nonce=COMMAND.nonce, job_id="j1", profile_id="p1", number=1, started_at=0.0)
    other = msgspec.structs.replace(attempt, nonce="another")
    assert await bench.reaper.leftovers([other]) == []
    assert await bench.reaper.leftovers([other, attempt]) == [child.stamp]
    assert await bench.reaper.reap(other, 1.0) == 0
    assert await bench.reaper.reap(attempt, 1.0) == 1
    assert await bench.reaper.leftovers([attempt]) == []
    assert await child.wait() == -signal.SIGTERM
