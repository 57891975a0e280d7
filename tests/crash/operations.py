"""What changes the data of profiles, as a table: each operation is killed, and runs out of disk, at every point of its way.

To add one is one line: its name, what it does, what has to be there before, what it may only read. What must hold is the same for
all of them, see ``tests/crash/faults.py``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from core.domain.outcome import Done, HostFault
from core.durable import sweep_temporaries
from core.errors import HostFailed
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from core.profiles.manager import ProfileManager
from core.workspaces import manifest, swap
from core.workspaces.files import USER_DATA, FileWorkspaces
from core.workspaces.manager import WorkspaceManager
from core.workspaces.places import CLONES
from core.workspaces.port import Receipt, Workspace
from orchestrator import NEVER_HALF_WRITTEN
from tests.attempt import attempt
from tests.profiles import home_of
from tests.unit.workers.stage import Browsers
from workers.steps import Flow

PROFILE, OTHER = "anna", "bert"
FENCE = 7
SAVED = f"profiles/{PROFILE}/browser_profile"
TEMPLATE = "profiles/bert/browser_profile"
Part = Literal["browser data", "login state", "session", "metadata"]
ALL: tuple[Part, ...] = get_args(Part)


def _nothing(_state: Path) -> None:
    """Everything that is needed is there."""


def start(state: Path) -> None:
    """What the next run does first; it must leave nothing of what was cut off."""
    sweep_temporaries(state, beside=NEVER_HALF_WRITTEN)
    ProfileManager(state).tidy()
    FileWorkspaces(state).sweep(lambda _profile_id: False)


@dataclass(frozen=True)
class Operation:
    """One row.

    Attributes:
        name: what it is called.
        act: does it, on a state directory.
        setup: brings a state directory with two profiles, anna and bert, to where it begins.
        sources: what it may only read, below the state directory.
        gap: its data may be missing in its place until the next run: there is no exchange.
        parts: what of a profile must be all old or all new.
        mends: it begins with a profile that is damaged.
    """

    name: str
    act: Callable[[Path], None]
    setup: Callable[[Path], None] = _nothing
    sources: tuple[str, ...] = (TEMPLATE,)
    gap: bool = False
    parts: tuple[Part, ...] = ("browser data",)
    mends: bool = False


def _held(state: Path) -> Workspace:
    """The workspace that ``_used`` leaves."""
    root = state / "workspaces" / f"{PROFILE}-{FENCE}"
    return Workspace(
        profile_id=PROFILE, fence=FENCE, root=root, user_data_dir=root / USER_DATA, temp_dir=root / "tmp",
        receipt=Receipt(source="profile"), rebuilt=False,
    )  # fmt: skip


def _used(state: Path) -> None:
    """A browser has run in a copy of the saved data, and was closed."""
    workspaces = FileWorkspaces(state)
    workspace = workspaces.acquire(PROFILE, FENCE, template=None)
    workspaces.mark_in_use(workspace, "Chromium", "999.0")
    _browse(workspace.user_data_dir)


def _listed(state: Path) -> None:
    """The same, and what is to take the place of the saved data has its manifest."""
    _used(state)
    manifest.write(_held(state).user_data_dir)


def _browse(user_data_dir: Path) -> None:
    """Change, add and remove what a browser changes, and leave a cache."""
    default = user_data_dir / "Default"
    (default / "Cookies-journal").unlink(missing_ok=True)
    (default / "GPUCache").mkdir(exist_ok=True)
    (default / "GPUCache" / "data_0").write_text("not to be saved")
    for name in ("Bookmarks", "Visited Links", "Session Storage/000003.log"):
        (default / name).write_text("new")


def _from_template(state: Path) -> None:
    FileWorkspaces(state).acquire("carl", 1, template=state / TEMPLATE)


def _from_profile(state: Path) -> None:
    FileWorkspaces(state).acquire(PROFILE, FENCE, template=None)


def _take_over(state: Path) -> None:
    FileWorkspaces(state).acquire(PROFILE, FENCE + 1, template=None)


def _save_back(state: Path) -> None:
    FileWorkspaces(state).save_back(_held(state))


def _snapshot(state: Path) -> None:
    FileWorkspaces(state).snapshot(_held(state))


def _discard(state: Path) -> None:
    FileWorkspaces(state).discard(_held(state))


def _exchange(state: Path) -> None:
    swap.replace(_held(state).user_data_dir, state / SAVED, shutil.rmtree)


def _two_renames(state: Path) -> None:
    swap.replace(_held(state).user_data_dir, state / SAVED, shutil.rmtree, exchange=swap.no_exchange)


def _by_manager(method: str, *args: Any, **kwargs: Any) -> Callable[[Path], None]:
    """Call a method of ``ProfileManager``."""
    return lambda state: getattr(ProfileManager(state), method)(*args, **kwargs)


def _create_from_template(state: Path) -> None:
    ProfileManager(state).create("carl", template=state / TEMPLATE)


def _damaged(state: Path) -> None:
    """A database of the other profile is cut off."""
    os.truncate(state / TEMPLATE / "Default" / "Cookies", 5000)


def _archived(state: Path) -> None:
    export(home_of(state), OTHER, state / "bert.zip", with_secrets=True, overwrite=False)


def _import(state: Path) -> None:
    import_(home_of(state), state / "bert.zip", "bert.zip", as_id="carl")


def _old_style(state: Path) -> None:
    """A single profile, as it was before profiles had names."""
    shutil.copytree(state / TEMPLATE, state / "browser_profile")
    shutil.copy(state / "profiles" / OTHER / "session.json", state / "session.json")


def _clone(state: Path) -> None:
    with WorkspaceManager(state / TEMPLATE, temp_directory=state / CLONES) as manager:
        manager.create_worker_profile(2)
        manager.cleanup_profile(2)


def _attempt(state: Path) -> None:
    flow = Flow("account")

    @flow.step(always=True)
    async def look(ctx):
        _browse(next((state / "workspaces").glob(f"{PROFILE}-*")) / USER_DATA)

    ended = attempt(state, PROFILE, flow, Browsers(version="999.0"))
    assert ended.tracebacks == [], ended.tracebacks
    if isinstance(ended.outcome, HostFault):
        raise HostFailed(ended.outcome.reason)
    assert ended.outcome == Done(), ended.outcome


BOTH = (TEMPLATE, SAVED)
OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("acquire from a template", _from_template, sources=BOTH),
        Operation("acquire from the profile", _from_profile, sources=BOTH),
        Operation("take over", _take_over, _used, BOTH),
        Operation("save back", _save_back, _used),
        Operation("snapshot", _snapshot, _used),
        Operation("discard", _discard, _used, BOTH),
        Operation("swap by exchange", _exchange, _listed),
        Operation("swap by two renames", _two_renames, _listed, gap=True),
        Operation("attempt", _attempt),
        Operation("a worker's clone", _clone, sources=BOTH),
        Operation("create", _by_manager("create", "carl"), sources=BOTH, parts=ALL),
        Operation("create from a template", _create_from_template, sources=BOTH, parts=ALL),
        Operation("clone", _by_manager("clone", OTHER, "carl", with_session=True), sources=BOTH, parts=ALL),
        Operation("rename", _by_manager("rename", OTHER, "carl"), sources=(SAVED,), parts=ALL),
        Operation("delete", _by_manager("delete", OTHER), sources=(SAVED,), parts=ALL),
        Operation("import", _import, _archived, BOTH, parts=ALL),
        Operation("migrate", _by_manager("migrate"), _old_style, BOTH, parts=ALL),
        Operation("recover", _by_manager("recover", OTHER), _damaged, (SAVED,), parts=ALL, mends=True),
        Operation("recover hard", _by_manager("recover", OTHER, "hard"), _damaged, (SAVED,), parts=ALL, mends=True),
    )
}
