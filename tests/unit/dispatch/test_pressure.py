"""A fleet that is held to what its host can take; the host is as loaded as the test says."""

from __future__ import annotations

import threading

import anyio
import msgspec
import pytest

from core.dispatch import pressure
from core.domain import events
from core.domain.admission import AdmissionPolicy, Load
from core.domain.messages import Finished, Yield
from core.domain.outcome import ExitCode, Interrupted
from core.errors import HostFailed
from core.process.scripted import AwaitYield, CloseControl, Exit, Hold
from core.process.scripted_meter import ScriptedMeter
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

MB = 1024 * 1024
POLICY = AdmissionPolicy(memory_reserve=200 * MB, usual_need=300 * MB, calm=0.05)
MANY = msgspec.structs.replace(SETTINGS, max_concurrent=10, max_preparing=10, admission=POLICY)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "INTERVAL", 0.02)


async def test_no_more_are_started_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two: of five jobs two are launched; when there is more room, the others follow. What lasts is told."""
    monkeypatch.setattr(pressure, "_TOLD_AFTER", 0.1)

    class Host(ScriptedMeter):
        total = 900 * MB

        def measure(self, attempts, lag):
            self.load = Load(memory_free=self.total - self.each * len(attempts))
            return super().measure(attempts, lag)

    meter = Host(each=300 * MB)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), MANY, meter=meter)
    bench.add(*"abcde")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched, nth=2)
            await bench.sink.wait_for(events.StartsHeld)
            assert len(bench.seen(events.AttemptLaunched)) == 2
            meter.total = 90_000 * MB
            await bench.sink.wait_for(events.AttemptLaunched, nth=5)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert [event.reason for event in bench.seen(events.StartsHeld)] == [pressure.FULL]
    assert [event.reason for event in bench.seen(events.StartsResumed)] == [pressure.FULL]


async def test_the_reason_is_told_when_it_changes() -> None:
    """Held for the disk, then for the processor, then for nothing."""
    meter = ScriptedMeter(Load())
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), MANY, meter=meter)
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched)
            meter.load = Load(disk_free=0)
            await bench.sink.wait_for(events.StartsHeld)
            meter.load = Load()
            await bench.sink.wait_for(events.StartsResumed)
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    [held], [resumed] = bench.seen(events.StartsHeld), bench.seen(events.StartsResumed)
    assert (held.reason, resumed.reason) == ("disk space", "disk space")
    assert resumed.seconds > 0


async def test_the_youngest_is_sent_away_when_memory_runs_out_and_comes_back() -> None:
    """It ends after its step, costs nothing, and is done later; the older one is not touched."""
    meter = ScriptedMeter(Load(memory_free=90_000 * MB))
    leaves = (AwaitYield(), say(Finished(outcome=Interrupted(reason="no room"))), Exit(code=6))

    def plan(command, nth):
        if command.profile_id == "b" and nth == 1:
            return worker(*leaves)
        return worker(Hold(), *DONE)

    bench = Bench(plan, MANY, meter=meter)
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched, nth=2)
            meter.load = Load(memory_free=10 * MB)
            await bench.sink.wait_for(events.AttemptEnded)
            meter.load = Load(memory_free=90_000 * MB)
            await bench.sink.wait_for(events.AttemptLaunched, nth=3)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    [first, *_] = bench.seen(events.AttemptEnded)
    assert (first.job, first.outcome) == ("b", "interrupted")
    assert any(isinstance(message, Yield) for message in bench.launcher.of("b")[0].sent)
    assert not any(isinstance(message, Yield) for message in bench.launcher.of("a")[0].sent)
    assert bench.queue.job("b").counters.failures == 0


async def test_a_worker_that_hung_up_cannot_be_asked_to_leave() -> None:
    """It is asked all the same, and nothing comes of it."""
    meter = ScriptedMeter(Load(memory_free=90_000 * MB))
    bench = Bench(
        lambda _c, nth: worker(CloseControl(), Hold(), Exit(code=9)) if nth == 1 else worker(*DONE), MANY, meter=meter
    )
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched, nth=2)
            meter.load = Load(memory_free=10 * MB)
            looks = len(meter.asked)
            while len(meter.asked) < looks + 5:
                await anyio.sleep(0.01)
            meter.load = Load(memory_free=90_000 * MB)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_host_that_cannot_be_measured_holds_nobody() -> None:
    """It is said, and the run goes on as if nothing were known."""

    class Broken(ScriptedMeter):
        def measure(self, attempts, lag):
            super().measure(attempts, lag)
            raise HostFailed("no /proc")

    meter = Broken()
    bench = Bench(settings=MANY, meter=meter)
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    assert meter.asked


async def test_with_nothing_launched_one_is_let_through_whatever_the_load() -> None:
    """A host that is always short of memory does one job after the other, and does not wait for ever."""
    meter = ScriptedMeter(Load(memory_free=10 * MB), each=5 * MB)
    bench = Bench(settings=MANY, meter=meter)
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    assert [event.reason for event in bench.seen(events.StartsHeld)] == ["memory"]
    order = [
        type(event) for event in bench.sink.events if isinstance(event, (events.AttemptLaunched, events.AttemptEnded))
    ]
    assert order == [events.AttemptLaunched, events.AttemptEnded] * 2


async def test_what_is_prepared_and_waits_is_no_more_than_may_prepare() -> None:
    """Nobody knows when there will be room: what waits for it takes memory, too."""
    meter = ScriptedMeter(Load(memory_free=0))
    settings = msgspec.structs.replace(MANY, max_preparing=2)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), settings, meter=meter)
    bench.add(*"abcdef")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched)
            await bench.sink.wait_for(events.AttemptPrepared, nth=3)
            await anyio.wait_all_tasks_blocked()
            assert len(bench.launcher.spawned) == 3
            meter.load = Load()
            await bench.sink.wait_for(events.AttemptLaunched, nth=6)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_launch_while_the_host_is_looked_at_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen does not know of it, and has room for one that is not there any more."""
    monkeypatch.setattr(pressure, "INTERVAL", 0.0)

    class Slow(ScriptedMeter):
        launched, room = threading.Event(), 1

        def measure(self, attempts, lag):
            if len(self.asked) == 1:
                assert self.launched.wait(10)
            self.load = Load(memory_free=POLICY.memory_reserve + 300 * MB * (self.room - len(attempts)))
            return super().measure(attempts, lag)

    meter = Slow(each=300 * MB)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), MANY, meter=meter)
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched)
            meter.launched.set()
            while len(meter.asked) < 4:
                await anyio.sleep(0.01)
            assert len(bench.seen(events.AttemptLaunched)) == 1
            meter.room = 9
            await bench.sink.wait_for(events.AttemptLaunched, nth=2)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
