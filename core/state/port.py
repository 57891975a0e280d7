"""What Ostler needs from the durable state of a profile, and from the shared selector cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.domain.session import SessionState

T = TypeVar("T")


class Stored(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A value as it was found on disk.

    Attributes:
        value: the payload.
        fence: number of the holder that wrote it.
        generation: how often it has been written.
        recovered: the current file was damaged, this is the previous generation; the damaged bytes were kept aside.
    """

    value: T
    fence: int
    generation: int
    recovered: bool = False


class SessionStore(Protocol):
    """One session per profile. Laws:

    - ``write`` is durable when it returns, or raises and leaves the old version.
    - A write whose fence is lower than the stored one raises ``Fenced`` and changes nothing.
    - A damaged file gives its previous generation with ``recovered``; if that is damaged too, ``StateCorrupt``; never a
      silent reset.
    """

    def read(self, profile_id: str) -> Stored[SessionState] | None:
        """Return what is stored, None if nothing is.

        Raises:
            StateCorrupt: both generations are damaged.
            NewerSchema: written by a newer version.
        """
        ...

    def write(self, session: SessionState, *, fence: int) -> int:
        """Make the session durable; return its generation.

        Raises:
            Fenced: a newer holder has written.
            DurableWriteFailed: the old version is intact.
        """
        ...

    def delete(self, profile_id: str) -> bool:
        """Remove the session and its previous generation; whether there was one."""
        ...


class LoginState(msgspec.Struct, frozen=True, kw_only=True):
    """Cookies and storage as exported from the browser, in Playwright's ``storage_state`` form.

    Attributes:
        cookies: as Playwright gives them.
        origins: ``{"origin", "localStorage": […], "indexedDB": […]}``, merged by origin with earlier exports.
        level: what the last export covered: ``cookies``, ``storage`` or ``snapshot``.
        exported_at: epoch seconds.
        unexportable: names of stores whose values could not be serialised.
    """

    cookies: list[dict[str, Any]] = []
    origins: list[dict[str, Any]] = []
    level: Literal["cookies", "storage", "snapshot"] = "cookies"
    exported_at: float = 0.0
    unexportable: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could be put into a browser, as in a profile that was just created."""
        return not self.cookies and not self.origins


class LoginStateStore(Protocol):
    """One login state per profile, under the same laws as ``SessionStore``."""

    def read(self, profile_id: str) -> Stored[LoginState] | None:
        """Return what is stored, None if nothing is."""
        ...

    def write(self, profile_id: str, state: LoginState, *, fence: int) -> int:
        """Make it durable; return its generation."""
        ...


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """How to find an element.

    Attributes:
        kind: role, label, test_id, text, placeholder, css, xpath.
        value: the selector, or the role's name for ``role``.
        name: accessible name, for ``role``.
        exact: match text exactly.
    """

    kind: Literal["role", "label", "test_id", "text", "placeholder", "css", "xpath"]
    value: str
    name: str | None = None
    exact: bool = False


class SelectorCache(Protocol):
    """Selectors that worked, shared by all workers. Laws:

    - Readers take no lock and never see a torn file; a damaged or missing cache is an empty one.
    - No update of any process is lost.
    - After ``max_failures`` failures in a row an entry is no longer returned, until it is learnt anew.
    """

    def get(self, origin: str, flow: str, label: str) -> Selector | None:
        """Return the selector to try first."""
        ...

    def learn(self, origin: str, flow: str, label: str, selector: Selector, *, profile_id: str, now: float) -> None:
        """Keep a selector that a step's post-condition has confirmed; resets its failures."""
        ...

    def demote(self, origin: str, flow: str, label: str, selector: Selector, *, now: float) -> None:
        """Note that this cached selector failed."""
        ...


class LimitRecord(Protocol):
    """When things that a key limits were begun, remembered beyond the run. Laws:

    - What was noted is there after kill -9; a power cut may take the last moments.
    - Who was let in and is not known to have begun when the record is opened again, began then: nobody knows better.
    - Of each key the latest ``core.domain.limits.MOST`` of the last week are kept, at least.
    - ``note`` and ``began`` never raise: what could not be written is logged. They may be called from several threads.
    """

    def starts(self) -> Mapping[str, Sequence[float]]:
        """Return all starts, epoch seconds by key."""
        ...

    def note(self, key: str, at: float) -> None:
        """Remember that somebody is let in, and may begin at any time from now on."""
        ...

    def began(self, key: str, let_in: float, at: float) -> None:
        """Remember when the one that was let in at ``let_in`` began: that is what counts."""
        ...
