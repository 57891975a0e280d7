"""Killed or out of disk at any change of the file system, an export leaves the old file or the new one, an import a whole
profile or none; whoever comes next finds nothing half done.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from core.profiles import ProfileManager, staging
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from tests.profiles import CACHES, browser_data, everything, home_of, make_profile

CHECKOUT = Path(__file__).resolve().parents[2]
CHILD = CHECKOUT / "tests" / "children" / "archive_and_die.py"
LAST = {"export": 40, "import": 90}
"""No more changes than these are made; a test below holds it."""


def act(what: str, state_dir: Path, archive: Path, way: str, at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHILD, what, state_dir, archive, way, str(at)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip


def points(what: str, number: int) -> list[int]:
    """Return so many different places to be killed at, always the same ones."""
    return sorted(random.Random(20261120).sample(range(1, LAST[what] + 1), min(number, LAST[what])))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A good archive, and the state directory it comes from."""
    source = tmp_path / "source"
    make_profile(source)
    export(home_of(source), "anna", tmp_path / "anna.zip", with_secrets=True, overwrite=False)
    return tmp_path / "anna.zip"


def is_whole(source: Path, state_dir: Path) -> bool:
    """Whether the profile is there with all of its parts, or (False) with none."""
    parts = (
        FileProfileStore(state_dir).read("anna") is not None,
        FileSessionStore(state_dir).read("anna") == FileSessionStore(source).read("anna"),
        FileLoginStateStore(state_dir).read("anna") is not None,
        browser_data(state_dir, "anna") == {k: v for k, v in browser_data(source, "anna").items() if k not in CACHES},
    )
    session = FileSessionStore(state_dir).read("anna")
    if session is not None:
        parts = (parts[0], session.value.outputs["order"] == "o-17", *parts[2:])
    assert len(set(parts)) == 1, parts
    return parts[0]


def check_import(archive: Path, state_dir: Path) -> bool:
    """Whether it is there once the lock was taken; nothing else is left, and another import works."""
    with home_of(state_dir).locks.acquire("anna", what="test"):
        whole = is_whole(archive.parent / "source", state_dir)
    parts = {path.relative_to(state_dir).parts[0] for path in state_dir.rglob("*")}
    assert parts <= {"locks", "profiles", "sessions"}
    if not whole:
        assert not list((state_dir / "profiles").glob("*"))
        assert not list(state_dir.glob("sessions/*"))
    import_(home_of(state_dir), archive, "anna.zip", as_id="bert" if whole else None)
    return whole


@pytest.mark.parametrize("kills", [15, pytest.param(90, marks=pytest.mark.slow)])
def test_an_import_that_is_killed_is_whole_or_nothing(archive: Path, tmp_path: Path, kills: int):
    """Before the mark nothing is left of it, behind it everything is there, as soon as somebody takes the profile's lock."""
    outcomes = []
    for at in points("import", kills):
        state_dir = tmp_path / f"state-{at}"
        done = act("import", state_dir, archive, "kill", at)
        assert done.returncode in (0, -9), done.stderr
        outcomes.append(check_import(archive, state_dir))
    assert outcomes == sorted(outcomes)  # never gone again once it was there
    assert set(outcomes) == {False, True}


def test_the_next_import_of_any_profile_cleans_up(archive: Path, tmp_path: Path):
    """What a killed import left out of sight is gone after an import of another one."""
    state_dir = tmp_path / "state"
    assert act("import", state_dir, archive, "kill", 20).returncode == -9
    assert staging.pending(state_dir) == ["anna"]
    assert ProfileManager(state_dir).import_(archive, as_id="bert").profile_id == "bert"
    assert staging.pending(state_dir) == []
    assert not (state_dir / "profiles/anna").exists()


@pytest.mark.parametrize("kills", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_an_export_that_is_killed_leaves_the_old_file_or_the_new_one(archive: Path, tmp_path: Path, kills: int):
    """And at most one temporary file, which the next export removes; the profile is as it was."""
    source = tmp_path / "source"
    new = archive.read_bytes()
    before = everything(source)
    for at in points("export", kills):
        archive.write_bytes(b"old")
        done = act("export", source, archive, "kill", at)
        assert done.returncode in (0, -9), done.stderr
        assert archive.read_bytes() in ({new} if done.returncode == 0 else {b"old", new})
        export(home_of(source), "anna", archive, with_secrets=True, overwrite=True)
        assert [path.name for path in tmp_path.iterdir() if path.name not in ("source", "anna.zip")] == []
        assert everything(source) == before


def test_the_storms_reach_the_end(archive: Path, tmp_path: Path):
    """The places of the tests above are all there are."""
    for what, state_dir in (("export", tmp_path / "source"), ("import", tmp_path / "state")):
        done = act(what, state_dir, archive, "kill", 10_000)
        assert done.returncode == 0
        assert 10 < int(done.stdout) <= LAST[what]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 40 MB."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", where], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.mark.parametrize("fills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_leaves_nothing(archive: Path, small_disk: Path, fills: int):
    """Whenever it fills up, the import fails in one line that names the file, or was just done; then it works again."""
    state_dir = small_disk / "state"
    for at in points("import", fills):
        done = act("import", state_dir, archive, "fill", at)
        (small_disk / "filler").unlink(missing_ok=True)
        assert done.returncode in (0, 1)
        if done.returncode:
            assert done.stderr.startswith("DurableWriteFailed: "), done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert check_import(archive, state_dir) == (done.returncode == 0)
        subprocess.run(["rm", "-rf", state_dir], check=True)


@pytest.mark.parametrize("fills", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_an_export_onto_a_full_disk_keeps_the_old_file(archive: Path, small_disk: Path, fills: int):
    """The archive before is intact, nothing lies beside it, and the next export works."""
    make_profile(small_disk / "state")
    target = small_disk / "anna.zip"
    for at in points("export", fills):
        target.write_bytes(b"old")
        done = act("export", small_disk / "state", target, "fill", at)
        (small_disk / "filler").unlink(missing_ok=True)
        assert (target.read_bytes() == b"old") == (done.returncode != 0), done.stderr
        assert {path.name for path in small_disk.iterdir()} == {"state", "anna.zip"}
        export(home_of(small_disk / "state"), "anna", target, with_secrets=True, overwrite=True)
