"""Whatever is damaged of a profile is detected, and then recovered or refused: nothing starts anew in silence, nothing breaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.clock import SystemClock
from core.domain.outcome import Corrupt, Done, Failed, HostFault, Rejected
from core.errors import DurableWriteFailed, NewerSchema
from core.profiles.lock import FileProfileLocks
from core.profiles.manager import ProfileManager
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.upkeep.finding import Level
from core.upkeep.integrity import check_selectors, examine
from core.workspaces import manifest, removal
from core.workspaces.files import FileWorkspaces
from tests import real_profile
from tests.attempt import attempt
from tests.corruption import KINDS, SAVED, contents, copied, newer, plan, rot
from tests.unit.workers.stage import Browsers
from workers.steps import Flow

if TYPE_CHECKING:
    from tests.attempt import Ended
    from tests.corruption import Corruption

pytestmark = pytest.mark.browser
CHECKOUT = Path(__file__).resolve().parents[2]
REFUSED = (Corrupt, Rejected, HostFault, Failed)
_INCOMING = ".browser_profile.incoming"
UNREAD = {"lock", "lock record"}
"""Nobody believes their content: the kernel says who holds a lock, and the next holder writes a new record."""
SAID = {
    "state_recovered", "mark_damaged", "swap_record_damaged", "swap_token_damaged", "workspace_not_taken_over",
}  # fmt: skip
"""What a start says of damage that it gets along with."""
ENDS = ("refused", "recovered", "found by a look", "unread")
LATE = {"metadata", "previous session", "previous login state", "selector cache"}
"""What a run does not need to know to go on rightly, but a look finds."""


class Tab:
    """A page that storage is put back in."""

    async def route(self, *_what):
        pass

    async def goto(self, _url):
        pass

    async def evaluate(self, _script, _entries):
        pass

    async def close(self):
        pass


class Real(Browsers):
    """A scripted browser that calls itself what wrote the data, and notes what it was given."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__()
        self._name, self._version = name, version
        self.data: dict[str, bytes | str] = {}
        self.cookies: set[tuple[str, str]] = set()

    @asynccontextmanager
    async def open(self, request):
        self.data = _below(request.user_data_dir)
        given = request.add_cookies if request.restore is None else request.restore.cookies
        self.cookies = {(cookie["name"], cookie["value"]) for cookie in given}
        async with super().open(request) as browser:
            browser.name, browser.version = self._name, self._version
            browser.context.new_page = self._tab
            yield browser

    async def _tab(self) -> Tab:
        return Tab()


def _below(directory: Path) -> dict[str, bytes | str]:
    """Return what is in browser data, but for our own marks, which differ from copy to copy."""
    found = {path.relative_to(directory).as_posix(): content for path, content in contents(directory).items()}
    return {name: content for name, content in found.items() if not name.startswith(".ostler")}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, real_state: Path) -> dict[str, Path]:
    """The state directories that damage is done to: saved in order, cut off in the midst of a save, crashed with a browser open."""
    root = tmp_path_factory.mktemp("scenes")
    saved = copied(real_state, root / "saved")
    record = saved / "profiles/anna/.lock"
    with FileProfileLocks(saved, SystemClock()).hold("anna", "somebody who is dead"):
        content = record.read_bytes()
    record.write_bytes(content)

    cut_off = copied(saved, root / "cut off")
    target = cut_off / SAVED
    new = copied(target, target.with_name("new"))
    (new / "Default" / "newer").write_text("than what was saved before")
    manifest.write(new)
    program = CHECKOUT / "tests/children/swap_and_die.py"
    environ = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    died = subprocess.run([sys.executable, program, new, target, "exchange", "6"], check=False, env=environ, timeout=60)
    assert died.returncode == -9
    assert not new.exists()

    crashed = copied(saved, root / "crashed")
    workspaces = FileWorkspaces(crashed)
    workspace = workspaces.acquire("anna", 2, template=None)
    workspaces.mark_in_use(workspace, *_browser_of(crashed))
    removal.temp_dir(workspace.temp_dir)
    return {"saved": saved, "cut off": cut_off, "crashed": crashed}


def _browser_of(state: Path) -> tuple[str, str]:
    found = FileProfileStore(state).read("bert")
    return found.browser, found.browser_version


def _start(state: Path) -> tuple[Ended, Real, list[str]]:
    """Run an attempt of a flow whose first step is done; return how it ended, its browser, and which steps ran."""
    ran: list[str] = []
    flow = Flow(real_profile.FLOW)

    @flow.step(flag="logged_in")
    async def log_in(ctx):
        ran.append("log_in")

    @flow.step(always=True)
    async def look(ctx):
        ran.append("look")

    browsers = Real(*_browser_of(state))
    return attempt(state, "anna", flow, browsers), browsers, ran


