"""One attempt of a worker on a real state directory: the product's own pipeline and stores, and a browser of the test's choice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog.testing

from core.clock import SystemClock
from core.domain.messages import Hello, Note, Phase, WorkerSettings
from core.domain.model import JobSpec
from core.domain.outcome import Outcome
from core.process.identity import own_stamp
from core.profiles.lock import FileProfileLocks
from core.profiles.store import FileProfileStore
from core.redaction import Redactor
from core.state.login_state import FileLoginStateStore
from core.state.selector_cache import FileSelectorCache
from core.state.sessions import FileSessionStore
from core.workspaces.files import FileWorkspaces
from workers.record import Stores
from workers.runner import Ports, run
from workers.scripted import MemoryArtifacts, ScriptedControl

if TYPE_CHECKING:
    from pathlib import Path

    from core.browser.port import BrowserProvider
    from workers.steps import Flow


@dataclass
class Ended:
    """How it ended, and what was said on the way.

    Attributes:
        outcome: as the worker reports it.
        notes: names of the notes to the orchestrator.
        log: lines of the log, as dictionaries.
        phases: stages of the pipeline that were entered.
    """

    outcome: Outcome
    notes: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        return [line["event"] for line in self.log if line["log_level"] == "warning"]

    @property
    def tracebacks(self) -> list[dict[str, Any]]:
        return [line for line in self.log if "exc_info" in line]


def attempt(state_dir: Path, profile_id: str, flow: Flow, browsers: BrowserProvider) -> Ended:
    """Run one attempt to its end."""
    clock, control, redactor = SystemClock(), ScriptedControl(), Redactor()
    locks = FileProfileLocks(state_dir, clock)
    ports = Ports(
        locks=locks,
        profiles=FileProfileStore(state_dir),
        stores=Stores(FileSessionStore(state_dir), FileLoginStateStore(state_dir)),
        selectors=FileSelectorCache(state_dir),
        workspaces=FileWorkspaces(state_dir, holder=locks.holder, hold=locks.hold),
        browsers=browsers,
        artifacts=MemoryArtifacts(),
        control=control,
        clock=clock,
        redactor=redactor,
        oom_kills=lambda: 0,
        standing_fence=lambda _: 0,
        load_flow=lambda _: flow,
    )
    hello = Hello(
        job=JobSpec(id=profile_id, profile_id=profile_id, flow=f"/{flow.name}.py"),
        attempt=1,
        nonce="nonce",
        settings=WorkerSettings(state_dir=str(state_dir), log_dir=str(state_dir)),
    )
    with structlog.testing.capture_logs() as log:
        outcome = asyncio.run(run(hello, ports, own_stamp()))
    return Ended(
        outcome,
        notes=[note.name for note in control.all(Note)],
        log=list(log),
        phases=[phase.name for phase in control.all(Phase)],
    )
