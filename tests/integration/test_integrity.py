"""A look at one profile: what is damaged is named, with what to type; nothing is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from core.domain.session import SessionState
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState, Selector
from core.state.selector_cache import FileSelectorCache
from core.state.sessions import FileSessionStore
from core.upkeep.finding import Level
from core.upkeep.integrity import check_selectors, examine
from core.workspaces import manifest, marker, removal, scratch, swap
from core.workspaces.files import FileWorkspaces
from tests.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAVED = "profiles/anna/browser_profile"


@pytest.fixture
def state(state_dir: Path):
    """A profile that has run twice, and whose third attempt has crashed."""
    FileProfileStore(state_dir).ensure("anna", 1_800_000_000.0)
    workspaces = FileWorkspaces(state_dir)
    for fence in (1, 2):
        FileSessionStore(state_dir).write(SessionState(profile_id="anna"), fence=fence)
        FileLoginStateStore(state_dir).write("anna", LoginState(), fence=fence)
        workspace = workspaces.acquire("anna", fence, template=None)
        workspaces.mark_in_use(workspace, "Chromium", "156.0")
        (workspace.user_data_dir / "Default").mkdir(exist_ok=True)
        (workspace.user_data_dir / "Default" / "Preferences").write_text(f'{{"n": {fence}}}')
        (workspace.user_data_dir / "Default" / "Visited Links").write_text(f"by {fence}")
        workspaces.save_back(workspace)
    workspaces.acquire("anna", 3, template=None)
    yield state_dir
    for path in scratch.strays(state_dir.resolve() / "workspaces", set()):
        removal.temp_dir(path)


def test_all_is_well(state: Path):
    """Of a sound profile there is nothing to say, however deep the look; nor of a selector cache that is not there."""
    assert examine(state, "anna") == examine(state, "anna", deep=True) == []
    assert check_selectors(state).level is Level.OK


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "said", "fix"),
    [
        ("profiles/anna/metadata.json", _cut, "bad: metadata", "ostler profile recover anna"),
        (
            "profiles/anna/metadata.json",
            lambda path: path.unlink(),
            "bad: metadata",
            "ostler profile recover anna",
        ),
        ("sessions/anna.json", _cut, "warn: session", "ostler session show anna"),
        ("sessions/anna.json", _directory, "bad: session", "ostler session reset anna"),
        ("sessions/anna.json.prev", _cut, "warn: session", "ostler session show anna"),
        ("profiles/anna/session.json", _cut, "warn: login state", "the safe side"),
        ("profiles/anna/session.json", _directory, "bad: login state", "ostler profile recover anna"),
        (f"{SAVED}/Default/Preferences", _cut, "bad: browser data", "ostler profile recover anna"),
        (f"{SAVED}/Default/Visited Links", _cut, "bad: browser data", "ostler profile recover anna"),
        (f"{SAVED}/{manifest.NAME}", _cut, "bad: browser data", "ostler profile recover anna"),
        (f"{SAVED}/{swap.TOKEN}", _cut, "warn: browser data", "the safe side"),
        (
            "profiles/anna/.browser_profile.intent",
            lambda path: path.touch(),
            "warn: browser data",
            "the safe side",
        ),
        (
            "profiles/anna/.browser_profile.intent",
            lambda path: path.mkdir(),
            "warn: browser data",
            "the safe side",
        ),
        ("profiles/anna/.ahead", _cut, "warn: marks", "the safe side"),
        ("profiles/anna/.lock", lambda path: path.mkdir(), "bad: locks", "remove it"),
        ("locks/anna.lock", lambda path: path.mkdir(parents=True), "bad: locks", "remove it"),
        (f"workspaces/anna-3/{marker.NAME}", _cut, "warn: marks", "makes a new copy"),
    ],
)
def test_damage_is_named_with_what_to_type(state: Path, name: str, damage, said: str, fix: str):
    """One file is damaged: it is named, with how much that matters and what to do."""
    path = state / name
    damage(path)
    found = examine(state, "anna")
    assert {f"{finding.level}: {finding.check}" for finding in found} == {said}
    known = path.relative_to(state / SAVED).as_posix() if (state / SAVED) in path.parents else str(path)
    assert all((known in finding.what or path.parent.name in finding.what) and fix in finding.fix for finding in found)


def test_an_edited_line_is_said(state: Path):
    """Metadata that somebody changed may be meant so."""
    path = state / "profiles/anna/metadata.json"
    path.write_text(path.read_text().replace("custom", "telegram"))
    (finding,) = examine(state, "anna")
    assert (finding.level, finding.check) == (Level.WARN, "metadata")


def test_saved_data_that_is_no_directory_is_named(state: Path):
    """What stands in its place is not looked into."""
    removal.tree(state / SAVED, state)
    (state / SAVED).touch()
    (finding,) = examine(state, "anna")
    assert (finding.level, finding.what) == (Level.BAD, f"{state / SAVED} is no directory")
    (state / SAVED).unlink()
    assert examine(state, "anna", deep=True) == []


def test_what_cannot_be_compared_is_said_by_a_deep_look(state: Path):
    """Data from before there were lists is no damage, but its content is anybody's guess; a newer version's list is not judged."""
    path = state / SAVED / manifest.NAME
    content = path.read_text()
    path.write_text(content.replace('"schema":1', '"schema":9'))
    (finding,) = examine(state, "anna")
    assert (finding.level, finding.fix) == (Level.BAD, "upgrade Ostler")
    path.unlink()
    assert examine(state, "anna") == []
    (finding,) = examine(state, "anna", deep=True)
    assert (finding.level, finding.check) == (Level.WARN, "browser data")
    assert "cannot be compared" in finding.what


def test_the_page_puts_a_damaged_profile_right(state: Path, tmp_path: Path):
    """The commands of docs/integrity.md, typed in their order over a profile in which a bit has flipped by itself."""
    path = state / SAVED / "Default" / "Visited Links"
    times = path.stat()
    path.write_bytes(b"by 3")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    page = (ROOT / "docs" / "integrity.md").read_text("utf-8").partition("```\n")[2].partition("```")[0]
    lines = [line.partition("  #")[0].split() for line in page.splitlines()]
    assert [line[:3] for line in lines] == [["ostler", "profile", "status"], *[["ostler", "profile", "recover"]] * 3]
    where = ["--state-dir", str(state), "--log-dir", str(tmp_path / "logs")]
    ends = [
        subprocess.run(
            [sys.executable, "-m", "core.cli.main", *line[1:], *where],
            capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
        )
        for line in lines
    ]  # fmt: skip
    assert [done.returncode for done in ends] == [3, 0, 0, 0], ends
    assert "Default/Visited Links: its content is not what was saved" in ends[0].stdout
    assert "-> ostler profile recover anna --deep" in ends[0].stdout
    assert "Visited Links" in ends[1].stdout
    assert [kept.read_bytes() for kept in (state / "profiles/anna/.damaged").rglob("Visited Links")] == [b"by 3"]
    assert examine(state, "anna", deep=True) == []


def test_a_damaged_selector_cache_is_named(state: Path):
    """It costs what was learnt, no more."""
    FileSelectorCache(state).learn("o", "f", "l", Selector(kind="css", value="p"), profile_id="anna", now=1.0)
    _cut(state / ".selector_cache.json")
    finding = check_selectors(state)
    assert finding.level is Level.WARN
    assert ".selector_cache.json is damaged" in finding.what
