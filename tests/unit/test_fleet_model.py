"""Planner, policy and queue beside a model of a few lines: whatever happens in whatever order, the promises hold.

The rules are what can happen to a fleet; they act as the engine does, and no more: they look, plan, claim, and record. What is
right is said once more here, from the promises, without a look at how it is decided.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.domain import planning, retry
from core.domain.model import Claim, JobSpec, JobState, ProcessStamp
from core.domain.outcome import Busy, Corrupt, Done, Exit, Failed, HostFault, Rejected, TimedOut, Waiting, classify
from core.domain.planning import BatchView, FleetView, Plan
from core.domain.retry import RetryPolicy
from core.errors import Fenced, IllegalTransition, JobsRefused
from core.queue.desk import SqliteDesk
from core.queue.memory import MemoryQueue, MemoryStore
from core.queue.memory_desk import MemoryDesk
from core.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from core.domain.outcome import Outcome
    from core.queue.port import JobQueue, QueueDesk

MEMORY = Path("/dev/shm")
MOST = 3
POLICY = RetryPolicy(max_attempts=MOST, poison_limit=MOST, base_delay=2.0, busy_delay=3.0)
PENDING = (JobState.QUEUED, JobState.WAITING)
COSTLESS: tuple[Outcome, ...] = (Busy(holder="x"), HostFault(reason="x"))
FAILING: tuple[Outcome, ...] = (Failed(step="s", reason="x"), TimedOut(step="s", reason="x"))
ENDS = (
    *(
        Exit(returncode=1, reported=outcome)
        for outcome in (
            Done(), *COSTLESS, *FAILING, Rejected(reason="x"), Corrupt(reason="x"), Waiting(step="s", why="x"),
        )
    ),
    *(Exit(returncode=-15, stopped_by=by, stop_reason="x") for by in ("operator", "cancel", "timeout")),
    *[Exit(returncode=-9, last_step="s")] * 10,
)  # fmt: skip
"""How an attempt can end; almost half of them are crashes."""
seldom = st.sampled_from((False, False, False, False, True))
any_number = st.integers(0, 100)


@dataclass
class Job:
    """What is known of a job: where it stands, what it has cost, and whether it was ended in this generation."""

    spec: JobSpec
    state: JobState = JobState.QUEUED
    due: float = 0.0
    failures: int = 0
    streak: int = 0


@dataclass
class Attempt:
    """One attempt that is alive."""

    claim: Claim
    launched: bool = False
    parked: bool = False
    committed: bool = False


class Fleet(RuleBasedStateMachine):
    """The rules; each says what it expects before it looks."""

    batch: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = 1_000.0
        self.jobs: dict[str, Job] = {}
        self.live: dict[str, Attempt] = {}
        self.fences: dict[str, int] = {}
        self.limit = 2
        self.numbers = 0
        self.paused = self.pressed = self.draining = False
        self.next_batch: float | None = None
        self.open_batch: set[str] = set()
        self.queue, self.desk = self.open()

    def open(self) -> tuple[JobQueue, QueueDesk]:
        self.store = MemoryStore()
        return MemoryQueue(self.store), MemoryDesk(self.store)

    def again(self) -> JobQueue:
        """Return the queue as the next run has it."""
        return MemoryQueue(self.store)

    # --- what is planned by ------------------------------------------------------------------------------------------

    def plan(self, view: FleetView) -> Plan:
        return planning.plan(view, self.now)

    def decide(self, *args: Any, **kwargs: Any) -> retry.Decision:
        return retry.decide(POLICY, *args, **kwargs)

    @property
    def held(self) -> bool:
        return self.paused or self.pressed

    @property
    def working(self) -> int:
        return sum(not one.parked for one in self.live.values())

    def due(self, at: float) -> int:
        """Return how many could be claimed: the profiles with a job that is due, and with none that is alive."""
        busy = {one.claim.job.spec.profile_id for one in self.live.values()}
        due = {job.spec.profile_id for job in self.jobs.values() if job.state in PENDING and job.due <= at}
        return len(due - busy)

    def look(self) -> tuple[FleetView, Plan]:
        readiness = self.queue.readiness(self.now, 50)
        view = FleetView(
            running=len(self.live),
            limit=self.limit,
            ready=readiness.ready,
            later=readiness.later,
            next_due=readiness.next_due,
            stopping=self.draining,
            watching=False,
            held=self.held,
            parked=len(self.live) - self.working,
            batch=None if self.batch is None else BatchView(
                size=self.batch, open=bool(self.open_batch), next_at=self.next_batch
            ),
        )  # fmt: skip
        return view, self.plan(view)

    # --- what can happen ---------------------------------------------------------------------------------------------

    @initialize(profiles=st.lists(st.sampled_from("abc"), min_size=2, max_size=4))
    def begin(self, profiles: list[str]) -> None:
        self.queue.begin_run(self.now)
        for profile in profiles:
            self.enqueue(profile, 0, None)

    @rule(profile=st.sampled_from("abc"), priority=st.integers(0, 2), delay=st.sampled_from((None, 5.0)))
    @precondition(lambda self: len(self.jobs) < 5)
    def enqueue(self, profile: str, priority: int, delay: float | None) -> None:
        due = None if delay is None else self.now + delay
        name = f"{profile}{len(self.jobs)}"
        spec = JobSpec(id=name, profile_id=profile, flow="/f.py", priority=priority, not_before=due)
        self.queue.reconcile("feed", [spec], now=self.now, cancel_missing=False)
        self.jobs[name] = Job(spec, due=due or 0.0)

    @rule()
    def wait(self) -> None:
        """Nothing changes until the time at which the planner wants to look again; a run that is over is followed by another."""
        _, step = self.look()
        if step.finished:
            self.begin_again()
        elif step.wake_at is not None:
            self.set_clock(step.wake_at)

    @invariant()
    def what_is_planned_is_sound_and_is_done(self) -> None:
        """The planner is asked after each change, and all that it starts can be claimed."""
        view, step = self.look()
        self.expect_sound(view, step)
        claimed = set()
        for _ in range(step.start):
            self.numbers += 1
            claim = self.queue.claim(self.now, f"n{self.numbers}")
            assert claim is not None, "more was to be started than was ready"
            job = self.jobs[claim.job.spec.id]
            assert job.state in PENDING and job.due <= self.latest
            assert claim.job.spec.profile_id not in {one.claim.job.spec.profile_id for one in self.live.values()}
            rivals = [one for one in self.jobs.values() if one.state in PENDING and one.due <= self.now]
            assert all(
                one.spec.priority <= job.spec.priority for one in rivals if one.spec.profile_id == job.spec.profile_id
            )
            job.state = JobState.PREPARED
            self.live[claim.attempt.nonce] = Attempt(claim)
            claimed.add(claim.attempt.nonce)
            self.queue.record_process(claim.attempt.nonce, ProcessStamp(host="x", pid=self.numbers, started=1.0))
            fence = self.queue.next_fence(claim.job.spec.profile_id)
            assert fence > self.fences.get(claim.job.spec.profile_id, 0)
            self.fences[claim.job.spec.profile_id] = fence
            self.queue.record_go(claim.attempt.nonce, fence=fence, user_data_dir=None, now=self.now)
        if self.batch is not None and claimed:
            assert not self.open_batch and len(claimed) <= self.batch
            self.open_batch = claimed
        elif claimed:
            assert self.working <= self.limit

    @rule()
    @precondition(lambda self: any(not one.launched for one in self.live.values()))
    def launch(self) -> None:
        """The gate and the slots let them through, or they wait."""
        for nonce, attempt in self.live.items():
            browsers = sum(one.launched and not one.parked for one in self.live.values())
            if not attempt.launched and not self.held and not self.draining and browsers < self.limit:
                self.queue.record_launch(nonce, now=self.now)
                attempt.launched = True
                self.job_of(nonce).state = JobState.RUNNING
                self.settle(nonce)

    @rule(which=any_number)
    @precondition(lambda self: any(one.launched for one in self.live.values()))
    def commit(self, which: int) -> None:
        launched = [one for one in self.live.values() if one.launched]
        launched[which % len(launched)].committed = True

    @rule(which=any_number)
    @precondition(lambda self: any(one.launched and not one.parked for one in self.live.values()))
    def park(self, which: int) -> None:
        nonces = [nonce for nonce, one in self.live.items() if one.launched and not one.parked]
        self.live[nonces[which % len(nonces)]].parked = True
        self.queue.record_waiting(nonces[which % len(nonces)], why="a person is needed")

    @rule(which=any_number)
    @precondition(lambda self: self.working < len(self.live) and self.working < self.limit)
    def resume(self, which: int) -> None:
        parked = [one for one in self.live.values() if one.parked]
        parked[which % len(parked)].parked = False

    @rule(which=any_number, exit_=st.sampled_from(ENDS))
    @precondition(lambda self: self.live)
    def end_one(self, which: int, exit_: Exit) -> None:
        """It reports, crashes, or is stopped."""
        self.end(list(self.live)[which % len(self.live)], exit_)

    @rule(really=seldom)
    def kill(self, *, really: bool) -> None:
        if really:
            self.begin_again()

    def begin_again(self) -> None:
        """The next run finds exactly what was under way, and ends it; the old one can write nothing any more."""
        old, self.queue = self.queue, self.again()
        self.queue.begin_run(self.now)
        for write in (lambda: old.claim(self.now, "late"), lambda: old.record_waiting("n1", why="late")):
            with pytest.raises(Fenced):
                write()
        old.close()
        assert {one.nonce for one in self.queue.open_attempts()} == set(self.live)
        self.paused = self.pressed = self.draining = False
        self.next_batch = None
        for nonce in list(self.live):
            self.end(nonce, Exit(returncode=None, stopped_by="orchestrator", stop_reason="gone"))
        self.next_batch = None

    @rule(which=any_number)
    @precondition(lambda self: self.jobs)
    def cancel_waiting(self, which: int) -> None:
        job = list(self.jobs.values())[which % len(self.jobs)]
        if job.state in (*PENDING, JobState.PARKED):
            assert self.desk.cancel([job.spec.id], now=self.now) == [job.spec.id]
            job.state = JobState.CANCELLED
        else:
            with pytest.raises(JobsRefused):
                self.desk.cancel([job.spec.id], now=self.now)

    @rule()
    def a_person_was_there(self) -> None:
        """Jobs that wait for a person without a browser are queued again."""
        parked = [job for job in self.jobs.values() if job.state is JobState.PARKED]
        assert self.queue.resume(self.now) == len(parked)
        for job in parked:
            job.state, job.due = JobState.QUEUED, job.spec.not_before or 0.0

    @rule(how=st.sampled_from(("", "", "paused", "pressed")))
    def hold(self, how: str) -> None:
        self.paused, self.pressed = how == "paused", how == "pressed"

    @rule(really=seldom)
    @precondition(lambda self: self.live)
    def drain(self, *, really: bool) -> None:
        self.draining = self.draining or really

    @rule(limit=st.integers(1, 4))
    def change_the_limit(self, limit: int) -> None:
        self.limit = limit

    @rule(seconds=st.sampled_from((0.5, 3.0, 10.0, 3600.0, -1.0, -3600.0)))
    def pass_or_set_back(self, seconds: float) -> None:
        self.set_clock(self.now + seconds)

    # --- what follows ------------------------------------------------------------------------------------------------

    def set_clock(self, now: float) -> None:
        self.now, self.latest = now, max(self.latest, now)

    def job_of(self, nonce: str) -> Job:
        return self.jobs[self.live[nonce].claim.job.spec.id]

    def settle(self, nonce: str) -> None:
        if nonce in self.open_batch:
            self.open_batch.remove(nonce)
            if not self.open_batch:
                self.next_batch = self.now + 2.0

    def end(self, nonce: str, exit_: Exit) -> None:
        """End an attempt as the engine does, and hold what follows to the promises."""
        job, attempt = self.job_of(nonce), self.live[nonce]
        outcome = classify(exit_)
        decision = self.decide(
            attempt.claim.job.counters, outcome, committed=attempt.committed, now=self.now, jitter=0.5
        )
        record = self.queue.finish(nonce, decision, now=self.now, seconds=1.0, outcome="x")
        self.follow(job, exit_, committed=attempt.committed)
        assert (record.state, record.counters.failures, record.counters.crash_streak) == (
            job.state, job.failures, job.streak,
        )  # fmt: skip
        with pytest.raises(IllegalTransition):
            self.queue.finish(nonce, decision, now=self.now, seconds=1.0, outcome="again")
        job.due = record.due_at or 0.0
        assert record.state is not JobState.WAITING or job.due > self.now
        self.settle(nonce)
        del self.live[nonce]

    @staticmethod
    def follow(job: Job, exit_: Exit, *, committed: bool) -> None:
        """Say what is to become of the job, from the promises alone."""
        job.streak = 0 if committed else job.streak
        reported = exit_.reported
        match reported:
            case None if exit_.stopped_by in ("operator", "orchestrator"):
                job.state = JobState.QUEUED
            case None if exit_.stopped_by == "cancel":
                job.state = JobState.CANCELLED
            case None if exit_.stopped_by is None:
                job.streak += 1
                job.state = JobState.QUARANTINED if job.streak == MOST else JobState.WAITING
            case None | Failed() | TimedOut():
                job.failures, job.streak = job.failures + 1, 0
                job.state = JobState.FAILED if job.failures == MOST else JobState.WAITING
            case Rejected():
                job.failures, job.streak, job.state = job.failures + 1, 0, JobState.FAILED
            case Corrupt():
                job.failures, job.streak, job.state = job.failures + 1, 0, JobState.QUARANTINED
            case Waiting():
                job.streak, job.state = 0, JobState.PARKED
            case Done():
                job.streak, job.state = 0, JobState.DONE
            case _:
                job.state = JobState.WAITING

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_queue_says_the_same(self) -> None:
        assert {job.spec.id: job.state for job in self.queue.jobs()} == {
            name: job.state for name, job in self.jobs.items()
        }

    def expect_sound(self, view: FleetView, step: Plan) -> None:
        """Nobody is started who must not be, and nobody waits for nothing."""
        pending = any(job.state in PENDING for job in self.jobs.values())
        # one that was due stays ready when the clock is set back
        assert self.due(self.now) <= view.ready <= self.due(self.latest)
        assert step.wake_at is None or step.wake_at >= self.now
        assert not step.start or not (self.held or self.draining)
        assert step.finished == (not self.live and (self.draining or not pending))
        if self.batch is None and not self.held and not self.draining:
            assert step.start == min(max(self.limit - self.working, 0), view.ready)
        moves = step.start or step.finished or step.dismiss or step.wake_at is not None
        # else somebody has to end, to be launched, or to let go, and that is a change
        assert moves or self.live or self.held

    def teardown(self) -> None:
        self.queue.close()
        self.desk.close()


class InBatches(Fleet):
    """Jobs go in batches of two."""

    batch = 2


class Durable(Fleet):
    """The queue is a file."""

    def open(self) -> tuple[JobQueue, QueueDesk]:
        self.root = Path(tempfile.mkdtemp(prefix="ostler-model-", dir=MEMORY if MEMORY.is_dir() else None))
        return SqliteQueue(self.root / "queue.db"), SqliteDesk(self.root / "queue.db")

    def again(self) -> JobQueue:
        return SqliteQueue(self.root / "queue.db")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.root)


def check(machine: type[Fleet], examples: int, *, phases: tuple[Phase, ...] = tuple(Phase)) -> None:
    """Run a machine, the same way each time."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=60, deadline=None, derandomize=True, phases=phases,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(("machine", "examples"), [(Fleet, 60), (InBatches, 30), (Durable, 8)])
