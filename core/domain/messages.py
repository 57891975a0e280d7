"""What an orchestrator and a worker say to each other on the control channel.

One JSON object a line, both ways, on a socket that nothing below the worker inherits; end of file means that the other
side is gone. The order at the start: the parent makes the registry row durable and spawns; it sends ``Hello``; the child
takes the profile's lock and answers ``Ready`` (or ``Finished(Busy)``); the parent records it and sends ``Go``. Without
``Go`` the child has no effect on anything. With it, the child makes its workspace, says ``Prepared`` and waits for ``Launch``:
the right to run a browser. A child that finds nothing to do ends without having asked for it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from core.domain.failure import Code
from core.domain.model import HostTraffic, JobSpec, ProcessStamp
from core.domain.outcome import Outcome
from core.domain.session import StepSpec

Screenshots = Literal["off", "on-failure"]
Trace = Literal["off", "on-failure", "always"]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A person uses the profile's browser, and no flow does.

    Attributes:
        url: what it shows first; None: the profile's own start page, if it has one.
        save: whether what the person did is kept.
    """

    url: str | None = None
    save: bool = True


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know besides its job. Paths are absolute.

    Attributes:
        state_dir: root of everything durable.
        log_dir: where ``<id>.log`` is.
        browser: executable; None to discover one.
        headed: show the browser.
        sandbox: None for "on, unless the user is root"; True insists, False is an explicit choice.
        action_timeout: seconds; Playwright's own, below every step's.
        launch_timeout: seconds that starting the browser, and connecting to it, may take.
        close_timeout: seconds a clean close of the browser may take.
        from_step: by hand only: start at this step.
        keep_open: by hand only: leave the browser open at the end, until it is closed.
        screenshots: ``on-failure`` or ``off``.
        trace: of Playwright: ``on-failure``, ``always`` or ``off``.
        inspect: by hand only: open Playwright's inspector where a step fails, or before ``from_step``.
        verbose: by hand only: show our own part of tracebacks, too.
        park: where a step needs a person, keep the browser open and wait for one, instead of ending.
        visit: by hand only: open the browser for a person; the job's flow is not loaded.
    """

    state_dir: str
    log_dir: str
    browser: str | None = None
    headed: bool = False
    sandbox: bool | None = None
    action_timeout: float = 10.0
    launch_timeout: float = 30.0
    close_timeout: float = 5.0
    from_step: str | None = None
    keep_open: bool = False
    screenshots: Screenshots = "off"
    trace: Trace = "off"
    inspect: bool = False
    verbose: bool = False
    park: bool = False
    visit: Visit | None = None


# --- down: orchestrator to worker ------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The job. argv holds the profile's ID only."""

    job: JobSpec
    attempt: int
    nonce: str
    settings: WorkerSettings


class Go(msgspec.Struct, frozen=True, tag="go"):
    """You are recorded: prepare."""


class Launch(msgspec.Struct, frozen=True, tag="launch"):
    """You have a slot and passed the launch gate: start the browser, do the steps."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """A person has done what you waited for: go on with the same step. ``answers``: what the step asked for, by name; secret."""

    answers: dict[str, str] = {}


class Dismiss(msgspec.Struct, frozen=True, tag="dismiss"):
    """No person is waited for any more: close the browser and end; the job waits without it."""


class Yield(msgspec.Struct, frozen=True, kw_only=True, tag="yield"):
    """End after the step that is under way, as if interrupted: somebody else needs the room."""

    reason: str


class LimitGiven(msgspec.Struct, frozen=True, kw_only=True, tag="limit_given"):
    """You may go on with what you asked for under this number. ``holds``: others wait until you have left again."""

    ticket: int
    holds: bool = False


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Close the browser and end; ``grace`` seconds until the tree is killed."""

    reason: str
    grace: float


Word = Go | Launch | Resume | Dismiss | Yield | LimitGiven | Stop
Down = Hello | Word


# --- up: worker to orchestrator --------------------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """I hold the profile's lock; this is my number and where the browser will run."""

    fence: int
    process: ProcessStamp
    user_data_dir: str | None


class Phase(msgspec.Struct, frozen=True, kw_only=True, tag="phase"):
    """A stage of the pipeline begins: restore, clone, verify, launch, steps (or a person's visit), save, report; within them
    the flow's own ``authenticated`` and ``prepare``. Counts as progress.
    """

    name: str
    limit: float = 30.0


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag="planned"):
    """What this attempt found: names of committed steps, of those to do, and the flags of the latter by step."""

    done: tuple[str, ...]
    todo: tuple[str, ...]
    flags: dict[str, str] = {}


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """The workspace is ours and verified, and no browser was started: I wait for ``Launch``."""


