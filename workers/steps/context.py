"""What a step sees: ``ctx``."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from core.domain.messages import Progress
from core.domain.session import RESERVED
from core.errors import NeedsPerson
from workers.record import ONCE_KEY, STARTED, as_json
from workers.steps.files import Files
from workers.steps.locate import TIMEOUT
from workers.steps.permits import Permits
from workers.steps.time_limit import TimeLimit

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from playwright.async_api import BrowserContext, Page
    from playwright.async_api import Locator as PageLocator
    from structlog.typing import FilteringBoundLogger

    from core.state.port import Selector
    from workers.port import Control
    from workers.record import Record
    from workers.steps.locate import Locator


class AttemptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change during an attempt.

    Attributes:
        profile_id: whose.
        attempt: its number, from 1.
        device: desktop or mobile.
        params: the flow's parameters, as its ``params`` type; None where it declares none.
        files: where downloads and artifacts go.
    """

    profile_id: str
    attempt: int
    device: str
    params: Any
    files: Files


class IdentityView:
    """The account's own data. Setting an attribute writes it durably at once; reading one that was never set raises
    ``AttributeError``, except for the known fields (email, username, password, two_fa_secret …), which are None.
    """

    __slots__ = ("_record",)
    _record: Record

    def __init__(self, record: Record) -> None:
        object.__setattr__(self, "_record", record)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._record.identity(name)
        except KeyError:
            raise AttributeError(
                f"this profile's identity has no {name!r}; ctx.identity.get({name!r}) gives None"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._record.set_identity(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, ``default`` if it was never set or is None."""
        found = getattr(self, name, None)
        return default if found is None else found

    def __repr__(self) -> str:
        return "<identity>"


class Outputs(MutableMapping[str, Any]):
    """What the flows brought out. What a step sets is durable with its commit, and forgotten if it fails."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._staged: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        # a list that is read may be appended to: that is staged like a value that is set
        return self._edit()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        plain = as_json(name, value)
        self._record.learn_secret(name, plain)
        self._edit()[name] = plain

    def __delitem__(self, name: str) -> None:
        del self._edit()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def all(self) -> dict[str, Any]:
        """Return what a commit would keep."""
        return self._record.session.outputs if self._staged is None else self._staged

    def forget(self) -> None:
        """Drop what was not committed."""
        self._staged = None

    def _edit(self) -> dict[str, Any]:
        if self._staged is None:
            self._staged = copy.deepcopy(self._record.session.outputs)
        return self._staged


class Context:
    """What a step works with; one per attempt.

    Attributes:
        identity: the account's own data; setting an attribute is durable at once.
        outputs: what the flows brought out; durable with the step's commit.
        log: structlog, with profile, attempt and step bound.
        time_limit: for the runner: of what is under way.
        permits: for the runner: what was asked of the orchestrator.
    """

    def __init__(
        self, facts: AttemptFacts, record: Record, locator: Locator, control: Control, log: FilteringBoundLogger
    ) -> None:
        self.time_limit = TimeLimit()
        self.permits = Permits(control, self.time_limit)
        self._facts = facts
        self._record = record
        self._locator = locator
        self._control = control
        self._base_log = log
        self._answers: dict[str, str] = {}
        self._step = ""
        self._page: Page | None = None
        self._context: BrowserContext | None = None
        self.log = log
        self.identity = IdentityView(record)
        self.outputs = Outputs(record)

    # --- facts -------------------------------------------------------------------------------------------------------

    @property
    def profile_id(self) -> str:
        """The profile's ID."""
        return self._facts.profile_id

    @property
    def attempt(self) -> int:
        """The attempt's number, from 1."""
        return self._facts.attempt

    @property
    def device(self) -> str:
        """``desktop`` or ``mobile``."""
        return self._facts.device

    @property
    def params(self) -> Any:
        """The flow's parameters, as its ``params`` type; None where it declares none."""
        return self._facts.params

    @property
    def step(self) -> str:
        """Name of the step under way."""
        return self._step

    # --- browser -----------------------------------------------------------------------------------------------------

    @property
    def page(self) -> Page:
        """Where the last step left it or, in a new attempt, where ``@flow.prepare`` leads it. May be set, to a pop-up say.

        Raises:
            RuntimeError: the flow has ``browser=False``.
        """
        if self._page is None:
            raise RuntimeError("there is no page: this flow was declared with browser=False")
        return self._page

    @page.setter
    def page(self, page: Page) -> None:
        self._page = page

    @property
    def context(self) -> BrowserContext:
        """Playwright's context.

        Raises:
            RuntimeError: the flow has ``browser=False``.
        """
        if self._context is None:
            raise RuntimeError("there is no browser context: this flow was declared with browser=False")
        return self._context

    async def locate(self, label: str, *candidates: Selector | str, timeout: float = TIMEOUT) -> PageLocator:  # noqa: ASYNC109 - the author's own
        """Return the first visible match: of the selector that worked last time, else of the candidates.

        Args:
            label: what the element is, as ``submit button``; the shared cache's key, with origin and flow.
            candidates: ``by_role("button", name="Pay")``, ``by_label``, ``by_test_id``, ``by_text``, ``by_placeholder``,
                ``xpath``; a string is CSS.
            timeout: seconds, over all candidates.

        Raises:
            LocateFailed: none is visible in time.
        """
        found: PageLocator = await self._locator.locate(self.page, label, candidates, timeout)
        return found

    async def download(self, trigger: PageLocator | Callable[[], Awaitable[object]]) -> Path:
        """Return the file that a click on ``trigger`` (or a call of it) downloads, in ``state/downloads/<id>/``, 0600.

        Nothing is overwritten: another file of the same name becomes ``name-2.pdf``; the same file again is kept once.
        """
        async with self.page.expect_download() as info:
            if callable(trigger):
                await trigger()
            else:
                await trigger.click()
        return await self._facts.files.settle(await info.value)

    async def artifact(self, name: str, data: str | bytes) -> Path:
        """Keep something for people to look at, as ``state/artifacts/<id>/<attempt>/<name>``, 0600; return its path.

        Nothing is overwritten. In text, and in bytes that are UTF-8, known secrets are masked; other bytes stay as they are.

        Args:
            name: a file name; what no file name may hold is replaced.
            data: at most 20 MB; an attempt may keep 100 files.

        Raises:
            ArtifactRefused: too large, or too many.
        """
        return await self._facts.files.keep(self._step, name, data)

    # --- notes -------------------------------------------------------------------------------------------------------

    def remember(self, name: str, value: Any) -> None:
        """Note durably what this step is about to do; ``recall`` gives it to the next try, in this attempt or a later one.
        Forgotten when the step is committed.

        Raises:
            TypeError: the value is not JSON's.
        """
        if name.startswith(RESERVED):
            raise ValueError(f"a name must not begin with {RESERVED!r}")
        self._record.remember(self._step, name, value)

    def recall(self, name: str, default: Any = None) -> Any:
        """Return what an earlier try of this step remembered, ``default`` if nothing."""
        if name in (STARTED, ONCE_KEY):
            return default
        return self._record.recall(self._step, name, default)

    @property
    def once_key(self) -> str:
        """An idempotency key for the site: 32 hex digits, the same in all tries of this step until it is committed."""
        return self._record.once_key(self._step)

    def progress(self, note: str = "") -> None:
        """Say that the step is alive and moving: what takes long must, or it is stopped."""
        self._control.send(Progress(note=self._record.mask(note)))

    def limit(self, key: str) -> AbstractAsyncContextManager[None]:
        """Go on when a limit lets one: ``async with ctx.limit("shop.example"):``. All workers of a run share it; docs/limits.md.

        Waiting costs no time, and no try. A key that nobody has limited lets everybody through at once.
        """
        return self.permits.of(key)

    def needs_person(self, why: str, *, asks: Iterable[str] = ()) -> NoReturn:
        """End the step: a person has to do something first. Not a failure; see ``workers.steps.needs_person``."""
        raise NeedsPerson(self._step, why, asks=tuple(asks))

    def answer(self, name: str) -> str | None:
        """Return what a person answered to ``needs_person(…, asks=[name])``, None if nobody was asked or told. Secret."""
        return self._answers.get(name)

    # --- for the runner ----------------------------------------------------------------------------------------------

    def enter(self, step: str) -> None:
        """Begin a try of a step; what an earlier one left uncommitted is gone."""
        self._step = step
        self.log = self._base_log.bind(step=step)
        self.outputs.forget()
        self._locator.forget()

    def tell(self, answers: Mapping[str, str]) -> None:
        """Keep what a person answered, for the step that comes again."""
        self._answers = dict(answers)

    def attach(self, context: BrowserContext | None, page: Page | None) -> None:
        """Show the browser, or take it away."""
        self._context = context
        self._page = page

    def confirm(self) -> None:
        """The step was committed: learn its selectors."""
        self.outputs.forget()
        self._locator.confirm()
