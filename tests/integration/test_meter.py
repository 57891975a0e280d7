"""The host's load: this very host, and files that stand for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.process.identity import stamp
from core.process.meter import SystemMeter, memory_groups, memory_of_trees

MB = 1024 * 1024
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is measured here is read from /proc")
HOLD = "import sys; data = bytearray({size}); print('there', flush=True); sys.stdin.read()"
SPIN = "print('there', flush=True)\nwhile True: pass"


def start(code):
    """Start a Python process; return it once it says that it is there."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"there\n"
    return process


def test_this_host_says_something_of_everything(tmp_path):
    """The first look has no shares of time; the second has, and they are shares."""
    meter = SystemMeter(tmp_path)
    first = meter.measure({}, 0.0)
    before = os.times().elapsed
    while os.times().elapsed - before < 0.3:  # the kernel counts in hundredths of a second
        time.sleep(0.05)
    second = meter.measure({}, 0.5)
    assert (first.cpu_others, first.cpu_own, second.lag) == (None, None, 0.5)
    assert second.memory_free > 0 and second.disk_free > 0
    assert 0 <= second.cpu_others <= 1 and 0 <= second.cpu_own <= 1


def test_a_tree_is_measured_with_its_children(tmp_path):
    """A worker of little memory with a child that holds 100 MB; once it is gone it uses nothing."""
    child = HOLD.format(size=100 * MB)
    parent = start(
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=0, stdout=1); p.wait()"
    )
    try:
        attempts = {"a": stamp(parent.pid)}
        meter = SystemMeter(tmp_path)
        assert 100 * MB <= meter.measure(attempts, 0.0).used["a"] <= 250 * MB
        found = memory_of_trees([parent.pid, 999_999_999])
        assert list(found) == [parent.pid] and 100 * MB <= found[parent.pid] <= 250 * MB
    finally:
        parent.communicate(b"")
    assert meter.measure(attempts, 0.0).used == {"a": 0}
    assert meter.measure({}, 0.0).used == {}


def share_of(pid, tmp_path, *, named):
    """Return what our own processes computed in a second, a process named as an attempt's or not."""
    attempts = {"a": stamp(pid)} if named else {}
    meter = SystemMeter(tmp_path)
    meter.measure(attempts, 0.0)
    before = os.times().elapsed
    while os.times().elapsed - before < 1:
        time.sleep(0.05)
    return meter.measure(attempts, 0.0).cpu_own


def test_who_computes_is_told_apart(tmp_path):
    """A process that spins is one of ours where it is said to be an attempt's; one that nobody is the parent of is not."""
    lone = f"import subprocess as s, sys; print(s.Popen([sys.executable, '-c', {SPIN!r}], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    said = subprocess.run([sys.executable, "-c", lone], capture_output=True, text=True, check=True).stdout
    spinner = int(said)
    try:
        assert share_of(spinner, tmp_path, named=True) - share_of(spinner, tmp_path, named=False) > 0.05
    finally:
        os.kill(spinner, signal.SIGKILL)


def test_what_comes_from_us_is_ours_and_stays_so(tmp_path):
    """A child that is no attempt counts, and so does what it has computed once it is gone."""
    code = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    meter = SystemMeter(tmp_path)
    meter.measure({}, 0.0)
    before = os.times().elapsed
    subprocess.run([sys.executable, "-c", code], check=True)
    computed = meter.measure({}, 0.0).cpu_own * (os.times().elapsed - before) * os.cpu_count()
    assert computed > 0.4


def host(tmp_path, cgroup, groups):
    """Lay out a host of files."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 8000 kB\nMemAvailable: 4000 kB\n")
    (tmp_path / "proc" / "stat").write_text("cpu 1 0 1 1 0 0 0 0\n")
    for name, files in groups.items():
        (tmp_path / "groups" / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (tmp_path / "groups" / name / file).write_text(content)
    return SystemMeter(tmp_path, proc=tmp_path / "proc", groups=tmp_path / "groups")


V2 = {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "anon 1\ninactive_file 100000\n"}
V1 = {
    "memory.limit_in_bytes": "2000000\n",
    "memory.usage_in_bytes": "1900000\n",
    "memory.stat": "inactive_file 1\ntotal_inactive_file 500000\n",
}


@pytest.mark.parametrize(
    ("cgroup", "groups", "free"),
    [
        ("", {}, 4000 * 1024),
        ("0::/a/b\n", {"a/b": V2}, 400_000),
        ("0::/a/b\n", {"a": V2, "a/b": {"memory.max": "max\n", "memory.current": "5\n"}}, 400_000),
        ("0::/\n", {".": V2}, 400_000),
        ("0::/not/to/be/seen\n", {".": V2}, 400_000),
        ("4:memory:/x\n", {"memory/x": V1}, 600_000),
        ("4:cpu,memory:/x\n0::/\n", {"memory/x": V1}, 600_000),
        ("3:cpu:/x\n", {"memory/x": V1}, 4000 * 1024),
        ("4:memory:/x\n", {"memory/x": {**V1, "memory.limit_in_bytes": "9223372036854771712\n"}}, 4000 * 1024),
        ("0::/a\n", {"a": {**V2, "memory.current": "rubbish"}}, 4000 * 1024),
    ],
)
def test_the_narrowest_limit_counts(tmp_path, cgroup, groups, free):
    """Of the host and of every group above us, in both versions; what the kernel may drop is not used."""
    assert host(tmp_path, cgroup, groups).measure({}, 0.0).memory_free == free


def test_groups_are_found_on_this_host():
    """Each is a directory, the narrowest first."""
    found = list(memory_groups(Path("/proc"), Path("/sys/fs/cgroup")))
    assert all(group.is_dir() for group in found)
