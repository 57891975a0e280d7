"""Jobs that come after others, and jobs that run again and again, through the whole loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from core.domain import events
from core.domain.failure import Code
from core.domain.messages import Finished
from core.domain.model import JobSpec
from core.domain.outcome import ExitCode, Failed, Waiting
from core.errors import QueueUnavailable
from core.process.scripted import Exit, Script
from core.queue.memory import MemoryQueue
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

if TYPE_CHECKING:
    from core.process.port import WorkerCommand

BROKEN = Failed(step="s", reason="no", code=Code.SELECTOR_GONE)


def job(name: str, *after: str, every: float | None = None) -> JobSpec:
    return JobSpec(id=name, profile_id=name, flow="/f.py", after=after, every=every)


def fill(bench: Bench, *jobs: JobSpec) -> None:
    bench.queue.reconcile("feed", jobs, now=bench.clock.now())


def ends_of(bench: Bench) -> list[str]:
    return [event.job for event in bench.seen(events.AttemptEnded)]


async def test_jobs_run_after_those_they_name() -> None:
    """Whatever the order of the feed, with slots to spare."""
    bench = Bench()
    fill(bench, job("c", "b", "a"), job("b", "a"), job("a"))
    assert await bench.run() is ExitCode.DONE
    assert ends_of(bench) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("outcome", "code"), [(BROKEN, ExitCode.FAILED), (Waiting(step="s", why="r"), ExitCode.NEEDS_PERSON)]
)
async def test_what_comes_after_a_failure_is_left(outcome: Failed | Waiting, code: ExitCode) -> None:
    """The run does not wait for it, says what went wrong with the exit code, and counts it as queued."""

    def plan(command: WorkerCommand, _nth: int) -> Script:
        return worker(say(Finished(outcome=outcome)), Exit(code=1)) if command.profile_id == "a" else worker(*DONE)

    bench = Bench(plan)
    fill(bench, job("a"), job("b", "a"), job("c", "b"), job("d"))
    assert await bench.run() is code
    states = bench.states()
    assert (states["b"], states["c"], states["d"]) == ("queued", "queued", "done")
    assert bench.seen(events.RunEnded)[0].counts["queued"] == 2


async def test_what_waits_for_nobody_that_runs_is_a_failure() -> None:
    """A job that another one was to come after was cancelled: nobody else says that something was left."""
    bench = Bench()
    fill(bench, job("a"), job("b", "a"))
    fill(bench, job("b", "a"))
    assert await bench.run() is ExitCode.FAILED
    assert bench.states() == {"a": "cancelled", "b": "queued"}


async def test_without_watching_a_job_runs_once() -> None:
    """The run ends; the next one runs it again if its time has come by then."""
    bench = Bench()
    fill(bench, job("a", every=0.5), job("b", every=3600.0))
    assert await bench.run() is ExitCode.DONE
    assert sorted(ends_of(bench)) == ["a", "b"]
    due_at = bench.queue.job("a").due_at
    assert due_at is not None
    while bench.clock.now() < due_at:
        await anyio.sleep(0.01)
    assert await bench.run() is ExitCode.DONE
    assert sorted(ends_of(bench)) == ["a", "a", "b"]


async def test_while_watching_it_is_run_at_its_times() -> None:
    """Each time is announced, also after a run that failed for good; times are kept, and none is made up for."""
    bench = Bench(
        lambda _command, nth: worker(say(Finished(outcome=BROKEN)), Exit(code=1)) if nth <= 2 else worker(*DONE),
        settings=msgspec.structs.replace(SETTINGS, watch=True),
    )
    fill(bench, job("a", every=0.2))

    async def end() -> None:
        while bench.queue.job("a").generation < 4:
            await anyio.sleep(0.01)
        bench.stop.drain.set()
        bench.dispatcher._change_seen()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        await bench.run()
    states = [event.state for event in bench.seen(events.JobChanged)]
    assert states[:2] == ["waiting", "failed"]
    assert states.count("queued") == 3
    queued = [event.at for event in bench.seen(events.JobChanged) if event.state == "queued"]
    assert queued[-1] - queued[0] > 0.3


async def test_what_is_queued_again_is_told_whatever_fails_next() -> None:
    """The queue cannot be read just after it has queued a job again: nobody would find that a second time."""

    class Unsteady(MemoryQueue):
        failed = False

        def readiness(self, now: float, limit: int) -> Any:
            if self.job("a").generation == 2 and not self.failed:
                self.failed = True
                raise QueueUnavailable(Path("queue.db"), "disk full")
            return super().readiness(now, limit)

    queue = Unsteady()
    bench = Bench(queue=queue)
    fill(bench, job("a", every=0.5))
    assert await bench.run() is ExitCode.DONE
    due_at = queue.job("a").due_at
    assert due_at is not None
    while bench.clock.now() < due_at:
        await anyio.sleep(0.01)
    assert await bench.run() is ExitCode.DONE
    assert queue.failed
    assert [event.state for event in bench.seen(events.JobChanged)] == ["done", "queued", "done"]
