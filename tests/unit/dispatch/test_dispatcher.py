"""The loop, with every port faked: order, overlap, ends, stops, and bugs of our own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from core.clock import SystemClock
from core.dispatch.attempt import AttemptLimits
from core.domain import events, messages
from core.domain.failure import Code
from core.domain.messages import (
    Finished,
    Go,
    Hello,
    Launch,
    StepCommitted,
    StepStarted,
)
from core.domain.model import Announced, ProcessStamp
from core.domain.outcome import Corrupt, ExitCode, Failed, HostFault, Interrupted
from core.domain.retry import RetryPolicy
from core.domain.session import SessionState
from core.errors import Fenced, ForeignDatabase, QueueUnavailable, StateCorrupt, WorkspaceError
from core.process.scripted import (
    AwaitStop,
    CloseControl,
    Crash,
    Exit,
    Hang,
    Hold,
    Script,
    script,
)
from core.process.scripted_reaper import ScriptedReaper
from core.queue.memory import MemoryQueue
from core.queue.port import Reconciled
from core.state.memory import MemorySessionStore
from core.workspaces.memory import MemoryWorkspaces
from tests.unit.dispatch.bench import DONE, SETTINGS, Bench, say, worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.process.port import WorkerCommand


async def test_all_jobs_run_and_never_more_than_the_slots() -> None:
    """Ten jobs, two slots: all done, two at the peak, one end each, and the run is over."""
    bench = Bench()
    bench.add(*(f"p{number}" for number in range(10)))
    assert await bench.run() is ExitCode.DONE
    assert Counter(bench.states().values()) == {"done": 10}
    assert bench.launcher.peak == 2
    assert Counter(event.job for event in bench.seen(events.AttemptEnded)) == {f"p{n}": 1 for n in range(10)}
    assert [type(event) for event in (bench.sink.events[0], bench.sink.events[-1])] == [
        events.RunStarted,
        events.RunEnded,
    ]
    assert not bench.launcher.running


async def test_the_handshake_records_before_it_lets_go() -> None:
    """Hello, then Go; the registry has the process and the fence before the worker hears Go."""
    seen: list[tuple[str, object]] = []

    class Watched(MemoryQueue):
        def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
            seen.append(("process", nonce))
            super().record_process(nonce, stamp)

        def record_go(self, nonce: str, **fields: Any) -> None:
            seen.append(("go", fields["fence"]))
            super().record_go(nonce, **fields)

    bench = Bench(queue=Watched())
    bench.add("p")
    await bench.run()
    [child] = bench.launcher.spawned
    assert [type(message) for message in child.sent] == [Hello, Go, Launch]
    assert seen == [("process", "n1"), ("go", 1)]
    assert child.closed


async def test_an_empty_queue_is_over_at_once() -> None:
    """Nothing to do is done."""
    assert await Bench().run() is ExitCode.DONE


async def test_a_failure_is_retried_and_then_given_up() -> None:
    """Two attempts are allowed: the job fails, with the reason, and its workspace is gone."""
    failed = say(Finished(outcome=Failed(step="a", reason="no")))
    bench = Bench(lambda _c, _n: worker(failed, Exit(code=1)))
    bench.add("p")
    assert await bench.run() is ExitCode.FAILED
    assert bench.states() == {"p": "failed"}
    assert [event.state for event in bench.seen(events.JobChanged)] == ["waiting", "failed"]
    assert bench.seen(events.JobChanged)[0].retry_at is not None


async def test_three_crashes_with_nothing_committed_quarantine_only_that_job() -> None:
    """Poison is set aside; the others finish; the exit code says so."""
    bench = Bench(lambda command, _n: worker(Crash()) if command.profile_id == "bad" else worker(*DONE))
    bench.add("bad", "good", "fine")
    assert await bench.run() is ExitCode.QUARANTINED
    assert bench.states() == {"bad": "quarantined", "good": "done", "fine": "done"}
    assert len(bench.launcher.of("bad")) == 3
    assert all(attempt.nonce for attempt in bench.reaper.reaped)


async def test_what_went_wrong_is_told_with_its_code() -> None:
    """The attempt's end, the job's move and the queue's row say the same; what went well has none."""
    starved = worker(Crash(starved=True))
    limited = worker(say(Finished(outcome=Failed(step="a", reason="429", code=Code.RATE_LIMITED))), Exit(code=1))
    retry = RetryPolicy(base_delay=0.001, max_attempts=2)
    bench = Bench(
        lambda _c, nth: {1: starved, 2: limited}.get(nth, worker(*DONE)), msgspec.structs.replace(SETTINGS, retry=retry)
    )
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    ends = bench.seen(events.AttemptEnded)
    assert [(end.outcome, end.code, end.step) for end in ends] == [
        ("crashed", "out_of_memory", "start"), ("failed", "rate_limited", "a"), ("done", "", ""),
    ]  # fmt: skip
    moves = bench.seen(events.JobChanged)
    assert [(move.state, move.code) for move in moves] == [
        ("waiting", "out_of_memory"), ("waiting", "rate_limited"), ("done", ""),
    ]  # fmt: skip
    job = bench.queue.job("p")
    assert (job.code, job.counters.codes) == (None, {Code.OUT_OF_MEMORY: 1, Code.RATE_LIMITED: 1})


