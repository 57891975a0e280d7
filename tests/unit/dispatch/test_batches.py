"""Two phases: a batch is prepared in parallel, launched one by one, and followed by a delay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import msgspec

from core.clock import ManualClock
from core.dispatch.batches import Batches
from core.domain import events
from core.domain.messages import Finished, Prepared
from core.domain.model import AttemptRecord, Claim, JobRecord, JobSpec
from core.domain.outcome import ExitCode, Failed, Interrupted
from core.domain.planning import BatchView
from core.errors import Fenced
from core.events.recording import RecordingEvents
from core.process.scripted import AwaitGo, AwaitHello, AwaitLaunch, AwaitStop, Exit, Hold, Say, script
from core.queue.memory import MemoryQueue
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, ready, say, worker

BATCHED = msgspec.structs.replace(SETTINGS, batch_size=3, batch_delay=0.01)


def claim(name: str) -> Claim:
    record = AttemptRecord(nonce=name, job_id=name, profile_id=name, number=1, started_at=0.0)
    return Claim(job=JobRecord(spec=JobSpec(id=name, profile_id=name, flow="/f.py")), attempt=record)


def test_a_batch_is_complete_when_nobody_is_left_to_be_launched() -> None:
    """Launched and ended ones are counted once each, whatever comes afterwards; then the delay runs."""
    clock, sink = ManualClock(), RecordingEvents()
    pace = Batches(3, 5.0, clock, sink.emit)
    assert pace.view == BatchView(size=3)
    batch = pace.begin([claim("a"), claim("b"), claim("c")])
    assert (batch.number, batch.jobs, pace.view) == (1, ("a", "b", "c"), BatchView(size=3, open=True))
    clock.advance(2.0)
    batch.launch("a")
    batch.settle("a")
    batch.settle("b")
    assert pace.view.open
    batch.launch("c")
    assert pace.view == BatchView(size=3, open=False, next_at=clock.now() + 5.0)
    [completed] = sink.of(events.BatchCompleted)
    assert (completed.launched, completed.failed, completed.seconds) == (2, 1, 2.0)
    assert pace.begin([claim("d")]).number == 2


def test_a_clock_that_is_set_back_makes_no_delay_longer() -> None:
    """What the delay runs on is never set."""

    class Settable(ManualClock):
        back = 0.0

        def now(self) -> float:
            return super().now() - self.back

    clock = Settable()
    pace = Batches(1, 5.0, clock, RecordingEvents().emit)
    pace.begin([claim("a")]).settle("a")
    clock.advance(1.0)
    clock.back = 3600.0
    assert pace.view == BatchView(size=1, next_at=clock.now() + 4.0)
    clock.advance(4.0)
    assert pace.view == BatchView(size=1)


async def test_jobs_go_in_batches_and_never_more_than_the_slots_are_launched() -> None:
    """Seven jobs, batches of three, two slots: three batches, each whole before the next, and all done."""
    bench = Bench(settings=BATCHED)
    bench.add(*(f"p{number}" for number in range(7)))
    assert await bench.run() is ExitCode.DONE
    assert [event.jobs for event in bench.seen(events.BatchStarted)] == [
        ("p0", "p1", "p2"),
        ("p3", "p4", "p5"),
        ("p6",),
    ]
    assert [(event.launched, event.failed) for event in bench.seen(events.BatchCompleted)] == [(3, 0), (3, 0), (1, 0)]
    assert [event.batch for event in bench.seen(events.AttemptLaunched)] == [1, 1, 1, 2, 2, 2, 3]
    kinds = (events.BatchStarted, events.BatchCompleted)
    order = [type(event) for event in bench.sink.events if isinstance(event, kinds)]
    assert order == list(kinds) * 3
    running = peak = 0
    for event in bench.sink.events:
        running += isinstance(event, events.AttemptLaunched) - isinstance(event, events.AttemptEnded)
        peak = max(peak, running)
    assert peak <= 2
    assert Counter(bench.states().values()) == {"done": 7}


async def test_a_batch_is_prepared_ahead_of_its_slots() -> None:
    """With one slot that is taken, the other jobs of the batch are prepared meanwhile, and wait."""
    settings = msgspec.structs.replace(BATCHED, max_concurrent=1)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), settings)
    bench.add("a", "b", "c")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptPrepared, nth=3)
            await bench.sink.wait_for(events.AttemptLaunched)
            await anyio.wait_all_tasks_blocked()
            assert sorted(bench.states().values()) == ["prepared", "prepared", "running"]
            assert len(bench.seen(events.AttemptLaunched)) == 1
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_one_that_fails_to_prepare_does_not_hold_up_its_batch() -> None:
    """It ends before its launch, is counted as failed, and tried again in a later batch."""
    torn = say(Finished(outcome=Failed(step="clone", reason="torn")))
    unprepared = script(AwaitHello(), ready(), AwaitGo(), torn, Exit(code=1))
    bench = Bench(lambda command, nth: unprepared if command.profile_id == "b" and nth == 1 else worker(*DONE), BATCHED)
    bench.add("a", "b", "c")
    assert await bench.run() is ExitCode.DONE
    assert [(event.launched, event.failed) for event in bench.seen(events.BatchCompleted)] == [(2, 1), (1, 0)]


async def test_a_drain_sends_away_what_is_prepared_and_lets_run_what_is_launched() -> None:
    """Prepared jobs are queued again at no cost; the one that has a browser finishes."""
    settings = msgspec.structs.replace(BATCHED, max_concurrent=1)
    waiting = (AwaitHello(), ready(), AwaitGo(), Say(message=Prepared()), AwaitLaunch())

    def plan(command: Any, _nth: int) -> Any:
        if command.profile_id == "a":
            return script(*waiting, Hold(), *DONE)
        return script(*waiting, AwaitStop(), say(Finished(outcome=Interrupted(reason="told"))), Exit(code=6))

    bench = Bench(plan, settings)
    bench.add("a", "b", "c", "d")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptPrepared, nth=3)
            await bench.sink.wait_for(events.AttemptLaunched)
            bench.stop.ask()
            await bench.sink.wait_for(events.AttemptEnded, nth=2)
            bench.launcher.of("a")[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert bench.states() == {"a": "done", "b": "queued", "c": "queued", "d": "queued"}
    assert {job.counters.failures for job in bench.queue.jobs()} == {0}


async def test_a_stop_before_a_worker_is_started_starts_none() -> None:
    """Claimed for a batch, and still waiting for the right to prepare: no process is made for it any more."""
    settings = msgspec.structs.replace(BATCHED, max_preparing=1)
    slow = script(AwaitHello(), Hold(), ready(), AwaitGo(), *DONE)
    bench = Bench(lambda _c, _n: slow, settings)
    bench.add("a", "b", "c")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.BatchStarted)
            await bench.launcher.until_spawned(1)
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert len(bench.launcher.spawned) == 1
    assert Counter(bench.states().values()) == {"queued": 3}


async def test_who_waits_for_the_right_to_prepare_claims_nothing_after_a_stop() -> None:
    """One prepares, the other waits with its slot: after the drain the second job is never touched."""
    settings = msgspec.structs.replace(SETTINGS, max_preparing=1)
    slow = script(AwaitHello(), Hold(), ready(), AwaitGo(), *DONE)
    bench = Bench(lambda _c, _n: slow, settings)
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.launcher.until_spawned(1)
            bench.stop.ask()
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert len(bench.launcher.spawned) == 1
    assert bench.queue.job("b").counters.attempts == 0


async def test_the_next_batch_begins_while_jobs_of_the_last_one_run() -> None:
    """The completion of a batch is a change by itself: nobody has to end first."""
    settings = msgspec.structs.replace(BATCHED, max_concurrent=6, max_preparing=6, batch_size=2)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), settings)
    bench.add("a", "b", "c", "d")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptLaunched, nth=4)
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_newer_orchestrator_is_noticed_while_a_batch_is_claimed() -> None:
    """The run ends as it does elsewhere: with its own code, and workers stopped in order."""

    class Overtaken(MemoryQueue):
        def claim(self, *args: Any, **kwargs: Any) -> Any:
            raise Fenced("queue", ours=1, newer=2)

    bench = Bench(settings=BATCHED, queue=Overtaken())
    bench.add("a", "b")
    assert await bench.run() is ExitCode.HOLDER_ALIVE
