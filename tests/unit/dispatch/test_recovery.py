"""What an earlier run left is ended, also by a run whose queue cannot be read for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import msgspec

from core.domain import events
from core.domain.outcome import ExitCode
from core.errors import QueueUnavailable
from core.queue.memory import MemoryQueue
from tests.unit.dispatch.bench import SETTINGS, Bench


class Full(MemoryQueue):
    """Jobs cannot be read for the first ``times``."""

    times = 1

    def __init__(self) -> None:
        super().__init__()
        self.tried = anyio.Event()

    def job(self, job_id: str) -> Any:
        if self.times and self.open_attempts():
            self.times -= 1
            anyio.from_thread.run_sync(self.tried.set)
            raise QueueUnavailable(Path("queue.db"), "disk full")
        return super().job(job_id)


def left_behind(queue: Full, **settings: Any) -> Bench:
    """A run that finds an attempt of ``a`` that nobody has ended."""
    bench = Bench(settings=msgspec.structs.replace(SETTINGS, **settings), queue=queue)
    bench.queue.begin_run(bench.clock.now())
    bench.add("a")
    bench.queue.claim(bench.clock.now(), "old")
    return bench


async def test_an_attempt_whose_job_cannot_be_read_is_ended_later() -> None:
    """Its profile would be in use for good, and the run would never end."""
    bench = left_behind(Full())
    assert await bench.run() is ExitCode.DONE
    assert [event.outcome for event in bench.seen(events.AttemptEnded)] == ["interrupted", "done"]


async def test_a_stop_does_not_wait_for_the_queue() -> None:
    """What cannot be ended now is ended by the next run."""
    queue = Full()
    queue.times = 1000
    bench = left_behind(queue, unsettled_interval=3600)
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await queue.tried.wait()
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.HOST_FAULT
    assert [attempt.nonce for attempt in queue.open_attempts()] == ["old"]