async def test_a_code_may_ask_for_a_new_copy() -> None:
    """After a lost login the attempt's own workspace is gone before the next; after another failure it is there."""
    workspaces = MemoryWorkspaces()
    found: list[int] = []

    def plan(_command: WorkerCommand, nth: int) -> Script:
        found.append(len(workspaces.files))
        workspaces.acquire("p", nth, template=None)
        code = {1: Code.SELECTOR_GONE, 2: Code.LOGIN_LOST}.get(nth)
        failed = Failed(step="a", reason="no", code=code or Code.UNKNOWN)
        return worker(*DONE) if code is None else worker(say(Finished(outcome=failed)), Exit(code=1))

    settings = msgspec.structs.replace(SETTINGS, retry=RetryPolicy(base_delay=0.001))
    bench = Bench(plan, settings, workspaces=workspaces)
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    assert found == [0, 1, 0]


async def test_a_commit_between_crashes_starts_the_streak_anew() -> None:
    """A job that gets somewhere each time is not poison."""
    crash = worker(say(StepCommitted(step="a", flag="a", seconds=0)), Crash())
    bench = Bench(lambda _c, nth: crash if nth < 6 else worker(*DONE))
    bench.add("p")
    assert await bench.run() is ExitCode.DONE


async def test_a_worker_that_does_not_move_is_stopped_and_killed() -> None:
    """No progress: Stop, SIGTERM, and after the grace the tree, browser directory included."""
    settings = msgspec.structs.replace(SETTINGS, limits=AttemptLimits(start=5, progress=0.05, hard=20))
    hang = worker(say(StepStarted(step="a", try_=1, limit=0.05)), Hang(), ignore_term=True)
    bench = Bench(lambda _c, nth: hang if nth == 1 else worker(*DONE), settings)
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    first = bench.launcher.spawned[0]
    assert first.signals == ["term", "kill"]
    assert first.user_data_dirs == ["/w/user-data"]
    [ended, _] = bench.seen(events.AttemptEnded)
    assert (ended.outcome, ended.step, ended.reason) == ("timed_out", "a", "no progress in a")


async def test_a_worker_that_never_says_ready_is_not_waited_for() -> None:
    """The start has a limit of its own."""
    settings = msgspec.structs.replace(SETTINGS, limits=AttemptLimits(start=0.05, progress=5, hard=20))
    bench = Bench(lambda _c, nth: script(Hang()) if nth == 1 else worker(*DONE), settings)
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    assert bench.seen(events.AttemptEnded)[0].outcome == "timed_out"


async def test_draining_lets_running_jobs_end_and_starts_no_more() -> None:
    """After the first wish: the two that run finish, the rest stays queued, the code says interrupted."""
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE))
    bench.add("a", "b", "c", "d")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted, nth=2)
            bench.stop.ask()
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert Counter(bench.states().values()) == {"done": 2, "queued": 2}


