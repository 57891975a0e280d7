"""What an operator does to a run while it is under way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from core.control.port import Cancel, Continue, Drain, GoOn, Look, Pause, SetLimit, StopNow
from core.dispatch.attempt import AttemptLimits
from core.dispatch.steering import PAUSED
from core.domain import events
from core.domain.messages import Finished, Parked, StepCommitted
from core.domain.outcome import ExitCode, Interrupted, Waiting
from core.errors import QueueUnavailable
from core.process.scripted import AwaitDecision, AwaitStop, CloseControl, Exit, Hang, Hold
from core.queue.memory import MemoryQueue
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.control.port import Answer, Request

ENDS_WHEN_TOLD = (AwaitStop(), say(Finished(outcome=Interrupted(reason="told"))), Exit(code=6))
PARKS = say(Parked(step="a", why="look at your phone", asks=("code",)))
PARKING = msgspec.structs.replace(SETTINGS, max_parked=2, wait_parked=30.0)


class Operator:
    """Somebody at the control socket."""

    def __init__(self) -> None:
        self.obey: Callable[[Request], Answer] | None = None
        self.there = anyio.Event()

    async def serve(self, obey: Callable[[Request], Answer]) -> None:
        self.obey = obey
        self.there.set()
        await anyio.sleep_forever()

    async def ask(self, request: Request) -> Answer:
        await self.there.wait()
        assert self.obey is not None
        return self.obey(request)


async def during(bench: Bench, operate: Callable[[Operator], Awaitable[None]]) -> ExitCode:
    """Run with an operator; return how the run ended."""
    operator = bench.commands = Operator()
    codes: list[ExitCode] = []
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            codes.append(await bench.run())

        tasks.start_soon(run)
        await operate(operator)
    return codes[0]


async def test_a_pause_starts_nothing_and_lets_go_on_what_runs() -> None:
    """The one that runs ends, nothing follows; after the pause the rest is done, and events say for how long."""
    settings = msgspec.structs.replace(SETTINGS, max_concurrent=1)
    bench = Bench(lambda command, _n: worker(Hold(), *DONE) if command.profile_id == "a" else worker(*DONE), settings)
    bench.add("a", "b")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptLaunched)
        assert (await operator.ask(Pause())).run.held == (PAUSED,)
        assert (await operator.ask(Pause())).problem == ""
        bench.launcher.spawned[0].release()
        await bench.sink.wait_for(events.AttemptEnded)
        await anyio.wait_all_tasks_blocked()
        assert bench.states() == {"a": "done", "b": "queued"}
        for _ in range(2):
            assert (await operator.ask(Continue())).run.held == ()

    assert await during(bench, operate) is ExitCode.DONE
    assert [event.reason for event in bench.seen(events.StartsHeld)] == [PAUSED]
    assert [event.reason for event in bench.seen(events.StartsResumed)] == [PAUSED]


async def test_the_limit_can_be_changed() -> None:
    """From one to three: three run together; what is out of range is refused and changes nothing."""
    settings = msgspec.structs.replace(SETTINGS, max_concurrent=1)
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), settings)
    bench.add("a", "b", "c")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptLaunched)
        for wrong in (0, 1001):
            assert "expected 1 to 1000" in (await operator.ask(SetLimit(max_concurrent=wrong))).problem
        assert (await operator.ask(SetLimit(max_concurrent=3))).run.max_concurrent == 3
        assert (await operator.ask(SetLimit(max_concurrent=3))).problem == ""
        await bench.sink.wait_for(events.AttemptLaunched, nth=3)
        assert (await operator.ask(Look())).run.running == ("a", "b", "c")
        for child in bench.launcher.spawned:
            child.release()

    assert await during(bench, operate) is ExitCode.DONE
    assert bench.launcher.peak == 3
    assert [(event.max_concurrent, event.reason) for event in bench.seen(events.LimitChanged)] == [
        (3, "set by the operator")
    ]


async def test_a_job_is_cancelled_while_it_runs() -> None:
    """It ends, at no cost, and is not tried again; the other one goes on; a job that is not under way is said to be none."""
    bench = Bench(lambda command, _n: worker(*(ENDS_WHEN_TOLD if command.profile_id == "a" else (Hold(), *DONE))))
    bench.add("a", "b")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptLaunched, nth=2)
        assert "not under way" in (await operator.ask(Cancel(job="z"))).problem
        assert (await operator.ask(Cancel(job="a"))).done == "a is being ended"
        await bench.sink.wait_for(events.AttemptEnded)
        bench.launcher.of("b")[0].release()

    assert await during(bench, operate) is ExitCode.DONE
    assert bench.states() == {"a": "cancelled", "b": "done"}
    assert bench.queue.job("a").counters.failures == 0


@pytest.mark.parametrize("request_", [Drain(), StopNow()], ids=["drain", "stop"])
async def test_a_run_is_ended_from_outside(request_: Any) -> None:
    """As by a signal: once asked to drain, twice makes no difference; at once ends what runs."""
    ends = ENDS_WHEN_TOLD if isinstance(request_, StopNow) else (Hold(), *DONE)
    bench = Bench(lambda _c, _n: worker(*ends))
    bench.add("a", "b", "c")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptLaunched, nth=2)
        await operator.ask(request_)
        said = (await operator.ask(request_)).run.stopping
        assert said == ("now" if isinstance(request_, StopNow) else "drain")
        for child in bench.launcher.spawned:
            child.release()

    assert await during(bench, operate) is ExitCode.INTERRUPTED
    done = {} if isinstance(request_, StopNow) else {"done": 2}
    assert Counter(bench.states().values()) == {**done, "queued": 3 - sum(done.values())}


async def test_a_parked_job_gives_its_slot_to_others_and_goes_on_when_its_person_is_done() -> None:
    """One slot: the second job runs while the first is parked; then the same step goes on, with the answer."""
    settings = msgspec.structs.replace(PARKING, max_concurrent=1)
    goes_on = (say(StepCommitted(step="a", flag="a", seconds=0.1)), *DONE)
    bench = Bench(
        lambda command, _n: worker(PARKS, AwaitDecision(), *goes_on) if command.profile_id == "a" else worker(*DONE),
        settings,
    )
    bench.add("a", "b")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptParked)
        await bench.sink.wait_for(events.AttemptEnded)
        assert bench.states() == {"a": "running", "b": "done"}
        assert bench.queue.job("a").reason == "look at your phone"
        [parked] = (await operator.ask(Look())).run.parked
        assert (parked.job, parked.step, parked.asks) == ("a", "a", ("code",))
        for answers in ({}, {"pin": "1"}):
            assert "expected answers to code" in (await operator.ask(GoOn(job="a", answers=answers))).problem
        assert "does not wait" in (await operator.ask(GoOn(job="b"))).problem
        assert (await operator.ask(GoOn(job="a", answers={"code": "123456"}))).problem == ""
        assert "was told already" in (await operator.ask(GoOn(job="a", answers={"code": "1"}))).problem

    assert await during(bench, operate) is ExitCode.DONE
    assert bench.launcher.of("a")[0].sent[-1].answers == {"code": "123456"}
    assert [event.step for event in bench.seen(events.AttemptResumed)] == ["a"]
    assert bench.queue.job("a").reason == ""


async def test_nobody_is_waited_for_longer_than_asked() -> None:
    """Nothing else is left: after ``wait_parked`` the browser is closed, the job stays parked, the code says so."""
    settings = msgspec.structs.replace(PARKING, wait_parked=0.05)
    waits = (PARKS, AwaitDecision(), say(Finished(outcome=Waiting(step="a", why="look at your phone"))), Exit(code=4))
    bench = Bench(lambda _c, _n: worker(*waits), settings)
    bench.add("a")
    assert await bench.run() is ExitCode.NEEDS_PERSON
    assert bench.states() == {"a": "parked"}
    assert bench.queue.job("a").counters.failures == 0


async def test_no_more_browsers_than_asked_stay_open() -> None:
    """The third is sent away at once; a drain sends away the other two, and all three wait without a browser."""
    waits = (PARKS, AwaitDecision(), say(Finished(outcome=Waiting(step="a", why="you"))), Exit(code=4))
    bench = Bench(lambda _c, _n: worker(*waits), PARKING)
    bench.add("a", "b", "c")

    async def operate(_operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptParked, nth=3)
        await bench.sink.wait_for(events.AttemptEnded)
        assert Counter(bench.states().values()) == {"parked": 1, "running": 2}
        bench.stop.ask()

    assert await during(bench, operate) is ExitCode.NEEDS_PERSON
    assert Counter(bench.states().values()) == {"parked": 3}


async def test_one_that_parks_during_a_drain_is_sent_away() -> None:
    """Nobody is waited for any more, so it does not even begin to wait."""
    waits = (Hold(), PARKS, AwaitDecision(), say(Finished(outcome=Waiting(step="a", why="you"))), Exit(code=4))
    bench = Bench(lambda _c, _n: worker(*waits), PARKING)
    bench.add("a")

    async def operate(_operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptLaunched)
        bench.stop.ask()
        bench.launcher.spawned[0].release()

    assert await during(bench, operate) is ExitCode.NEEDS_PERSON


async def test_a_parked_worker_that_dies_is_an_end_like_any_other() -> None:
    """Killed while it waits: its job crashes, and is tried again."""
    bench = Bench(lambda _c, nth: worker(PARKS, Hold(), Exit(code=9)) if nth == 1 else worker(*DONE), PARKING)
    bench.add("a")

    async def operate(_operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptParked)
        bench.launcher.spawned[0].release()

    assert await during(bench, operate) is ExitCode.DONE
    assert [event.outcome for event in bench.seen(events.AttemptEnded)] == ["crashed", "done"]


async def test_a_parked_worker_that_hung_up_is_not_told() -> None:
    """Its end of the channel is closed and it lives on: the answer goes nowhere, and its end is seen all the same."""
    deaf = worker(PARKS, Hold(), CloseControl(), Hold(), Exit(code=9))
    bench = Bench(lambda _c, nth: deaf if nth == 1 else worker(*DONE), PARKING)
    bench.add("a")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptParked)
        await anyio.wait_all_tasks_blocked()
        bench.launcher.spawned[0].release()
        await operator.ask(GoOn(job="a", answers={"code": "1"}))
        await bench.sink.wait_for(events.AttemptResumed)
        bench.launcher.spawned[0].release()

    assert await during(bench, operate) is ExitCode.DONE


async def test_one_that_is_dismissed_has_to_end_in_time() -> None:
    """Nobody is waited for any more, and it hangs: it is stopped like any other that makes no progress."""
    limits = AttemptLimits(start=5, progress=0.1, hard=20)
    settings = msgspec.structs.replace(PARKING, wait_parked=0.01, limits=limits)
    hangs = worker(PARKS, AwaitDecision(), Hang(), ignore_term=True)
    bench = Bench(lambda _c, nth: hangs if nth == 1 else worker(*DONE), settings)
    bench.add("a")
    assert await bench.run() is ExitCode.DONE
    assert [event.outcome for event in bench.seen(events.AttemptEnded)] == ["timed_out", "done"]


async def test_a_full_disk_does_not_close_the_browser_that_a_person_works_in() -> None:
    """What is only to be shown could not be written; the hand-off goes on."""

    class Full(MemoryQueue):
        def record_waiting(self, nonce: str, *, why: str) -> None:
            raise QueueUnavailable(Path("queue.db"), "disk full")

    goes_on = (say(StepCommitted(step="a", flag="a", seconds=0.1)), *DONE)
    bench = Bench(lambda _c, _n: worker(PARKS, AwaitDecision(), *goes_on), PARKING, queue=Full())
    bench.add("a")

    async def operate(operator: Operator) -> None:
        await bench.sink.wait_for(events.AttemptParked)
        await anyio.wait_all_tasks_blocked()
        assert (await operator.ask(GoOn(job="a", answers={"code": "1"}))).problem == ""

    assert await during(bench, operate) is ExitCode.DONE
