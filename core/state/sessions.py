"""Sessions in ``state/sessions/<id>.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.session import SessionState
from core.domain.validation import require_id
from core.envelope import EnvelopeFile
from core.state.port import Stored

if TYPE_CHECKING:
    from pathlib import Path


class FileSessionStore:
    """A ``SessionStore`` of one envelope per profile."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "sessions"

    def read(self, profile_id: str) -> Stored[SessionState] | None:
        """Return what is stored, None if nothing is.

        Raises:
            StateCorrupt, NewerSchema.
        """
        found = self._file(profile_id).read()
        if found is None:
            return None
        return Stored(value=found.value, fence=found.fence, generation=found.generation, recovered=found.recovered)

    def write(self, session: SessionState, *, fence: int) -> int:
        """Make the session durable; return its generation.

        Raises:
            Fenced, DurableWriteFailed, StateCorrupt, NewerSchema: nothing changed.
        """
        return self._file(session.profile_id).write(session, fence=fence)

    def delete(self, profile_id: str) -> bool:
        """Remove the session and its previous generation; whether there was one."""
        return self._file(profile_id).delete()

    def peek(self, profile_id: str) -> SessionState | None:
        """Return what a read would give, None if nothing or if it would raise; nothing is changed."""
        found, _ = self._file(profile_id).look()
        return None if found is None else found.value

    def look(self, profile_id: str) -> tuple[bool, list[str]]:
        """Return whether a read would give something or nothing, but not raise, and what is wrong; nothing is changed."""
        found, wrong = self._file(profile_id).look()
        return found is not None or not wrong, wrong

    def refuse_newer(self, profile_id: str) -> None:
        """Expect that no newer version has written this session; what is damaged or missing is fine.

        Raises:
            NewerSchema: one has.
        """
        self._file(profile_id).refuse_newer()

    def _file(self, profile_id: str) -> EnvelopeFile[SessionState]:
        def check(found: SessionState) -> str:
            return "" if found.profile_id == profile_id else f"it belongs to profile {found.profile_id!r}"

        return EnvelopeFile(self._directory / f"{require_id(profile_id)}.json", SessionState, check=check)
