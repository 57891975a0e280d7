"""Trees of real processes: what is ours is found and ended, whatever it does; what is not is never touched."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import msgspec
import pytest
from filelock import FileLock

from core.domain.messages import Heartbeat
from core.domain.model import AttemptRecord
from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.identity import is_alive, stamp
from core.process.port import WorkerCommand
from core.process.pump import LogLimits
from core.process.scripted import Hang, Say, script
from core.process.table import read_table
from core.process.tree import Marks, ProcessReaper, find_tree, kill_tree
from core.redaction import Redactor

CHILDREN = Path(__file__).parent.parent / "children"
pytestmark = pytest.mark.timeout(60)


def read_ledger(text: str) -> dict[str, int]:
    """Return the pids that a tree worker printed, by name."""
    return {name: int(pid) for name, pid in (line.split() for line in text.splitlines() if line.count(" ") == 1)}


class Tree:
    """A tree worker, its marks, and stamps of all that it started."""

    def __init__(self, child, marks: Marks, log: Path) -> None:
        self.child = child
        self.marks = marks
        self.log = log
        self.stamps = {}

    async def until(self, text: str) -> str:
        """Wait until the log says so."""
        with anyio.fail_after(20):
            while text not in (content := self.log.read_text()):
                await anyio.sleep(0.01)
        self.stamps = {
            name: stamp(pid)
            for name, pid in read_ledger(content.partition("---\n")[2]).items()
            # these have gone already
            if name not in ("forks", "leaves")
        }
        return content


@pytest.fixture
async def plant(tmp_path):
    """Start a tree worker in a mode."""
    trees = []

    async def plant(mode: str) -> Tree:
        directory = str(tmp_path / "browser data")
        nonce = os.urandom(8).hex()
        plan = LaunchPlan(
            python=sys.executable, run_py=CHILDREN / "tree_worker.py", log_dir=tmp_path, limits=LogLimits(grace=0.2)
        )
        launcher = SubprocessLauncher(plan, {**os.environ, "TREE_WORKER": mode, "TREE_DIR": directory})
        child = await launcher.spawn(WorkerCommand(profile_id="p1", nonce=nonce), Redactor())
        tree = Tree(child, Marks(worker=child.stamp, nonce=nonce, user_data_dir=directory), tmp_path / "p1.log")
        trees.append(tree)
        await tree.until("ready\n")
        return tree

    yield plant
    for tree in trees:
        kill_tree(tree.marks)
        await tree.child.close()
        for left in tree.stamps.values():
            if is_alive(left):
                os.kill(left.pid, signal.SIGKILL)


def runs(pid: int, text: str) -> bool:
    try:
        return text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def attempt_of(tree: Tree, **changes) -> AttemptRecord:
    record = AttemptRecord(
        nonce=tree.marks.nonce,
        job_id="j",
        profile_id="p1",
        number=1,
        started_at=0.0,
        process=tree.marks.worker,
        user_data_dir=tree.marks.user_data_dir,
    )
    return msgspec.structs.replace(record, **changes)


async def test_kill_tree_ends_everything_within_five_seconds(plant):
    """A deaf worker, grandchildren in their own sessions, found by mark, by nonce, by descent, and a frozen one."""
    tree = await plant("deaf marked nonce bare frozen")
    os.kill(tree.stamps["frozen"].pid, signal.SIGSTOP)
    os.kill(tree.stamps["worker"].pid, signal.SIGSTOP)
    assert set(tree.stamps) == {"worker", "marked", "nonce", "bare", "bare-child1", "frozen"}
    begin = time.monotonic()
    killed = await tree.child.kill_tree(tree.marks.user_data_dir)
    assert time.monotonic() - begin < 5
    assert killed == len(tree.stamps)
    assert [name for name, left in tree.stamps.items() if is_alive(left)] == []
    assert await tree.child.wait() == -signal.SIGKILL


async def test_a_tree_that_forks_all_the_time_does_not_escape(plant):
    """A process that lives two milliseconds and has a child each time is frozen before it is killed."""
    tree = await plant("forks")
    await tree.child.kill_tree(tree.marks.user_data_dir)
    assert find_tree(tree.marks) == []


async def test_what_is_born_during_the_kill_does_not_escape(plant):
    """A parent that has a child in a new session every few milliseconds, without any mark, is frozen before it is killed."""
    tree = await plant("breeds")
    await tree.child.kill_tree(None)
    # only the code that they run, which names the directory, tells them apart
    assert [entry for entry in read_table().values() if runs(entry.pid, f"# {tree.marks.user_data_dir}")] == []


async def test_an_orphan_is_found_by_its_living_leader(plant):
    """Its environment is empty and its parent is init, but the leader of its session descends from the worker."""
    tree = await plant("leads")
    assert await tree.child.kill_tree(None) == 3
    assert [name for name, left in tree.stamps.items() if is_alive(left)] == []


async def test_a_worker_leads_its_own_session(plant):
    """A signal to the orchestrator's group, as ^C on a terminal is, does not reach it."""
    tree = await plant("plain")
    assert os.getsid(tree.child.stamp.pid) == os.getpgid(tree.child.stamp.pid) == tree.child.stamp.pid


async def test_what_a_dead_worker_left_is_found_without_it(plant):
    """The worker is gone and reaped; what carries the mark or the nonce, and what descends from that, is still ours."""
    tree = await plant("marked nonce")
    os.kill(tree.stamps["worker"].pid, signal.SIGKILL)
    await tree.child.wait()
    reaper = ProcessReaper()
    left = {found.pid for found in await reaper.leftovers([attempt_of(tree)])}
    assert left == {tree.stamps["marked"].pid, tree.stamps["nonce"].pid}
    assert await reaper.reap(attempt_of(tree), 0.1) == 2
    assert not any(is_alive(left) for left in tree.stamps.values())


