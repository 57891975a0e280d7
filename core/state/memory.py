"""Fakes of the state stores, under the same laws as the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from core.domain.session import SessionState
from core.domain.validation import require_id
from core.errors import Fenced
from core.state.port import LoginState, Selector, Stored
from core.state.selector_cache import MAX_ENTRIES, MAX_FAILURES, Entries, Entry, demoted, find, learnt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")


class _Shelf(Generic[T]):
    """Values by profile, kept as JSON: what comes out is never what somebody else still holds and changes."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._kept: dict[str, tuple[bytes, int, int]] = {}

    def read(self, profile_id: str) -> Stored[T] | None:
        kept = self._kept.get(require_id(profile_id))
        if kept is None:
            return None
        data, fence, generation = kept
        return Stored(value=msgspec.json.decode(data, type=self._kind), fence=fence, generation=generation)

    def write(self, profile_id: str, value: T, fence: int) -> int:
        _, newest, generation = self._kept.get(require_id(profile_id), (b"", fence, 0))
        if fence < newest:
            raise Fenced(profile_id, ours=fence, newer=newest)
        self._kept[profile_id] = (msgspec.json.encode(value), fence, generation + 1)
        return generation + 1

    def delete(self, profile_id: str) -> bool:
        return self._kept.pop(require_id(profile_id), None) is not None


class MemorySessionStore:
    """A ``SessionStore`` without files."""

    def __init__(self) -> None:
        self._shelf = _Shelf(SessionState)

    def read(self, profile_id: str) -> Stored[SessionState] | None:
        """Return what is stored, None if nothing is."""
        return self._shelf.read(profile_id)

    def write(self, session: SessionState, *, fence: int) -> int:
        """Keep the session; return its generation.

        Raises:
            Fenced: a newer holder has written.
        """
        return self._shelf.write(session.profile_id, session, fence)

    def delete(self, profile_id: str) -> bool:
        """Remove the session; whether there was one."""
        return self._shelf.delete(profile_id)


class MemoryLoginStateStore:
    """A ``LoginStateStore`` without files."""

    def __init__(self) -> None:
        self._shelf = _Shelf(LoginState)

    def read(self, profile_id: str) -> Stored[LoginState] | None:
        """Return what is stored, None if nothing is."""
        return self._shelf.read(profile_id)

    def write(self, profile_id: str, state: LoginState, *, fence: int) -> int:
        """Keep it; return its generation.

        Raises:
            Fenced: a newer holder has written.
        """
        return self._shelf.write(profile_id, state, fence)


class MemorySelectorCache:
    """A ``SelectorCache`` of one process."""

    def __init__(self, *, max_failures: int = MAX_FAILURES, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: Entries = {}
        self._max_failures = max_failures
        self._max_entries = max_entries

    def get(self, origin: str, flow: str, label: str) -> Selector | None:
        """Return the selector to try first."""
        return find(self._entries, (origin, flow, label), self._max_failures)

    def learn(self, origin: str, flow: str, label: str, selector: Selector, *, profile_id: str, now: float) -> None:
        """Keep a selector that a step's post-condition has confirmed; resets its failures."""
        fresh = Entry(selector=selector, learnt_by=profile_id, at=now)
        learnt(self._entries, (origin, flow, label), fresh, self._max_entries)

    def demote(self, origin: str, flow: str, label: str, selector: Selector, *, now: float) -> None:
        """Note that this cached selector failed."""
        demoted(self._entries, (origin, flow, label), selector, now)


class MemoryLimitRecord:
    """A ``LimitRecord`` without a file."""

    def __init__(self) -> None:
        self._starts: dict[str, list[float]] = {}

    def starts(self) -> Mapping[str, Sequence[float]]:
        """Return all starts; see the port."""
        return {key: tuple(starts) for key, starts in self._starts.items()}

    def note(self, key: str, at: float) -> None:
        """Remember that somebody is let in."""
        self._starts.setdefault(key, []).append(at)

    def began(self, key: str, let_in: float, at: float) -> None:
        """Remember when that was; see the port."""
        starts = self._starts.setdefault(key, [])
        if let_in in starts:
            starts.remove(let_in)
        starts.append(at)
