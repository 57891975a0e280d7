"""What the commands about a profile's session share: reading it, changing it under the lock, showing it without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.clock import SystemClock
from core.domain.session import RESERVED, SessionState, is_secret, secrets_of
from core.domain.validation import require_id
from core.profiles.lock import FileProfileLocks
from core.redaction import MASK, Redactor
from core.state.sessions import FileSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.settings import Settings
    from core.state.port import Stored


def stored_session(settings: Settings, profile_id: str) -> Stored[SessionState] | None:
    """Return a profile's session as it is on disk, None if there is none.

    Raises:
        BadInput: this cannot be a profile's ID.
        StateCorrupt, NewerSchema.
    """
    return FileSessionStore(settings.state_dir).read(require_id(profile_id))


def change_session(
    settings: Settings,
    profile_id: str,
    what: str,
    change: Callable[[SessionState | None], SessionState],
) -> SessionState:
    """Change a profile's session as its one holder, and return it.

    Args:
        settings: where it is.
        profile_id: whose.
        what: what the holder is called while it lasts.
        change: from what is stored, None if nothing is, to what shall be.

    Raises:
        ProfileHeld: somebody works with the profile.
        StateCorrupt, NewerSchema, DurableWriteFailed: nothing changed.
    """
    store = FileSessionStore(settings.state_dir)
    with FileProfileLocks(settings.state_dir, SystemClock()).hold(profile_id, what):
        stored = store.read(profile_id)
        session = change(None if stored is None else stored.value)
        store.write(session, fence=1 if stored is None else stored.fence + 1)
    return session


def shown(session: SessionState) -> dict[str, Any]:
    """Return the session as plain data, without our own marks, and with every secret masked: by name, and wherever its value
    turns up again.
    """
    redactor = Redactor(secrets_of(session))
    notes = {
        step: {name: value for name, value in noted.items() if not name.startswith(RESERVED)}
        for step, noted in session.remembered.items()
    }
    session = msgspec.structs.replace(session, remembered={step: noted for step, noted in notes.items() if noted})
    plain: dict[str, Any] = msgspec.to_builtins(session)
    return {name: masked(name, value, redactor) for name, value in plain.items()}


def masked(name: str, value: Any, redactor: Redactor) -> Any:
    """Return a value without secrets: what a secret's name stands before, and what the redactor knows."""
    if isinstance(value, dict):
        # `secret: {…}` hides all that is in it, and so does everything under it
        return {key: masked(name if is_secret(name) else key, item, redactor) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(name, item, redactor) for item in value]
    if value is None or value == "" or isinstance(value, bool):
        return value
    if is_secret(name):
        return MASK
    text = str(value)
    clean = redactor.text(text)
    return value if clean == text else clean