async def test_stopping_at_once_costs_nothing() -> None:
    """After the second wish workers are told, end, and their jobs are queued again without a failure."""
    bench = Bench(lambda _c, _n: worker(AwaitStop(), say(Finished(outcome=Interrupted(reason="told"))), Exit(code=6)))
    bench.add("a", "b", "c")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted, nth=2)
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert Counter(bench.states().values()) == {"queued": 3}
    assert {job.counters.failures for job in bench.queue.jobs()} == {0}


async def test_what_finished_while_it_was_stopped_is_finished() -> None:
    """A worker's final word counts, whoever was about to stop it."""
    bench = Bench(lambda _c, _n: worker(AwaitStop(), *DONE))
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted)
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_worker_that_hangs_up_and_lives_is_stopped_in_time() -> None:
    """A closed control channel is not an end: the process is still watched over."""
    settings = msgspec.structs.replace(SETTINGS, limits=AttemptLimits(start=5, progress=0.05, hard=20))
    deaf = worker(CloseControl(), Hang(), ignore_term=True)
    bench = Bench(lambda _c, nth: deaf if nth == 1 else worker(*DONE), settings)
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    assert bench.launcher.spawned[0].signals[-1] == "kill"


async def test_a_worker_that_is_gone_before_hello_has_crashed() -> None:
    """Sending to nobody is an end like any other."""
    bench = Bench(lambda _c, nth: script(Exit(code=9)) if nth == 1 else worker(*DONE))
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    [ended, _] = bench.seen(events.AttemptEnded)
    assert (ended.outcome, ended.reason) == ("crashed", "exited with 9 without a report in start")


async def test_nothing_but_host_faults_end_the_run() -> None:
    """A host that cannot start workers is to be mended first; no job has lost anything."""
    settings = msgspec.structs.replace(SETTINGS, host_fault_limit=3)
    bench = Bench(lambda _c, _n: Script(refuse="no memory"), settings)
    bench.add("a", "b")
    assert await bench.run() is ExitCode.HOST_FAULT
    assert {job.counters.failures for job in bench.queue.jobs()} == {0}
    assert {job.counters.crash_streak for job in bench.queue.jobs()} == {0}


async def test_one_host_fault_is_no_reason_to_stop() -> None:
    """A single refusal is tried again."""
    reported = worker(say(Finished(outcome=HostFault(reason="no browser"))), Exit(code=7))
    bench = Bench(lambda _c, nth: {1: Script(refuse="busy"), 2: reported}.get(nth, worker(*DONE)))
    bench.add("a")
    assert await bench.run() is ExitCode.DONE


