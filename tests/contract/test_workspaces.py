"""What every store of workspaces keeps: the one on disk and the fake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.errors import TemplateMissing, WorkspaceCorrupt, WorkspaceError
from core.workspaces import removal, scratch
from core.workspaces.files import FileWorkspaces
from core.workspaces.memory import MemoryWorkspaces

if TYPE_CHECKING:
    from core.workspaces.port import Workspace

HISTORY = "Default/History.txt"


class OnDisk:
    """The manager, and what a test does in a browser's stead."""

    def __init__(self, tmp_path: Path, state_dir: Path) -> None:
        self.workspaces = FileWorkspaces(state_dir)
        self._tmp_path = tmp_path
        self._state_dir = state_dir

    def template(self, text: str) -> Path:
        path = self._tmp_path / "template"
        (path / "Default").mkdir(parents=True)
        (path / HISTORY).write_text(text)
        return path

    def write(self, workspace: Workspace, text: str) -> None:
        path = workspace.user_data_dir / HISTORY
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def read(self, workspace: Workspace) -> str | None:
        path = workspace.user_data_dir / HISTORY
        return path.read_text() if path.exists() else None

    def read_aside(self, path: str) -> str:
        return (self._state_dir / path / HISTORY).read_text()

    def damage(self, workspace: Workspace) -> None:
        (workspace.user_data_dir / "Default").mkdir(exist_ok=True)
        (workspace.user_data_dir / "Default" / "Preferences").write_text("{torn")

    def damage_saved(self, profile_id: str) -> None:
        (self._state_dir / "profiles" / profile_id / "browser_profile" / "Local State").write_text("{torn")


class InMemory:
    """The fake, likewise."""

    def __init__(self) -> None:
        self.workspaces = MemoryWorkspaces()

    def template(self, text: str) -> Path:
        path = Path("/memory/template")
        self.workspaces.templates[path] = {HISTORY: text}
        return path

    def write(self, workspace: Workspace, text: str) -> None:
        self.workspaces.files[workspace.user_data_dir][HISTORY] = text

    def read(self, workspace: Workspace) -> str | None:
        return self.workspaces.files[workspace.user_data_dir].get(HISTORY)

    def read_aside(self, path: str) -> str:
        return self.workspaces.aside[path][HISTORY]

    def damage(self, workspace: Workspace) -> None:
        self.workspaces.corrupt.add(workspace.user_data_dir)

    def damage_saved(self, profile_id: str) -> None:
        self.workspaces.corrupt.add(f"profile:{profile_id}")


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path: Path, state_dir: Path):
    """Each adapter."""
    yield OnDisk(tmp_path, state_dir) if request.param == "disk" else InMemory()
    # the TMPDIRs of workspaces that a test leaves standing
    for path in scratch.strays(state_dir.resolve() / "workspaces", set()):
        removal.temp_dir(path)


def test_the_place_is_known_beforehand(store):
    """Where the browser will run is said before anything exists, and is where it runs."""
    expected = store.workspaces.expected_user_data_dir("anna", 3)
    workspace = store.workspaces.acquire("anna", 3, template=None)
    assert workspace.user_data_dir == expected
    assert (workspace.profile_id, workspace.fence) == ("anna", 3)


def test_a_new_profile_starts_empty_or_from_the_template(store):
    """Without a template there is nothing; with one there is its data; both need the login state."""
    empty = store.workspaces.acquire("anna", 1, template=None)
    assert (empty.receipt.source, store.read(empty), empty.rebuilt) == ("empty", None, True)
    cloned = store.workspaces.acquire("bert", 1, template=store.template("t"))
    assert (cloned.receipt.source, store.read(cloned), cloned.rebuilt) == ("template", "t", True)


def test_a_template_that_is_none_is_refused(store, tmp_path: Path):
    """A path without browser data is no template, and nothing is made."""
    with pytest.raises(TemplateMissing):
        store.workspaces.acquire("anna", 1, template=tmp_path / "nothing")
    assert store.workspaces.discard_profile("anna") == 0


def test_what_is_saved_back_is_what_the_next_holder_gets(store):
    """The saved data wins over the template, is as the last commit left it, and the workspace is used up."""
    template = store.template("t")
    first = store.workspaces.acquire("anna", 1, template=template)
    store.workspaces.mark_in_use(first, "Chromium", "156.0")
    store.write(first, "mine")
    store.workspaces.save_back(first)
    assert store.workspaces.discard_profile("anna") == 0
    second = store.workspaces.acquire("anna", 2, template=template)
    assert (second.receipt.source, store.read(second), second.rebuilt) == ("profile", "mine", False)


def test_a_copy_is_private(store):
    """What one holder writes is seen by nobody until it is saved."""
    template = store.template("t")
    first = store.workspaces.acquire("anna", 1, template=template)
    store.write(first, "changed")
    assert store.read(store.workspaces.acquire("bert", 1, template=template)) == "t"


