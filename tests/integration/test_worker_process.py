"""A real ``run.py``: its handshake, its ends, and that nothing it started outlives it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from core.clock import SystemClock
from core.domain.messages import (
    Finished,
    FlowDescription,
    Go,
    Heartbeat,
    Hello,
    Launch,
    Planned,
    Progress,
    Ready,
    StepCommitted,
    StepStarted,
    Stop,
    WorkerSettings,
)
from core.domain.model import JobSpec
from core.domain.outcome import Busy, Done, ExitCode, Failed, Interrupted
from core.process.channel import CONTROL_VARIABLE, BlockingChannel, decode_up
from core.profiles.lock import FileProfileLocks
from core.state.sessions import FileSessionStore

CHECKOUT = Path(__file__).resolve().parents[2]
RUN = CHECKOUT / "run.py"
FLOW = CHECKOUT / "tests" / "children" / "flows" / "marks.py"
WITHIN = 60.0


class Worker:
    """A worker and its parent's end of the channel."""

    def __init__(self, tmp_path: Path, *, then: str = "end", profile_id: str = "p1", attempt: int = 1) -> None:
        self.marks = tmp_path / "marks"
        self.state_dir = tmp_path / "state"
        ours, theirs = socket.socketpair()
        ours.settimeout(WITHIN)
        self.output = tmp_path / f"output-{attempt}"
        with theirs, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(RUN), profile_id],
                env={**os.environ, CONTROL_VARIABLE: str(theirs.fileno()), "OSTLER_ATTEMPT": "n1"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=tmp_path,
            )
        self.channel = BlockingChannel(ours, decode_up)
        settings = WorkerSettings(state_dir=str(self.state_dir), log_dir=str(tmp_path))
        params = {"marks": str(self.marks), "then": then}
        job = JobSpec(id="j1", profile_id="p1", flow=str(FLOW), params=params)
        self.hello = Hello(job=job, attempt=attempt, nonce="n1", settings=settings)

    def begin(self) -> Ready:
        """Shake hands."""
        self.channel.send(self.hello)
        ready = self.until(Ready)
        self.channel.send(Go())
        self.channel.send(Launch())
        return ready

    def until(self, kind, **fields):
        """Return the next message of a kind with these fields."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            message = self.channel.receive()
            assert message is not None, f"the worker ended before {kind.__name__}: {self.output.read_text()}"
            if isinstance(message, kind) and all(getattr(message, name) == value for name, value in fields.items()):
                return message
        pytest.fail(f"no {kind.__name__} in time")

    def wait_for_mark(self, text: str) -> None:
        """Wait until the flow has written a line."""
        deadline = time.monotonic() + WITHIN
        while not (self.marks.exists() and text in self.marks.read_text().splitlines()):
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def end(self, within: float = WITHIN) -> int:
        """Return the exit code."""
        return self.process.wait(within)


@pytest.fixture
def start(tmp_path):
    """Start workers; none outlives the test."""
    workers = []

    def make(**options) -> Worker:
        workers.append(Worker(tmp_path, **options))
        return workers[-1]

    yield make
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.wait()
        worker.channel.close()


def test_whole_conversation(start):
    """Hello, Ready, Go, steps, Finished, exit code: in this order, with heartbeats between."""
    worker = start()
    ready = worker.begin()
    assert ready.process.pid == worker.process.pid
    assert ready.fence == 1
    assert worker.until(Planned).todo == ("first", "second")
    assert worker.until(StepCommitted, step="second").flag == "second"
    assert worker.until(Finished).outcome == Done()
    assert worker.end() == ExitCode.DONE
    assert worker.marks.read_text().splitlines() == ["first", "second begins", "second"]


def test_no_effect_without_go(start):
    """A worker whose parent ends before Go leaves no session and no profile behind."""
    worker = start()
    worker.channel.send(worker.hello)
    worker.until(Ready)
    worker.channel.close()
    assert worker.end(15) == ExitCode.INTERRUPTED
    assert not worker.marks.exists()
    assert FileSessionStore(worker.state_dir).read("p1") is None


def test_end_of_the_parent_before_hello(start):
    """A worker that is never told anything ends."""
    worker = start()
    worker.channel.close()
    assert worker.end(15) == ExitCode.INTERRUPTED


def test_end_of_file_ends_it_while_user_code_blocks(start):
    """A step that blocks the whole loop does not keep the process when its parent is gone."""
    worker = start(then="block")
    worker.begin()
    worker.wait_for_mark("second begins")
    closed = time.monotonic()
    worker.channel.close()
    assert worker.end(30) == ExitCode.INTERRUPTED
    assert time.monotonic() - closed < 12
    stored = FileSessionStore(worker.state_dir).read("p1")
    assert stored.value.completion_flags == {"first": True}


def test_end_of_file_ends_a_waiting_step_at_once(start):
    """A step that waits is cancelled; the grace for blocked loops is not needed."""
    worker = start(then="wait")
    worker.begin()
    worker.wait_for_mark("second begins")
    worker.channel.close()
    assert worker.end(7) == ExitCode.INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_it(start, number):
    """SIGTERM and SIGINT end the attempt as interrupted, reported, with exit code 6."""
    worker = start(then="wait")
    worker.begin()
    worker.wait_for_mark("second begins")
    worker.process.send_signal(number)
    assert isinstance(worker.until(Finished).outcome, Interrupted)
    assert worker.end(15) == ExitCode.INTERRUPTED


def test_stop_message(start):
    """Stop ends the attempt and names the reason it was given."""
    worker = start(then="wait")
    worker.begin()
    worker.wait_for_mark("second begins")
    worker.channel.send(Stop(reason="enough for today", grace=5))
    assert worker.until(Finished).outcome == Interrupted(reason="enough for today")
    assert worker.end(15) == ExitCode.INTERRUPTED


def test_kill_between_steps_and_resume(start):
    """After SIGKILL in the second step a new worker goes on with the second, under a higher number."""
    worker = start(then="die")
    first = worker.begin()
    assert worker.end() == -signal.SIGKILL
    again = start(then="die", attempt=2)
    assert again.begin().fence > first.fence
    assert again.until(Planned) == Planned(done=("first",), todo=("second",), flags={"second": "second"})
    assert again.until(Finished).outcome == Done()
    assert again.end() == ExitCode.DONE
    assert again.marks.read_text().splitlines() == ["first", "second begins", "second begins", "second"]


def test_held_profile(start):
    """A profile that this process holds is busy for a worker: exit code 5, naming us."""
    worker = start()
    with FileProfileLocks(worker.state_dir, SystemClock()).hold("p1", "the test"):
        worker.channel.send(worker.hello)
        outcome = worker.until(Finished).outcome
    assert isinstance(outcome, Busy)
    assert "the test" in outcome.holder
    assert worker.end() == ExitCode.HOLDER_ALIVE


@pytest.mark.parametrize("left", ["thread", "stubborn task"])
def test_what_a_flow_leaves_behind_does_not_keep_it(start, left):
    """A thread that a step forgot, or a task that will not be cancelled, does not hold up the end."""
    worker = start(then=left)
    worker.begin()
    assert worker.until(Finished).outcome == Done()
    assert worker.end(20) == ExitCode.DONE


def test_frozen_parent_does_not_hold_up_the_run(start):
    """A parent that reads nothing for a while finds every message but heartbeats when it reads again."""
    worker = start(then="end")
    worker.begin()
    worker.wait_for_mark("second")
    seen = []
    while (message := worker.channel.receive()) is not None:
        seen.append(type(message))
    assert seen.count(StepStarted) == seen.count(StepCommitted) == 2
    assert Finished in seen
    assert worker.end() == ExitCode.DONE


def test_heartbeats_while_a_step_waits(start):
    """The loop beats while a step waits."""
    worker = start(then="wait")
    worker.begin()
    worker.wait_for_mark("second begins")
    worker.until(Heartbeat)
    worker.until(Heartbeat)


def test_wrong_profile_is_refused(start):
    """A hello for another profile than argv names is not obeyed."""
    worker = start(profile_id="p2")
    worker.channel.send(worker.hello)
    assert worker.end() == ExitCode.BAD_INPUT


def test_secret_is_masked_before_it_leaves(start, tmp_path):
    """A step that prints a secret in the line after it was set shows a mask, whatever reads the output."""
    leaky = tmp_path / "leaky.py"
    leaky.write_text(
        "from workers.steps import Flow\n"
        "import sys\n"
        "flow = Flow(browser=False)\n"
        "@flow.step\n"
        "async def one(ctx):\n"
        "    ctx.identity.password = 'correct horse battery'\n"
        "    print('it is correct horse battery')\n"
        "    print('half: correct ', end='')\n"
        "    print('horse battery', file=sys.stdout)\n"
        "    ctx.log.info('it_is', value='correct horse battery')\n"
        "    raise RuntimeError('correct horse battery')\n"
    )
    worker = start()
    worker.hello = msgspec.structs.replace(
        worker.hello, job=msgspec.structs.replace(worker.hello.job, flow=str(leaky), params={})
    )
    worker.begin()
    assert isinstance(worker.until(Finished).outcome, Failed)
    assert worker.end() == ExitCode.FAILED
    said = worker.output.read_text()
    assert "correct horse" not in said
    assert said.count("[redacted]") >= 4


# --- without an orchestrator -----------------------------------------------------------------------------------------


def by_hand(tmp_path, *arguments, **options):
    """Run the command that a person types."""
    command = [sys.executable, str(RUN), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False, cwd=tmp_path, **options)


def places(tmp_path):
    """Where a test's state and logs are."""
    return ["--state-dir", str(tmp_path / "state"), "--log-dir", str(tmp_path / "logs")]