async def test_a_bug_in_supervising_one_job_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The bulkhead: the other job ends well, the one concerned is tried again."""

    class Buggy(MemoryQueue):
        broken = True

        def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
            if self.broken:
                self.broken = False
                raise ValueError("a bug of ours")
            super().record_process(nonce, stamp)

    bench = Bench(queue=Buggy())
    bench.add("a", "b", "c")
    assert await bench.run() is ExitCode.DONE
    reasons = [event.reason for event in bench.seen(events.AttemptEnded) if event.outcome == "host_fault"]
    assert len(reasons) == 1 and "ValueError" in reasons[0]
    assert not bench.launcher.running


async def test_a_newer_orchestrator_makes_us_stop() -> None:
    """A fenced write ends the run at once, with its own exit code; nothing is recorded."""

    class Overtaken(MemoryQueue):
        def finish(self, *args: Any, **kwargs: Any) -> Any:
            raise Fenced("queue", ours=1, newer=2)

    bench = Bench(queue=Overtaken())
    bench.add("a", "b", "c")
    assert await bench.run() is ExitCode.HOLDER_ALIVE


async def test_a_fenced_record_in_the_middle_ends_the_run_too() -> None:
    """Wherever the newer holder is noticed, the answer is the same."""

    class Overtaken(MemoryQueue):
        def record_go(self, nonce: str, **fields: Any) -> None:
            raise Fenced("queue", ours=1, newer=2)

        def finish(self, *args: Any, **kwargs: Any) -> Any:
            raise Fenced("queue", ours=1, newer=2)

    bench = Bench(queue=Overtaken())
    bench.add("a")
    assert await bench.run() is ExitCode.HOLDER_ALIVE
    assert not bench.launcher.running


async def test_a_full_disk_delays_and_loses_nothing() -> None:
    """While the queue cannot be written, planning, claiming and recording wait, and go on once it can."""

    class Full(MemoryQueue):
        full = Counter[str]()

        def _refuse(self, what: str) -> None:
            self.full[what] += 1
            if self.full[what] <= 2:
                raise QueueUnavailable(Path("queue.db"), "disk full")

        def readiness(self, *args: Any, **kwargs: Any) -> Any:
            self._refuse("readiness")
            return super().readiness(*args, **kwargs)

        def claim(self, *args: Any, **kwargs: Any) -> Any:
            self._refuse("claim")
            return super().claim(*args, **kwargs)

        def finish(self, *args: Any, **kwargs: Any) -> Any:
            self._refuse("finish")
            return super().finish(*args, **kwargs)

    bench = Bench(queue=Full())
    bench.add("a", "b")
    assert await bench.run() is ExitCode.DONE
    assert Counter(event.job for event in bench.seen(events.AttemptEnded)) == {"a": 1, "b": 1}


async def test_a_full_disk_does_not_outlast_the_second_stop() -> None:
    """What could not be recorded stays open for the next start; the operator gets the terminal back."""
    tried = anyio.Event()
    loop = asyncio.get_running_loop()

    class Full(MemoryQueue):
        def finish(self, *args: Any, **kwargs: Any) -> Any:
            loop.call_soon_threadsafe(tried.set)
            raise QueueUnavailable(Path("queue.db"), "disk full")

    bench = Bench(settings=msgspec.structs.replace(SETTINGS, unsettled_interval=3600), queue=Full())
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await tried.wait()
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.HOST_FAULT
    assert [attempt.job_id for attempt in bench.queue.open_attempts()] == ["a"]


async def test_a_number_that_cannot_be_written_ends_no_worker() -> None:
    """How many steps are done is only shown: a full disk at that moment costs no attempt."""

    class Full(MemoryQueue):
        def record_steps(self, nonce: str, *, done: int, total: int) -> None:
            raise QueueUnavailable(Path("queue.db"), "disk full")

    bench = Bench(queue=Full())
    bench.add("a")
    assert await bench.run() is ExitCode.DONE
    assert [event.outcome for event in bench.seen(events.AttemptEnded)] == ["done"]


async def test_a_damaged_session_is_only_its_own_profiles_trouble() -> None:
    """The job is quarantined as its worker says, the others end well."""

    class Damaged(MemorySessionStore):
        def read(self, profile_id: str) -> Any:
            if profile_id == "a":
                raise StateCorrupt(Path("sessions/a.json"), "no version can be read")
            return super().read(profile_id)

    def how(command: WorkerCommand, _nth: int) -> Script:
        corrupt = say(Finished(outcome=Corrupt(reason="session is damaged")))
        return worker(corrupt, Exit(code=3)) if command.profile_id == "a" else worker(*DONE)

    bench = Bench(how, sessions=Damaged())
    bench.add("a", "b", "c")
    assert await bench.run() is ExitCode.QUARANTINED
    assert bench.states() == {"a": "quarantined", "b": "done", "c": "done"}


async def test_a_queue_that_is_damaged_meanwhile_is_one_error_and_leaves_nothing() -> None:
    """What ends a run comes out as itself, not in a group of groups."""

    class Damaged(MemoryQueue):
        def finish(self, *args: Any, **kwargs: Any) -> Any:
            raise ForeignDatabase(Path("queue.db"), "it is damaged")

    bench = Bench(queue=Damaged())
    bench.add("a", "b")
    with pytest.raises(ForeignDatabase):
        await bench.run()
    assert not bench.launcher.running


async def test_a_newer_orchestrator_is_noticed_while_planning() -> None:
    """Also the look at what is ready may be the first that is refused."""

    class Overtaken(MemoryQueue):
        def readiness(self, *args: Any, **kwargs: Any) -> Any:
            raise Fenced("queue", ours=1, newer=2)

    bench = Bench(queue=Overtaken())
    bench.add("a")
    assert await bench.run() is ExitCode.HOLDER_ALIVE


async def test_an_earlier_run_is_ended_at_no_cost_and_its_late_news_told() -> None:
    """Open attempts are reaped, what they committed unannounced is announced, and their jobs run again."""
    bench = Bench(left={"old": 2})
    bench.add("p")
    bench.queue.begin_run(0.0)
    assert bench.queue.claim(bench.clock.now(), "old") is not None
    bench.sessions.write(SessionState(profile_id="p", completion_flags={"a_flag": True}, status="PROCESSING"), fence=1)
    bench.history.held["p"] = Announced(flags={"a": "a_flag", "b": "b_flag"}, committed=frozenset())
    assert await bench.run() is ExitCode.DONE
    [orphan] = bench.seen(events.OrphanStopped)
    assert (orphan.job, orphan.processes) == ("p", 2)
    late = [event for event in bench.seen(events.StepCommitted) if event.recovered]
    assert [event.step for event in late] == ["a"]
    assert bench.queue.job("p").counters.failures == 0


async def test_an_unjudgeable_holder_is_waited_for() -> None:
    """While somebody holds the profile's lock, its job stays with its holder."""
    bench = Bench()
    bench.add("p")
    bench.queue.begin_run(0.0)
    bench.queue.claim(bench.clock.now(), "old")
    async with anyio.create_task_group() as tasks:
        with bench.locks.hold("p", "another host"):
            tasks.start_soon(bench.run)
            while len(getattr(bench, "reaper", ScriptedReaper()).reaped) < 2:
                await anyio.sleep(0.005)
            assert bench.seen(events.AttemptEnded) == []
    assert bench.states() == {"p": "done"}