def test_planner_and_queue_agree_with_the_model(machine: type[Fleet], examples: int) -> None:
    """In the memory queue, in batches, and in the file."""
    check(machine, examples)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("machine", "examples"), [(Fleet, 3000), (InBatches, 1500), (Durable, 300)])
def test_planner_and_queue_agree_with_the_model_for_long(machine: type[Fleet], examples: int) -> None:
    """The same with many more examples."""
    check(machine, examples)


class Unheld(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return super().plan(msgspec.structs.replace(view, held=False))


class Unstopped(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return super().plan(msgspec.structs.replace(view, stopping=False))


class Overfull(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return super().plan(msgspec.structs.replace(view, limit=view.limit + 1))


class Starving(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return super().plan(msgspec.structs.replace(view, parked=0))


class Asleep(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return msgspec.structs.replace(super().plan(view), wake_at=None)


class Early(Fleet):
    def plan(self, view: FleetView) -> Plan:
        return super().plan(msgspec.structs.replace(view, later=0))


class Costly(Fleet):
    def decide(self, counters: Any, outcome: Outcome, **how: Any) -> retry.Decision:
        done = super().decide(counters, outcome, **how)
        return msgspec.structs.replace(
            done, counters=msgspec.structs.replace(done.counters, failures=counters.failures + 1)
        )


class Hasty(Fleet):
    def decide(self, *args: Any, **how: Any) -> retry.Decision:
        return retry.decide(msgspec.structs.replace(POLICY, poison_limit=MOST - 1), *args, **how)


class Forgetful(Fleet):
    def decide(self, *args: Any, committed: bool, **how: Any) -> retry.Decision:
        return super().decide(*args, committed=False, **how)


class GreedyQueue(MemoryQueue):
    def _line(self, now: float) -> Any:
        return [job for job in self.jobs(PENDING) if (job.due_at or 0.0) <= now]


class UnfencedQueue(MemoryQueue):
    def _check_run(self) -> None:
        """A run that was overtaken writes on."""


class RepeatingQueue(MemoryQueue):
    def finish(self, *args: Any, **how: Any) -> Any:
        job = self.job(self._store.attempts[args[0]].job_id)
        return job if args[0] in self._store.ended else super().finish(*args, **how)


class OtherQueue(Fleet):
    kind: type[MemoryQueue]

    def open(self) -> tuple[JobQueue, QueueDesk]:
        self.store = MemoryStore()
        return self.kind(self.store), MemoryDesk(self.store)

    def again(self) -> JobQueue:
        return self.kind(self.store)


class Greedy(OtherQueue):
    kind = GreedyQueue


class Unfenced(OtherQueue):
    kind = UnfencedQueue


class Repeating(OtherQueue):
    kind = RepeatingQueue


DEFECTS = (
    Unheld, Unstopped, Overfull, Starving, Asleep, Early, Costly, Hasty, Forgetful, Greedy, Unfenced, Repeating,
)  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_noticed(defect: type[Fleet]) -> None:
    """Each of these mistakes is found: the model can say no."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(defect, 300, phases=(Phase.generate,))
