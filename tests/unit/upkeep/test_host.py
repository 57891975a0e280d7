"""What a check-up says of each kind of host, and that it says what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.upkeep import host, storage
from core.upkeep.finding import Finding, Level

LOCK = "anyio==4.16.0 \\\n    --hash=sha256:00\ntzdata==1.0 ; sys_platform == 'win32' \\\n# a comment\n"
NOW = 1_800_000_000.0


def level(finding: Finding) -> Level:
    """Return the level; what is not well says what to type, what is well asks for nothing."""
    assert bool(finding.fix) is (finding.level is not Level.OK)
    return finding.level


@pytest.mark.parametrize(
    ("version", "prefix", "expected"),
    [((3, 11, 0), "/v", Level.OK), ((3, 10, 9), "/v", Level.BAD), ((3, 13, 1), "/usr", Level.WARN)],
)
def test_python(version, prefix, expected):
    """Too old stops a run; another environment than ours may."""
    assert level(host.check_python(version, Path(prefix), Path("/v"))) is expected


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"anyio": "4.16.0"}, Level.OK),
        ({"anyio": "4.16.0", "tzdata": "1.0"}, Level.OK),
        ({"anyio": "4.15.0"}, Level.BAD),
        ({}, Level.BAD),
        ({"anyio": "4.16.0", "tzdata": "0.9"}, Level.BAD),
    ],
)
def test_packages(installed, expected):
    """Exactly the pinned versions; one with a condition may be missing, but not be another."""
    assert level(host.check_packages(LOCK, installed.get)) is expected


def test_the_lock_file_that_ships_is_understood():
    """Each of its pins is seen."""
    lock = (Path(__file__).resolve().parents[3] / "requirements.lock").read_text("utf-8")
    pins = sum("==" in line and not line.startswith((" ", "#")) for line in lock.splitlines())
    assert pins > 10
    assert host.check_packages(lock, host.installed_version).what == f"{pins} as in requirements.lock"


def test_descriptors():
    """What the wanted number of workers needs, and how many would fit."""
    assert level(host.check_descriptors(None, 1000)) is Level.OK
    assert level(host.check_descriptors(1024, 100)) is Level.OK
    short = host.check_descriptors(256, 100)
    assert level(short) is Level.BAD
    assert "ulimit -n 564" in short.fix and "--max-concurrent 38" in short.fix


def test_shared_memory():
    """Docker's 64 MB will do; less, or none, is said."""
    sizes = (None, 1024, host.SHM, 10 * host.SHM)
    assert [level(host.check_shared_memory(size)) for size in sizes] == [Level.WARN, Level.WARN, Level.OK, Level.OK]


def test_clock():
    """A year that makes no sense, a clock that went back, a boot that has no name."""
    assert level(host.check_clock(0.0, None, "b")) is Level.BAD
    assert level(host.check_clock(NOW, NOW + 3600, "b")) is Level.WARN
    assert level(host.check_clock(NOW, NOW, "")) is Level.WARN
    assert level(host.check_clock(NOW, NOW + 10, "b")) is Level.OK
    assert level(host.check_clock(NOW, None, None)) is Level.OK


def test_space():
    """Little is a warning, too little is bad, and what cannot be counted is not judged."""
    state = Path("/state")
    many = storage.check_space("state", state, free=10**12, inodes=10**6)
    few = storage.check_space("state", state, free=500 * 1024**2, inodes=5000)
    none = storage.check_space("state", state, free=1024, inodes=10)
    assert [[level(finding) for finding in found] for found in (many, few, none)] == [
        [Level.OK] * 2,
        [Level.WARN] * 2,
        [Level.BAD] * 2,
    ]
    assert len(storage.check_space("log", state, free=10**12, inodes=None)) == 1


def test_locks_and_writes_of_a_real_directory(tmp_path):
    """Two processes agree on a lock; a file is replaced durably; nothing is left."""
    with storage.scratch(tmp_path / "not" / "there") as scratch:
        assert scratch.parent == tmp_path
        assert level(storage.check_locks(scratch)) is Level.OK
        assert level(storage.check_writes(scratch)) is Level.OK
    assert list(tmp_path.iterdir()) == []


def test_locks_that_nobody_else_sees_are_noticed(tmp_path, monkeypatch):
    """As on a network file system that keeps locks to each host."""
    monkeypatch.setattr(storage, "_asked", lambda *_: "free")
    assert level(storage.check_locks(tmp_path)) is Level.BAD


def test_writes_that_fail_are_noticed(tmp_path):
    """A directory that is not one."""
    (tmp_path / "file").touch()
    assert level(storage.check_writes(tmp_path / "file")) is Level.BAD
    assert level(storage.check_locks(tmp_path / "file")) is Level.BAD