async def test_a_stop_leaves_an_unjudgeable_holder_to_the_next_start() -> None:
    """Whoever holds the profile for hours does not keep the orchestrator from ending."""
    bench = Bench(settings=msgspec.structs.replace(SETTINGS, unsettled_interval=3600))
    bench.add("p")
    bench.queue.begin_run(0.0)
    bench.queue.claim(bench.clock.now(), "old")
    async with anyio.create_task_group() as tasks:
        with bench.locks.hold("p", "another host"):

            async def operate() -> None:
                while not getattr(bench, "reaper", ScriptedReaper()).reaped:
                    await anyio.sleep(0.005)
                bench.stop.ask()

            tasks.start_soon(operate)
            assert await bench.run() is ExitCode.INTERRUPTED
    assert [attempt.nonce for attempt in bench.queue.open_attempts()] == ["old"]


async def test_a_dead_attempts_job_does_not_wait_for_who_holds_the_profile_now() -> None:
    """A person runs the profile by hand: the attempt that is proven dead is recorded, its slot is free for others."""
    bench = Bench(settings=msgspec.structs.replace(SETTINGS, max_concurrent=1, unsettled_interval=3600))
    bench.add("p", "q")
    bench.queue.begin_run(0.0)
    bench.queue.claim(bench.clock.now(), "old")
    bench.queue.record_process("old", ProcessStamp(host="scripted", pid=77, started=1.0))
    with bench.locks.hold("p", "run.py"):
        assert await bench.run() is ExitCode.DONE
    assert bench.states() == {"p": "done", "q": "done"}


async def test_a_newer_orchestrator_is_noticed_while_recovering() -> None:
    """Recovery yields as well."""

    class Overtaken(MemoryQueue):
        def finish(self, *args: Any, **kwargs: Any) -> Any:
            raise Fenced("queue", ours=1, newer=2)

    bench = Bench(queue=Overtaken())
    bench.add("p")
    bench.queue.begin_run(0.0)
    bench.queue.claim(bench.clock.now(), "old")
    assert await bench.run() is ExitCode.HOLDER_ALIVE


