"""Running the steps of one attempt: try, check, commit.

**A step's try**: where an earlier try began and was not committed, the post-condition is asked first; if it holds, the body
is left out. Then the body, under the step's timeout, then the post-condition.

**Its commit**: export the login state → write it → write the session with the flag → say so. Never the flag before the
login state. Between the two writes nothing can be cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from core.browser.port import OpenBrowser
from core.clock import Clock
from core.domain.messages import Note, Phase, Progress, StepCommitted, StepProblem, StepStarted
from core.errors import (
    BrowserLost,
    DurableWriteFailed,
    Fenced,
    NeedsPerson,
    OstlerError,
    PostconditionFailed,
    StepError,
    StepFailed,
    StepTimedOut,
)
from workers.author import authors_traceback, definition_of, place_of, whole_traceback
from workers.classify import code_of
from workers.failure import reason_of
from workers.port import Control
from workers.record import STARTED, Record, as_json
from workers.steps.context import Context
from workers.steps.evidence import Evidence
from workers.steps.flow import Flow
from workers.steps.signs import Signs

if TYPE_CHECKING:
    from core.domain.failure import Code
    from core.state.port import LoginState
    from workers.steps.flow import Body, Check, Step

T = TypeVar("T")

PREPARE = "prepare"
PREPARE_TIMEOUT = 60.0
AUTHENTICATED = "authenticated"
CHECK_TIMEOUT = 30.0
_MARGIN = 15.0
_LEAST_LIMIT = 30.0
_LOST_NOTICE = 1.0
_SAID_WITHIN = 0.2

# what no further try of a step can mend
_FATAL = (Fenced, BrowserLost, DurableWriteFailed)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the steps of an attempt run.

    Attributes:
        flow: whose steps.
        ctx: what they see.
        record: the durable side.
        control: the other side of the channel.
        clock: for durations.
        browser: None for a flow without one.
        evidence: keeps what a failure leaves; None without a browser.
        signs: what the browser showed besides.
        verbose: show our own part of tracebacks, too.
        inspect: shows a step to the person who asked for it, and returns when they go on.
        inspect_first: the step to be shown before its body runs.
    """

    flow: Flow
    ctx: Context
    record: Record
    control: Control
    clock: Clock
    browser: OpenBrowser | None
    evidence: Evidence | None = None
    signs: Signs = field(default_factory=Signs)
    verbose: bool = False
    inspect: Callable[[str], Awaitable[None]] | None = None
    inspect_first: str | None = None

    def told(self, error: Exception) -> str:
        """Return the traceback for the log."""
        return whole_traceback(error) if self.verbose else authors_traceback(error)

    def judge(self, error: Exception) -> tuple[Code, str]:
        """Return what went wrong in a step, and the reason, masked; what its author says it is is not doubted."""
        reason = reason_of(error, self.record.mask, place_of(error))
        said = isinstance(error, StepError) and error.code
        if said or self.browser is None:
            return code_of(error), reason
        code, because = self.signs.explain(code_of(error), self.ctx.page)
        return code, f"{reason}; {because}" if because else reason


async def unless_lost(browser: OpenBrowser | None, body: Callable[[], Awaitable[T]]) -> T:
    """Return the body's value; cancel it when the browser is lost.

    Raises:
        BrowserLost: it was, before the body ended.
    """
    if browser is None:
        return await body()
    return await unless(browser.lost, partial(_loss_of, browser), body)


def _loss_of(browser: OpenBrowser) -> BrowserLost:
    died = browser.driver_died
    return BrowserLost("the browser's driver died" if died else "the browser is gone", driver=died)


async def unless(event: anyio.Event, error: Callable[[], Exception], body: Callable[[], Awaitable[T]]) -> T:
    """Return the body's value; if ``event`` is set before it ends, cancel it and raise what ``error`` makes.

    What the body raises on its way out of a cancellation is a consequence, and not told; but a write that was refused is.
    """
    ended: list[T] = []
    failed: list[Exception] = []
    cut_off = False

    async def watch(scope: anyio.CancelScope) -> None:
        nonlocal cut_off
        await event.wait()
        cut_off = True
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        try:
            ended.append(await body())
        except Exception as exc:  # noqa: BLE001 - raised again below, outside the group, which would wrap it
            failed.append(exc)
        group.cancel_scope.cancel()
    if ended:
        return ended[0]
    if failed and (not cut_off or isinstance(failed[0], (Fenced, DurableWriteFailed))):
        raise failed[0]
    raise error() from (failed[0] if failed else None)


