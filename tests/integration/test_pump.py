"""Output of real processes through the pump: all of it accounted for, little of it kept, nothing secret, nothing waits."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
import structlog

from core.errors import SpawnFailed
from core.process.child import LaunchPlan, SubprocessLauncher
from core.process.port import WorkerCommand
from core.process.pump import LogLimits, Pump, header, open_log
from core.process.tree import Marks, kill_tree
from core.redaction import Redactor
from core.rotation import rotate

pytestmark = pytest.mark.timeout(90)
SECRET = "correct-horse-battery"
CHILDREN = Path(__file__).parent.parent / "children"


class Pipe:
    """A pump with our own end of its pipe."""

    def __init__(self, log: Path, limits: LogLimits) -> None:
        self.log = log
        source, self.end = os.pipe()
        self.redactor = Redactor([SECRET])
        self.pump = Pump(source, open_log(log), limits, self.redactor)
        self.pump.start(header(number=1, job_id="job", at=0.0))

    def run(self, code: str) -> float:
        """Let a process print; return how many seconds it took."""
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", code], stdout=self.end, stderr=self.end, check=True)
        return time.monotonic() - begin

    def until_drained(self) -> None:
        """Wait until the pump has read what was written."""
        while int.from_bytes(fcntl.ioctl(self.end, termios.FIONREAD, bytes(4)), sys.byteorder):
            os.sched_yield()

    def close(self) -> bytes:
        """End the output; return the log after its header."""
        os.close(self.end)
        assert self.pump.join(30)
        first, _, rest = self.log.read_bytes().partition(b"\n")
        assert first == b"--- attempt 1 of job at 1970-01-01T00:00:00.000Z ---"
        return rest


@pytest.fixture
def pipe(tmp_path):
    return Pipe(tmp_path / "p1.log", LogLimits())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_flood_is_counted_not_kept(tmp_path):
    """100 MB of lines: memory and file stay small, every line is written or counted, and the last ones are kept."""
    pipe = Pipe(tmp_path / "p1.log", LogLimits(rate=100_000, burst=200_000))
    before = peak_kib()
    pipe.run("import sys; w = sys.stdout.buffer.write\nfor n in range(1000000): w(b'%099d\\n' % n)\n")
    log = pipe.close()
    assert peak_kib() - before < 40 * 1024
    assert len(log) < 10_000_000
    dropped = sum(int(count) for count in re.findall(rb"--- (\d+) lines \(\d+ bytes\) dropped", log))
    written = len(re.findall(rb"^\d{99}$", log, re.MULTILINE))
    assert written + dropped == 1_000_000
    assert log.endswith(b"%099d\n" % 999_999)


def test_a_line_of_fifty_megabytes_is_cut(pipe):
    """A line without an end does not fill memory, and says how long it was."""
    before = peak_kib()
    pipe.run("import sys\nfor n in range(50): sys.stdout.write('x' * 1000000)\nprint(); print('after')")
    log = pipe.close()
    assert peak_kib() - before < 20 * 1024
    long, after, _ = log.split(b"\n")
    assert after == b"after"
    assert re.fullmatch(rb"x{1,65536} \[line of 50000000 bytes cut\]", long)


def test_nothing_in_the_log_acts_on_a_terminal(pipe):
    """NUL, colours, titles, cursor tricks, text that runs backwards and bad UTF-8 are made harmless, words are kept."""
    os.write(pipe.end, b"a\0b \x1b[31mred\x1b[0m \x1b]0;title\x07end \x1b7 \xff\xfe bell\x07 \xc2\x9b1m\r\n")
    os.write(pipe.end, "grün \u202eab ✓\told\rnew\n".encode())
    lines = pipe.close().decode("utf-8").splitlines()
    assert lines == [
        "a\\x00b red end \\x1b7 �� bell\\x07 \\x9b1m",
        "grün \\u202eab ✓\told\\x0dnew",
    ]


def test_a_secret_in_two_pieces_is_masked(pipe):
    """A read that ends in the middle of a secret, a colour in it, and a line that is cut in it: masked each time."""
    for piece in (SECRET[:7], SECRET[7:] + "\n", SECRET[:5] + "\x1b[1m" + SECRET[5:] + "\n"):
        os.write(pipe.end, piece.encode())
        pipe.until_drained()
    for shift in range(0, len(SECRET), 7):
        for edge in (64 * 1024, 80 * 1024):
            pipe.run(f"print('y' * {edge - shift} + {SECRET!r} + 'z' * 90000)")
    log = pipe.close()
    assert log.startswith(b"[redacted]\n[redacted]\n")
    for length in range(6, len(SECRET) + 1):
        assert SECRET[:length].encode() not in log


def test_a_secret_learnt_during_the_run_is_masked_from_then_on(pipe):
    """What a step generates is a secret from the moment it is told."""
    pipe.redactor.add("generated-value")
    pipe.run("print('password is generated-value')")
    assert pipe.close() == b"password is [redacted]\n"


def test_files_are_private_and_appended_to(tmp_path):
    """0600, a second attempt goes on below the first, and an unfinished last line is ended first."""
    log = tmp_path / "p1.log"
    log.write_bytes(b"torn")
    log.chmod(0o644)
    other = tmp_path / "p2.log"
    for path in (log, other):
        source, end = os.pipe()
        pump = Pump(source, open_log(path), LogLimits(), Redactor())
        pump.start(header(number=2, job_id="j", at=1.5))
        os.write(end, b"last words")
        os.close(end)
        assert pump.join(10)
    assert log.read_bytes() == b"torn\n--- attempt 2 of j at 1970-01-01T00:00:01.500Z ---\nlast words\n"
    assert other.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_does_not_hold_up_the_worker():
    """Writes to /dev/full fail; the output is read all the same."""
    source, end = os.pipe()
    pump = Pump(source, os.open("/dev/full", os.O_WRONLY), LogLimits(), Redactor())
    pump.start()
    subprocess.run([sys.executable, "-c", "print('x' * 1000000)"], stdout=end, check=True, timeout=20)
    os.close(end)
    assert pump.join(10)


def test_a_full_disk_costs_the_header_not_the_start():
    """The header that cannot be written is lost like any other line."""
    source, end = os.pipe()
    pump = Pump(source, os.open("/dev/full", os.O_WRONLY), LogLimits(), Redactor())
    pump.start(header(number=1, job_id="job", at=0.0))
    os.close(end)
    assert pump.join(10)


@pytest.mark.parametrize("in_the_way", ["directory", "full"])
async def test_a_worker_starts_without_a_log(tmp_path, in_the_way, monkeypatch):
    """Where no log can be opened or moved on, the worker runs all the same, and one warning says so."""
    if in_the_way == "directory":
        (tmp_path / "p1.log").mkdir()
    else:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("core.process.child.rotate", full)
        monkeypatch.setattr("core.process.child.open_log", full)
    launcher = SubprocessLauncher(LaunchPlan(python="/bin/echo", run_py=CHILDREN / "none.py", log_dir=tmp_path), {})
    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            child = await launcher.spawn(WorkerCommand(profile_id="p1", nonce="n"), Redactor())
            assert await child.wait() == 0
            await child.close()
    assert [line["event"] for line in said] == ["log_not_opened"]


def test_the_pump_stops_though_a_grandchild_holds_the_pipe(tmp_path):
    """After the worker's end the grace is all that others get."""
    source, end = os.pipe()
    pump = Pump(source, open_log(tmp_path / "p1.log"), LogLimits(), Redactor())
    pump.start()
    with subprocess.Popen(["sleep", "60"], stdout=end) as holder:
        os.close(end)
        pump.finish(0.1)
        assert pump.join(10)
        holder.kill()
    pump.finish(0.1)