def test_a_crashed_attempt_is_continued(store):
    """The next holder takes the workspace over, under its own number; the data is as the last commit left it."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.workspaces.mark_in_use(first, "Chromium", "156.0")
    store.write(first, "half")
    second = store.workspaces.acquire("anna", 2, template=None)
    assert (second.receipt.source, store.read(second), second.rebuilt) == ("crashed", "half", False)
    assert second.user_data_dir != first.user_data_dir
    with pytest.raises(WorkspaceError):
        store.workspaces.save_back(first)


def test_one_that_never_had_a_browser_still_needs_the_login_state(store):
    """A crash between clone and launch leaves a copy that the login state was never put into."""
    store.workspaces.acquire("anna", 1, template=None)
    assert store.workspaces.acquire("anna", 2, template=None).rebuilt


def test_a_corrupt_workspace_is_cloned_anew(store):
    """One that does not verify is not taken over; what a browser went ahead of must be restored."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.workspaces.mark_in_use(first, "Chromium", "156.0")
    store.write(first, "saved")
    store.workspaces.save_back(first)
    second = store.workspaces.acquire("anna", 2, template=None)
    store.workspaces.mark_in_use(second, "Chromium", "156.0")
    store.write(second, "lost")
    store.damage(second)
    third = store.workspaces.acquire("anna", 3, template=None)
    assert (third.receipt.source, store.read(third), third.rebuilt) == ("profile", "saved", True)


def test_corrupt_data_is_never_saved(store):
    """A workspace that does not verify stays out of the profile, whose data is what it was."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.write(first, "good")
    store.workspaces.save_back(first)
    second = store.workspaces.acquire("anna", 2, template=None)
    store.write(second, "bad")
    store.damage(second)
    with pytest.raises(WorkspaceCorrupt):
        store.workspaces.save_back(second)
    store.workspaces.discard(second)
    assert store.read(store.workspaces.acquire("anna", 3, template=None)) == "good"


def test_a_corrupt_profile_is_said(store):
    """When the source itself is damaged, a second clone does not help, and no workspace is left."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.write(first, "good")
    store.workspaces.save_back(first)
    store.damage_saved("anna")
    with pytest.raises(WorkspaceCorrupt):
        store.workspaces.acquire("anna", 2, template=None)
    assert store.workspaces.discard_profile("anna") == 0


def test_a_snapshot_saves_and_keeps_the_workspace(store):
    """The profile has the data, and the workspace goes on by itself."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.write(first, "then")
    store.workspaces.snapshot(first)
    store.write(first, "now")
    assert store.read(first) == "now"
    store.workspaces.discard(first)
    assert store.read(store.workspaces.acquire("anna", 2, template=None)) == "then"


def test_a_throwaway_is_nobodys_work(store):
    """It shows what was saved last; after a kill nobody goes on with it, and the crashed attempt's own data is still there."""
    first = store.workspaces.acquire("anna", 1, template=None)
    store.write(first, "saved")
    store.workspaces.save_back(first)
    crashed = store.workspaces.acquire("anna", 2, template=None)
    store.workspaces.mark_in_use(crashed, "Chromium", "156.0")
    store.write(crashed, "half")
    look = store.workspaces.throwaway("anna", 3, template=None)
    assert (look.receipt.source, store.read(look), look.rebuilt) == ("profile", "saved", True)
    store.write(look, "looked at")
    fourth = store.workspaces.acquire("anna", 4, template=None)
    assert (fourth.receipt.source, store.read(fourth)) == ("crashed", "half")
    assert store.workspaces.discard_profile("anna") == 1


def test_a_throwaway_leaves_no_trace(store):
    """Discarded, the next copy is as if it had never been; a new profile's starts as any other."""
    look = store.workspaces.throwaway("anna", 1, template=store.template("t"))
    assert (look.receipt.source, store.read(look)) == ("template", "t")
    store.workspaces.discard(look)
    assert store.workspaces.acquire("anna", 1, template=None).receipt.source == "empty"


def test_a_rebuild_starts_from_the_source(store):
    """The same place, the source's data, and the login state must be restored."""
    template = store.template("t")
    first = store.workspaces.acquire("anna", 1, template=template)
    store.write(first, "unusable")
    again = store.workspaces.rebuild(first, template=template)
    assert (again.user_data_dir, store.read(again), again.rebuilt) == (first.user_data_dir, "t", True)


def test_what_is_put_aside_is_evidence_and_nobodys_workspace(store):
    """The newest one is kept under a name of its own, as the attempt left it; neither a sweep nor the next holder finds it."""
    assert store.workspaces.put_aside("anna") is None
    workspace = store.workspaces.acquire("anna", 3, template=store.template("t"))
    store.write(workspace, "as it failed")
    kept = store.workspaces.put_aside("anna")
    assert kept == "artifacts/anna/SENSITIVE-workspace-3/user-data"
    assert store.workspaces.discard_profile("anna") == 0
    assert store.workspaces.sweep(lambda _: False) == []
    assert store.workspaces.acquire("anna", 4, template=None).receipt.source == "empty"
    assert store.read_aside(kept) == "as it failed"


def test_a_sweep_removes_what_nobody_wants(store):
    """Workspaces of unwanted profiles go, the others stay."""
    store.workspaces.acquire("anna", 1, template=None)
    store.workspaces.acquire("bert", 1, template=None)
    assert store.workspaces.sweep(lambda profile_id: profile_id == "anna") == ["bert-1"]
    assert store.workspaces.discard_profile("anna") == 1
    assert store.workspaces.discard_profile("bert") == 0