async def prepare(stage: Stage) -> None:
    """Lead the page to where the flow's author wants it.

    Raises:
        StepError: it failed.
        NeedsPerson: it says so.
        BrowserLost: the browser went meanwhile.
    """
    if stage.flow.on_prepare is None:
        return
    stage.ctx.enter(PREPARE)
    stage.control.send(Phase(name=PREPARE, limit=PREPARE_TIMEOUT + _MARGIN))
    try:
        await _body(PREPARE, stage.flow.on_prepare, stage.ctx, PREPARE_TIMEOUT)
    except NeedsPerson as exc:
        raise NeedsPerson(PREPARE, exc.reason, exc.code, exc.asks) from exc
    except _FATAL:
        raise
    except StepError as exc:
        await _keep_evidence(stage, PREPARE, exc)
        code, reason = stage.judge(exc)
        raise type(exc)(PREPARE, reason, code) from exc
    except Exception as exc:
        await _raise_if_lost(stage, exc)
        code, reason = stage.judge(exc)
        stage.ctx.log.warning("prepare_failed", exception=stage.told(exc), code=str(code), reason=reason)
        await _keep_evidence(stage, PREPARE, exc)
        if stage.inspect is not None:
            await stage.inspect("prepare failed")
        raise StepFailed(PREPARE, reason, code) from exc


async def is_authenticated(stage: Stage) -> bool | None:
    """Ask the flow's authentication check; None if it could not find out: it raised, or did not end in time."""
    if stage.flow.on_authenticate is None:
        return True
    stage.ctx.enter(AUTHENTICATED)
    stage.control.send(Phase(name=AUTHENTICATED, limit=CHECK_TIMEOUT + _MARGIN))
    return await _answer(stage.flow.on_authenticate, stage.ctx, CHECK_TIMEOUT)


async def run_step(stage: Stage, step: Step) -> bool:
    """Bring the step to its post-condition; commit nothing. Return whether the body ran.

    Raises:
        StepError: all its tries failed.
        NeedsPerson: it says so.
        BrowserLost, Fenced, DurableWriteFailed: the attempt cannot go on.
    """
    spec = step.spec
    for try_ in range(1, spec.retries + 2):
        stage.ctx.enter(spec.name)
        stage.control.send(StepStarted(step=spec.name, try_=try_, limit=max(_LEAST_LIMIT, spec.timeout + _MARGIN)))
        # a body that ends this process at once is not to be taken for what came before it
        await stage.control.drain(_SAID_WITHIN)
        stage.ctx.log.info("step_started", try_=try_)
        if stage.inspect is not None and try_ == 1 and spec.name == stage.inspect_first:
            await stage.inspect(f"before step {spec.name}")
        try:
            async with nullcontext() if step.limit is None else stage.ctx.limit(step.limit):
                return await _try(stage, step)
        except NeedsPerson as exc:
            raise NeedsPerson(spec.name, exc.reason, exc.code, exc.asks) from exc
        except _FATAL:
            raise
        except Exception as exc:
            await _raise_if_lost(stage, exc)
            failure = exc if isinstance(exc, StepError) else StepFailed(spec.name, str(exc))
            code, reason = stage.judge(exc)
            again = try_ <= spec.retries
            stage.control.send(StepProblem(step=spec.name, try_=try_, reason=reason, will_retry=again, code=code))
            shown = {} if isinstance(exc, StepError) else {"exception": stage.told(exc)}
            stage.ctx.log.warning("step_failed", try_=try_, will_retry=again, code=str(code), reason=reason, **shown)
            await _keep_evidence(stage, spec.name, exc)
            if stage.inspect is not None:
                await stage.inspect(f"step {spec.name} failed")
            if not again:
                raise type(failure)(spec.name, reason, code) from exc
            if isinstance(exc, StepTimedOut):
                await _freshen(stage)
    raise AssertionError("a step has at least one try")  # pragma: no cover


