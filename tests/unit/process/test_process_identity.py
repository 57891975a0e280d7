"""A process is never a pid alone."""

from __future__ import annotations

import os
import select
import subprocess
import sys

import msgspec
import pytest

from core.process.identity import Stat, is_alive, own_stamp, stamp


def test_we_are_alive():
    """Our own stamp is stable, and alive."""
    assert own_stamp() == own_stamp() == stamp(os.getpid())
    assert is_alive(own_stamp()) is True


@pytest.mark.skipif(sys.platform != "linux", reason="boots and PID namespaces are told apart on Linux only")
@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ({"host": "elsewhere"}, None),
        ({"boot_id": "another boot"}, False),
        ({"boot_id": ""}, None),
        ({"pid_namespace": "pid:[1]"}, None),
        ({"started": 1.0}, False),
        ({"pid": 2**22 + 1}, False),
        ({"host": "elsewhere", "boot_id": "another boot"}, None),
        ({"boot_id": "another boot", "pid_namespace": "pid:[1]"}, False),
    ],
)
def test_what_a_difference_means(change, alive):
    """Another host or namespace says nothing; another boot or start time is proof of death."""
    assert is_alive(msgspec.structs.replace(own_stamp(), **change)) is alive


def test_a_zombie_is_dead():
    """A process that only waits to be reaped does not live, though its number is taken."""
    process = subprocess.Popen(["sleep", "60"])
    recorded = stamp(process.pid)
    assert is_alive(recorded) is True
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(recorded) is False
    assert stamp(process.pid) == recorded
    process.wait()
    assert is_alive(recorded) is False
    with pytest.raises(ProcessLookupError):
        stamp(process.pid)


@pytest.mark.parametrize(
    ("state", "threads", "dead"), [("Z", 1, True), ("Z", 0, True), ("Z", 3, False), ("T", 1, False), ("X", 0, True)]
)
def test_names_and_leaders(state, threads, dead):
    """A name may look like anything, and a leader that ended before its threads is not dead."""
    raw = f"42 (a ) R (b) {state} 7 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 987654 0 0\n".encode()
    stat = Stat(raw)
    assert (stat.parent, stat.session, stat.started, stat.dead) == (7, 42, 987654.0, dead)
    assert stat.stopped is (state == "T")


def test_the_worker_path_stays_light():
    """What workers import of this folder does not bring psutil along."""
    code = "import sys, core.process.channel, core.process.identity, core.process.guard, core.process.tree; print('psutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_worker_dies_with_its_parent():
    """The kernel sends SIGTERM when the parent is killed, and a parent that died before is noticed."""
    code = (
        "import os, subprocess, sys, time\n"
        "inner = 'import os, time; from core.process.guard import die_with_parent; "
        "print(os.getpid(), die_with_parent(os.getppid()), flush=True); time.sleep(60)'\n"
        "subprocess.Popen([sys.executable, '-c', inner]); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid, supported = parent.stdout.readline().split()
        assert supported == "True"
        worker = stamp(int(pid))
        ended = os.pidfd_open(worker.pid)
        parent.kill()
        assert select.select([ended], [], [], 10)[0] == [ended]
        os.close(ended)
    assert is_alive(worker) is False
    wrong = "from core.process.guard import die_with_parent; die_with_parent(1)"
    done = subprocess.run([sys.executable, "-c", wrong], capture_output=True, text=True, check=False)
    assert "ControlLost: the parent process 1 is gone" in done.stderr
