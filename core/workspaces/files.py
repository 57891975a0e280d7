"""Workspaces on disk: ``state/workspaces/<id>-<fence>/`` with a marker, ``user-data/`` and, where the path is short, ``tmp/``.

A workspace is built under a hidden name and renamed when it is whole and verified. ``profiles/<id>/browser_profile`` is the
profile's saved browser data; ``profiles/<id>/.ahead`` stands beside it while a browser may have gone further than what is
saved, so that a later clone knows that it needs the login state.
"""

from __future__ import annotations

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
from core.errors import (
    HolderAlive,
    OutsideRoot,
    TemplateLive,
    TemplateMissing,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.workspaces import ahead, clone, filling, live, manifest, marker, places, removal, scratch, skip, swap, verify
from core.workspaces import version as versions
from core.workspaces.aside import put
from core.workspaces.marker import Marker
from core.workspaces.places import NEW, USER_DATA
from core.workspaces.port import Receipt, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
BROWSER_PROFILE = "browser_profile"
log = structlog.get_logger(__name__)
_REUSABLE = frozenset({WorkspaceState.VERIFIED, WorkspaceState.IN_USE})


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
    """

    def __init__(self, state_dir: Path, *, holder: Callable[[str], object | None] | None = None) -> None:
        self._state_dir = state_dir.resolve()
        self._root = self._state_dir / "workspaces"
        self._profiles = self._state_dir / "profiles"
        self._holder = holder or (lambda _profile_id: None)

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
        for path in self._hidden(profile_id):
            removal.workspace(path, self._root)
        taken: Workspace | None = None
        for path in self._of_profile(profile_id):
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
        paths = self._of_profile(profile_id)
        for path in (*paths, *self._hidden(profile_id)):
            removal.workspace(path, self._root)
        return len(paths)

    @_of_host
    def put_aside(self, profile_id: str) -> str | None:
        """Keep the newest workspace of a profile as evidence; see the port."""
        paths = self._of_profile(profile_id)
        return put(paths[0], profile_id, self._state_dir) if paths else None

    def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """Remove what crashes left; see the port. Return names of what was removed."""
        removed: list[str] = []
        kept: set[str] = set()
        for path in self._entries():
            found = marker.read(path)
            profile_id = _profile_of(path.name)
            hidden = path.name.startswith(".")
            busy = self._holder(profile_id) is not None or live.evidence(path / USER_DATA) is not None
            whole = not hidden and found is not None and found.state in _REUSABLE
            if busy or (whole and is_wanted(profile_id)):
                kept.add(path.name)
            else:
                try:
                    removal.workspace(path, self._root)
                except WorkspaceError as exc:
                    if not isinstance(exc, OutsideRoot):  # else somebody else put it here: no marker, and not empty
                        log.warning("workspace_not_removed", workspace=path.name, reason=str(exc))
                    continue
                removed.append(path.name)
        for path in scratch.strays(self._root, kept | {path.name for path in self._entries()}):
            removal.temp_dir(path)
            removed.append(path.name)
        self._recover_swaps()
        return removed + places.at(self._state_dir / places.CLONES).sweep()

    def _recover_swaps(self) -> None:
        if not self._profiles.is_dir():
            return
        for profile in sorted(self._profiles.iterdir()):
            saved = profile / BROWSER_PROFILE
            if swap.pending(saved) and self._holder(profile.name) is None:
                swap.recover(saved, self._remove_in_profile(profile.name))

    def _take_over(self, path: Path, profile_id: str, fence: int) -> Workspace | None:
        found = marker.read(path)
        data = path / USER_DATA
        if found is None or found.profile != profile_id:
            log.warning("workspace_not_taken_over", workspace=path.name, reason="its marker is damaged")
            return None
        if found.state not in _REUSABLE or not data.is_dir():
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

    def _entries(self) -> list[Path]:
        try:
            return sorted(path for path in self._root.iterdir() if path.is_dir() and not path.is_symlink())
        except FileNotFoundError:
            return []

    def _hidden(self, profile_id: str) -> list[Path]:
        """Return what a kill left half made or half removed."""
        return [path for path in self._entries() if path.name.startswith(".") and _profile_of(path.name) == profile_id]

    def _of_profile(self, profile_id: str) -> list[Path]:
        """Return the visible workspaces of a profile, the newest first."""
        found = [
            (int(fence), path)
            for path in self._entries()
            for owner, _, fence in [path.name.rpartition("-")]
            if owner == profile_id and fence.isdigit() and marker.is_marked(path)
        ]
        return [path for _, path in sorted(found, reverse=True)]


def _profile_of(name: str) -> str:
    """Return whose workspace a directory of this name is, also while it is hidden."""
    plain = name.removeprefix(NEW).removeprefix(removal.GONE).partition(".")[0]
    return plain.rpartition("-")[0]
