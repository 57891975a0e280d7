"""The session of a profile: which steps are done, who the account is, what the flows brought out.

The field names are those of the session file. Functions return new values; the store makes them durable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.model import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECRET_FIELDS = frozenset({"password", "two_fa_secret", "recovery_codes", "api_key", "token", "secret"})
"""Names of identity fields and outputs whose values are masked wherever they are shown, whole or as a suffix
(``mail_password``)."""

_BETWEEN_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-\s.]+")
RESERVED = "("
"""How the names of our own marks begin among what a step remembers; no flow may use such a name."""


class Identity(msgspec.Struct, kw_only=True):
    """The account's own data. ``extra`` holds whatever else a flow keeps, by name."""

    email: str | None = None
    username: str | None = None
    password: str | None = None
    two_fa_secret: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class SessionState(msgspec.Struct, kw_only=True):
    """What is known about a profile, durable after each commit.

    Attributes:
        profile_id: whose session it is.
        status: see ``core.domain.lifecycle.SESSION_STATUS``.
        platform: the device class, ``desktop`` or ``mobile``.
        completion_flags: facts about the profile, by name; true ones are never worked for again.
        identity: the account's own data.
        outputs: what the flows brought out, by name.
        remembered: what a step noted before it acted, by step and name (``ctx.remember``).
        login_generation: the login state's generation at the last commit; 0 for none.
        logged_in: names of the flows whose check has found a login.
    """

    profile_id: str
    status: str = "PENDING"
    platform: Device = "desktop"
    completion_flags: dict[str, bool] = msgspec.field(default_factory=dict)
    identity: Identity = msgspec.field(default_factory=Identity)
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    remembered: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    login_generation: int = 0
    logged_in: list[str] = msgspec.field(default_factory=list)


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow says about one of its steps, as far as planning needs it.

    Attributes:
        name: unique in the flow.
        flag: the fact it states; None for a step that runs in every attempt.
        requires: flags that must be true before it.
        timeout: seconds one try of the body may take.
        retries: further tries within one attempt.
        commit: ``cookies``, ``storage`` or ``snapshot``.
    """

    name: str
    flag: str | None = None
    requires: tuple[str, ...] = ()
    timeout: float = 60.0
    retries: int = 0
    commit: str = "cookies"


def is_done(session: SessionState, step: StepSpec) -> bool:
    """Whether the step's fact already holds; a step without a flag is never done."""
    return step.flag is not None and session.completion_flags.get(step.flag, False)


def pending(session: SessionState, steps: Iterable[StepSpec]) -> list[StepSpec]:
    """Return the steps that a new attempt has to run, in the flow's order."""
    return [step for step in steps if not is_done(session, step)]


def unmet(session: SessionState, step: StepSpec) -> list[str]:
    """Return the flags that ``step`` requires and that do not hold."""
    return [flag for flag in step.requires if not session.completion_flags.get(flag, False)]


def is_secret(name: str) -> bool:
    """Whether the value under this name is masked wherever it is shown. ``mailPassword`` and ``mail-password`` count, too."""
    plain = _BETWEEN_WORDS.sub("_", name).lower()
    return any(plain == secret or plain.endswith("_" + secret) for secret in SECRET_FIELDS)


def secrets_of(session: SessionState) -> list[str]:
    """Return the values that no log, event or message may show, each once.

    Each place is looked through on its own: two of them may use the same name.
    """
    identity = msgspec.structs.asdict(session.identity)
    places = (identity.pop("extra"), identity, session.outputs, *session.remembered.values())
    return list(dict.fromkeys(text for place in places for text in _secrets_in(place, secret=False)))


def secrets_under(name: str, value: Any) -> list[str]:
    """Return what is secret in a value that is kept under this name: all of it, or what stands under a secret name inside."""
    return list(dict.fromkeys(_secrets_in(value, secret=is_secret(name))))


def _secrets_in(value: Any, *, secret: bool) -> Iterator[str]:
    """Yield what is secret in ``value``: all of it under a secret name, else what stands under one inside."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets_in(inner, secret=secret or is_secret(str(name)))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _secrets_in(inner, secret=secret)
    elif secret and value not in (None, "", True, False):
        yield str(value)


def without_secrets(session: SessionState, shows_secret: Callable[[str], bool]) -> tuple[SessionState, list[str]]:
    """Return the session without anything secret, and the names of what is missing, as ``identity.password``.

    Args:
        session: stays as it is.
        shows_secret: whether a text holds a value that is secret elsewhere (``secrets_of``): then it is left out, too.
    """
    plain = msgspec.to_builtins(session)
    missing: list[str] = []
    for place in ("identity", "outputs", "remembered"):
        plain[place] = _cleaned(plain[place], place, shows_secret, missing)
    return msgspec.convert(plain, SessionState), missing


def _cleaned(
    fields: dict[str, Any], place: str, shows_secret: Callable[[str], bool], missing: list[str]
) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for name, value in fields.items():
        where = f"{place}.{name}"
        if shows_secret(name):
            missing.append(f"{place}.(a name that is secret)")
        elif value in (None, "", True, False):
            clean[name] = value
        elif is_secret(name):
            missing.append(where)
        elif isinstance(value, dict):
            clean[name] = _cleaned(value, where, shows_secret, missing)
        elif any(_secrets_in(value, secret=False)) or any(map(shows_secret, _texts_in(value))):
            missing.append(where)
        else:
            clean[name] = value
    return clean


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text in ``value``, names and numbers among them."""
    if isinstance(value, dict):
        yield from value
        yield from _texts_in(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)
    else:
        yield str(value)


def reset(session: SessionState, flag: str | None = None) -> SessionState:
    """Return the session with one flag cleared, or all of them and everything remembered."""
    if flag is None:
        return msgspec.structs.replace(session, completion_flags={}, remembered={}, logged_in=[], status="PENDING")
    flags = {name: value for name, value in session.completion_flags.items() if name != flag}
    return msgspec.structs.replace(session, completion_flags=flags, status="PENDING")
