"""One attempt, as a value that goes through a named pipeline: restore → clone → verify → launch → steps → save → report.

What holds a resource is a ``with`` around the rest: the profile's lock around everything, the browser around the steps. The
engine knows ports only. Every way out ends in one outcome, which is reported and returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from core.browser.port import BrowserProvider
from core.clock import Clock
from core.domain import session as sessions
from core.domain.messages import Dismiss, Finished, Go, Hello, Launch, LimitGiven, Prepared, Ready, Resume, Stop, Yield
from core.domain.outcome import (
    Busy,
    Corrupt,
    Crashed,
    Done,
    Failed,
    HostFault,
    Interrupted,
    Outcome,
    Rejected,
    TimedOut,
    Waiting,
)
from core.errors import Fenced, OstlerError
from core.profiles.port import ProfileLocks, ProfileMetadata, ProfileStore, timestamp
from core.redaction import Redactor
from core.state.port import SelectorCache
from core.workspaces.port import Workspaces
from workers.browse import Browsing, save_metadata
from workers.failure import Stopped, outcome_of
from workers.handoff import HandOff
from workers.opening import say_workspace
from workers.port import Artifacts, Control
from workers.record import Record, Secrets, Stores
from workers.report import Reporter
from workers.restore import Found, Restored, restore, take_over
from workers.steps.execute import unless
from workers.steps.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from core.domain.messages import Word
    from core.domain.model import ProcessStamp
    from core.workspaces.port import Workspace
    from workers.restore import Held

_CLONE_LIMIT = 600.0
_SAVE_LIMIT = 600.0
_DRAIN = 2.0

# what the worker knows; the orchestrator decides between another try and the end, and repairs it
_STATUS: dict[type[Outcome], str] = {
    Done: "COMPLETED",
    Failed: "FAILED",
    Crashed: "FAILED",
    TimedOut: "FAILED",
    Interrupted: "PENDING",
    Busy: "PENDING",
    HostFault: "WAITING",
    Waiting: "NEEDS_PERSON",
    Corrupt: "QUARANTINED",
    Rejected: "FAILED",
}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a run acts through.

    Attributes:
        locks: one per profile.
        profiles: their metadata.
        stores: sessions and login states.
        selectors: the shared cache.
        workspaces: private copies of browser data.
        browsers: opens them.
        artifacts: files for people.
        control: the other side of the channel.
        clock: time.
        redactor: masks secrets in this process.
        standing_fence: the highest holder's number known of a profile besides its session's: its workspaces'.
        load_flow: loads a flow file; runs its author's code.
        oom_kills: how many processes of ours the kernel has killed for want of memory; None if unknown.
    """

    locks: ProfileLocks
    profiles: ProfileStore
    stores: Stores
    selectors: SelectorCache
    workspaces: Workspaces
    browsers: BrowserProvider
    artifacts: Artifacts
    control: Control
    clock: Clock
    redactor: Redactor
    standing_fence: Callable[[str], int]
    load_flow: Callable[[str], Flow]
    oom_kills: Callable[[], int | None]


async def run(hello: Hello, ports: Ports, stamp: ProcessStamp) -> Outcome:
    """Execute one attempt, report how it ended, and return the same.

    Args:
        hello: the job.
        ports: what it acts through.
        stamp: this very process.
    """
    return await Run(hello, ports).reported(stamp)


