"""Login states in ``state/profiles/<id>/session.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.validation import require_id
from core.envelope import EnvelopeFile
from core.state.port import LoginState, Stored

if TYPE_CHECKING:
    from pathlib import Path


class FileLoginStateStore:
    """A ``LoginStateStore`` of one envelope per profile."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "profiles"

    def read(self, profile_id: str) -> Stored[LoginState] | None:
        """Return what is stored, None if nothing is.

        Raises:
            StateCorrupt, NewerSchema.
        """
        found = self._file(profile_id).read()
        if found is None:
            return None
        return Stored(value=found.value, fence=found.fence, generation=found.generation, recovered=found.recovered)

    def write(self, profile_id: str, state: LoginState, *, fence: int) -> int:
        """Make it durable; return its generation.

        Raises:
            Fenced, DurableWriteFailed, StateCorrupt, NewerSchema: nothing changed.
        """
        return self._file(profile_id).write(state, fence=fence)

    def _file(self, profile_id: str) -> EnvelopeFile[LoginState]:
        return EnvelopeFile(self._directory / require_id(profile_id) / "session.json", LoginState)