def test_by_hand(tmp_path):
    """A person sees the steps as lines; the worker's output is in its log; the exit code is the worker's."""
    arguments = ["p1", "--flow", str(FLOW), "--param", f"marks={tmp_path / 'marks'}", *places(tmp_path)]
    done = by_hand(tmp_path, *arguments)
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    assert "step second done" in done.stdout
    assert done.stdout.splitlines()[-1] == "done"
    assert "step_committed" in (tmp_path / "logs" / "p1.log").read_text()
    assert "  | the author says hello\n" in done.stdout
    assert "  | " not in done.stdout.replace("  | the author", ""), (
        "what stands on the terminal already is not repeated"
    )
    again = by_hand(tmp_path, *arguments)
    assert "2 steps done, 0 to do" in again.stdout
    assert by_hand(tmp_path, *arguments, "--from", "second").returncode == ExitCode.DONE
    assert (tmp_path / "marks").read_text().splitlines().count("second") == 2


def test_by_hand_names_the_holder(tmp_path):
    """A profile that is in use is refused with exit code 5, naming who holds it."""
    with FileProfileLocks(tmp_path / "state", SystemClock()).hold("p1", "the test"):
        done = by_hand(tmp_path, "p1", "--flow", str(FLOW), "--param", "marks=x", *places(tmp_path))
    assert done.returncode == ExitCode.HOLDER_ALIVE
    assert f"the test, pid {os.getpid()}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["../etc"], "PROFILE_ID"),
        (["p1"], "--flow"),
        (["p1", "--flow", "/nowhere.py"], "no such file"),
        (["p1", "--flow", str(FLOW)], "marks"),
        (["p1", "--flow", str(FLOW), "--param", "marks"], "NAME=VALUE"),
        (["p1", "--flow", str(FLOW), "--param", "marks=x", "--from", "third"], "third"),
    ],
)
def test_bad_input_by_hand(tmp_path, arguments, said):
    """What cannot be used ends with exit code 2 and says what is missing or wrong."""
    extra = places(tmp_path) if arguments else []
    done = by_hand(tmp_path, *arguments, *extra)
    assert done.returncode == ExitCode.BAD_INPUT
    assert said in done.stdout + done.stderr