class StepStarted(msgspec.Struct, frozen=True, kw_only=True, tag="step_started"):
    """A step begins its ``try_``-th try; ``limit`` seconds without progress are too long."""

    step: str
    try_: int
    limit: float


class StepCommitted(msgspec.Struct, frozen=True, kw_only=True, tag="step_committed"):
    """The step is durable. ``body_ran`` is False where the post-condition already held."""

    step: str
    flag: str | None
    seconds: float
    body_ran: bool = True


class StepProblem(msgspec.Struct, frozen=True, kw_only=True, tag="step_problem"):
    """A try of the step failed; redacted."""

    step: str
    try_: int
    reason: str
    will_retry: bool
    code: Code = Code.UNKNOWN


class Parked(msgspec.Struct, frozen=True, kw_only=True, tag="parked"):
    """A step needs a person: the browser stays open, and I wait for ``Resume`` or ``Dismiss``.

    Attributes:
        step: which step, or stage of the pipeline.
        why: what the person has to do, redacted.
        code: ``needs_person``, ``captcha_asked`` or ``needs_code``.
        asks: names of what the step wants to be told.
    """

    step: str
    why: str
    code: Code = Code.NEEDS_PERSON
    asks: tuple[str, ...] = ()


class LimitAsked(msgspec.Struct, frozen=True, kw_only=True, tag="limit_asked"):
    """I want to go on with what this key limits, and wait for ``LimitGiven`` with my number. Counts as progress."""

    ticket: int
    key: str


class LimitBegun(msgspec.Struct, frozen=True, kw_only=True, tag="limit_begun"):
    """I have gone on: a start counts from here."""

    ticket: int


class LimitLeft(msgspec.Struct, frozen=True, kw_only=True, tag="limit_left"):
    """I am done with it, or no longer wait for it."""

    ticket: int


class BrowserStarted(msgspec.Struct, frozen=True, kw_only=True, tag="browser_started"):
    """The browser runs and uses our workspace."""

    name: str
    version: str
    pid: int | None


class BrowserClosed(msgspec.Struct, frozen=True, tag="browser_closed"):
    """The browser and its driver are gone."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """``ctx.progress()``: the step is alive and moving."""

    note: str = ""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The worker's loop turns. This is not progress."""


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """Something worth an event: a workspace rebuilt, a value that could not be exported. No secrets."""

    name: str
    data: dict[str, Any]


class Kept(msgspec.Struct, frozen=True, kw_only=True, tag="kept"):
    """Files for people were kept: evidence of a failure, a trace, what the flow's author wanted."""

    step: str
    why: str
    files: tuple[str, ...]
    sensitive: bool


class Network(msgspec.Struct, frozen=True, kw_only=True, tag="network"):
    """What this attempt's browsers asked of the network; see the event of the same name."""

    requests: int
    failures: int
    received: int
    sent: int
    unmeasured: int
    proxy: str | None
    hosts: tuple[HostTraffic, ...]
    more_hosts: int


class SecretLearnt(msgspec.Struct, frozen=True, kw_only=True, tag="secret"):
    """A value that the orchestrator's pump must mask from now on. Travels on this socket only, and is kept in memory."""

    value: str


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The last word; the exit code says the same."""

    outcome: Outcome


Up = (
    Ready
    | Phase
    | Planned
    | Prepared
    | StepStarted
    | StepCommitted
    | StepProblem
    | Parked
    | LimitAsked
    | LimitBegun
    | LimitLeft
    | BrowserStarted
    | BrowserClosed
    | Progress
    | Heartbeat
    | Note
    | Kept
    | Network
    | SecretLearnt
    | Finished
)


class ParamProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters that the flow does not take.

    Attributes:
        index: which set, in the order they were given.
        field: path within the parameters.
        message: what was expected and found, redacted.
    """

    index: int
    field: str
    message: str


class FlowDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run.py --describe FLOW`` prints: the flow as data, without a browser.

    Attributes:
        name: the flow's name.
        steps: in order; name and flag are what planning and progress need.
        browser: whether it wants one.
        params_schema: JSON Schema of its parameters, if it declares any.
        problems: what is wrong with the parameters that were given on standard input.
        lines: where each step stands in the flow's file, by name; not for those of other files.
        checked: names of the steps that have a post-condition.
    """

    name: str
    steps: tuple[StepSpec, ...]
    browser: bool = True
    params_schema: dict[str, Any] | None = None
    problems: tuple[ParamProblem, ...] = ()
    lines: dict[str, int] = {}
    checked: tuple[str, ...] = ()
