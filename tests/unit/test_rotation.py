"""A log that is rotated while somebody follows it: every line once, in order, whatever comes between two looks."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from core.line_tail import LineTail
from core.rotation import MOST_KEPT, open_parts, rotate, rotated


class Killed(Exception):
    """The process ended here."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def add(path: Path, *lines: str) -> None:
    with path.open("a") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def everything(tail: LineTail) -> list[str]:
    found: list[str] = []
    while lines := tail.read_new():
        found += [line.decode() for line in lines]
    return found


def numbers(path: Path) -> list[int]:
    parts = open_parts(path)
    for _, stream in parts:
        stream.close()
    return [number for number, _ in parts]


def test_several_rotations_between_two_looks(path):
    """All parts that were begun meanwhile are read, the oldest first."""
    add(path, "0", "1")
    tail = LineTail(path)
    assert everything(tail) == ["0", "1"]
    for number in range(2, 6):
        add(path, str(number))
        rotate(path, 1, keep=9)
    add(path, "6")
    assert everything(tail) == ["2", "3", "4", "5", "6"]
    assert (everything(tail), tail.torn) == ([], 0)
    tail.close()


@pytest.mark.parametrize("from_end", [False, True])
def test_what_is_written_just_before_the_rotation(path, monkeypatch, from_end):
    """Between a look that finds nothing and the look at who has the name now."""
    add(path, "before")
    tail = LineTail(path, from_end=from_end)
    everything(tail)
    look = LineTail._has_moved_on

    def late(self: LineTail) -> bool:
        monkeypatch.setattr(LineTail, "_has_moved_on", look)
        add(path, "last")
        rotate(path, 1, keep=9)
        add(path, "first")
        return look(self)

    monkeypatch.setattr(LineTail, "_has_moved_on", late)
    assert everything(tail) == ["last", "first"]
    tail.close()


def test_a_part_that_is_opened_may_be_moved_meanwhile(path, monkeypatch):
    """Who looks from the youngest part up sees one that moves up twice, and none not at all."""
    add(path, "0")
    tail = LineTail(path)
    everything(tail)
    for number in (1, 2):
        rotate(path, 1, keep=9)
        add(path, str(number))
    import core.rotation

    opened = core.rotation.open_part

    def rotating(part: Path):
        stream = opened(part)
        if part == path:
            monkeypatch.setattr(core.rotation, "open_part", opened)
            rotate(path, 1, keep=9)
            add(path, "3")
        return stream

    monkeypatch.setattr(core.rotation, "open_part", rotating)
    assert everything(tail) == ["1", "2", "3"]
    tail.close()


def test_who_is_overtaken_goes_on_with_the_oldest_part_that_is_left(path):
    """What was dropped is lost; what came after it is not, and older parts are not read again."""
    add(path, "old")
    rotate(path, 1, keep=3)
    add(path, "0")
    tail = LineTail(path)
    assert everything(tail) == ["0"]
    for number in range(1, 9):
        rotate(path, 1, keep=3)
        add(path, str(number))
    assert everything(tail) == ["5", "6", "7", "8"]
    tail.close()


def test_a_log_that_is_removed_does_not_bring_back_its_older_parts(path):
    """They were there before, and are not what comes after."""
    add(path, "old")
    rotate(path, 1, keep=3)
    add(path, "0")
    tail = LineTail(path)
    assert everything(tail) == ["0"]
    path.unlink()
    assert everything(tail) == []
    add(path, "1")
    assert everything(tail) == ["1"]
    tail.close()


def test_a_tail_that_began_before_the_log_misses_no_part_of_it(path):
    """The log may have been rotated before the first look at it; what was older is not its business."""
    add(rotated(path, 1), "old")
    tail = LineTail(path)
    assert everything(tail) == []
    add(path, "0")
    rotate(path, 1, keep=3)
    add(path, "1")
    assert everything(tail) == ["0", "1"]
    tail.close()


@pytest.mark.parametrize("survives", range(4))
def test_a_kill_between_two_renames(path, monkeypatch, survives):
    """A number is left out; readers pass over it, and the next rotation fills it without losing a part."""
    tail = LineTail(path)
    for number in range(3):
        add(path, str(number))
        rotate(path, 1, keep=9)
    add(path, "3")
    left = survives
    replace = Path.replace

    def replacing(self: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return replace(self, target)

    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr(Path, "replace", replacing)
        rotate(path, 1, keep=9)
    assert everything(tail) == ["0", "1", "2", "3"]
    add(path, "4")
    rotate(path, 1, keep=9)
    add(path, "5")
    assert everything(tail) == ["4", "5"]
    assert len(numbers(path)) == 5
    tail.close()


def test_a_writer_that_never_rests(path):
    """Thousands of lines and hundreds of rotations: each line once, in order, for a reader that looks whenever it can."""
    add(path, "begin")
    tail = LineTail(path)
    done = threading.Event()

    def write() -> None:
        written = 0
        while written < 6000:
            rotate(path, 200, keep=MOST_KEPT)
            with path.open("a") as stream:
                for _ in range(10):
                    stream.write(f"{written}\n")
                    written += 1
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found: list[str] = []
    while not done.is_set():
        found += [line.decode() for line in tail.read_new()]
    writer.join()
    found += everything(tail)
    assert found == ["begin", *map(str, range(6000))]
    assert tail.torn == 0
    tail.close()


def test_what_is_no_log_is_not_read(path):
    """A directory and a pipe in its place are errors; in the place of an older part they are passed over."""
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        LineTail(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(OSError, match="Not a file"):
        LineTail(path)
    path.unlink()
    add(path, "0")
    os.mkfifo(rotated(path, 1))
    rotated(path, 2).mkdir()
    rotated(path, 3).symlink_to(rotated(path, 3))
    add(rotated(path, 4), "old")
    (path.parent / "x.log.99999999999999999999").touch()
    assert numbers(path) == [0, 4]


def test_a_log_that_becomes_a_directory_is_said(path):
    """Whoever follows it is told, and nothing is left open."""
    add(path, "0")
    tail = LineTail(path)
    assert everything(tail) == ["0"]
    path.rename(path.with_name("elsewhere"))
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        tail.read_new()
    tail.close()