async def test_a_process_without_any_trace_is_found_by_its_session(plant):
    """Its environment is empty and all its forebears are dead; another in the session of its dead leader has the nonce."""
    tree = await plant("leaves")
    os.kill(tree.stamps["worker"].pid, signal.SIGKILL)
    await tree.child.wait()
    left = {tree.stamps[name].pid for name in ("leaves-child1", "leaves-child2")}
    assert {found.pid for found in find_tree(Marks(nonce=tree.marks.nonce))} == left
    assert kill_tree(tree.marks) == 2


async def test_reap_is_gentle_first(plant):
    """A worker that listens to SIGTERM is not killed, and counts as taken."""
    tree = await plant("plain")
    assert await ProcessReaper().reap(attempt_of(tree, process=None, user_data_dir=None), 2.0) == 1
    assert await tree.child.wait() == -signal.SIGTERM


async def test_reap_kills_a_frozen_worker_after_the_grace(plant):
    """SIGTERM does not reach what is frozen; SIGKILL does."""
    tree = await plant("nonce")
    os.kill(tree.stamps["worker"].pid, signal.SIGSTOP)
    while not read_table()[tree.stamps["worker"].pid].stopped:  # a signal that comes before would be served first
        await anyio.sleep(0.01)
    assert await ProcessReaper().reap(attempt_of(tree), 0.2) == 2
    assert await tree.child.wait() == -signal.SIGKILL


async def test_a_wrong_start_time_proves_nothing(plant):
    """The number is right, the start time is another: neither found nor signalled."""
    tree = await plant("plain")
    other = msgspec.structs.replace(tree.marks.worker, started=tree.marks.worker.started - 1)
    wrong = Marks(worker=other, nonce="another", user_data_dir=tree.marks.user_data_dir + "/x")
    assert find_tree(wrong) == []
    assert kill_tree(wrong) == 0
    assert is_alive(tree.child.stamp) is True


async def test_marks_must_match_whole(plant):
    """A prefix of the directory, or of the nonce, is no proof."""
    tree = await plant("marked")
    directory = tree.marks.user_data_dir
    for marks in (Marks(user_data_dir=directory[:-1]), Marks(nonce=tree.marks.nonce[:-1]), Marks(nonce="")):
        assert find_tree(marks) == []
    assert {found.pid for found in find_tree(Marks(user_data_dir=directory))} == {tree.stamps["marked"].pid}


def test_we_never_end_ourselves():
    """Even if our own stamp is what is asked for: neither we nor our ancestors are signalled."""
    assert find_tree(Marks(worker=stamp(os.getpid()))) == []
    assert kill_tree(Marks(worker=stamp(os.getppid()))) == 0


def can_unshare() -> bool:
    """Whether we may make a PID namespace and choose the next number in it."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    probe = "echo 100 > /proc/sys/kernel/ns_last_pid"
    done = subprocess.run(
        ["unshare", "-p", "-m", "-f", "--mount-proc", "sh", "-c", probe], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs root and unshare, to make a PID namespace")
def test_a_bystander_with_a_reused_number_is_never_touched():
    """In a PID namespace a dead worker's number is given to somebody else at once, thirty times."""
    command = ["unshare", "-p", "-m", "-f", "--mount-proc", sys.executable, str(CHILDREN / "pid_reuse.py"), "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    told = json.loads(done.stdout)
    assert told["reused"] >= 25
    assert (told["mistaken"], told["signalled"]) == (0, 0)


@pytest.mark.skipif(not can_unshare(), reason="needs root and unshare, to make a PID namespace")
def test_another_namespace_gives_no_answer():
    """A stamp of another PID namespace says nothing about a number here."""
    command = ["unshare", "-p", "-m", "-f", "--mount-proc", sys.executable, "-c"]
    code = "import msgspec, core.process.identity as i; print(msgspec.json.encode(i.own_stamp()).decode())"
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=50, check=True)
    foreign = msgspec.json.decode(done.stdout, type=type(stamp(os.getpid())))
    assert is_alive(foreign) is None
    assert find_tree(Marks(worker=msgspec.structs.replace(foreign, pid=os.getpid()))) == []


async def test_nothing_of_ours_is_inherited(plant, tmp_path):
    """A grandchild holds its three standard streams only; no control channel, no lock, no log."""
    lock = FileLock(tmp_path / "a.lock")
    with lock:
        tree = await plant("inherits")
    line = next(line for line in (await tree.until("grandchild")).splitlines() if line.startswith("grandchild"))
    # the fourth is the listing's own
    assert len(ast.literal_eval(line.removeprefix("grandchild "))) <= 4


def test_a_worker_ends_with_its_orchestrator(tmp_path):
    """SIGKILL of the orchestrator is an end of file for the worker, which then ends."""
    plan = msgspec.json.encode(script(Say(message=Heartbeat()), Hang(), ignore_term=True)).decode()
    parent = subprocess.Popen(
        [sys.executable, str(CHILDREN / "lone_parent.py"), str(CHILDREN / "script_worker.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "SCRIPT_WORKER": plan},
    )
    with parent:
        worker = stamp(int(parent.stdout.readline().split()[1]))
        assert is_alive(worker) is True
        parent.kill()
        deadline = time.monotonic() + 10
        while is_alive(worker) and time.monotonic() < deadline:
            os.sched_yield()
        assert is_alive(worker) is False