class Bench:
    """Inflicts damage on copies of the scenes, and holds what happens to the rules."""

    def __init__(self, scenes: dict[str, Path], root: Path) -> None:
        self._scenes = scenes
        self._root = root
        saved = scenes["saved"]
        self._data = _below(saved / SAVED)
        login = FileLoginStateStore(saved).read("anna").value
        self._login = {(cookie["name"], cookie["value"]) for cookie in login.cookies}
        self.ends: Counter[str] = Counter()
        self.tried: set[str] = set()

    def try_one(self, corruption: Corruption) -> None:
        """Damage a file; look, start, look again; where the start was refused, put the file back and start once more."""
        state = copied(self._scenes[corruption.kind.scene], self._root / "state")
        damaged = corruption.inflict(state)
        before = contents(state)
        found = self._looks(state)
        assert contents(state) == before, "a look has changed something"

        ended, browsers, ran = _start(state)
        said = SAID.intersection([*ended.warnings, *ended.notes])
        refused = isinstance(ended.outcome, REFUSED)
        at_start = refused or bool(said)
        assert ended.tracebacks == []
        assert "log_in" not in ran, "a committed step was repeated"
        if refused:
            assert any(_names(ended.outcome.reason, path, state) for path in damaged), ended.outcome
            after = contents(state / SAVED)
            swapped = corruption.kind.scene == "cut off" and not (state / SAVED).with_name(_INCOMING).exists()
            there = before
            if swapped:
                there = {_placed(path): content for path, content in before.items() if _INCOMING in path.parts}
            assert after == {path: there[path] for path in after}, "what was refused was changed"
            self._put_back(corruption, damaged, state)
            ended, browsers, ran = _start(state)
        self._expect_whole(ended, browsers, ran, {self._name(path, state) for path in damaged}, corruption)
        found += self._looks(state)
        named = [what for what in found if any(_names(what, path, state) for path in damaged)]
        assert at_start or named or corruption.kind.name in UNREAD, "it was not detected"
        if corruption.kind.name not in LATE | UNREAD and corruption.operation is not rot:
            assert at_start, "it should have been detected at the start"
        self.tried.add(corruption.kind.name)
        if refused:
            self._recover(corruption)
        self.ends["refused" if refused else "recovered" if at_start else "found by a look" if named else "unread"] += 1
        shutil.rmtree(state)

    def _looks(self, state: Path) -> list[str]:
        findings = [*examine(state, "anna", deep=True), check_selectors(state)]
        return [finding.what for finding in findings if finding.level is not Level.OK]

    def _put_back(self, corruption: Corruption, damaged: list[Path], state: Path) -> None:
        """Do what a person does who has a backup of those files."""
        for path in damaged:
            source = self._scenes[corruption.kind.scene] / path.relative_to(state)
            # a save that was cut off is over by now
            target = _placed(path)
            if target.is_dir() and not target.is_symlink():
                target.rmdir()
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copy2(source, target)

    def _recover(self, corruption: Corruption) -> None:
        """Do what a person does who has no backup: what is broken goes and is kept aside, and the rest is used."""
        state = copied(self._scenes[corruption.kind.scene], self._root / "again")
        damaged = {self._name(path, state) for path in corruption.inflict(state)}
        try:
            report = ProfileManager(state).recover("anna", deep=True)
        except (NewerSchema, DurableWriteFailed):
            # it is for an upgrade, or for somebody who removes what stands in a file's place
            self.ends["left to a person"] += 1
            shutil.rmtree(state)
            return
        lost = {loss.part for loss in report.losses}
        ended, browsers, ran = _start(state)
        if corruption.operation is newer and isinstance(ended.outcome, Failed):
            # whole, and it says that a newer browser is needed
            self.ends["left to a person"] += 1
            shutil.rmtree(state)
            return
        self.ends["recovered by hand"] += 1
        assert (ended.outcome, ended.tracebacks) == (Done(), []), ended.outcome
        assert "log_in" not in ran or "session" in lost, "a committed step was repeated"
        assert browsers.cookies == self._login or "login state" in lost
        aside = _below(Path(report.kept_in) / "browser_profile") if report.kept_in else {}
        for name, content in self._data.items():
            kept = (browsers.data.get(name), aside.get(name))
            assert content in kept or name in damaged or content == "directory", f"{name} is gone without a trace"
        assert [finding for finding in examine(state, "anna", deep=True) if finding.level is Level.BAD] == []
        shutil.rmtree(state)

    def _expect_whole(
        self, ended: Ended, browsers: Real, ran: list[str], damaged: set[str], corruption: Corruption
    ) -> None:
        """The browser was given everything that was saved, and the login; nothing was repeated, nothing is left."""
        assert (ended.outcome, ran, ended.tracebacks) == (Done(), ["look"], [])
        assert browsers.cookies == self._login
        wrong = {name for name, content in self._data.items() if browsers.data.get(name) != content}
        assert wrong <= (damaged if corruption.operation is rot else set())
        assert set(browsers.data) - set(self._data) <= {"Default/newer"}

    def _name(self, path: Path, state: Path) -> str:
        placed = _placed(path)
        return placed.relative_to(state / SAVED).as_posix() if (state / SAVED) in placed.parents else ""


def _placed(path: Path) -> Path:
    """Return where a file is once the save that was cut off is over."""
    return Path(str(path).replace(_INCOMING, "browser_profile"))


def _names(what: str, path: Path, state: Path) -> bool:
    relative = _placed(path).relative_to(state).as_posix()
    # an error of writing names the newest generation
    return any(name in what for name in (relative, relative.removeprefix(f"{SAVED}/"), relative.removesuffix(".prev")))


@pytest.mark.parametrize("number", [45, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_damage_goes_unnoticed_and_nothing_starts_anew(
    scenes: dict[str, Path], fast_path: Path, number: int
) -> None:
    """Each kind of file is flipped, cut, emptied, overwritten, exchanged or replaced by what is no file, or claims to be newer:
    that is found at the start or by a deep look, and then the run goes on with everything, or is refused and changes nothing.
    """
    bench = Bench(scenes, fast_path)
    for corruption in plan(scenes, number):
        try:
            bench.try_one(corruption)
        except Exception as exc:
            exc.add_note(f"damaged: {corruption}")
            raise
    print(dict(bench.ends))
    assert sum(bench.ends[end] for end in ENDS) == number
    assert bench.tried == {kind.name for kind in KINDS if kind.files(scenes[kind.scene])}
