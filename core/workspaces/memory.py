"""Workspaces in memory, for tests of what uses them: the same laws, no disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import TemplateMissing, WorkspaceCorrupt, WorkspaceError
from core.workspaces.port import ASIDE, Receipt, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

Files = dict[str, str]


class MemoryWorkspaces:
    """The fake.

    Attributes:
        files: content of each user-data-dir that exists, by its path; a test reads and writes it as a browser would.
        saved: the profiles' browser data.
        templates: what can be cloned.
        corrupt: user-data-dirs, saved profiles (``profile:<id>``) and templates that do not verify.
        aside: what was put aside, by its path.
        wanted_back: profiles that ``save_back`` and ``snapshot`` were called for, in order.
    """

    def __init__(self, root: Path = Path("/memory/workspaces")) -> None:
        self._root = root
        self._open: dict[tuple[str, int], Workspace] = {}
        self._used: set[Path] = set()
        self._throwaways: set[Path] = set()
        self._ahead: set[str] = set()
        self.files: dict[Path, Files] = {}
        self.saved: dict[str, Files] = {}
        self.templates: dict[Path, Files] = {}
        self.corrupt: set[Path | str] = set()
        self.wanted_back: list[str] = []
        self.aside: dict[str, Files] = {}

    def expected_user_data_dir(self, profile_id: str, fence: int) -> Path:
        """Return where the browser of this holder will run, before anything exists."""
        return self._root / f"{profile_id}-{fence}" / "user-data"

    def acquire(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a verified workspace; see the port."""
        taken: Workspace | None = None
        for workspace in self._of_profile(profile_id):
            if taken is None and workspace.user_data_dir not in self.corrupt | self._throwaways:
                taken = self._take_over(workspace, fence)
            else:
                self.discard(workspace)
        return taken or self._build(profile_id, fence, template, rebuilt=False)

    def throwaway(self, profile_id: str, fence: int, *, template: Path | None) -> Workspace:
        """Give a copy to be looked at and discarded; see the port."""
        workspace = self._build(profile_id, fence, template, rebuilt=False)
        self._throwaways.add(workspace.user_data_dir)
        return workspace

    def rebuild(self, workspace: Workspace, *, template: Path | None) -> Workspace:
        """Throw the copy away and clone again, for a browser that found it unusable."""
        self.discard(workspace)
        return self._build(workspace.profile_id, workspace.fence, template, rebuilt=True)

    def mark_in_use(self, workspace: Workspace, browser: str, version: str) -> None:  # noqa: ARG002 - the port's
        """Record that a browser runs in it."""
        self._content(workspace)
        self._used.add(workspace.user_data_dir)
        self._ahead.add(workspace.profile_id)

    def save_back(self, workspace: Workspace) -> Receipt:
        """Make its browser data the profile's; the workspace is used up."""
        receipt = self.snapshot(workspace)
        self.discard(workspace)
        return receipt

    def snapshot(self, workspace: Workspace) -> Receipt:
        """Make a copy of its browser data the profile's; the workspace stays."""
        content = self._content(workspace)
        if workspace.user_data_dir in self.corrupt:
            raise WorkspaceCorrupt(workspace.user_data_dir, ["marked corrupt"])
        self.saved[workspace.profile_id] = dict(content)
        self._ahead.discard(workspace.profile_id)
        self.wanted_back.append(workspace.profile_id)
        return Receipt(source="profile", files=len(content))

    def discard(self, workspace: Workspace) -> None:
        """Remove it."""
        self._open.pop((workspace.profile_id, workspace.fence), None)
        self.files.pop(workspace.user_data_dir, None)
        self._used.discard(workspace.user_data_dir)
        self._throwaways.discard(workspace.user_data_dir)

    def discard_profile(self, profile_id: str) -> int:
        """Remove all workspaces of a profile; return how many."""
        found = self._of_profile(profile_id)
        for workspace in found:
            self.discard(workspace)
        return len(found)

    def put_aside(self, profile_id: str) -> str | None:
        """Keep the newest workspace of a profile as evidence; see the port."""
        for workspace in self._of_profile(profile_id)[:1]:
            path = f"artifacts/{profile_id}/{ASIDE}{workspace.fence}/user-data"
            self.aside[path] = self._content(workspace)
            self.discard(workspace)
            return path
        return None

    def sweep(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """Remove workspaces of unwanted profiles; return their names."""
        unwanted = [workspace for workspace in self._open.values() if not is_wanted(workspace.profile_id)]
        for workspace in unwanted:
            self.discard(workspace)
        return [workspace.root.name for workspace in unwanted]

    def _of_profile(self, profile_id: str) -> list[Workspace]:
        found = [workspace for workspace in self._open.values() if workspace.profile_id == profile_id]
        return sorted(found, key=lambda workspace: workspace.fence, reverse=True)

    def _content(self, workspace: Workspace) -> Files:
        if (workspace.profile_id, workspace.fence) not in self._open:
            raise WorkspaceError(f"{workspace.root} is not ours any more")
        return self.files[workspace.user_data_dir]

    def _take_over(self, old: Workspace, fence: int) -> Workspace:
        content = self.files[old.user_data_dir]
        rebuilt = old.rebuilt and old.user_data_dir not in self._used
        self.discard(old)
        return self._add(old.profile_id, fence, content, Receipt(source="crashed"), rebuilt=rebuilt)

    def _build(self, profile_id: str, fence: int, template: Path | None, *, rebuilt: bool) -> Workspace:
        source: Path | str | None = None
        content: Files = {}
        kind = "empty"
        if self.saved.get(profile_id):
            source, content, kind = f"profile:{profile_id}", self.saved[profile_id], "profile"
        elif template is not None:
            if template not in self.templates:
                raise TemplateMissing(template)
            source, content, kind = template, self.templates[template], "template"
        if source in self.corrupt:
            raise WorkspaceCorrupt(Path(str(source)), ["marked corrupt"])
        stale = rebuilt or kind != "profile" or profile_id in self._ahead
        return self._add(profile_id, fence, dict(content), Receipt(source=kind, files=len(content)), rebuilt=stale)

    def _add(self, profile_id: str, fence: int, content: Files, receipt: Receipt, *, rebuilt: bool) -> Workspace:
        data = self.expected_user_data_dir(profile_id, fence)
        workspace = Workspace(
            profile_id=profile_id,
            fence=fence,
            root=data.parent,
            user_data_dir=data,
            temp_dir=data.parent / "tmp",
            receipt=receipt,
            rebuilt=rebuilt,
        )
        self._open[profile_id, fence] = workspace
        self.files[data] = content
        return workspace
