"""Fills a directory of ours with browser data: what runs and the clone manager have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.errors import TemplateLive
from core.workspaces import clone, live, verify, version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.workspaces.port import Receipt


def is_user_data_dir(path: Path) -> bool:
    """Whether a directory looks like a browser's user-data-dir."""
    return path.is_dir() and any((path / name).exists() for name in ("Default", "Local State", "Last Version"))


def refuse_live(source: Path) -> None:
    """Refuse browser data that is in use.

    Raises:
        TemplateLive: a browser uses it.
    """
    signs = live.evidence(source)
    if signs is not None:
        raise TemplateLive(source, signs)


def fill(
    data: Path, source: Path, *, kind: str, limit: int | None = None, watch: Callable[[int], None] | None = None
) -> Receipt:
    """Copy closed browser data; arguments and errors are those of ``clone.copy``.

    Raises:
        TemplateLive: a browser was opened meanwhile, and may have torn the copy.
    """
    receipt = clone.copy(source, data, kind=kind, service_workers=kind == "profile", limit=limit, watch=watch)
    refuse_live(source)
    lost = verify.keyring_cookies(data) if kind == "template" else 0
    return msgspec.structs.replace(receipt, keyring_cookies=lost, browser=version.written_by(source))