async def test_the_profile_is_settled_with_its_job() -> None:
    """The session's status follows the job, and a terminal job leaves no workspace."""
    corrupt = say(Finished(outcome=Corrupt(reason="cookies are torn")))
    bench = Bench(lambda _c, _n: worker(corrupt, Exit(code=3)), workspaces=MemoryWorkspaces())
    bench.workspaces.acquire("p", 1, template=None)
    bench.sessions.write(SessionState(profile_id="p", status="PROCESSING"), fence=4)
    bench.add("p")
    assert await bench.run() is ExitCode.QUARANTINED
    stored = bench.sessions.read("p")
    assert stored is not None and (stored.value.status, stored.fence) == ("QUARANTINED", 4)
    assert bench.workspaces.discard_profile("p") == 0


@pytest.mark.parametrize("keep", [True, False])
async def test_the_copy_of_a_job_that_failed_is_kept_where_that_is_wanted(keep: bool) -> None:  # noqa: FBT001 - a case
    """With the attempt's evidence, and told as sensitive; that of a job that is done leaves nothing."""
    failed, done = say(Finished(outcome=Failed(step="a", reason="no"))), worker(*DONE)
    settings = msgspec.structs.replace(SETTINGS, keep_failed=keep)
    bench = Bench(
        lambda command, _n: done if command.profile_id == "good" else worker(failed, Exit(code=1)),
        workspaces=MemoryWorkspaces(),
        settings=settings,
    )
    for name in ("bad", "good"):
        bench.workspaces.acquire(name, 1, template=None)
    bench.add("bad", "good")
    assert await bench.run() is ExitCode.FAILED
    told = [(event.profile_id, event.attempt, event.step, event.files) for event in bench.seen(events.ArtifactsKept)]
    path = "artifacts/bad/SENSITIVE-workspace-1/user-data"
    assert told == ([("bad", 2, "a", (path,))] if keep else [])
    assert all(event.sensitive and event.why == "keep_failed" for event in bench.seen(events.ArtifactsKept))
    assert list(bench.workspaces.aside) == ([path] if keep else [])
    assert [bench.workspaces.discard_profile(name) for name in ("bad", "good")] == [0, 0]


async def test_a_profile_that_cannot_be_settled_does_not_hold_up_its_job() -> None:
    """Held by somebody, or with a disk that refuses: the job's end is recorded all the same."""

    class Stuck(MemoryWorkspaces):
        def discard_profile(self, profile_id: str) -> int:
            raise WorkspaceError("read-only file system")

        def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
            raise WorkspaceError("read-only file system")

    bench = Bench(workspaces=Stuck())
    bench.add("a", "b")
    with bench.locks.hold("b", "a person"):
        assert await bench.run() is ExitCode.DONE


async def test_leftovers_are_swept_and_named() -> None:
    """At the start, workspaces that nobody will take over go."""

    class Left(MemoryWorkspaces):
        def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
            return [name for name in ("gone-1", "a-1") if not is_wanted(name.split("-")[0])]

    bench = Bench(workspaces=Left())
    bench.add("a")
    assert await bench.run() is ExitCode.DONE


class Follower:
    """A feed that is edited three times."""

    source = "queue.json"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.looked = 0

    def look(self) -> Callable[[], Reconciled | str] | str | None:
        self.looked += 1
        if self.looked == 2:
            return "queue.json:1: expected a job"
        return self.bring_in if self.looked == 3 else None

    def bring_in(self) -> Reconciled:
        self.bench.add("late")
        return Reconciled(added=1)


async def test_watching_follows_the_feed_and_stays() -> None:
    """A bad edit is said, a good one runs, and only a stop ends it, with nothing left over."""
    bench = Bench(settings=msgspec.structs.replace(SETTINGS, watch=True))
    bench.follower = Follower(bench)
    bench.add("early")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.JobChanged, job="late", state="done")
            bench.stop.ask()
            await anyio.sleep(0.05)

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE
    assert [event.problem for event in bench.seen(events.FeedRejected)] == ["queue.json:1: expected a job"]
    assert [event.added for event in bench.seen(events.FeedRead)] == [1]


