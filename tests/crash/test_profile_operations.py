"""Operations on named profiles that are killed, or whose disk gets full, at any place: never half a profile."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core import durable
from core.clock import ManualClock
from core.domain.session import SessionState
from core.profiles import ProfileManager, places
from core.profiles.port import ProfileMetadata
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.workspaces import manifest
from tests import browser_data

CHECKOUT = Path(__file__).resolve().parents[2]
CHILD = CHECKOUT / "tests" / "children" / "profile_operation.py"
NOW = 1_795_212_000.0
OPERATIONS = (
    "create", "import", "clone", "rename", "delete", "activate", "deactivate", "soft", "hard", "keep-login", "migrate", "tag",
)  # fmt: skip
SAMPLE = 2
"""Places of each operation that ``make test`` tries; ``make crash`` tries all of them."""
OURS = (".ostler-manifest.json", ".ostler-browser.json", ".ostler-swap")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A state directory with three profiles, one of them active, one damaged; a template and a single profile of old."""
    root = tmp_path_factory.mktemp("world")
    state = root / "state"
    for name in ("a", "b", "broken"):
        FileProfileStore(state).create(
            ProfileMetadata(profile_id=name, tags=(name,), created_at="2026-01-02T03:04:05Z")
        )
        manifest.write(browser_data.make(state / "profiles" / name / "browser_profile"))
        FileLoginStateStore(state).write(name, login_of(name), fence=1)
        FileSessionStore(state).write(SessionState(profile_id=name, completion_flags={name: True}), fence=1)
    (state / "profiles/broken/browser_profile/Default/Cookies").write_bytes(b"torn")
    path = state / "profiles" / "broken" / "metadata.json"
    path.write_text(path.read_text().replace("custom", "?"))
    (state / "downloads" / "a").mkdir(parents=True)
    (state / "downloads" / "a" / "file").write_text("result")
    ProfileManager(state, clock=ManualClock(NOW)).activate("a")
    browser_data.make(root / "template")
    browser_data.make(root / "legacy" / "browser_profile")
    (root / "legacy" / "session.json").write_bytes(msgspec.json.encode({"cookies": login_of("old").cookies}))
    return root


def login_of(name: str) -> LoginState:
    return LoginState(cookies=[{"name": "sid", "value": name, "domain": "a.example", "path": "/"}])


@pytest.fixture(scope="module")
def run():
    """Give what performs an operation in a process of its own: how it ended, and what it said."""
    with subprocess.Popen(
        [sys.executable, CHILD], cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip

        def perform(root: Path, operation: str, mode: str, number: int) -> tuple[int, str]:
            server.stdin.write(f"{root / 'state'}\t{operation}\t{mode}\t{number}\n")
            server.stdin.flush()
            code, _, said = server.stdout.readline().rstrip("\n").partition(" ")
            return int(code), said

        try:
            yield perform
        finally:
            server.kill()


def facts(root: Path) -> dict[str, object]:
    """What a state directory says, as far as it matters: by profile, and which is active."""
    state = root / "state"
    found: dict[str, object] = {}
    for name in places.ids(state):
        try:
            metadata = FileProfileStore(state).read(name)
            said: object = (metadata.platform, metadata.tags, metadata.status, metadata.generation)
        except Exception as exc:  # noqa: BLE001 - damage is a fact, too
            said = type(exc).__name__
        session = FileSessionStore(state).read(name)
        login = FileLoginStateStore(state).read(name)
        found[name] = (
            said,
            None if session is None else (session.value.profile_id, session.value.completion_flags),
            None if login is None else [cookie["value"] for cookie in login.value.cookies],
            content(state / "profiles" / name / "browser_profile"),
            sorted(path.name for path in (state / "downloads" / name).glob("*")),
        )
    found["(active)"] = ProfileManager(state).registry.get_active()
    found["(sessions)"] = sorted(path.name for path in (state / "sessions").glob("*.json"))
    found["(legacy)"] = content(root / "legacy")
    found["(template)"] = content(root / "template")
    return found


def content(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in OURS
    }


def check(root: Path, before: dict[str, object], after: dict[str, object], operation: str) -> dict[str, object]:
    """Hold what is left to the promises; return what it says once it has been tidied up."""
    state = root / "state"
    # as anybody sees it right behind the kill: a profile is whole, or it is not there
    for name in places.ids(state):
        if name != "broken":
            assert FileProfileStore(state).read(name) is not None
            assert FileLoginStateStore(state).look(name)[0]
            assert manifest.differences(state / "profiles" / name / "browser_profile", deep=True) in ([], None)
    assert len([name for name in places.ids(state) if name == ProfileManager(state).registry.get_active()]) <= 1
    manager = ProfileManager(state, clock=ManualClock(NOW), lock_timeout=5)
    manager.locks.cleanup_stale()
    manager.tidy()
    durable.sweep_temporaries(root)
    found = facts(root)
    assert found in (before, after), operation
    hidden = [path.name for path in (state / "profiles").iterdir() if path.name.startswith(".")]
    assert hidden in ([".active"], [])
    assert list(state.glob(".import-*")) == []
    assert not [path for path in state.rglob("*") if path.name.endswith((".incoming", ".intent", ".old", ".empty"))]
    assert not [path for path in state.rglob(".lock") if path.parent.parent.name == "profiles"]
    return found


@pytest.fixture
def copy(world, tmp_path):
    """Give fresh copies of that world."""

    def make() -> Path:
        root = tmp_path / "copy"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(world, root, symlinks=True)
        return root

    return make


def outcome(copy, run, operation: str) -> tuple[int, dict[str, object], dict[str, object]]:
    """How many changes an operation makes, and what is there before and after it."""
    root = copy()
    before = facts(root)
    code, said = run(root, operation, "count", 0)
    count, _, word = said.partition(" ")
    assert (code, word) == (0, "done")
    after = facts(root)
    assert before != after
    return int(count), before, after


def points(count: int, operation: str, *, every: bool) -> list[int]:
    chosen = range(1, count + 1)
    return list(chosen) if every else sorted(random.Random(operation).sample(chosen, min(SAMPLE, count)))


EVERY = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)


@EVERY
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_leaves_the_old_or_the_new(copy, run, operation, every):
    """Killed right before a change of the file system: what is visible is whole, and the next operation tidies up."""
    count, before, after = outcome(copy, run, operation)
    seen = []
    for number in points(count, operation, every=every):
        root = copy()
        code, _ = run(root, operation, "kill", number)
        assert code == -signal.SIGKILL
        seen.append(check(root, before, after, f"{operation}, killed at {number}") == after)
    if every:
        assert not seen[0]
        assert seen == sorted(seen), "once it is decided, it stays decided"


@EVERY
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_leaves_the_old_or_the_new(copy, run, operation, every):
    """Where there is no room from some change on, the operation says so or succeeds; with room again, all is tidy."""
    count, before, after = outcome(copy, run, operation)
    for number in points(count, operation, every=every):
        root = copy()
        code, said = run(root, operation, "full", number)
        assert code == 0
        said = said.partition(" ")[2]
        found = check(root, before, after, f"{operation}, full at {number}")
        if said == "done":
            assert found == after
        else:
            assert "No space left" in said or "NoSpace" in said or "free" in said