async def export(stage: Stage, step: Step) -> LoginState | None:
    """Return the login state that goes with the step; None without a browser.

    Raises:
        BrowserLost: there was no answer in time.
    """
    if stage.browser is None:
        return None
    stage.control.send(Progress(note="commit"))
    level = "cookies" if step.spec.commit == "cookies" else "storage"
    login = await stage.browser.export(level, stage.record.login, stage.clock.now())
    if login.unexportable:
        data = {"step": step.name, "stores": list(login.unexportable)}
        stage.control.send(Note(name="login_state_incomplete", data=data))
    return login


def commit(stage: Stage, step: Step, login: LoginState | None, generation: int, said: StepCommitted) -> None:
    """Make the step durable, and say so. Synchronous: nothing comes between its writes.

    Raises:
        Fenced, DurableWriteFailed: it is not committed.
        StepFailed: neither, what it brought out cannot be kept.
    """
    try:
        # a list that was read may have been appended anything
        outputs = {name: as_json(name, value) for name, value in stage.ctx.outputs.all().items()}
    except TypeError as exc:
        raise StepFailed(step.name, f"output {exc}", "flow_error") from exc
    if login is not None:
        stage.record.keep_login(login)
    stage.record.commit(step.spec, outputs, None if login is None else generation)
    try:
        stage.ctx.confirm()
    except (OstlerError, OSError) as exc:
        # the selector cache is only a cache
        stage.ctx.log.warning("selectors_not_learnt", reason=reason_of(exc, stage.record.mask))
    stage.control.send(said)
    stage.ctx.log.info("step_committed", flag=step.spec.flag, seconds=round(said.seconds, 3), body_ran=said.body_ran)


async def _try(stage: Stage, step: Step) -> bool:
    if step.check is not None:
        if stage.record.may_have_run(step.name):
            if await _answer(step.check, stage.ctx, step.spec.timeout):
                return False
            stage.control.send(Progress(note="post-condition does not hold yet"))
            stage.ctx.outputs.forget()
        stage.record.remember(step.name, STARTED, stage.clock.now())
    await _body(step.name, step.body, stage.ctx, step.spec.timeout)
    if step.check is not None:
        stage.control.send(Progress(note="post-condition"))
        with stage.ctx.time_limit.of(step.spec.timeout):
            if await step.check(stage.ctx):
                return True
            where = definition_of(step.check)
            raise PostconditionFailed(step.name, f"its body ended, but its post-condition ({where}) does not hold")
        raise StepTimedOut(step.name, f"its post-condition did not end within {step.spec.timeout:g} s")
    return True


async def _body(name: str, body: Body, ctx: Context, seconds: float) -> None:
    where = ""
    with ctx.time_limit.of(seconds):
        try:
            await body(ctx)
        except SystemExit as exc:
            # it is the step's end, not the worker's
            raise StepFailed(name, f"the flow called sys.exit({exc.code!r})") from exc
        except anyio.get_cancelled_exc_class() as exc:
            where = place_of(exc)
            raise
        return
    raise StepTimedOut(name, f"it did not end within {seconds:g} s" + (f"; it was at {where}" if where else ""))


async def _answer(check: Check, ctx: Context, seconds: float) -> bool | None:
    """Return what a check says, None if it raises or does not end in time."""
    with ctx.time_limit.of(seconds):
        try:
            return bool(await check(ctx))
        except (NeedsPerson, *_FATAL):
            raise
        except Exception as exc:  # noqa: BLE001 - "I could not find out" is an answer, too
            ctx.log.info("check_raised", error=type(exc).__name__, place=place_of(exc))
            return None
    ctx.log.info("check_timed_out", seconds=seconds)
    return None


async def _keep_evidence(stage: Stage, step: str, error: Exception) -> None:
    if stage.evidence is not None and stage.browser is not None:
        await stage.evidence.keep(step, error, stage.ctx.page)


async def _freshen(stage: Stage) -> None:
    """Go on with a new page: the old one may hang."""
    if stage.browser is None:
        return
    stage.ctx.page = await stage.browser.fresh_page()
    await prepare(stage)


async def _raise_if_lost(stage: Stage, error: Exception) -> None:
    """Playwright says that its target is closed a moment before the loss of the browser is known."""
    if stage.browser is None:
        return
    if type(error).__name__ == "TargetClosedError":
        with anyio.move_on_after(_LOST_NOTICE):
            await stage.browser.lost.wait()
    if stage.browser.lost.is_set():
        raise _loss_of(stage.browser) from error