async def test_a_flow_that_loads_for_long_holds_up_nothing() -> None:
    """While an edited feed is read and checked, jobs are claimed and recorded."""
    checked = threading.Event()

    class Slow(Follower):
        def look(self) -> Callable[[], Reconciled | str] | str | None:
            assert checked.wait(15)
            return None

    bench = Bench(settings=msgspec.structs.replace(SETTINGS, watch=True, follow_interval=0))
    bench.follower = Slow(bench)
    bench.add("a", "b", "c")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            try:
                await bench.sink.wait_for(events.JobChanged, state="done", nth=3)
            finally:
                bench.stop.ask()
                checked.set()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_feed_that_cannot_be_taken_in_is_looked_at_again() -> None:
    """A queue that is full at that moment does not end the run."""

    class Full(Follower):
        refused = False

        def bring_in(self) -> Reconciled:
            if not self.refused:
                self.refused, self.looked = True, 1
                raise QueueUnavailable(Path("queue.db"), "disk full")
            return super().bring_in()

    bench = Bench(settings=msgspec.structs.replace(SETTINGS, watch=True))
    bench.follower = Full(bench)
    bench.add("early")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.JobChanged, job="late", state="done")
            bench.stop.ask()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_signal_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT during a run drains it and is announced."""
    import os
    import signal

    bench = Bench(lambda _c, _n: worker(Hold(), *DONE))
    bench.add("a", "b", "c")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted, nth=2)
            os.kill(os.getpid(), signal.SIGINT)
            await bench.sink.wait_for(events.StopAsked, how="drain")
            for child in bench.launcher.spawned:
                child.release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED


async def test_a_learnt_secret_is_masked_in_what_follows() -> None:
    """The proxy's password and what the worker learns never reach an event."""
    learnt = messages.SecretLearnt(value="hunter22hunter22")
    typed = messages.StepProblem(step="a", try_=1, reason="fill(hunter22hunter22) via proxypass99", will_retry=False)
    bench = Bench(lambda _c, _n: worker(say(learnt), say(typed), *DONE))
    bench.add("a", proxy="http://user:proxypass99@127.0.0.1:1")
    assert await bench.run() is ExitCode.DONE
    [failed] = bench.seen(events.StepFailed)
    assert "hunter22" not in failed.reason and "proxypass99" not in failed.reason


async def test_whoever_waits_at_the_gate_when_a_drain_is_asked_for_claims_nothing() -> None:
    """No start after the wish, not even of one that already had its slot."""
    bench = Bench(lambda _c, _n: worker(Hold(), *DONE), msgspec.structs.replace(SETTINGS, gate_interval=0.3))
    bench.add("a", "b")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted)
            bench.stop.ask()
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.INTERRUPTED
    assert Counter(bench.states().values()) == {"done": 1, "queued": 1}


async def test_a_claim_that_another_took_is_no_start() -> None:
    """Readiness is a hint; the claim decides."""

    class Snatched(MemoryQueue):
        first = True

        def claim(self, now: float, nonce: str) -> Any:
            if self.first:
                self.first = False
                return None
            return super().claim(now, nonce)

    bench = Bench(queue=Snatched())
    bench.add("a")
    assert await bench.run() is ExitCode.DONE


