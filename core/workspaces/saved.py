"""Browser data as a profile has saved it, in ``profiles/<id>/browser_profile``: what an archive takes from it and puts there.

The caller holds the profile's lock.
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from core.errors import HolderAlive, WorkspaceCorrupt
from core.workspaces import ahead, clone, live, manifest, removal, swap, verify
from core.workspaces import version as versions

_SHOWN = 5
_OURS = ".ostler-"


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The browser data that a profile has saved: closed, and as it was saved.

    Attributes:
        root: the directory.
        files: what is worth taking along, relative, with ``/`` between the parts; sorted.
        skipped: what is not, by rule, and how often.
        unreadable: what could not be looked at.
        browser: name (may be empty) and version of the newest browser that wrote it; None if unknown.
        encrypted: how many cookies and passwords are encrypted, by the prefix that says how: ``v10``, ``v11``, ``v20``.
        behind: a browser went further than this; what it left, its commits apart, is lost.
    """

    root: Path
    files: tuple[str, ...] = ()
    skipped: dict[str, int] = {}
    unreadable: tuple[str, ...] = ()
    browser: tuple[str, str] | None = None
    encrypted: dict[str, int] = {}
    behind: bool = False


def look(root: Path) -> Saved | None:
    """Return what a profile has saved, None if that is nothing. What a kill interrupted is brought to its end before.

    Args:
        root: the profile's ``browser_profile``.

    Raises:
        HolderAlive: a browser uses it.
        WorkspaceCorrupt: it is damaged, or somebody changed it.
    """
    root = root.parent.resolve() / root.name
    swap.recover(root, functools.partial(removal.tree, root=root.parent))
    if not root.is_dir() or not any(root.iterdir()):
        return None
    signs = live.evidence(root)
    if signs is not None:
        raise HolderAlive(f"the browser data of profile {root.parent.name}", f"a browser ({signs})")
    found = [*map(str, manifest.differences(root, deep=True) or ()), *verify.findings(root)]
    if found:
        raise WorkspaceCorrupt(root, found[:_SHOWN])
    plan = clone.scan(root, service_workers=True)
    return Saved(
        root=root,
        # ours are written anew where the rest arrives
        files=tuple(sorted(file.relative for file in plan.files if not file.relative.startswith(_OURS))),
        skipped={name: count for name, count in plan.skipped.items() if not name.startswith(_OURS)},
        unreadable=tuple(plan.unreadable),
        browser=versions.written_by(root),
        encrypted=verify.encrypted(root),
        behind=ahead.is_set(root),
    )


def receive(root: Path, browser: tuple[str, str] | None, *, behind: bool) -> None:
    """Make browser data that was unpacked into ``root`` the saved data of the profile it is in.

    Args:
        root: the ``browser_profile`` of a profile that is being made.
        browser: name and version of the one that wrote it.
        behind: a browser went further than this.

    Raises:
        WorkspaceCorrupt: it is damaged.
        DurableWriteFailed, WorkspaceError: the disk did not take it.
    """
    found = verify.findings(root)
    if found:
        raise WorkspaceCorrupt(root, found[:_SHOWN])
    if browser is not None:
        versions.record(root, *browser)
    manifest.write(root, afresh=True)
    if behind:
        ahead.mark(root)
