"""Clones of several processes: limits that hold for all, and what kills, signals, forks and a full disk leave."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.errors import OstlerError
from core.workspaces import (
    InsufficientSpaceException,
    ProfileCreationError,
    WorkspaceManager,
    clone,
    marker,
    scratch,
    verify,
)
from core.workspaces.files import FileWorkspaces
from core.workspaces.places import CLONES
from tests import browser_data

CHECKOUT = Path(__file__).resolve().parents[2]
CHILDREN = CHECKOUT / "tests" / "children"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A closed browser's user-data-dir."""
    return browser_data.make(tmp_path / "base")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where clones lie."""
    return tmp_path / CLONES


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What falls back to the system's temporary directory stays in the test's own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@contextlib.contextmanager
def child(script: str, *arguments: object):
    with subprocess.Popen(
        [sys.executable, CHILDREN / script, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    ) as started:  # fmt: skip
        try:
            yield started
        finally:
            started.kill()


def entries(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".locks") if root.exists() else []


def check_visible(root: Path) -> None:
    """What has a clone's name is a whole clone."""
    for name in entries(root):
        if name.startswith("."):
            continue
        assert marker.read(root / name).state in ("ready", "verified")
        assert browser_data.files(root / name / "user-data") == browser_data.copied()
        assert verify.findings(root / name / "user-data") == []


def check_next_run(base: Path, root: Path) -> None:
    """The next manager works at once, and its first profile cleans up."""
    with WorkspaceManager(base, max_profiles=1, temp_directory=root) as manager:
        path = Path(manager.create_profile("w1"))
        assert entries(root) == [path.parent.name]
        assert [each.stem for each in (root / ".locks" / "clones").iterdir()] == [path.parent.name]
        assert manager.validate_profile("w1")
    assert entries(root) == []


@pytest.mark.parametrize("kills", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_nothing_half_visible(base: Path, root: Path, kills: int):
    """SIGKILL while three threads create, fill and clean up: clones are whole, the base is as it was, the next run cleans up."""
    randomness = random.Random(11)
    before = browser_data.content_hash(base)
    leftovers = 0
    for _ in range(kills):
        with child("clones_forever.py", base, root, 3, 0, "die") as started:
            assert started.stdout.readline() == "ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(randomness.uniform(0.0, 0.2))
            started.kill()
            assert started.wait() == -signal.SIGKILL
        check_visible(root)
        leftovers += len(entries(root))
        if randomness.random() < 0.3:
            check_next_run(base, root)
    check_next_run(base, root)
    assert leftovers
    assert browser_data.content_hash(base) == before


@pytest.mark.parametrize(("processes", "rounds"), [(5, 5), pytest.param(5, 20, marks=pytest.mark.slow)])
def test_limits_hold_for_all_processes(base: Path, root: Path, processes: int, rounds: int):
    """Never more than five clones, never more than two that are being copied, whoever looks; and all get what they want in the end."""
    most_clones = most_copies = 0
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(child("clones_forever.py", base, root, 2, rounds, "die")) for _ in range(processes)
        ]
        while any(each.poll() is None for each in running):
            # what is on its way out does not count: its name is given up first, its lock last
            names = [name for name in entries(root) if not name.startswith(".gone-")]
            # a name that changes while it is looked at may be seen twice
            most_clones = max(most_clones, len({name.removeprefix(".new-") for name in names}))
            most_copies = max(most_copies, len({name for name in names if name.startswith(".new-")}))
        said = [each.stdout.read().split()[-2:] for each in running]
        assert [each.returncode for each in running] == [0] * processes
        assert [int(created) for created, _ in said] == [2 * rounds] * processes
        assert sum(int(limit) for _, limit in said)
    assert 2 <= most_clones <= 5
    assert 1 <= most_copies <= 2
    assert entries(root) == []


