"""What a flow's author writes: a ``Flow``, its steps, and what must hold after each.

A mistake in a definition raises ``ValueError`` or ``TypeError`` on the author's own line; ``workers.steps.load`` turns it
into a message that names that line.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, overload

import msgspec

from core.domain.failure import Code
from core.domain.model import JobState
from core.domain.policy import POLICIES, Cost
from core.domain.session import StepSpec
from core.errors import NeedsPerson, StepFailed

if TYPE_CHECKING:
    from workers.steps.context import Context

CommitLevel = Literal["cookies", "storage", "snapshot"]
Body = Callable[["Context"], Awaitable[None]]
Check = Callable[["Context"], Awaitable[bool]]
_OF_PERSONS = frozenset(
    code for code, policy in POLICIES.items() if policy.end is JobState.PARKED and policy.cost is Cost.NOTHING
)
# what costs nothing, or counts as a crash, is not for a flow to say
_OF_FLOWS = _OF_PERSONS | frozenset(code for code, policy in POLICIES.items() if policy.cost is Cost.ATTEMPT)


def needs_person(why: str, *, code: str = Code.NEEDS_PERSON, asks: Iterable[str] = ()) -> NoReturn:
    """End the step: a person has to do something first. Not a failure; the job waits, and the same step comes next.

    Args:
        why: what the person has to do, without secrets.
        code: ``needs_person``, ``captcha_asked`` or ``needs_code``.
        asks: names of what the step wants to be told; ``ctx.answer(name)`` has it when the step comes again.

    Raises:
        NeedsPerson: always, but for a code that is none of these (``ValueError``).
    """
    raise NeedsPerson("", why, _expect_code(code, _OF_PERSONS), tuple(asks))


def fail(why: str, *, code: str = Code.STEP_FAILED) -> NoReturn:
    """End the step's try: the flow knows that it cannot go on. What follows is what docs/failures.md says of the code.

    Args:
        why: what is the matter, without secrets.
        code: what it is: ``rate_limited``, ``login_lost``, ``site_error`` …

    Raises:
        StepFailed, NeedsPerson: always, but for a code that no flow may say (``ValueError``).
    """
    _expect_code(code, _OF_FLOWS)
    raise (NeedsPerson if code in _OF_PERSONS else StepFailed)("", why, code)


class Step:
    """One step of a flow: its body, its post-condition, and what planning needs to know.

    Attributes:
        name: unique in the flow.
        flag: the fact about the profile that it states; None for a step that runs in every attempt.
        requires: flags that must be true before it.
        timeout: seconds one try may take.
        retries: further tries within one attempt.
        commit: ``cookies``, ``storage`` or ``snapshot``.
        body: the author's function.
        limit: key of the limit that a try of it waits for; None: it waits for none.
        check: the post-condition, if there is one.
    """

    def __init__(self, spec: StepSpec, body: Body, limit: str | None = None) -> None:
        self.spec = spec
        self.limit = limit
        self.body = body
        self.check: Check | None = None

    @property
    def name(self) -> str:
        """Unique in the flow."""
        return self.spec.name

    def postcondition(self, check: Check) -> Check:
        """Decorate what must hold after the step. It is tried before the body where the step may have run before.

        Args:
            check: ``async def check(ctx) -> bool``. If it raises before the body, it does not hold; after it, the step failed.
        """
        _expect_async(check, f"the post-condition of {self.name!r}")
        if self.check is not None:
            raise ValueError(f"step {self.name!r} has two post-conditions; write one that checks both")
        self.check = check
        return check

    def __call__(self, ctx: Context) -> Awaitable[None]:
        """Run the body, for a step that is called by another."""
        return self.body(ctx)

    def __repr__(self) -> str:
        return f"<step {self.name}>"


class Flow:
    """An ordered list of named steps.

    Args:
        name: for people and the selector cache; the file's stem by default.
        params: a ``msgspec.Struct`` that the job's parameters are converted to; ``ctx.params``.
        commit: how much login state each step's commit exports, unless the step says otherwise.
        browser: whether the flow wants a browser at all.
        authenticated: ``async def check(ctx) -> bool``, tried after each launch; also as decorator ``@flow.authenticated``.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        params: type[msgspec.Struct] | None = None,
        commit: CommitLevel = "cookies",
        browser: bool = True,
        authenticated: Check | None = None,
    ) -> None:
        if name is not None and not name.strip():
            raise ValueError("a flow's name must not be empty")
        given: object = params
        if given is not None and not (isinstance(given, type) and issubclass(given, msgspec.Struct)):
            raise TypeError(f"params must be a subclass of msgspec.Struct, not {params!r}")
        _expect_level(commit)
        self.name = name or ""
        self.params = params
        self.commit: CommitLevel = commit
        self.browser = browser
        self.steps: list[Step] = []
        self.on_prepare: Body | None = None
        self.on_authenticate: Check | None = None
        if authenticated is not None:
            self.authenticated(authenticated)

    @property
    def specs(self) -> tuple[StepSpec, ...]:
        """The steps as planning sees them, in order."""
        return tuple(step.spec for step in self.steps)

    @overload
    def step(self, body: Body, /) -> Step: ...

    @overload
    def step(
        self,
        body: None = None,
        /,
        *,
        name: str | None = None,
        flag: str | None = None,
        requires: tuple[str, ...] | list[str] | str = (),
        timeout: float = 60.0,
        retries: int = 0,
        always: bool = False,
        commit: CommitLevel | None = None,
        limit: str | None = None,
    ) -> Callable[[Body], Step]: ...

    def step(
        self,
        body: Body | None = None,
        /,
        *,
        name: str | None = None,
        flag: str | None = None,
        requires: tuple[str, ...] | list[str] | str = (),
        timeout: float = 60.0,
        retries: int = 0,
        always: bool = False,
        commit: CommitLevel | None = None,
        limit: str | None = None,
    ) -> Step | Callable[[Body], Step]:
        """Decorate ``async def body(ctx)`` as the next step; with or without arguments.

        Args:
            body: the function, where the decorator stands without parentheses.
            name: the function's by default.
            flag: the fact that it states; its name by default.
            requires: flags that must be true before it.
            timeout: seconds one try may take.
            retries: further tries within one attempt, each on a new page after a timeout.
            always: it states no fact and runs in every attempt.
            commit: ``cookies``, ``storage`` or ``snapshot``; the flow's by default.
            limit: key of a limit that all workers share, as for ``ctx.limit``; each try of the step waits for its turn.
        """

        def decorate(function: Body) -> Step:
            _expect_async(function, "a step")
            step_name = name or str(getattr(function, "__name__", ""))
            if always and flag is not None:
                raise ValueError(f"step {step_name!r}: a step that runs in every attempt states no flag")
            level = commit or self.commit
            _expect_level(level)
            spec = StepSpec(
                name=step_name,
                flag=None if always else flag or step_name,
                requires=(requires,) if isinstance(requires, str) else tuple(requires),
                timeout=float(timeout),
                retries=retries,
                commit=level,
            )
            self._expect_fits(spec)
            key: object = limit
            if key is not None and not (isinstance(key, str) and key.strip()):
                raise ValueError(f"step {step_name!r}: limit must be the key of a limit, not {limit!r}")
            step = Step(spec, function, limit)
            self.steps.append(step)
            return step

        return decorate if body is None else decorate(body)

    def prepare(self, function: Body) -> Body:
        """Decorate ``async def function(ctx)``, run at the start of every attempt, when the browser is up."""
        _expect_async(function, "prepare")
        if self.on_prepare is not None:
            raise ValueError("a flow has one prepare function")
        self.on_prepare = function
        return function

    def authenticated(self, check: Check) -> Check:
        """Decorate ``async def check(ctx) -> bool``: whether the profile is still logged in, tried after each launch."""
        _expect_async(check, "authenticated")
        if self.on_authenticate is not None:
            raise ValueError("a flow has one authentication check")
        self.on_authenticate = check
        return check

    def convert(self, raw: dict[str, Any], *, strict: bool) -> Any:
        """Return the parameters as the flow wants them; None where it declares none.

        Args:
            raw: as the job has them.
            strict: False also takes ``"5"`` for a number, as a command line gives it.

        Raises:
            ValueError: with the field and what was expected (``msgspec.ValidationError`` is one).
        """
        # not structs.fields, which looks through all annotations: a queue may have very many sets of parameters
        known = set(self.params.__struct_encode_fields__) if self.params is not None else set()
        unknown = sorted(set(raw) - known)
        if unknown:
            takes = f"takes {', '.join(sorted(known))}" if known else "takes no parameters"
            raise ValueError(f"unknown parameter {unknown[0]!r}: the flow {takes} - at `$.{unknown[0]}`")
        return None if self.params is None else msgspec.convert(raw, self.params, strict=strict)

    def _expect_fits(self, spec: StepSpec) -> None:
        if not spec.timeout > 0 or spec.timeout == float("inf"):
            raise ValueError(f"step {spec.name!r}: timeout must be a positive number of seconds, not {spec.timeout}")
        if spec.retries < 0:
            raise ValueError(f"step {spec.name!r}: retries must be 0 or more, not {spec.retries!r}")
        for other in self.specs:
            if other.name == spec.name:
                raise ValueError(f"two steps are named {spec.name!r}")
            if spec.flag is not None and other.flag == spec.flag:
                raise ValueError(f"steps {other.name!r} and {spec.name!r} state the same flag {spec.flag!r}")

    def __repr__(self) -> str:
        return f"<flow {self.name or '?'}: {', '.join(step.name for step in self.steps)}>"


def _expect_async(function: object, what: str) -> None:
    if not inspect.iscoroutinefunction(function):
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{what} must be `async def …(ctx)`; {name} is not")


def _expect_code(code: str, known: Iterable[str]) -> str:
    if code not in known:
        raise ValueError(f"{str(code)!r} is no code that may be said here; expected one of {', '.join(sorted(known))}")
    return str(code)


def _expect_level(level: str) -> None:
    if level not in get_args(CommitLevel):
        raise ValueError(f"commit must be one of {', '.join(get_args(CommitLevel))}, not {level!r}")
