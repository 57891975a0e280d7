"""Workspaces on disk: ``state/workspaces/<id>-<fence>/`` with a marker, ``user-data/`` and, where the path is short, ``tmp/``.

A workspace is built under a hidden name and renamed when it is whole and verified. ``profiles/<id>/browser_profile`` is the
profile's saved browser data; ``profiles/<id>/.ahead`` stands beside it while a browser may have gone further than what is
saved, so that a later clone knows that it needs the login state.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec
import structlog

from core import durable
from core.domain.lifecycle import WorkspaceEvent, WorkspaceState
from core.domain.validation import is_valid_id
from core.errors import (
    HolderAlive,
    TemplateLive,
    TemplateMissing,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.workspaces import (
    ahead,
    clone,
    filling,
    listing,
    live,
    manifest,
    marker,
    places,
    removal,
    scratch,
    skip,
    swap,
    sweeping,
    verify,
)
from core.workspaces import version as versions
from core.workspaces.aside import put
from core.workspaces.marker import Marker
from core.workspaces.places import NEW, USER_DATA
from core.workspaces.port import Receipt, Workspace
from core.workspaces.sweeping import REUSABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

P = ParamSpec("P")
T = TypeVar("T")
BROWSER_PROFILE = "browser_profile"
log = structlog.get_logger(__name__)


def _of_host(method: Callable[P, T]) -> Callable[P, T]:
    """Let what the system refuses, and nothing here foresees, name the file as every write does."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except OSError as exc:
            raise durable.write_failed(Path(exc.filename or "browser data"), exc) from exc

    return call


