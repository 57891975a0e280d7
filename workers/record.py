"""The durable side of one run: the only place that writes the profile's session and login state.

The session in memory is what the file says. A change is made on a copy, written, and only then taken over: a write that
fails leaves both as they were.
"""

from __future__ import annotations

import copy
import inspect
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.messages import SecretLearnt
from core.domain.session import RESERVED, Identity, SessionState, StepSpec, secrets_of, secrets_under
from core.state.port import LoginStateStore, SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.redaction import Redactor
    from core.state.port import LoginState
    from workers.port import Control

# our own marks among what a step remembers
STARTED = f"{RESERVED}started)"
ONCE_KEY = f"{RESERVED}once key)"


@dataclass(frozen=True)
class Stores:
    """Where sessions and login states are kept."""

    sessions: SessionStore
    login_states: LoginStateStore


class Secrets:
    """Values that nothing may show: this process masks them, and the parent's pump is told."""

    def __init__(self, redactor: Redactor, control: Control) -> None:
        self._redactor = redactor
        self._control = control
        self._known: set[str] = set()

    def learn(self, text: str | None) -> None:
        """Mask a value from now on, everywhere."""
        if text and text not in self._known:
            self._known.add(text)
            self._redactor.add(text)
            self._control.send(SecretLearnt(value=text))

    def learn_under(self, name: str, value: object) -> None:
        """Mask what is secret in a value that is kept under this name, however deep inside."""
        for text in secrets_under(name, value):
            self.learn(text)

    def mask(self, text: str) -> str:
        """Return the text without any secret."""
        return self._redactor.text(text)


class Record:
    """A profile's session, held by this run under its fence."""

    def __init__(
        self, session: SessionState, login: LoginState | None, *, fence: int, stores: Stores, secrets_: Secrets
    ) -> None:
        self.session = session
        self.login = login
        self.fence = fence
        self._stores = stores
        self._secrets = secrets_
        for value in secrets_of(session):
            secrets_.learn(value)

    # --- what a step notes -------------------------------------------------------------------------------------------

    def remember(self, step: str, name: str, value: Any) -> None:
        """Note something durably before it returns. Values must be JSON's.

        Raises:
            TypeError: the value cannot be kept.
        """
        plain = as_json(name, value)
        self._secrets.learn_under(name, plain)
        self._change(lambda session: session.remembered.setdefault(step, {}).__setitem__(name, plain))

    def recall(self, step: str, name: str, default: Any = None) -> Any:
        """Return a copy of what the step noted under this name."""
        return copy.deepcopy(self.session.remembered.get(step, {}).get(name, default))

    def may_have_run(self, step: str) -> bool:
        """Whether an earlier try of the step began, or it noted something, and was not committed."""
        return bool(self.session.remembered.get(step))

    def once_key(self, step: str) -> str:
        """Return the step's idempotency key: 32 hex digits, the same until the step is committed."""
        key = self.recall(step, ONCE_KEY)
        if key is None:
            key = secrets.token_hex(16)
            self.remember(step, ONCE_KEY, key)
        return str(key)

    # --- identity ----------------------------------------------------------------------------------------------------

    def identity(self, name: str) -> Any:
        """Return a field of the identity, or what is kept in its ``extra``.

        Raises:
            KeyError: neither.
        """
        if name != "extra" and name in Identity.__struct_fields__:
            return getattr(self.session.identity, name)
        return copy.deepcopy(self.session.identity.extra[name])

    def set_identity(self, name: str, value: Any) -> None:
        """Write a field durably; names that are not fields go to ``extra``.

        Raises:
            TypeError: the value cannot be kept there.
        """
        plain = as_json(name, value)
        field = name != "extra" and name in Identity.__struct_fields__
        if field and not isinstance(plain, (str, type(None))):
            raise TypeError(f"identity.{name} takes text, not {type(value).__name__}")
        self._secrets.learn_under(name, plain)

        def change(session: SessionState) -> None:
            if field:
                setattr(session.identity, name, plain)
            else:
                session.identity.extra[name] = plain

        self._change(change)

    # --- the run -----------------------------------------------------------------------------------------------------

    def set_status(self, status: str) -> None:
        """Write the session's status; also what raises the stored fence to ours."""
        self._change(lambda session: setattr(session, "status", status))

    def note_login(self, flow: str) -> None:
        """Note that this flow's check has found a login: where it finds none later, one was lost."""
        if flow not in self.session.logged_in:
            self._change(lambda session: session.logged_in.append(flow))

    def keep_login(self, login: LoginState) -> None:
        """Make the login state durable."""
        self._stores.login_states.write(self.session.profile_id, login, fence=self.fence)
        self.login = login

    def count_login(self, generation: int) -> None:
        """Make durable which number the login state has, counted together with the browser data's."""
        if self.session.login_generation != generation:
            self._change(lambda session: setattr(session, "login_generation", generation))

    def commit(self, step: StepSpec, outputs: Mapping[str, Any], login_generation: int | None) -> None:
        """Make a step's completion durable. The login state was written before: never the flag before the login state.

        Args:
            step: what was done.
            outputs: the outputs as they are now, all of them.
            login_generation: number of the login state that goes with it, counted together with the browser data's;
                None: unchanged.
        """
        for name, value in outputs.items():
            self._secrets.learn_under(name, value)

        def change(session: SessionState) -> None:
            if step.flag is not None:
                session.completion_flags[step.flag] = True
            session.outputs = dict(outputs)
            session.remembered.pop(step.name, None)
            if login_generation is not None:
                session.login_generation = login_generation

        self._change(change)

    def learn_secret(self, name: str, value: Any) -> None:
        """Mask what is secret in the value, as its name or a name inside says."""
        self._secrets.learn_under(name, value)

    def mask(self, text: str) -> str:
        """Return the text without any secret."""
        return self._secrets.mask(text)

    def _change(self, change: Callable[[SessionState], object]) -> None:
        session = copy.deepcopy(self.session)
        change(session)
        self._stores.sessions.write(session, fence=self.fence)
        self.session = session


def as_json(name: str, value: Any) -> Any:
    """Return the value as it will come back from a file.

    Raises:
        TypeError: it is not JSON's.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, msgspec.MsgspecError, ValueError, OverflowError) as exc:
        hint = "; is an `await` missing?" if inspect.iscoroutine(value) else ""
        raise TypeError(
            f"{name!r} must be text, a number, a boolean, None, or lists and dicts of these: {exc}{hint}"
        ) from exc
