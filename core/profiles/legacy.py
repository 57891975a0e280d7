"""The single profile of old: a directory with ``browser_profile/``, and ``session.json`` maybe, in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from core.durable import bytes_of
from core.envelope import EnvelopeFile
from core.profiles import places
from core.state.port import LoginState


class Legacy(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        browser_data: the user-data-dir.
        session: the file that may hold a login state; None if there is none.
    """

    browser_data: Path
    session: Path | None


class _StorageState(msgspec.Struct):
    cookies: list[dict[str, Any]]
    origins: list[dict[str, Any]] = []


def find(directory: Path) -> Legacy | None:
    """Return the single profile in a directory, None if there is none."""
    data, session = directory / places.BROWSER_PROFILE, directory / places.LOGIN_STATE
    if not data.is_dir() or data.is_symlink():
        return None
    return Legacy(data, session if session.is_file() else None)


def login_state(path: Path) -> LoginState | None:
    """Return the login state in a file: Playwright's ``storage_state`` or our own form; None if it is neither."""
    try:
        data = bytes_of(path)
        found = msgspec.json.decode(data or b"", type=dict[str, Any])
        if "payload" in found:
            stored, _ = EnvelopeFile[LoginState](path, LoginState).look()
            return None if stored is None else stored.value
        plain = msgspec.convert(found, _StorageState)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return LoginState(cookies=plain.cookies, origins=plain.origins, level="storage")
