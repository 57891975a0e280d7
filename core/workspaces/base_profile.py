"""How the base profile stands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from core.domain.verification import ProfileStatus
from core.workspaces import filling, live, verify

if TYPE_CHECKING:
    from pathlib import Path

_TELLING = ("Local State", "Default", "Default/Preferences", "Default/Cookies")


def status(base: Path | None) -> ProfileStatus:
    """Return whether clones can be made of it: the first of these that applies, ``AVAILABLE`` if none does.

    ``MISSING`` (also where there is none), ``PERMISSION_DENIED`` (it, or something in it that every browser has, cannot be
    read), ``LOCKED`` (a browser uses it), ``CORRUPTED`` (it is not browser data, or damaged).
    """
    if base is None or not base.is_dir():
        return ProfileStatus.MISSING
    paths = [base, *(path for name in _TELLING if (path := base / name).exists())]
    if not all(os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)) for path in paths):
        return ProfileStatus.PERMISSION_DENIED
    if live.evidence(base) is not None:
        return ProfileStatus.LOCKED
    if not filling.is_user_data_dir(base) or verify.findings(base):
        return ProfileStatus.CORRUPTED
    return ProfileStatus.AVAILABLE
