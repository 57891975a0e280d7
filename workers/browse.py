"""Launch and steps: as many browsers as it takes, each closed before its data is copied."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from core.domain.messages import BrowserClosed, Progress, StepCommitted
from core.errors import BrowserError, BrowserLost, BrowserNotFound, BrowserRefused, StepError
from core.profiles.platforms import login_status
from core.profiles.port import ProfileMetadata, timestamp
from core.state.port import LoginState
from workers.failure import Stopped
from workers.opening import browser_request, introduce
from workers.port import AttemptKey
from workers.steps.evidence import Evidence
from workers.steps.execute import Stage, commit, export, is_authenticated, prepare, run_step, unless_lost
from workers.steps.flow import Step
from workers.steps.network import NetworkAccount, host_of
from workers.steps.signs import Signs
from workers.steps.trace import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.browser.port import BrowserRequest, OpenBrowser
    from core.workspaces.port import Workspace
    from workers.handoff import HandOff
    from workers.report import Reporter
    from workers.restore import Held, Restored
    from workers.runner import Ports

_LAUNCH_MARGIN = 60.0
_SNAPSHOT_LIMIT = 600.0
_KEEP_OPEN_TICK = 10.0
_SIZES_LIMIT = 1.0


@dataclass(frozen=True)
class _Pause:
    """A step that held, and is committed once the browser is closed and its data copied."""

    step: Step
    login: LoginState | None
    seconds: float
    body_ran: bool


class Browsing:
    """Runs the steps of one attempt, with browsers or without."""

    def __init__(
        self, run: Restored, ports: Ports, reporter: Reporter, hand_off: HandOff, yields_to: Callable[[], str]
    ) -> None:
        self._run = run
        self._hand_off = hand_off
        self._yields_to = yields_to
        self._ports = ports
        self._reporter = reporter
        self._todo = list(run.todo)
        self._doubts_login = False
        hello, job = run.hello, run.hello.job
        shared: dict[str, Any] = {
            "key": AttemptKey(job.profile_id, job.id, hello.attempt),
            "artifacts": ports.artifacts,
            "control": ports.control,
            "record": run.record,
            "log": reporter.log,
        }
        self._evidence = Evidence(**shared, screenshots=hello.settings.screenshots == "on-failure")
        self._tracer = Tracer(**shared, when=hello.settings.trace)
        self._signs = Signs()
        self._network = NetworkAccount(host_of(run.proxy) if run.proxy else None)

    async def without_browser(self) -> None:
        """Run the steps of a flow that wants none."""
        self._reporter.enter("steps")
        stage = self._stage(None)
        await prepare(stage)
        await self._steps(stage)

    async def in_workspace(self, workspace: Workspace, template: Path | None) -> Workspace:
        """Run the steps in a browser; return the workspace, closed, for saving.

        Raises:
            StepError, NeedsPerson: a step.
            BrowserError: the browser did not start, not even in a new copy, or was lost.
        """
        try:
            return await self._browsers(workspace, template)
        finally:
            self._reporter.say_network(self._network)

    async def _browsers(self, workspace: Workspace, template: Path | None) -> Workspace:
        rebuilt = False
        while True:
            self._reporter.enter("launch", self._run.hello.settings.launch_timeout + _LAUNCH_MARGIN)
            try:
                pause = await self._one_browser(workspace)
            except _NotOpened as exc:
                if rebuilt:
                    raise exc.error from exc
                rebuilt = True
                workspace = await self._rebuild(workspace, template, str(exc.error))
                continue
            except _LoginLost:
                self._doubts_login = rebuilt = True
                workspace = await self._rebuild(workspace, template, "the login is not there")
                continue
            if pause is None:
                return workspace
            await self._snapshot(workspace, pause)
            # it holds what the last commit left: nothing is restored into it
            workspace = msgspec.structs.replace(workspace, rebuilt=False)
            if not self._todo:
                return workspace

    async def _rebuild(self, workspace: Workspace, template: Path | None, reason: str) -> Workspace:
        self._reporter.note("workspace_rebuilt", reason=reason)
        rebuild = partial(self._ports.workspaces.rebuild, workspace, template=template)
        return await anyio.to_thread.run_sync(rebuild)

    async def _one_browser(self, workspace: Workspace) -> _Pause | None:
        opened = False
        failed: Exception | None = None
        pause: _Pause | None = None
        try:
            async with self._ports.browsers.open(self._request(workspace)) as browser:
                opened = True
                self._evidence.watch(browser.context)
                self._network.watch(browser.context)
                self._signs.watch(browser.context)
                await self._tracer.start(browser.context)
                try:
                    pause = await unless_lost(browser, partial(self._use, browser, workspace))
                except Exception as exc:  # noqa: BLE001 - raised below, when the browser is closed in order
                    failed = exc
                await self._last_look(browser, workspace, failed)
                if pause is None:
                    await self._keep_open(browser, failed)
        except BrowserError as exc:
            if opened:
                # it did not close in order; why it was closed says more
                raise failed or exc from exc
            if isinstance(exc, (BrowserNotFound, BrowserRefused)):
                # a new copy would not help, and a crashed attempt's own data may hold what no export does
                raise
            raise _NotOpened(exc) from exc
        finally:
            self._run.ctx.attach(None, None)
            if opened:
                self._reporter.send(BrowserClosed())
        if failed is not None:
            raise failed
        return pause

    async def _last_look(self, browser: OpenBrowser, workspace: Workspace, failed: Exception | None) -> None:
        """What is to be known of a browser before it is closed; a few seconds at the most."""
        step = self._reporter.phase
        if isinstance(failed, BrowserLost):
            await self._evidence.keep(step, failed, None)
        if not isinstance(failed, _LoginLost):
            await self._tracer.stop(browser.context, failed, step=step, temp_dir=workspace.temp_dir)
        await self._network.settle(_SIZES_LIMIT)

    async def _use(self, browser: OpenBrowser, workspace: Workspace) -> _Pause | None:
        await introduce(self._run, self._ports.workspaces, self._reporter, browser, workspace)
        self._run.ctx.attach(browser.context, await browser.page())
        stage = self._stage(browser)
        await self._expect_login(stage, workspace)
        self._reporter.enter("steps")
        if self._todo:
            await self._hand_off.until_done(self._run.ctx, partial(prepare, stage))
        return await self._steps(stage)

    async def _expect_login(self, stage: Stage, workspace: Workspace) -> None:
        """Ask the flow's authentication check.

        The cases: logged in → go on; nobody can tell → say so and go on; not, but the last commit's login state could still
        bring it back, which is tried once → a new copy; not at all (it never was, or the site ended it) → say so and go on:
        logging in is the steps' work.

        Raises:
            _LoginLost: the third case.
        """
        authenticated = await is_authenticated(stage)
        if authenticated:
            self._signs.login_missing = False
            if self._run.flow.on_authenticate is not None:
                self._run.metadata.login_state = "logged_in"
                self._run.record.note_login(self._run.flow.name)
            return
        if authenticated is None:
            self._reporter.note("authentication_unknown")
            return
        restored = self._request(workspace).restore is not None
        if self._run.record.login is not None and self._run.login_counts and not restored and not self._doubts_login:
            raise _LoginLost
        self._signs.login_missing = self._run.flow.name in self._run.record.session.logged_in
        was_there = self._signs.login_missing or self._run.metadata.login_state == "logged_in"
        self._run.metadata.login_state = "expired" if was_there else "logged_out"
        self._reporter.note("not_authenticated")

    async def _steps(self, stage: Stage) -> _Pause | None:
        while self._todo:
            if (reason := self._yields_to()) != "":
                raise Stopped(reason)
            step = self._todo[0]
            self._reporter.phase = step.name
            began = self._ports.clock.monotonic()
            if stage.browser is None:
                body_ran = await run_step(stage, step)
            else:
                body_ran = await self._hand_off.until_done(self._run.ctx, partial(run_step, stage, step))
            login = await export(stage, step)
            seconds = self._ports.clock.monotonic() - began
            del self._todo[0]
            pause = _Pause(step, login, seconds, body_ran)
            if step.spec.commit == "snapshot" and stage.browser is not None:
                return pause
            self._commit(stage, pause)
        return None

    async def _snapshot(self, workspace: Workspace, pause: _Pause) -> None:
        self._reporter.send(Progress(note="snapshot"))
        self._reporter.enter("save", _SNAPSHOT_LIMIT)
        receipt = await anyio.to_thread.run_sync(partial(self._ports.workspaces.snapshot, workspace))
        self._reporter.log.info("snapshot_taken", step=pause.step.name, files=receipt.files, bytes=receipt.bytes)
        self._commit(self._stage(None), pause)
        save_metadata(self._run, self._ports)

    def _commit(self, stage: Stage, pause: _Pause) -> None:
        spec = pause.step.spec
        said = StepCommitted(step=spec.name, flag=spec.flag, seconds=pause.seconds, body_ran=pause.body_ran)
        commit(stage, pause.step, pause.login, self._run.next_generation, said)
        self._signs.login_missing = False
        if self._run.metadata.login_state in ("expired", "logged_out"):
            self._run.metadata.login_state = "unknown"  # the step may have been the one that logs in

    def _stage(self, browser: OpenBrowser | None) -> Stage:
        settings = self._run.hello.settings
        return Stage(
            flow=self._run.flow,
            ctx=self._run.ctx,
            record=self._run.record,
            control=self._ports.control,
            clock=self._ports.clock,
            browser=browser,
            evidence=self._evidence,
            signs=self._signs,
            verbose=settings.verbose,
            inspect=partial(self._inspect, browser) if settings.inspect and browser is not None else None,
            inspect_first=settings.from_step,
        )

    def _request(self, workspace: Workspace) -> BrowserRequest:
        return browser_request(self._run, workspace, doubts_login=self._doubts_login)

    async def _inspect(self, browser: OpenBrowser, why: str) -> None:
        """By hand: open Playwright's inspector on the step's page, until the person resumes."""
        page = self._run.ctx.page
        if page.is_closed():
            page = await browser.page()
        self._reporter.note("inspecting", why=why, hint="press Resume in the inspector's window, or close the browser")
        async with anyio.create_task_group() as group:
            group.start_soon(self._tell_progress, "inspecting")
            await page.pause()
            group.cancel_scope.cancel()
        self._reporter.note("inspected", why=why)

    async def _tell_progress(self, what: str) -> None:
        while True:
            self._reporter.send(Progress(note=what))
            await anyio.sleep(_KEEP_OPEN_TICK)

    async def _keep_open(self, browser: OpenBrowser, error: Exception | None) -> None:
        """By hand: leave the browser open until the person closes it."""
        if not self._run.hello.settings.keep_open or not (error is None or isinstance(error, StepError)):
            return
        self._reporter.note("kept_open", hint="close the browser's window to go on")
        while not browser.lost.is_set():
            self._reporter.send(Progress(note="kept open"))
            with anyio.move_on_after(_KEEP_OPEN_TICK):
                await browser.lost.wait()


def save_metadata(run: Held, ports: Ports) -> None:
    """Note that the profile's browser data is as new as its login state, and that all is well.

    What others set meanwhile stays: only what this holder knows better is written.
    """
    known, job = run.metadata, run.hello.job
    now = timestamp(ports.clock.now())
    login = None if run.record.login is None or run.record.login.is_empty else run.record.login

    def change(metadata: ProfileMetadata) -> None:
        metadata.generation = run.record.session.login_generation
        metadata.browser, metadata.browser_version = known.browser, known.browser_version
        metadata.last_used = metadata.last_activity = now
        metadata.last_error = metadata.error_phase = None
        metadata.lock_pid = os.getpid()
        metadata.template = known.template
        metadata.login_state = known.login_state
        metadata.login_state = login_status(metadata, login, ports.clock.now())

    run.metadata = ports.profiles.update(job.profile_id, change)


class _LoginLost(Exception):
    """The flow's check finds no login, and the last commit had one."""


class _NotOpened(Exception):
    """The browser did not start in this workspace."""

    def __init__(self, error: BrowserError) -> None:
        self.error = error
        super().__init__(str(error))