class FreezingClock(SystemClock):
    """A clock that jumps once, as monotonic time does for a process that was stopped and went on."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.frozen_for = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.frozen_for


async def test_a_frozen_orchestrator_blames_nobody() -> None:
    """After a freeze longer than all limits, what the worker said meanwhile is read first, and its job ends well."""
    bench = Bench(
        lambda _c, _n: worker(Hold(), *DONE), msgspec.structs.replace(SETTINGS, retry=RetryPolicy(max_attempts=1))
    )
    bench.clock = FreezingClock()
    bench.add("p")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted)
            bench.clock.frozen_for = 3600.0
            await anyio.sleep(1.2)
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_disk_that_fills_at_the_start_of_an_attempt_is_a_host_fault() -> None:
    """A process that could not be recorded is ended, and its job tried again at no cost."""

    class Full(MemoryQueue):
        full = True

        def record_process(self, nonce: str, stamp: ProcessStamp) -> None:
            if self.full:
                self.full = False
                raise QueueUnavailable(Path("queue.db"), "disk full")
            super().record_process(nonce, stamp)

    bench = Bench(queue=Full())
    bench.add("p")
    assert await bench.run() is ExitCode.DONE
    assert [event.outcome for event in bench.seen(events.AttemptEnded)] == ["host_fault", "done"]
    assert not bench.launcher.running


async def test_a_bug_of_the_loop_itself_is_not_dressed_up() -> None:
    """What is no error of ours comes out as it is, for whoever has to mend it."""

    class Broken(Follower):
        def look(self) -> Callable[[], Reconciled | str] | str | None:
            raise ValueError("a bug")

    bench = Bench(settings=msgspec.structs.replace(SETTINGS, watch=True))
    bench.follower = Broken(bench)
    with pytest.raises(ExceptionGroup) as caught:
        await bench.run()
    assert caught.group_contains(ValueError, match="a bug")


async def test_a_feed_edit_of_an_overtaken_orchestrator_changes_nothing() -> None:
    """Bringing an edit in is where a newer holder may be noticed first."""

    class Overtaken(Follower):
        def bring_in(self) -> Reconciled:
            raise Fenced("queue", ours=1, newer=2)

        def look(self) -> Callable[[], Reconciled | str] | str | None:
            return self.bring_in

    bench = Bench(settings=msgspec.structs.replace(SETTINGS, watch=True))
    bench.follower = Overtaken(bench)
    assert await bench.run() is ExitCode.HOLDER_ALIVE


async def test_planning_goes_on_refused_until_the_workers_have_ended() -> None:
    """An overtaken orchestrator that cannot even look waits for its own workers, and is told once."""

    class Overtaken(MemoryQueue):
        blind = False

        def readiness(self, *args: Any, **kwargs: Any) -> Any:
            if self.blind:
                raise Fenced("queue", ours=1, newer=2)
            return super().readiness(*args, **kwargs)

        def record_go(self, nonce: str, **fields: Any) -> None:
            super().record_go(nonce, **fields)
            self.blind = True

        def changes_of_others(self) -> int:
            return int(self.blind)

    quick = msgspec.structs.replace(SETTINGS, notice_interval=0.01)
    bench = Bench(lambda _c, _n: worker(AwaitStop(), *DONE), settings=quick, queue=Overtaken())
    bench.add("a", "b", "c", "d")
    assert await bench.run() is ExitCode.HOLDER_ALIVE
    assert not bench.launcher.running


async def test_an_operators_change_is_noticed_and_a_full_disk_meanwhile_is_not_the_end() -> None:
    """What somebody else writes into the queue is planned within a look or two."""

    class Shared(MemoryQueue):
        looks = 0

        def changes_of_others(self) -> int:
            self.looks += 1
            if self.looks == 2:
                raise QueueUnavailable(Path("queue.db"), "disk full")
            return self.looks

    bench = Bench(
        lambda _c, _n: worker(Hold(), *DONE),
        settings=msgspec.structs.replace(SETTINGS, notice_interval=0.01, max_concurrent=1),
        queue=Shared(),
    )
    bench.add("a")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.AttemptStarted)
            while bench.queue.looks < 5:
                await anyio.sleep(0.01)
            bench.launcher.spawned[0].release()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.DONE


async def test_a_disk_that_stays_full_at_recovery_ends_with_a_host_fault() -> None:
    """A stop does not wait for a disk: the attempt stays open for the next start."""

    class Full(MemoryQueue):
        def finish(self, *args: Any, **kwargs: Any) -> Any:
            raise QueueUnavailable(Path("queue.db"), "disk full")

    bench = Bench(queue=Full())
    bench.add("p")
    bench.queue.begin_run(0.0)
    bench.queue.claim(bench.clock.now(), "old")
    async with anyio.create_task_group() as tasks:

        async def operate() -> None:
            await bench.sink.wait_for(events.RunStarted)
            bench.stop.at_once()

        tasks.start_soon(operate)
        assert await bench.run() is ExitCode.HOST_FAULT