class FileWorkspaces:
    """Adapter of ``Workspaces``.

    Args:
        state_dir: absolute; everything lies below it, but for a TMPDIR whose path would be too long.
        holder: says who holds a profile's lock, None for nobody (``ProfileLocks.holder``); without it, nobody does.
        hold: holds a profile's lock while something of it is removed, or raises ``HolderAlive`` (``ProfileLocks.hold``);
            without it, ``holder`` is asked before.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        holder: Callable[[str], object | None] | None = None,
        hold: Callable[[str, str], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._state_dir = state_dir.resolve()
        self._root = self._state_dir / "workspaces"
        self._profiles = self._state_dir / "profiles"
        self._holder = holder or (lambda _profile_id: None)
        self._hold = hold or self._unless_held

    def expected_user_data_dir(self, profile_id: str, fence: int) -> Path:
        """Return where the browser of this holder will run, before anything exists."""
        return self._path(profile_id, fence) / USER_DATA

    @_of_host
    def acquire(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a verified workspace; see the port.

        Raises:
            HolderAlive: a browser still runs in an earlier attempt's workspace.
            TemplateMissing, TemplateLive, NoSpace: before anything was made.
            WorkspaceCorrupt: twice.
        """
        durable.ensure_directory(self._root)
        durable.ensure_directory(self._profiles / profile_id)
        swap.recover(self._saved(profile_id), self._remove_in_profile(profile_id))
        for path in listing.hidden(self._root, profile_id):
            removal.workspace(path, self._root)
        taken: Workspace | None = None
        for path in listing.visible(self._root, profile_id):
            signs = live.evidence(path / USER_DATA)
            if signs is not None:
                raise HolderAlive(f"the workspace {path.name}", f"a browser ({signs})")
            if taken is None:
                taken = self._take_over(path, profile_id, fence)
                if taken is not None:
                    continue
            removal.workspace(path, self._root)
        return taken or self._build(profile_id, fence, template, rebuilt=False)

    @_of_host
    def throwaway(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a copy to be looked at and discarded; see the port.

        Raises:
            TemplateMissing, TemplateLive, NoSpace: before anything was made.
            WorkspaceCorrupt: twice.
        """
        durable.ensure_directory(self._root)
        swap.recover(self._saved(profile_id), self._remove_in_profile(profile_id))
        return self._build(profile_id, fence, template, rebuilt=False, throwaway=True)

    @_of_host
    def rebuild(self, workspace: Workspace, *, template: Path | None) -> Workspace:
        """Throw the copy away and clone again, for a browser that found it unusable."""
        self._refuse_live(workspace)
        removal.workspace(workspace.root, self._root)
        return self._build(workspace.profile_id, workspace.fence, template, rebuilt=True)

    def mark_in_use(self, workspace: Workspace, browser: str, version: str) -> None:
        """Record that a browser runs in it, and that it is ahead of what is saved.

        Raises:
            WorkspaceError: an older or foreign browser on this data: the copy must not be used or saved, the profile is as
                it was.
        """
        found = self._marker(workspace)
        try:
            versions.check(found.browser, browser, version)
        except WorkspaceError:
            marker.write(workspace.root, found.after(WorkspaceEvent.RELEASED))
            raise
        if found.state is not WorkspaceState.IN_USE:
            found = found.after(WorkspaceEvent.LAUNCHED)
        ahead.mark(self._saved(workspace.profile_id))
        marker.write(workspace.root, msgspec.structs.replace(found, rebuilt=False, browser=(browser, version)))

    @_of_host
    def save_back(self, workspace: Workspace) -> Receipt:
        """Make its browser data the profile's, after the browser was closed cleanly; the workspace is used up.

        Raises:
            HolderAlive: a browser still runs in it.
            WorkspaceCorrupt: the data does not verify; the profile has the old data.
        """
        began = time.monotonic()
        self._refuse_live(workspace)
        found = self._marker(workspace)
        data = workspace.user_data_dir
        skipped = clone.prune(data, lambda path: removal.tree(path, self._root))
        clone.forget_crash(data)
        self._refuse_corrupt(data)
        if found.browser is not None:
            versions.record(data, *found.browser)
        files, size = manifest.write(data)
        # from here on nobody may take this workspace over: its data is about to become the profile's
        marker.write(workspace.root, found.after(WorkspaceEvent.RELEASED))
        self._swap_in(data, workspace.profile_id)
        removal.workspace(workspace.root, self._root)
        seconds = time.monotonic() - began
        return Receipt(source="profile", files=files, bytes=size, skipped=skipped, seconds=seconds)

    @_of_host
    def snapshot(self, workspace: Workspace) -> Receipt:
        """Make a copy of its browser data the profile's, while no browser runs in it; the workspace stays.

        Raises:
            HolderAlive, WorkspaceCorrupt, NoSpace: the profile has the old data.
        """
        self._refuse_live(workspace)
        found = self._marker(workspace)
        copy = workspace.root / "snapshot"
        removal.tree(copy, self._root)
        receipt = clone.copy(workspace.user_data_dir, copy, kind="profile", service_workers=True)
        clone.forget_crash(copy)
        self._refuse_corrupt(copy)
        if found.browser is not None:
            versions.record(copy, *found.browser)
        manifest.write(copy)
        self._swap_in(copy, workspace.profile_id)
        return receipt

    def discard(self, workspace: Workspace) -> None:
        """Remove it."""
        removal.workspace(workspace.root, self._root)

    def discard_profile(self, profile_id: str) -> int:
        """Remove all workspaces of a profile whose lock the caller holds; return how many."""
        paths = listing.visible(self._root, profile_id)
        for path in (*paths, *listing.hidden(self._root, profile_id)):
            removal.workspace(path, self._root)
        return len(paths)

    @_of_host
    def put_aside(self, profile_id: str) -> str | None:
        """Keep the newest workspace of a profile as evidence; see the port."""
        paths = listing.visible(self._root, profile_id)
        return put(paths[0], profile_id, self._state_dir) if paths else None

    def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """Remove what crashes left; see the port. Return names of what was removed."""
        removed = sweeping.sweep(self._root, is_wanted, self._hold)
        self._recover_swaps()
        return removed + places.at(self._state_dir / places.CLONES).sweep()

    def _recover_swaps(self) -> None:
        if not self._profiles.is_dir():
            return
        for profile in sorted(self._profiles.iterdir()):
            saved = profile / BROWSER_PROFILE
            if swap.pending(saved) and is_valid_id(profile.name):
                with contextlib.suppress(HolderAlive), self._hold(profile.name, sweeping.WHAT):
                    swap.recover(saved, self._remove_in_profile(profile.name))

    @contextlib.contextmanager
    def _unless_held(self, profile_id: str, _what: str) -> Iterator[None]:
        holder = self._holder(profile_id)
        if holder is not None:
            raise HolderAlive(f"profile {profile_id}", str(holder))
        yield

    def _take_over(self, path: Path, profile_id: str, fence: int) -> Workspace | None:
        found = marker.read(path)
        data = path / USER_DATA
        if found is None or found.profile != profile_id:
            log.warning("workspace_not_taken_over", workspace=path.name, reason="its marker is damaged")
            return None
        if found.state not in REUSABLE or not data.is_dir():
            return None
        for name in skip.SINGLETONS:
            (data / name).unlink(missing_ok=True)
        clone.forget_crash(data)
        findings = verify.findings(data)
        if findings:
            log.warning("workspace_not_taken_over", workspace=path.name, reason="; ".join(findings))
            return None
        root = self._path(profile_id, fence)
        taken = found.after(WorkspaceEvent.TAKEN_OVER)
        removal.temp_dir(Path(found.temp_dir))
        removal.tree(path / "tmp", self._root)
        taken = msgspec.structs.replace(
            taken.after(WorkspaceEvent.VERIFIED), fence=fence, temp_dir=str(scratch.path_for(root))
        )
        marker.write(path, taken)
        if path != root:
            path.rename(root)
        return self._open(root, taken, Receipt(source="crashed"))

    def _build(
        self, profile_id: str, fence: int, template: Path | None, *, rebuilt: bool, throwaway: bool = False
    ) -> Workspace:
        source, kind = self._source(profile_id, template)
        root = self._path(profile_id, fence)
        findings: list[str] = []
        for _ in range(2):
            hidden = self._root / f"{NEW}{root.name}.{secrets.token_hex(4)}"
            hidden.mkdir(mode=0o700)
            made = Marker(
                profile=profile_id,
                fence=fence,
                state=WorkspaceState.CREATING,
                temp_dir=str(scratch.path_for(root)),
                created=time.time(),
                # a clone of what was saved last is the data as the last commit left it, unless a browser went further
                rebuilt=rebuilt or kind != "profile" or ahead.is_set(self._saved(profile_id)),
                browser=versions.written_by(source) if source is not None else None,
            )
            try:
                marker.write(hidden, made)
                receipt = self._fill(hidden / USER_DATA, source, kind)
                made = made.after(WorkspaceEvent.CLONED)
                findings = manifest.first_differences(hidden / USER_DATA, source) if kind == "profile" else []
                clone.forget_crash(hidden / USER_DATA)
                findings += verify.findings(hidden / USER_DATA)
                if not findings:
                    made = made.after(WorkspaceEvent.VERIFIED)
                    # before it can be seen: what is released is taken over by nobody, also after a kill
                    made = made.after(WorkspaceEvent.RELEASED) if throwaway else made
                    marker.write(hidden, made)
                    hidden.rename(root)
                    return self._open(root, made, receipt)
            except BaseException:
                removal.workspace(hidden, self._root)
                raise
            removal.workspace(hidden, self._root)
        raise WorkspaceCorrupt(source or root, findings)

    def _fill(self, data: Path, source: Path | None, kind: str) -> Receipt:
        if source is None:
            data.mkdir(mode=0o700)
            return Receipt(source="empty")
        return filling.fill(data, source, kind=kind)

    def _source(self, profile_id: str, template: Path | None) -> tuple[Path | None, str]:
        saved = self._saved(profile_id)
        if os.path.lexists(saved) and not saved.is_dir():
            raise WorkspaceCorrupt(saved, ["it is no directory"])
        if saved.is_dir() and any(saved.iterdir()):
            source, kind = saved, "profile"
        elif template is not None:
            source, kind = template.resolve(), "template"
            if not filling.is_user_data_dir(source):
                raise TemplateMissing(template)
            self._refuse_held(source, profile_id)
        else:
            return None, "empty"
        filling.refuse_live(source)
        return source, kind

    def _refuse_held(self, template: Path, profile_id: str) -> None:
        if self._profiles not in template.parents:
            return
        owner = template.relative_to(self._profiles).parts[0]
        holder = self._holder(owner) if owner != profile_id else None
        if holder is not None:
            raise TemplateLive(template, f"profile {owner} is held by {holder}")

    def _swap_in(self, new: Path, profile_id: str) -> None:
        durable.ensure_directory(self._profiles / profile_id)
        swap.replace(new, self._saved(profile_id), self._remove_in_profile(profile_id))

    def _refuse_live(self, workspace: Workspace) -> None:
        signs = live.evidence(workspace.user_data_dir)
        if signs is not None:
            raise HolderAlive(f"the workspace {workspace.root.name}", f"a browser ({signs})")

    def _refuse_corrupt(self, data: Path) -> None:
        findings = verify.findings(data)
        if findings:
            raise WorkspaceCorrupt(data, findings)

    def _marker(self, workspace: Workspace) -> Marker:
        found = marker.read(workspace.root)
        if found is None or found.fence != workspace.fence:
            raise WorkspaceError(f"{workspace.root} is not ours any more")
        return found

    def _open(self, root: Path, found: Marker, receipt: Receipt) -> Workspace:
        # made last: a TMPDIR without a workspace of that name is a stray
        scratch.create(Path(found.temp_dir))
        return Workspace(
            profile_id=found.profile,
            fence=found.fence,
            root=root,
            user_data_dir=root / USER_DATA,
            temp_dir=Path(found.temp_dir),
            receipt=receipt,
            rebuilt=found.rebuilt,
        )

    def _path(self, profile_id: str, fence: int) -> Path:
        return self._root / f"{profile_id}-{fence}"

    def _saved(self, profile_id: str) -> Path:
        return self._profiles / profile_id / BROWSER_PROFILE

    def _remove_in_profile(self, profile_id: str) -> Callable[[Path], None]:
        return functools.partial(removal.tree, root=self._profiles / profile_id)
