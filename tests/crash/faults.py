"""Strikes at the operations of the table, and holds what is left to the same rules for all of them.

Before anything else looks at it: what was only to be read is as it was; each profile that is visible is whole, and is what it
was or what it was to become; each working copy that would be taken over verifies. After the next run nothing is left of it,
and an attempt goes through.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.lifecycle import WorkspaceState
from core.profiles import places
from core.profiles.registry import POINTER
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from core.upkeep.finding import Level
from core.upkeep.integrity import examine
from core.workspaces import marker, scratch, verify
from core.workspaces.files import BROWSER_PROFILE, USER_DATA
from core.workspaces.places import CLONES
from tests.corruption import contents, copied
from tests.crash.operations import OPERATIONS, SAVED, start
from tests.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.crash.operations import Operation, Part

CHILD = ROOT / "tests" / "children" / "faulty.py"
_BESIDE_DATA = {".ahead", ".lock", ".damaged"}
_REUSABLE = (WorkspaceState.VERIFIED, WorkspaceState.IN_USE)
Fingerprint = dict[str, dict[str, str]]
"""Of each visible profile, a hash of each of its parts."""


class Child:
    """The process that does operations and dies of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    def do(self, operation: str, state: Path, fault: str = "none", point: int = 0) -> dict[str, Any]:
        """Return exit code, calls and error; see the child."""
        command = {"operation": operation, "state": str(state), "fault": fault, "point": point}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Trial:
    """One operation: where it begins, what it makes, the calls that it makes on the way, and how large the data is."""

    def __init__(self, name: str, base: Path, root: Path, child: Child) -> None:
        self.operation: Operation = OPERATIONS[name]
        self._child = child
        self._root = root
        self._scene = copied(base, root / "scene")
        self.operation.setup(self._scene)
        self._sources = {source: contents_below(self._scene / source) for source in self.operation.sources}
        whole = copied(self._scene, root / "whole")
        done = child.do(name, whole)
        assert done["exit"] == 0, done["error"]
        self.calls: list[str] = done["calls"]
        self._old, self._new = self._seen(self._scene), self._seen(whole)
        self.size = sum(path.stat().st_size for path in (self._scene / SAVED).rglob("*") if path.is_file())
        self.expect_settled(whole)

    def strike(
        self,
        fault: str,
        point: int,
        where: Path | None = None,
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> str:
        """Do it with a fault on a fresh copy, between two other things; return how it ended."""
        state = copied(self._scene, where or self._root / "state")
        before()
        ended = self._child.do(self.operation.name, state, fault, point)
        after()
        assert ended["exit"] in (0, 3, -9), ended["error"]
        self.expect_whole(state)
        self.expect_settled(state)
        return {0: "done", 3: "refused", -9: "killed"}[ended["exit"]]

    def expect_whole(self, state: Path) -> None:
        """What must hold the moment after."""
        for source, content in self._sources.items():
            assert contents_below(state / source) == content, f"{source} was changed"
        found = self._seen(state)
        # whoever takes the lock of a profile with which something was begun ends that first: until then it is not to be seen
        hidden = {*places.begun(state), *self._exchanged_in_two()}
        expected = [{name: one for name, one in seen.items() if name not in hidden} for seen in (self._old, self._new)]
        found = {name: one for name, one in found.items() if name not in hidden}
        assert found in expected, "neither what it was nor what it was to become"
        for profile in found:
            wrong = [finding for finding in examine(state, profile, deep=True) if finding.level is Level.BAD]
            assert wrong == [] or (self.operation.mends and found == expected[0])
        for path in (state / "workspaces").glob("[!.]*"):
            mark = marker.read(path)
            if mark is not None and mark.state in _REUSABLE:
                assert verify.findings(path / USER_DATA) == []

    def expect_settled(self, state: Path) -> None:
        """What must hold after the next run; the state directory is used up."""
        start(state)
        assert self._seen(state) in (self._old, self._new)
        assert places.begun(state) == []
        assert leftovers(state) == []
        again = self._child.do("attempt", state)
        assert again["exit"] == 0, again["error"]
        assert leftovers(state) == []
        # where clones go that have no room here; its locks stay
        shutil.rmtree(scratch.beside(state.resolve() / CLONES), ignore_errors=True)
        shutil.rmtree(state)

    def _exchanged_in_two(self) -> list[str]:
        return [name for name in self._old if self._old[name] != self._new[name]] if self.operation.gap else []

    def _seen(self, state: Path) -> Fingerprint:
        return fingerprint(state, self.operation.parts)


def contents_below(directory: Path) -> dict[str, bytes | str]:
    return {path.relative_to(directory).as_posix(): content for path, content in contents(directory).items()}


def fingerprint(state: Path, parts: Sequence[Part]) -> Fingerprint:
    """Return what is visible of each profile, but for what differs each time."""
    return {profile_id: {part: _HASHED[part](state, profile_id) for part in parts} for profile_id in places.ids(state)}


def _browser_data(state: Path, profile_id: str) -> str:
    sha = hashlib.sha256()
    for name, content in sorted(contents_below(places.profile(state, profile_id) / BROWSER_PROFILE).items()):
        if not name.startswith(".ostler"):
            sha.update(
                f"{name} {len(content)} ".encode() + (content if isinstance(content, bytes) else content.encode())
            )
    return sha.hexdigest()


def _login_state(state: Path, profile_id: str) -> str:
    stored = FileLoginStateStore(state).read(profile_id)
    return "" if stored is None else _hash(stored.value)


def _session(state: Path, profile_id: str) -> str:
    stored = FileSessionStore(state).read(profile_id)
    return "" if stored is None else _hash(stored.value)


def _metadata(state: Path, profile_id: str) -> str:
    found = FileProfileStore(state).read(profile_id)
    if found is None:
        return ""
    template = found.template and found.template.removeprefix(str(state))
    return _hash(msgspec.structs.replace(found, created_at="", last_used="", last_activity="", template=template))


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


_HASHED: dict[Part, Callable[[Path, str], str]] = {
    "browser data": _browser_data,
    "login state": _login_state,
    "session": _session,
    "metadata": _metadata,
}


def leftovers(state: Path) -> list[str]:
    """Return what has no business being there once nothing runs."""
    found = [*(state / "workspaces").glob("*"), *state.rglob("*.ostler-tmp")]
    found += [path for path in (state / "profiles").glob(".*") if path.name != POINTER]
    found += [path for path in (state / "profiles").glob("*/.*") if path.name not in _BESIDE_DATA]
    found += (state / CLONES).glob("[!.]*")
    found += (state / CLONES).glob(".new-*")
    found += scratch.strays(state.resolve() / "workspaces", set())
    return [str(path) for path in found]