class Run:
    """One attempt under way."""

    def __init__(self, hello: Hello, ports: Ports) -> None:
        self._hello = hello
        self._profile_id = hello.job.profile_id
        self._ports = ports
        log = structlog.get_logger().bind(profile_id=self._profile_id, attempt=hello.attempt)
        self._reporter = Reporter(ports.control, Secrets(ports.redactor, ports.control), log)
        self._may_launch = anyio.Event()
        self._hand_off = HandOff(self._reporter, allowed=hello.settings.park)
        self._yields_to = ""
        self._stop = anyio.Event()
        self._stop_reason = ""
        self._record: Record | None = None
        self._restored: Restored | None = None
        self._oom_before = ports.oom_kills()
        self._what = f"attempt {hello.attempt} of job {hello.job.id}"

    async def reported(self, stamp: ProcessStamp) -> Outcome:
        """Do all of it, and tell the other side how it ended."""
        outcome = await self.whole(stamp)
        self._ports.control.send(Finished(outcome=outcome))
        await self._ports.control.drain(_DRAIN)
        return outcome

    async def whole(self, stamp: ProcessStamp) -> Outcome:
        """Take the lock, shake hands, run the pipeline. Without ``Go`` nothing is changed."""
        ports = self._ports
        try:
            with ports.locks.hold(self._profile_id, self._what):
                found = self._find()
                expected = str(ports.workspaces.expected_user_data_dir(self._profile_id, found.fence))
                ports.control.kill_on_silence(expected)
                ports.control.send(Ready(fence=found.fence, process=stamp, user_data_dir=expected))
                word = await ports.control.receive()
                if not isinstance(word, Go):
                    return Interrupted(reason=_why(word))
                return await self._while_listening(partial(self._pipeline, found))
        except Exception as exc:  # noqa: BLE001 - an error of the handshake becomes an outcome like any other
            return self._ended_by(exc)

    def _find(self) -> Found:
        stored = self._ports.stores.sessions.read(self._profile_id)
        login = self._ports.stores.login_states.read(self._profile_id)
        known = [found.fence for found in (stored, login) if found is not None]
        return Found(stored, login, max(self._ports.standing_fence(self._profile_id), *known, 0) + 1)

    async def _while_listening(self, pipeline: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Run the pipeline until it ends or somebody asks for a stop; the status is written under the lock."""
        ended: list[Outcome] = []
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            try:
                ended.append(await unless(self._stop, lambda: Stopped(self._stop_reason), pipeline))
            except Exception as exc:  # noqa: BLE001 - the one place where errors of a run become outcomes
                ended.append(self._ended_by(exc))
            group.cancel_scope.cancel()
        return ended[0]

    async def _listen(self) -> None:
        while (word := await self._ports.control.receive()) is not None and not isinstance(word, Stop):
            match word:
                case Launch():
                    self._may_launch.set()
                case Resume() | Dismiss():
                    self._hand_off.hear(word)
                case Yield(reason=reason):
                    self._yields_to = reason
                case LimitGiven():
                    if self._restored is not None:
                        self._restored.ctx.permits.hear(word)
                case Go():
                    pass  # heard already
        self._stop_reason = _why(word)
        self._reporter.log.info("stopping", reason=self._stop_reason)
        self._stop.set()

    def _ended_by(self, error: Exception) -> Outcome:
        mask = self._reporter.secrets.mask
        outcome = outcome_of(error, self._reporter.phase, mask, starved=self._is_starved())
        if not isinstance(error, OstlerError):
            self._reporter.log.error("attempt_failed", phase=self._reporter.phase, exc_info=error)
        if self._record is not None and not isinstance(error, Fenced):
            try:
                self._record.set_status(_STATUS[type(outcome)])
            except OstlerError as exc:
                # the outcome stands; the orchestrator repairs the status
                self._reporter.log.warning("status_not_written", error=mask(str(exc)))
            self._note_failure(outcome)
        return outcome

    def _note_failure(self, outcome: Outcome) -> None:
        """Write into the profile's metadata what went wrong with it, and where; what is nobody's failure is not."""
        if not isinstance(outcome, (Failed, Waiting, Corrupt, HostFault)):
            return
        text = outcome.why if isinstance(outcome, Waiting) else outcome.reason
        phase = self._reporter.phase

        def change(metadata: ProfileMetadata) -> None:
            metadata.last_error, metadata.error_phase = text, phase
            metadata.last_activity = timestamp(self._ports.clock.now())
            if isinstance(outcome, Corrupt):
                metadata.status = "corrupted"
            if self._restored is not None:
                metadata.login_state = self._restored.metadata.login_state

        try:
            self._ports.profiles.update(self._profile_id, change)
        except OstlerError as exc:
            # metadata that are damaged say so themselves
            self._reporter.log.warning("failure_not_noted", error=self._reporter.secrets.mask(str(exc)))

    def _is_starved(self) -> bool:
        before, now = self._oom_before, self._ports.oom_kills()
        return before is not None and now is not None and now > before

    # --- the pipeline ------------------------------------------------------------------------------------------------

    async def _pipeline(self, found: Found) -> Outcome:
        self._reporter.enter("restore")
        self._record = take_over(self._hello, self._ports, self._reporter, found)
        run = self._restored = restore(self._hello, self._ports, self._reporter, self._record)
        browsing = Browsing(run, self._ports, self._reporter, self._hand_off, lambda: self._yields_to)
        if not run.flow.browser:
            self._ports.control.kill_on_silence(None)
            if run.todo:
                await self._until_launch()
                await browsing.without_browser()
        elif run.todo or run.unsaved:
            await self._in_workspace(run, browsing)
        self._reporter.enter("report")
        facts = [spec for spec in run.flow.specs if spec.flag is not None]
        # what --from left out is still to do
        status = "PENDING" if sessions.pending(run.record.session, facts) else _STATUS[Done]
        run.record.set_status(status)
        return Done()

    async def _until_launch(self) -> None:
        """Say that everything is prepared, and wait for the right to go on: however long that takes, a stop ends it."""
        self._ports.control.send(Prepared())
        await self._may_launch.wait()

    async def _in_workspace(self, run: Restored, browsing: Browsing) -> None:
        spaces, template = self._ports.workspaces, self._hello.job.template
        source = Path(template) if template else None
        self._reporter.enter("clone", _CLONE_LIMIT)
        acquire = partial(spaces.acquire, self._profile_id, run.record.fence, template=source)
        workspace = await anyio.to_thread.run_sync(acquire)
        self._reporter.enter("verify")
        self._take_in(run, workspace)
        await self._until_launch()
        workspace = await browsing.in_workspace(workspace, source)
        # every step is committed and the browser is closed: the rest is not interrupted
        with anyio.CancelScope(shield=True):
            self._reporter.enter("save", _SAVE_LIMIT)
            saved = await anyio.to_thread.run_sync(partial(spaces.save_back, workspace))
            self._reporter.log.info("saved", files=saved.files, bytes=saved.bytes, seconds=round(saved.seconds, 3))
            save_metadata(run, self._ports)

    def _take_in(self, held: Held, workspace: Workspace) -> None:
        """Say where the browser data comes from, and note what that means for the profile."""
        say_workspace(self._reporter, workspace)
        if held.metadata.generation and workspace.receipt.source in {"template", "empty"}:
            hint = "it was there once: what the login state has is restored, the rest is lost unless there is a backup"
            self._reporter.note("browser_data_missing", hint=hint)
        if held.metadata.status == "corrupted":
            held.metadata = self._ports.profiles.update(self._profile_id, _repaired)
            self._reporter.note("profile_repaired")
        if workspace.receipt.source == "template":
            held.metadata.template = held.hello.job.template


def _repaired(metadata: ProfileMetadata) -> None:
    metadata.status = "inactive"


def _why(word: Word | None) -> str:
    return word.reason if isinstance(word, Stop) else "the orchestrator is gone"
