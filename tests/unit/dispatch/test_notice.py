"""What an operator does to the queue while a run is under way."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.from_thread
import msgspec

from core.control.port import Drain
from core.domain import events
from core.domain.model import JobSpec
from core.domain.outcome import ExitCode
from core.errors import QueueUnavailable
from core.events.spool import EventSpool
from core.queue.memory import MemoryQueue, MemoryStore
from core.queue.memory_desk import MemoryDesk
from tests.unit.dispatch.test_dispatcher import SETTINGS, Bench


async def test_what_an_operator_does_is_noticed_without_any_other_change() -> None:
    """A run that has only a far future to wait for takes a new job, and ends when the other is cancelled."""

    class Busy(MemoryQueue):
        looks = 0

        def changes_of_others(self) -> int:
            self.looks += 1
            if self.looks == 2:
                raise QueueUnavailable(Path("queue.db"), "locked")
            if self.looks == 3:
                anyio.from_thread.run_sync(settled.set)
            return super().changes_of_others()

    settled = anyio.Event()
    store = MemoryStore()
    queue, desk = Busy(store), MemoryDesk(store)
    bench = Bench(queue=queue, settings=msgspec.structs.replace(SETTINGS, notice_interval=0.01))
    bench.add("later", not_before=bench.clock.now() + 1e7)

    async def operate() -> None:
        await settled.wait()
        desk.add([JobSpec(id="now", profile_id="now", flow="/f.py")], now=bench.clock.now())
        await bench.sink.wait_for(events.AttemptEnded)
        desk.cancel(["later"], now=bench.clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert bench.states() == {"now": "done", "later": "cancelled"}


async def test_what_others_left_to_be_told_is_told(tmp_path: Path) -> None:
    """What was left before the run, and what comes while it lasts, each once."""
    left = EventSpool(tmp_path)
    left.emit(events.ProfileChanged(at=1.0, profile_id="before", what="created"))
    settings = msgspec.structs.replace(SETTINGS, notice_interval=0.01)
    bench = Bench(queue=MemoryQueue(), settings=settings, others=left)
    bench.add("later", not_before=bench.clock.now() + 1e7)

    async def operate() -> None:
        await bench.sink.wait_for(events.ProfileChanged, profile_id="before")
        left.emit(events.ProfileChanged(at=2.0, profile_id="meanwhile", what="updated"))
        await bench.sink.wait_for(events.ProfileChanged, profile_id="meanwhile")
        bench.dispatcher.steering.obey(Drain())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert [(one.at, one.profile_id) for one in bench.seen(events.ProfileChanged)] == [
        (1.0, "before"),
        (2.0, "meanwhile"),
    ]