async def test_wait_does_not_wait_for_a_grandchild(tmp_path):
    """A worker that exits while something of its holds its output has ended."""
    plan = LaunchPlan(
        python=sys.executable, run_py=CHILDREN / "tree_worker.py", log_dir=tmp_path, limits=LogLimits(grace=0.1)
    )
    env = {**os.environ, "TREE_WORKER": "holds", "TREE_DIR": str(tmp_path)}
    nonce = os.urandom(8).hex()
    child = await SubprocessLauncher(plan, env).spawn(WorkerCommand(profile_id="p1", nonce=nonce), Redactor())
    try:
        assert await child.wait() == 0
        assert kill_tree(Marks(nonce=nonce)) == 1
    finally:
        await child.close()
    assert (tmp_path / "p1.log").read_text().endswith("ready\n")


async def test_spawning_leaves_no_descriptor_and_no_thread(tmp_path):
    """Fifty workers later everything is as it was, also where the start failed."""
    good = LaunchPlan(python="/bin/true", run_py=CHILDREN / "none.py", log_dir=tmp_path)
    bad = LaunchPlan(python="/nowhere", run_py=CHILDREN / "none.py", log_dir=tmp_path)
    good_launcher, bad_launcher = SubprocessLauncher(good, {}), SubprocessLauncher(bad, {})
    command = WorkerCommand(profile_id="p1", nonce="n")

    async def once() -> None:
        child = await good_launcher.spawn(command, Redactor())
        assert await child.wait() == 0
        await child.close()
        with pytest.raises(SpawnFailed):
            await bad_launcher.spawn(command, Redactor())

    await once()
    before = open_descriptors(), threading.active_count()
    for _ in range(50):
        await once()
    deadline = time.monotonic() + 10
    # the pump of a failed start ends in its own time
    while threading.active_count() > before[1] and time.monotonic() < deadline:
        os.sched_yield()
    after = open_descriptors(), threading.active_count()
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 1


def test_rotation_keeps_what_it_says(tmp_path):
    """A log that is large enough moves on by one; the oldest goes."""
    log = tmp_path / "p1.log"
    assert rotate(log, 10, 2) is False
    for generation in range(4):
        log.write_text(f"generation {generation}")
        assert rotate(log, 1000, 2) is False
        assert rotate(log, 10, 2) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p1.log.1", "p1.log.2"]
    assert (tmp_path / "p1.log.1").read_text() == "generation 3"
    log.write_text("x" * 10)
    assert rotate(log, 10, 0) is True
    assert not log.exists()


def test_a_worker_is_not_slowed_by_its_own_flood(tmp_path):
    """Dropping is faster than writing: 30 MB above the rate take seconds, not the half minute the rate would take."""
    pipe = Pipe(tmp_path / "p1.log", LogLimits(rate=10_000, burst=70_000))
    took = pipe.run("import sys\nfor n in range(30): sys.stdout.write(('x' * 99 + '\\n') * 10000)")
    pipe.close()
    assert took < 30


def test_a_killed_worker_leaves_its_last_half_line(pipe):
    """What was printed before SIGKILL is in the log, though its line was never ended."""
    code = "import sys, time; print('half a', end='', flush=True); print('up', file=sys.stderr, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=pipe.end, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == b"up\n"
        process.kill()
    assert pipe.close() == b"half a\n"
