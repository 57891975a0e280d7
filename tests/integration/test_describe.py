"""Flows that are asked what they are: what they start while they load, and how the asking may end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.errors import FlowLoadError, HostFailed
from core.process.describe import FlowInspector

RUN = Path(__file__).resolve().parents[2] / "run.py"
FLOW = """
from workers.steps import Flow
flow = Flow("f", browser=False)

@flow.step
async def one(ctx):
    pass
"""
DAEMON = """
import pathlib, subprocess
started = subprocess.Popen(["sleep", "300"], start_new_session=True)
pathlib.Path(__file__).with_name("pid").write_text(str(started.pid))
"""


def inspector(timeout: float = 30) -> FlowInspector:
    """One that remembers nothing."""
    return FlowInspector(RUN, None, timeout=timeout, env=os.environ)


def write(tmp_path: Path, code: str) -> Path:
    """Write a flow."""
    path = tmp_path / "f.py"
    path.write_text(code)
    return path


def is_gone(pid: int) -> bool:
    """Whether a process runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_background_process_holds_nothing_up_and_ends(tmp_path):
    """A flow that starts a daemon while it is loaded is described at once, and the daemon is gone."""
    begin = time.monotonic()
    description = inspector().describe(write(tmp_path, DAEMON + FLOW), [{}] * 5000)
    assert description.name == "f"
    assert time.monotonic() - begin < 25
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_time_limit_ends_what_was_started(tmp_path):
    """A flow that never ends to load is no flow, and leaves nothing."""
    with pytest.raises(FlowLoadError, match="longer than 3 s"):
        inspector(3).describe(write(tmp_path, DAEMON + "import time\ntime.sleep(300)\n"), [])
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_death_by_a_signal_is_the_hosts(tmp_path):
    """A process that is killed while it loads a flow says nothing about the flow."""
    with pytest.raises(HostFailed, match="signal 9"):
        inspector().describe(write(tmp_path, "import os\nos.kill(os.getpid(), 9)\n"), [])


def test_flood_of_words_is_not_kept(tmp_path):
    """The last that is said counts, however much came before it."""
    code = "import sys\nfor _ in range(3000): print('x' * 10000)\nraise ValueError('the end')\n"
    with pytest.raises(FlowLoadError, match="the end"):
        inspector().describe(write(tmp_path, code), [])


def test_cache_or_neighbour_that_is_no_file_is_passed_over(tmp_path):
    """A pipe in the cache's place, or beside the flow, is not waited for."""
    cache = tmp_path / "cache"
    os.mkfifo(cache)
    os.mkfifo(tmp_path / "neighbour.py")
    asking = FlowInspector(RUN, cache, timeout=30, env=os.environ)
    assert asking.describe(write(tmp_path, FLOW), []).name == "f"
    assert asking.describe(tmp_path / "f.py", []).name == "f"