def test_interrupt_by_hand(tmp_path):
    """^C ends the worker and then the command, with exit code 6."""
    marks = tmp_path / "marks"
    arguments = ["p1", "--flow", str(FLOW), "--param", f"marks={marks}", "--param", "then=wait", *places(tmp_path)]
    with subprocess.Popen([sys.executable, str(RUN), *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + WITHIN
            while not (marks.exists() and "second begins" in marks.read_text()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=WITHIN)
        finally:
            process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in out.splitlines()[-1]


def test_describe(tmp_path):
    """``--describe`` prints the flow as JSON and nothing else, whatever the flow prints, and names bad parameters."""
    noisy = tmp_path / "noisy.py"
    noisy.write_text(FLOW.read_text() + "\nprint('noise')\n")
    done = by_hand(tmp_path, "--describe", str(noisy), input='{"marks": "x"}\n{"marks": 5}\n')
    assert done.returncode == ExitCode.DONE
    found = msgspec.json.decode(done.stdout, type=FlowDescription)
    assert [step.name for step in found.steps] == ["first", "second"]
    assert not found.browser
    assert [(problem.index, problem.field) for problem in found.problems] == [(1, "marks")]


def test_describe_a_broken_flow(tmp_path):
    """A flow that cannot be loaded: exit code 2, and one line that points into the file."""
    broken = tmp_path / "broken.py"
    broken.write_text("x = (\n")
    done = by_hand(tmp_path, "--describe", str(broken), input="")
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"{broken}:1: SyntaxError")


def test_help_documents_the_exit_codes():
    """Every exit code is explained."""
    done = subprocess.run(
        [sys.executable, str(RUN), "--help"], capture_output=True, text=True, timeout=WITHIN, check=True
    )
    for code in ExitCode:
        assert f"\n  {code.value}  " in done.stdout


def test_lone_surrogate_silences_nobody(start):
    """What a step says that UTF-8 has no form for arrives spelled out, and so does all that follows."""
    worker = start(then="lone surrogate")
    worker.begin()
    worker.until(Progress, note="half \\ud83d")
    outcome = worker.until(Finished).outcome
    assert isinstance(outcome, Failed)
    assert outcome.reason.endswith("RuntimeError: the page said \\ud83d")
    assert worker.end() == ExitCode.FAILED
    assert "half \\ud83d\n" in worker.output.read_text()
