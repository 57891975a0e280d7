"""Login states in ``state/profiles/<id>/session.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.domain.validation import require_id
from core.envelope import EnvelopeFile
from core.state.port import LoginState, Stored

if TYPE_CHECKING:
    from pathlib import Path


class _OnDisk(LoginState, frozen=True, kw_only=True):
    """With its owner: one account's login must never be put into another's browser. Empty: nobody has said."""

    profile_id: str = ""


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
        fields = {name: getattr(found.value, name) for name in LoginState.__struct_fields__}
        return Stored(
            value=LoginState(**fields), fence=found.fence, generation=found.generation, recovered=found.recovered
        )

    def write(self, profile_id: str, state: LoginState, *, fence: int) -> int:
        """Make it durable; return its generation.

        Raises:
            Fenced, DurableWriteFailed, StateCorrupt, NewerSchema: nothing changed.
        """
        owned = _OnDisk(profile_id=profile_id, **msgspec.structs.asdict(state))
        return self._file(profile_id).write(owned, fence=fence)

    def look(self, profile_id: str) -> tuple[bool, list[str]]:
        """Return whether a read would give something or nothing, but not raise, and what is wrong; nothing is changed."""
        found, wrong = self._file(profile_id).look()
        return found is not None or not wrong, wrong

    def refuse_newer(self, profile_id: str) -> None:
        """Expect that no newer version has written this login state; what is damaged or missing is fine.

        Raises:
            NewerSchema: one has.
        """
        self._file(profile_id).refuse_newer()

    def _file(self, profile_id: str) -> EnvelopeFile[_OnDisk]:
        def check(found: _OnDisk) -> str:
            return "" if found.profile_id in (profile_id, "") else f"it belongs to profile {found.profile_id!r}"

        return EnvelopeFile(self._directory / require_id(profile_id) / "session.json", _OnDisk, check=check)
