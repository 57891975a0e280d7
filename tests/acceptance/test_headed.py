"""One profile by hand, in a browser that can be seen: --headed, --from, --keep-open, --inspect, on a display without a screen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.display import needs_display

CHECKOUT = Path(__file__).resolve().parents[2]
WITHIN = 60.0
FLOW = """\
from workers.steps import Flow
flow = Flow("mine")
@flow.prepare
async def open_page(ctx):
    await ctx.page.goto("data:text/html,<h1>Hello</h1>")
@flow.step
async def one(ctx):
    ctx.outputs["visible"] = await ctx.page.evaluate("outerWidth") > 0
@flow.step
async def two(ctx):
    await ctx.page.locator(ctx.recall("what", "h2")).click(timeout=300)
"""

pytestmark = pytest.mark.browser


class Run:
    """A ``run.py`` by hand."""

    def __init__(self, folder: Path, display: str | None, *args: str) -> None:
        (folder / "mine.py").write_text(FLOW)
        self.state = folder / "state"
        env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        if display is not None:
            env["DISPLAY"] = display
        places = ["--state-dir", str(self.state), "--log-dir", str(folder / "logs")]
        command = [sys.executable, str(CHECKOUT / "run.py"), "anna", "--flow", "mine.py", *places, *args]
        self.seen: set[psutil.Process] = set()
        self.file = folder / "said"
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.file.read_text("utf-8")

    def until(self, text: str) -> None:
        """Wait until it says this."""
        end = time.monotonic() + WITHIN
        while text not in self.said:
            assert self.process.poll() is None and time.monotonic() < end, self.said
            time.sleep(0.05)

    def end(self) -> int:
        return self.process.wait(WITHIN)

    def browsers(self) -> list[psutil.Process]:
        """Return main processes of browsers that it started: the page's, and the inspector's."""
        with suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self.seen.add(process)
        found = []
        for process in self.seen:
            with suppress(psutil.Error):
                line = process.cmdline()
                if _has(line, "--user-data-dir=") and not _has(line, "--type="):
                    found.append(process)
        return found

    def close_window(self) -> None:
        """Let the browser of the page end by itself, as after its last window was closed."""
        for process in self.browsers():
            if any(part.endswith("/user-data") for part in process.cmdline()):
                process.send_signal(signal.SIGTERM)


def _has(line: list[str], prefix: str) -> bool:
    return any(part.startswith(prefix) for part in line)


@pytest.fixture
def by_hand(tmp_path):
    """Start runs; what still runs at the end is stopped."""
    runs: list[Run] = []

    def start(display: str | None, *args: str) -> Run:
        runs.append(Run(tmp_path, display, *args))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(WITHIN)
        assert run.browsers() == []


@needs_display
def test_a_headed_run_names_the_authors_line(by_hand, display):
    """The browser has a window; the step that fails is told by file and line, ours are left out of the log."""
    run = by_hand(display, "--headed")
    assert run.end() == 1
    assert "step one done" in run.said
    assert "failed in two: mine.py:11: TimeoutError" in run.said
    assert 'mine.py", line 11, in two' in run.said and "workers/steps/execute.py" not in run.said


@needs_display
def test_keep_open_leaves_the_browser_to_the_person(by_hand, display):
    """It stays after a failure, too, until its window is closed; --from does a step that is done once more."""
    run = by_hand(display, "--keep-open", "--from", "one")
    run.until("note kept_open")
    assert len(run.browsers()) == 1
    run.close_window()
    assert run.end() == 1
    again = by_hand(display, "--headed", "--from", "one")
    assert again.end() == 1
    assert "1 steps done, 2 to do: one, two" in again.said


@needs_display
def test_the_inspector_opens_before_the_step_and_where_it_fails(by_hand, display):
    """Playwright's own window is there beside the browser's; a stop ends both."""
    run = by_hand(display, "--inspect", "--from", "one")
    run.until("note inspecting: why=before step one")
    end = time.monotonic() + WITHIN
    while len(run.browsers()) < 2:
        assert time.monotonic() < end, "no window of the inspector"
        time.sleep(0.1)
    run.process.terminate()
    assert run.end() == 6
    failing = by_hand(display, "--inspect")
    failing.until("note inspecting: why=step two failed")
    failing.close_window()
    assert failing.end() == 1
    assert "step two failed (giving up): mine.py:11: TimeoutError" in failing.said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a display")
@pytest.mark.parametrize("option", ["--inspect", "--keep-open"])
def test_without_a_display_one_line_says_so(by_hand, tmp_path, option):
    """Nothing is begun."""
    run = by_hand(None, option)
    assert run.end() == 7
    assert len(run.said.splitlines()) == 1
    assert f"{option} shows a browser, and there is no display" in run.said
    assert not (tmp_path / "state").exists()
