"""A fleet in a directory of its own, started as a user starts it, and looked at from outside.

The judge is a ledger that the sites and stub flows write, the process table and the directories; never what the fleet says
of itself.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).resolve().parents[1]
FLOWS = ROOT / "tests" / "children" / "flows"
BRISK = ("--launch-interval", "0", "--retry-delay", "0.1")
"""No waiting between starts: for flows that open no browser."""


@dataclass(kw_only=True)
class Fleet:
    """State, logs, queue and ledger below one directory."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def ledger_file(self) -> Path:
        return self.directory / "ledger.jsonl"

    def write_queue(self, jobs: Sequence[Any], *, flow: Path = FLOWS / "quick.py", **params: Any) -> Path:
        """Write a feed whose jobs share a flow and parameters; return its path."""
        queue = self.directory / "queue.json"
        shared = {"flow": str(flow), "params": {"ledger": str(self.ledger_file), **params}}
        queue.write_text(json.dumps({"defaults": shared, "jobs": list(jobs)}), "utf-8")
        return queue

    def command(self, *args: object) -> list[str]:
        here = ["--state-dir", str(self.state), "--log-dir", str(self.logs)]
        return [sys.executable, str(ROOT / "orchestrator.py"), *map(str, args), *here]

    def start(self, *args: object) -> subprocess.Popen[bytes]:
        """Start an orchestrator; its output goes to a file."""
        with (self.directory / "orchestrator.out").open("ab") as out:
            return subprocess.Popen(self.command(*args), stdout=out, stderr=subprocess.STDOUT, cwd=self.directory)

    def run(self, *args: object, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run an orchestrator to its end."""
        return subprocess.run(
            self.command(*args), input=stdin, capture_output=True, text=True, timeout=timeout, cwd=self.directory,
            check=False,
        )  # fmt: skip

    def output(self) -> str:
        return (self.directory / "orchestrator.out").read_text("utf-8")

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the events so far, a torn last line left out."""
        found = []
        with suppress(FileNotFoundError):
            for line in (self.logs / "events.jsonl").read_text("utf-8").splitlines():
                with suppress(json.JSONDecodeError):
                    event = json.loads(line)
                    if kind in (None, event["type"]):
                        found.append(event)
        return found

    def wait_for(self, happened: Callable[[], Any], *, deadline: float = 30) -> Any:
        """Return what ``happened`` returns once it is true."""
        end = time.monotonic() + deadline
        while not (found := happened()):
            if time.monotonic() > end:
                message = f"did not happen within {deadline} s; the fleet said: {self.output()[-2000:]}"
                raise TimeoutError(message)
            time.sleep(0.01)
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """Return real effects, in order."""
        if not self.ledger_file.exists():
            return []
        return [json.loads(line) for line in self.ledger_file.read_text("utf-8").splitlines()]

    def effects(self) -> Counter[tuple[str, str]]:
        """Count real effects by profile and kind."""
        return Counter((line["profile_id"], line["effect"]) for line in self.ledger())

    def processes(self) -> list[psutil.Process]:
        """Return live processes that name this fleet's directory in their command line or environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid in (os.getpid(), os.getppid()) or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if (
                    any(str(self.state) in part for part in process.cmdline())
                    or process.environ().get("OSTLER_ATTEMPT") in self.nonces()
                ):
                    found.append(process)
        return found

    def nonces(self) -> set[str]:
        """Return the marks of all attempts that were ever made here."""
        with suppress(sqlite3.Error):
            return {row[0] for row in self.query("SELECT nonce FROM attempts")}
        return set()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the durable queue from outside."""
        with sqlite3.connect(f"file:{self.state / 'queue.db'}?mode=ro", uri=True, timeout=10) as database:
            rows = database.execute(sql).fetchall()
        database.close()
        return rows

    def leftovers(self) -> list[str]:
        """Return what the fleet left behind after at most ten seconds: processes, workspaces, temporary files."""
        end = time.monotonic() + 10
        while (alive := self.processes()) and time.monotonic() < end:
            time.sleep(0.2)
        left = []
        for process in alive:
            with suppress(psutil.Error):
                left.append(f"process {process.pid}: {' '.join(process.cmdline())[:200]}")
        workspaces = self.state / "workspaces"
        left += [f"workspace {path.name}" for path in workspaces.iterdir()] if workspaces.exists() else []
        left += [f"temporary file {path}" for path in self.state.rglob("*") if ".tmp" in path.name and path.is_file()]
        return left


def children_of(orchestrator: int) -> dict[str, list[psutil.Process]]:
    """Return what runs below an orchestrator, by kind: worker, driver, browser (main process only)."""
    found: dict[str, list[psutil.Process]] = {"worker": [], "driver": [], "browser": []}
    for process in _descendants(orchestrator):
        with suppress(psutil.Error):
            line = process.cmdline()
            if any(part.endswith("run.py") for part in line):
                found["worker"].append(process)
            elif line and line[0].endswith("/node"):
                found["driver"].append(process)
            elif _has(line, "--user-data-dir=") and not _has(line, "--type="):
                found["browser"].append(process)
    return found


def _descendants(pid: int) -> Iterable[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _has(line: Sequence[str], prefix: str) -> bool:
    return any(part.startswith(prefix) for part in line)