def test_the_end_of_a_program_cleans_up(base: Path, root: Path):
    """Without a word of it."""
    program = "import sys; from core.workspaces import *; m = WorkspaceManager(sys.argv[1], temp_directory=sys.argv[2]); print(m.create_profile('w1'))"
    done = subprocess.run(
        [sys.executable, "-c", program, base, root],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not Path(done.stdout.splitlines()[0]).exists()
    assert entries(root) == []


@pytest.mark.parametrize("how", ["exit", "clean"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_clean_up_at_any_moment(base: Path, root: Path, number: signal.Signals, how: str):
    """Whether a signal raises or its handler cleans up, in the middle of whatever was going on: it ends, and nothing is left."""
    randomness = random.Random(5)
    for _ in range(4):
        with child("clones_forever.py", base, root, 1, 0, how) as started:
            assert started.stdout.readline() == "ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(randomness.uniform(0.05, 0.2))
            started.send_signal(number)
            started.wait(30)
        assert entries(root) == []


def test_a_fork_takes_no_clone_along_and_keeps_none_alive(base: Path, root: Path):
    """The child knows nothing of its parent's, its end removes its own only, and the parent's is free when the parent is dead."""
    with child("clone_and_fork.py", base, root) as started:
        said = dict(line.split(" ", 1) for line in (started.stdout.readline(), started.stdout.readline()))
        pid, parents = said["parent"].split()
        _, known, childs = said["child"].split()
        assert known == "none"
        assert Path(parents).is_dir() and Path(childs).is_dir()
        os.kill(int(pid), signal.SIGKILL)
        started.wait()
        with WorkspaceManager(base, temp_directory=root) as manager:
            assert manager.sweep() == [Path(parents).parent.name]
            assert Path(childs).is_dir()
            started.stdin.close()
            # the child's end closes the pipe
            started.stdout.read()
            assert entries(root) == []


def test_an_orchestrators_start_sweeps_dead_clones_too(base: Path, tmp_path: Path):
    """Nothing that is proven dead outlives the next start, also where nobody makes clones any more; what lives stays."""
    root = tmp_path / CLONES
    with child("clone_and_fork.py", base, root) as started, WorkspaceManager(base, temp_directory=root) as manager:
        mine = Path(manager.create_profile("mine"))
        said = dict(line.split(" ", 1) for line in (started.stdout.readline(), started.stdout.readline()))
        os.kill(int(said["parent"].split()[0]), signal.SIGKILL)
        started.wait()
        assert FileWorkspaces(tmp_path).sweep(lambda _profile_id: True) == [Path(said["parent"].split()[1]).parent.name]
        assert mine.is_dir()
        assert Path(said["child"].split()[2]).is_dir()
        started.stdin.close()
        started.stdout.read()


def test_a_sweep_leaves_what_a_browser_uses_and_what_is_not_ours(base: Path, root: Path):
    """A dead owner's clone with a browser in it, a directory without our marker, a half-made one that holds something."""
    with child("clone_and_fork.py", base, root) as started:
        said = dict(line.split(" ", 1) for line in (started.stdout.readline(), started.stdout.readline()))
        started.stdin.close()
        os.kill(int(said["parent"].split()[0]), signal.SIGKILL)
        started.stdout.read()
    path = Path(said["parent"].split()[1])
    lock = path / "SingletonLock"
    lock.symlink_to(f"{os.uname().nodename}-{os.getpid()}")
    for name in ("notes", ".new-notes"):
        (root / name).mkdir()
        (root / name / "file").touch()
    (root / ".new-empty").mkdir()
    with WorkspaceManager(base, temp_directory=root) as manager:
        assert manager.sweep() == [".new-empty"]
        lock.unlink()
        assert manager.sweep() == [path.parent.name]
    assert entries(root) == [".new-notes", "notes"]


# --- a full disk -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_from(monkeypatch: pytest.MonkeyPatch, number: int, *roots: Path):
    """Let the ``number``-th change below some directories, and all after it, fail as on a full disk; yield how many there were."""
    count = [0]

    def patch(name: str, is_change) -> None:
        real = getattr(os, name)

        def change(*args, **kwargs):
            if is_change(*args):
                count[0] += 1
                if count[0] >= number:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        patched.setattr(os, name, change)

    def below(path: object) -> bool:
        return any(str(path).startswith(str(each)) for each in roots)

    def written(descriptor: int, *_: object) -> bool:
        return below(Path(f"/proc/self/fd/{descriptor}").readlink())

    with monkeypatch.context() as patched:
        patch("open", lambda path, flags, *_: bool(flags & os.O_CREAT) and below(path))
        patch("mkdir", lambda path, *_: below(path))
        # a rename within a directory takes the room that it gives
        patch("write", written)
        patch("copy_file_range", lambda _, descriptor, *__: written(descriptor))
        yield count


def _points(monkeypatch: pytest.MonkeyPatch, base: Path, root: Path, *, refill: bool) -> int:
    """Return how many changes it takes to create a clone that is not the first one there, or to fill one anew."""
    with WorkspaceManager(base, temp_directory=root) as manager:
        manager.create_profile("w0")
        with full_from(monkeypatch, 10**9, root) as count:
            assert manager.copy_base_profile("w0") if refill else manager.create_profile("w1")
        return count[0]


@pytest.mark.parametrize("share", [0.25, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_while_a_clone_is_made(
    base: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
):
    """At every change that a creation makes: full here, it is made elsewhere; full everywhere, it is a typed error. Nothing is
    left half, the base is as it was, and the next run works.
    """
    before = browser_data.content_hash(base)
    number = _points(monkeypatch, base, root, refill=False)
    assert number > 30
    randomness = random.Random(3)
    elsewhere = scratch.beside(root).resolve()
    for point in sorted(randomness.sample(range(1, number + 1), round(number * share))):
        with WorkspaceManager(base, temp_directory=root) as manager:
            with full_from(monkeypatch, point, root):
                path = Path(manager.create_profile("w1"))
            assert path.is_relative_to(elsewhere)
            assert browser_data.files(path) == browser_data.copied()
            assert manager.cleanup_profile("w1")
        with (
            WorkspaceManager(base, temp_directory=root) as manager,
            full_from(monkeypatch, point, tmp_path),
            pytest.raises(InsufficientSpaceException),
        ):
            manager.create_profile("w2")
        assert entries(root) == entries(elsewhere) == []
        check_next_run(base, root)
    assert browser_data.content_hash(base) == before


@pytest.mark.parametrize("share", [0.25, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_while_a_clone_is_filled_anew(
    base: Path, root: Path, monkeypatch: pytest.MonkeyPatch, share: float
):
    """False, with the profile as it was; and it can be removed while the disk is full."""
    number = _points(monkeypatch, base, root, refill=True)
    for point in sorted(random.Random(3).sample(range(1, number + 1), round(number * share))):
        with WorkspaceManager(base, temp_directory=root) as manager:
            path = Path(manager.create_profile("w1"))
            (path / "Default" / "mine").write_text("x")
            before = browser_data.content_hash(path.parent)
            with full_from(monkeypatch, point, root):
                assert manager.copy_base_profile("w1") is False
                assert browser_data.content_hash(path.parent) == before
                assert manager.cleanup_profile("w1")
        assert entries(root) == []


def test_a_real_file_system_that_fills_up(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A small one in memory, mounted, that somebody else fills up after the look at its room: the clone is made elsewhere."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root may mount a file system")
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "none", small],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"mount: {done.stderr.strip()}")
    real = clone._Copier.file

    def filled_up(self, source, target):
        with contextlib.suppress(OSError), (small / "others").open("wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        return real(self, source, target)

    monkeypatch.setattr(clone._Copier, "file", filled_up)
    try:
        with WorkspaceManager(base, temp_directory=small / "clones") as manager:
            path = Path(manager.create_profile("w1"))
            assert path.is_relative_to(tmp_path / "tmp")
            assert browser_data.files(path) == browser_data.copied()
            assert entries(small / "clones") == []
            assert manager.cleanup_profile("w1")
    finally:
        subprocess.run(["umount", small], check=True, timeout=60)


def test_what_cannot_be_created_is_said_by_a_typed_error(tmp_path: Path, base: Path):
    """A file where the directory should be, here and elsewhere: an ``OSError`` that is ours."""
    (tmp_path / "file").touch()
    shutil.rmtree(tmp_path / "tmp")
    (tmp_path / "tmp").touch()
    with WorkspaceManager(base, temp_directory=tmp_path / "file") as manager:
        with pytest.raises(ProfileCreationError) as caught:
            manager.create_profile("w1")
        assert isinstance(caught.value, OstlerError)
        assert isinstance(caught.value, OSError)
        assert manager.sweep() == []
