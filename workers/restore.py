"""The first stage of a run: read what is there, raise the fence, load the flow, find what is to do."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core.domain import session as sessions
from core.domain.messages import Hello, Planned
from core.domain.session import SessionState, StepSpec
from core.profiles.port import ProfileMetadata
from core.redaction import proxy_password
from core.state.port import LoginState, Stored
from workers.failure import NotAccepted, UnmetRequirement
from workers.port import AttemptKey
from workers.record import Record
from workers.steps.context import AttemptFacts, Context
from workers.steps.files import Files
from workers.steps.flow import Flow, Step
from workers.steps.locate import Locator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.report import Reporter
    from workers.runner import Ports


class Found(msgspec.Struct, frozen=True):
    """What was on disk when the lock was taken, and the number that this holder gets."""

    session: Stored[SessionState] | None
    login: Stored[LoginState] | None
    fence: int


@dataclass(kw_only=True)
class Held:
    """A profile in this worker's hands.

    Attributes:
        hello: the job.
        metadata: the profile's.
        record: the durable side, under our fence.
        proxy: URL, if one is to be used.
    """

    hello: Hello
    metadata: ProfileMetadata
    record: Record
    proxy: str | None

    @property
    def unsaved(self) -> bool:
        """Whether something was committed since the browser data was saved: an attempt died between the two."""
        return self.record.session.login_generation > self.metadata.generation

    @property
    def login_counts(self) -> bool:
        """Whether the login state is at least as new as the profile's browser data."""
        return self.record.session.login_generation >= self.metadata.generation

    @property
    def next_generation(self) -> int:
        """Number of the next login state; browser data and login state are counted together."""
        return max(self.record.session.login_generation, self.metadata.generation) + 1


@dataclass(kw_only=True)
class Restored(Held):
    """What the rest of a run works with.

    Attributes:
        flow: loaded and checked.
        ctx: what steps see.
        todo: steps of this attempt, in order.
    """

    flow: Flow
    ctx: Context
    todo: list[Step]


def take_over(hello: Hello, ports: Ports, reporter: Reporter, found: Found) -> Record:
    """Return the session under our fence; from here on the stored fence is ours.

    Raises:
        Fenced, DurableWriteFailed: it could not be written.
    """
    record = record_of(hello, ports, reporter, found)
    record.set_status("PROCESSING")
    return record


def record_of(hello: Hello, ports: Ports, reporter: Reporter, found: Found) -> Record:
    """Return what was found as this holder's; nothing is written yet."""
    job = hello.job
    metadata = ports.profiles.read(job.profile_id)
    session = SessionState(profile_id=job.profile_id) if found.session is None else copy.deepcopy(found.session.value)
    session.platform = job.device or (metadata and metadata.device) or session.platform
    for name, value in job.params.items():
        reporter.secrets.learn_under(name, value)
    login = None if found.login is None else found.login.value
    if login is not None and login.is_empty and not login.unexportable:
        login = None  # that of a profile that was just created
    for what, stored in (("session", found.session), ("login_state", found.login)):
        if stored is not None and stored.recovered:
            reporter.note("state_recovered", what=what)
    return Record(session, login, fence=found.fence, stores=ports.stores, secrets_=reporter.secrets)


def restore(hello: Hello, ports: Ports, reporter: Reporter, record: Record) -> Restored:
    """Return what the rest of the run works with.

    Raises:
        FlowLoadError: the flow cannot be loaded.
        NotAccepted: its parameters, or ``from_step``, do not fit.
        UnmetRequirement: a step could never begin.
    """
    job = hello.job
    session = record.session
    metadata = ports.profiles.ensure(job.profile_id, ports.clock.now())
    proxy = job.proxy or metadata.proxy
    learn_settings(reporter, metadata, proxy)
    flow = ports.load_flow(job.flow)
    if hello.settings.inspect and not flow.browser:
        raise NotAccepted("there is nothing to inspect: the flow says browser=False")
    try:
        params = flow.convert(job.params, strict=False)
    except ValueError as exc:
        raise NotAccepted(f"parameters: {exc}") from exc
    facts = AttemptFacts(
        profile_id=job.profile_id,
        attempt=hello.attempt,
        device=session.platform,
        params=params,
        files=files_of(hello, ports, record, metadata),
    )
    locator = Locator(ports.selectors, flow.name, job.profile_id, ports.clock)
    ctx = Context(facts, record, locator, ports.control, reporter.log)
    todo = _to_do(flow, session, hello.settings.from_step)
    done = tuple(spec.name for spec in flow.specs if sessions.is_done(session, spec))
    flags = {step.name: step.spec.flag for step in todo if step.spec.flag is not None}
    reporter.send(Planned(done=done, todo=tuple(step.name for step in todo), flags=flags))
    reporter.log.info("planned", done=list(done), todo=[step.name for step in todo])
    _expect_requirements(session, [step.spec for step in todo])
    return Restored(hello=hello, metadata=metadata, flow=flow, record=record, ctx=ctx, todo=todo, proxy=proxy)


def learn_settings(reporter: Reporter, metadata: ProfileMetadata, proxy: str | None) -> None:
    """Mask what is secret in a profile's settings."""
    if proxy:
        reporter.secrets.learn(proxy_password(proxy))
    for value in metadata.extra_headers.values():
        reporter.secrets.learn(value)
        reporter.secrets.learn(value.partition(" ")[2])  # a token without the scheme that stands before it


def files_of(hello: Hello, ports: Ports, record: Record, metadata: ProfileMetadata) -> Files:
    """Return where a profile's files go."""
    state_dir, job = Path(hello.settings.state_dir), hello.job
    return Files(
        state_dir=state_dir,
        downloads_dir=Path(metadata.downloads or state_dir / "downloads" / job.profile_id),
        artifacts=ports.artifacts,
        key=AttemptKey(job.profile_id, job.id, hello.attempt),
        control=ports.control,
        mask=record.mask,
    )


def _to_do(flow: Flow, session: SessionState, start: str | None) -> list[Step]:
    names = [spec.name for spec in flow.specs]
    wanted = {spec.name for spec in sessions.pending(session, flow.specs)}
    if start is not None:
        if start not in names:
            raise NotAccepted(f"the flow has no step {start!r}; its steps are {', '.join(names)}")
        # the named step is asked for, done or not; those before it are left out, but for what runs in every attempt
        left_out = {spec.name for spec in flow.specs[: names.index(start)] if spec.flag is not None}
        wanted = (wanted - left_out) | {start}
    return [step for step in flow.steps if step.name in wanted]


def _expect_requirements(session: SessionState, todo: Sequence[StepSpec]) -> None:
    """Refuse, before a browser is started, what could not be finished."""
    flags = dict(session.completion_flags)
    for spec in todo:
        missing = sessions.unmet(msgspec.structs.replace(session, completion_flags=flags), spec)
        if missing:
            listed = ", ".join(missing)
            raise UnmetRequirement(spec.name, f"it requires {listed}, which no earlier step of this attempt makes true")
        if spec.flag is not None:
            flags[spec.flag] = True
