"""A directory changes places with another one, whole, also where a kill comes in between, with and without an exchange."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import structlog.testing

from core.errors import StateCorrupt
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


@WAYS
@pytest.mark.parametrize("dies_at", [4, 6, 9, 10], ids=["recorded", "moved in", "half changed", "changed"])
@pytest.mark.parametrize("content", [b"", b"\0" * 60, b'{"token":"1"}', b"[" * 100_000, "flipped", "token", "gone"])
def test_a_damaged_record_leaves_what_is_whole(tmp_path: Path, way, dies_at: int, content):
    """A swap was cut off, and then its record or the new directory's token was damaged or lost: what stands there stays, and it
    is said.
    """
    target = _directory(tmp_path / "target", "old")
    program = Path(__file__).parents[1] / "children" / "swap_and_die.py"
    subprocess.run(
        [sys.executable, program, _directory(tmp_path / "new", "new"), target, way.__name__, str(dies_at)],
        cwd=CHECKOUT, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert swap.pending(target)
    record = tmp_path / ".target.intent"
    if content == "flipped":
        content = record.read_bytes().translate(bytes.maketrans(b"0123456789", b"1032547698"))
    if content == "token":
        for path in (tmp_path / "new", tmp_path / ".target.incoming"):
            if path.exists():
                (path / swap.TOKEN).write_bytes(b"")
    elif content == "gone":
        record.unlink()
    else:
        record.write_bytes(content)
    there = swap.pending(target)
    assert there or content == "gone"  # before it began, and once it is over, the record is all that there is of it
    with structlog.testing.capture_logs() as said:
        assert swap.recover(target, shutil.rmtree, exchange=way) is there
    assert content == "token" or [line["event"] for line in said] == ["swap_record_damaged"] * there
    assert _content(target) in ({"old"}, {"new"})
    assert {path.name for path in tmp_path.iterdir() if ".ostler-tmp" not in path.name} <= {"target", "new"}
    assert swap.recover(target, shutil.rmtree, exchange=way) is False


@pytest.mark.parametrize("kind", ["directory", "pipe", "nowhere"])
def test_a_record_that_is_no_file_is_left_to_a_person(tmp_path: Path, kind: str):
    """Whatever stands in its place was not put there by a swap: it is named, and nothing is touched."""
    target, record = _directory(tmp_path / "target", "old"), tmp_path / ".target.intent"
    if kind == "directory":
        record.mkdir()
    elif kind == "pipe":
        os.mkfifo(record)
    else:
        record.symlink_to("nowhere")
    with pytest.raises(StateCorrupt, match=r"\.target\.intent is damaged: it cannot be read"):
        swap.replace(_directory(tmp_path / "new", "new"), target, shutil.rmtree)
    assert (_content(target), _content(tmp_path / "new")) == ({"old"}, {"new"})


def test_a_token_is_whole_or_it_is_none(tmp_path: Path):
    """No bit of it can change, and nothing else stands in its place, without being noticed."""
    swap.replace(_directory(tmp_path / "new", "new"), tmp_path / "target", shutil.rmtree)
    path = tmp_path / "target" / swap.TOKEN
    good = path.read_bytes()
    assert swap.token(tmp_path / "target") == good.decode()
    for bit in range(len(good) * 8):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(StateCorrupt):
            swap.token(tmp_path / "target")
    path.unlink()
    assert swap.token(tmp_path / "target") is None
    path.mkdir()
    with pytest.raises(StateCorrupt):
        swap.token(tmp_path / "target")


def test_the_storm_reaches_the_end(tmp_path: Path):
    """The range of the test above is wide enough: the last death comes after the last change."""
    _directory(tmp_path / "target", "old")
    program = Path(__file__).parents[1] / "children" / "swap_and_die.py"
    ended = subprocess.run(
        [sys.executable, program, _directory(tmp_path / "new", "new"), tmp_path / "target", "no_exchange", "15"],
        cwd=CHECKOUT, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert ended.returncode == 0
