"""A person at ``ostler profile open``: starts it, uses its browser over a debugging port that only the test asks for, ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from playwright.sync_api import sync_playwright

from tests.display import WITH_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext

WITHIN = 90.0
_WITH_A_PORT = """\
#!/bin/sh
# only for the browser that is shown: not where one is tried, not where nobody sees it
case "$*" in *--headless*) ;; *) set -- --remote-debugging-port=0 "$@" ;; esac
exec {browser} "$@"
"""


def until(happened: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait for something; ``what`` says what there was instead."""
    end = time.monotonic() + WITHIN
    while not happened():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


class Person:
    """One ``ostler profile open``.

    Args:
        folder: state, logs and what it says go below it.
        display: where windows are shown; None: nowhere.
        args: of the command.
    """

    def __init__(self, folder: Path, display: str | None, *args: str) -> None:
        self.state = folder / "state"
        self.file = folder / "said"
        browser = folder / "chromium-with-a-port"
        browser.write_text(_WITH_A_PORT.format(browser=WITH_WINDOWS))
        browser.chmod(0o700)
        env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        if display is not None:
            env["DISPLAY"] = display
        places = ["--state-dir", str(self.state), "--log-dir", str(folder / "logs"), "--browser", str(browser)]
        command = [sys.executable, "-m", "core.cli.main", "profile", "open", *places, *args]
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=Path(__file__).parents[1], env=env, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self.file.read_text("utf-8")

    def sees(self, text: str) -> None:
        """Wait until the command says this."""
        until(lambda: text in self.said or self.process.poll() is not None, lambda: self.said)
        assert text in self.said, self.said

    @contextmanager
    def at_the_browser(self) -> Iterator[BrowserContext]:
        """Use the browser, as a second one at its controls."""
        self.sees("is open")
        (port_file,) = self.state.glob("workspaces/*/user-data/DevToolsActivePort")
        port = port_file.read_text().split()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            context = browser.contexts[0]
            # answered by whom it is for, never by this helper
            context.on("dialog", lambda _dialog: None)
            yield context

    def close_windows(self) -> None:
        """Close page after page; with the last one the window goes."""
        with self.at_the_browser() as context:
            for page in context.pages:
                page.close()

    def end(self) -> int:
        """Wait until the command has ended; return its exit code."""
        return self.process.wait(WITHIN)

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs for this state directory: worker, driver, browser."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid in (os.getpid(), self.process.pid) or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                environ = process.environ()
                tmp = environ.get("TMPDIR", "")
                if (
                    any(str(self.state) in part for part in process.cmdline())
                    or (tmp and str(self.state) in tmp)
                    or self._started(process)
                ):
                    found.append(process)
        return found

    def worker(self) -> psutil.Process:
        """Return the worker of a visit that is under way."""
        return next(child for child in psutil.Process(self.process.pid).children() if "run.py" in str(child.cmdline()))

    def browser(self) -> psutil.Process:
        """Return the main process of the browser that is shown."""
        return next(
            process
            for process in self.worker().children(recursive=True)
            if any(part.startswith("--user-data-dir=") for part in process.cmdline())
            and not any(part.startswith("--type=") for part in process.cmdline())
        )

    def _started(self, process: psutil.Process) -> bool:
        return self.process.pid in {parent.pid for parent in process.parents()}
