"""A directory changes places with another one, whole, also where a kill comes in between, with and without an exchange."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.workspaces import swap

CHECKOUT = Path(__file__).resolve().parents[2]
WAYS = pytest.mark.parametrize("way", [swap.exchange, swap.no_exchange], ids=["exchange", "two renames"])


def _directory(path: Path, text: str) -> Path:
    path.mkdir()
    for number in range(20):
        (path / f"file-{number}").write_text(text)
    return path


def _content(path: Path) -> set[str]:
    return {(path / f"file-{number}").read_text() for number in range(20)}


def test_this_kernel_exchanges(tmp_path: Path):
    """The first way is really tested here: two directories change places in one call."""
    old, new = _directory(tmp_path / "a", "old"), _directory(tmp_path / "b", "new")
    assert swap.exchange(old, new)
    assert (_content(old), _content(new)) == ({"new"}, {"old"})


@WAYS
def test_the_new_one_takes_the_place(tmp_path: Path, way):
    """The target has the new content; neither the old one nor a record is left; a missing target is fine."""
    target = tmp_path / "target"
    for text in ("first", "second", "third"):
        swap.replace(_directory(tmp_path / "new", text), target, shutil.rmtree, exchange=way)
        assert _content(target) == {text}
        assert [path.name for path in tmp_path.iterdir()] == ["target"]


@WAYS
@pytest.mark.parametrize("dies_at", range(1, 16))
def test_a_death_at_any_step_is_rolled_forward(tmp_path: Path, way, dies_at: int):
    """A process dies at its n-th change of the file system: after recovery there is one whole directory and no litter."""
    target = _directory(tmp_path / "target", "old")
    new = _directory(tmp_path / "new", "new")
    program = Path(__file__).parents[1] / "children" / "swap_and_die.py"
    ended = subprocess.run(
        [sys.executable, program, str(new), str(target), way.__name__, str(dies_at)],
        cwd=CHECKOUT, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert ended.returncode in (0, -9)
    swap.recover(target, shutil.rmtree, exchange=way)
    found = _content(target)
    assert found in ({"old"}, {"new"})
    if ended.returncode == 0 or not new.exists():
        assert found == {"new"}
    names = {path.name for path in tmp_path.iterdir() if ".ostler-tmp" not in path.name}
    assert names <= {"target", "new"}
    assert not swap.pending(target)


def test_the_storm_reaches_the_end(tmp_path: Path):
    """The range of the test above is wide enough: the last death comes after the last change."""
    _directory(tmp_path / "target", "old")
    program = Path(__file__).parents[1] / "children" / "swap_and_die.py"
    ended = subprocess.run(
        [sys.executable, program, _directory(tmp_path / "new", "new"), tmp_path / "target", "no_exchange", "15"],
        cwd=CHECKOUT, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert ended.returncode == 0
