"""What Ostler needs from private working copies of browser data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


ASIDE = "SENSITIVE-workspace-"
"""How the name of a workspace begins that was put aside, below ``artifacts/<id>/``; its fence follows."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy did.

    Attributes:
        source: ``template``, ``profile``, ``crashed`` (an earlier attempt's workspace, taken over), ``empty``, or ``base`` (nothing
            was copied, the base profile itself is used).
        files: copied.
        bytes: copied.
        skipped: files left out, by rule.
        unreadable: relative paths that could not be read.
        reflinked: files that share their blocks with the source until one of the two changes: no bytes were copied.
        template: the directory that was copied; empty where nothing was.
        template_hash: SHA-256 over path, size and modification time of each file that was to be copied. Nothing is read for
            it, so it costs nothing, and it does not notice a change that keeps all three.
        browser: name (may be empty) and version of the newest browser that wrote the source; None if unknown.
        memory: bytes by which the copy raised the most memory that this process has had.
        keyring_cookies: cookies of a template that only the keyring of another desktop session can decrypt: lost here.
        seconds: how long it took.
    """

    source: str
    files: int = 0
    bytes: int = 0
    skipped: dict[str, int] = {}
    unreadable: tuple[str, ...] = ()
    reflinked: int = 0
    template: str = ""
    template_hash: str = ""
    browser: tuple[str, str] | None = None
    memory: int = 0
    keyring_cookies: int = 0
    seconds: float = 0.0


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A private copy that one attempt runs in. Both directories are 0700 and ours alone.

    Attributes:
        profile_id: whose data.
        fence: the holder's number; part of the directory's name.
        root: ``state/workspaces/<id>-<fence>``, with our marker file inside.
        user_data_dir: what the browser is given.
        temp_dir: short path for TMPDIR, gone with the workspace.
        receipt: where the data came from.
        rebuilt: the login state must be restored before the first page: this is not the data as the last commit left it.
    """

    profile_id: str
    fence: int
    root: Path
    user_data_dir: Path
    temp_dir: Path
    receipt: Receipt
    rebuilt: bool


class Workspaces(Protocol):
    """Creates, verifies, saves and removes workspaces. Calls are synchronous; async code uses a thread. Laws:

    - The caller holds the profile's lock.
    - ``acquire`` returns a verified copy or raises; a half-made one is never visible under a workspace's name.
    - The source is never changed; a live source is refused.
    - ``save_back`` is all or nothing: the profile has the old data or the new, after kill -9 and power cut too.
    - Nothing outside our own root is ever removed, and nothing inside without our marker.
    """

    def expected_user_data_dir(self, profile_id: str, fence: int) -> Path:
        """Return where the browser of this holder will run, before anything exists."""
        ...

    def acquire(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a verified workspace.

        An earlier attempt's own workspace is taken over if it verifies; else the profile's saved browser data is cloned;
        else the template; else it starts empty. A corrupt copy is made once more.

        Raises:
            TemplateMissing, TemplateLive, NoSpace: before anything was made.
            WorkspaceCorrupt: twice.
        """
        ...

    def throwaway(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a copy of what was saved last, else of the template, else an empty one, to be looked at and discarded.

        Nobody takes it over, and it is never saved. An earlier attempt's own workspace stays for whoever goes on with it.

        Raises:
            TemplateMissing, TemplateLive, NoSpace: before anything was made.
            WorkspaceCorrupt: twice.
        """
        ...

    def rebuild(self, workspace: Workspace, *, template: Path | None) -> Workspace:
        """Throw the copy away and clone again, for a browser that found it unusable."""
        ...

    def mark_in_use(self, workspace: Workspace, browser: str, version: str) -> None:
        """Record that a browser runs in it."""
        ...

    def save_back(self, workspace: Workspace) -> Receipt:
        """Make its browser data the profile's, after the browser was closed cleanly; the workspace is used up."""
        ...

    def snapshot(self, workspace: Workspace) -> Receipt:
        """Make a copy of its browser data the profile's, while no browser runs in it; the workspace stays."""
        ...

    def discard(self, workspace: Workspace) -> None:
        """Remove it."""
        ...

    def discard_profile(self, profile_id: str) -> int:
        """Remove all workspaces of a profile whose lock the caller holds; return how many."""
        ...

    def put_aside(self, profile_id: str) -> str | None:
        """Keep the newest workspace of a profile as evidence, its caches aside; return its path, relative to the state directory.

        The caller holds the profile's lock. Nobody takes it over any more, and ``ostler gc`` removes it in its time. It is a closed
        user-data-dir with the account's logins. None: there is no workspace.

        Raises:
            HolderAlive: a browser still runs in it.
        """
        ...

    def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """Remove what crashes left: half-made copies always, workspaces of unwanted profiles whose lock is free, and
        temp directories without a workspace. Return names of what was removed.
        """
        ...
