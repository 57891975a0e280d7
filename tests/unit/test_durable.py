"""The durable write and the envelope, on a real file system."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest

from core.durable import ensure_directory, sweep_temporaries, temporary, temporary_name, write_bytes
from core.envelope import EnvelopeFile
from core.errors import DurableWriteFailed, Fenced, NewerSchema, StateCorrupt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions" / "p1.json"


@pytest.fixture
def file(path):
    return EnvelopeFile(path, dict[str, int])


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


# --- write_bytes -----------------------------------------------------------------------------------------------------


def test_write_replaces_whole_and_private(tmp_path):
    """The file holds the last content, is 0600 even if it was not, and nothing else is left."""
    target = tmp_path / "a"
    target.write_bytes(b"old and longer")
    target.chmod(0o666)
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == ["a"]


def test_write_goes_on_after_short_writes(tmp_path, monkeypatch):
    """A kernel that takes a few bytes at a time gets them all."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    write_bytes(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_an_error_leaves_the_old_version_and_nothing_else(tmp_path, monkeypatch, call):
    """Whichever system call fails, the error names path and errno, the old file stands, the temporary is gone."""
    target = tmp_path / "a"
    write_bytes(target, b"old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(type(target) if call == "replace" else os, call, fail)
    with pytest.raises(DurableWriteFailed) as caught:
        write_bytes(target, b"new")
    monkeypatch.undo()
    assert (caught.value.path, caught.value.errno) == (target, errno.EIO)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_version(tmp_path):
    """A write that the kernel really refuses halfway (file size limit) raises and keeps the old generation."""
    program = textwrap.dedent("""
        import pathlib, resource, signal, sys
        from core.envelope import EnvelopeFile
        from core.errors import DurableWriteFailed
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        file = EnvelopeFile(pathlib.Path(sys.argv[1]), dict[str, str])
        file.write({"a": "small"}, fence=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            file.write({"a": "x" * 100_000}, fence=1)
        except DurableWriteFailed as exc:
            print(exc.errno)
    """)
    path = tmp_path / "p1.json"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=30)
    assert int(done.stdout) == errno.EFBIG
    assert EnvelopeFile(path, dict[str, str]).read().value == {"a": "small"}
    assert names(tmp_path) == ["p1.json"]


def test_no_space_on_a_small_file_system(tmp_path):
    """On a file system that is really full, the write raises ENOSPC, and the old generation is there and readable."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root and the right to mount")
    try:
        file = EnvelopeFile(mount / "p1.json", dict[str, str])
        file.write({"a": "small"}, fence=1)
        with pytest.raises(DurableWriteFailed) as caught:
            file.write({"a": "x" * 200_000}, fence=1)
        assert caught.value.errno == errno.ENOSPC
        assert file.read().value == {"a": "small"}
        assert names(mount) == ["p1.json"]
    finally:
        subprocess.run(["umount", mount], check=True)


def test_directories_are_private(tmp_path):
    """Missing directories are created with 0700; a file in the way is an error that names it."""
    ensure_directory(tmp_path / "a" / "b")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]
    ensure_directory(tmp_path / "a" / "b")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(DurableWriteFailed):
        ensure_directory(tmp_path / "f" / "c")


def test_sweep_removes_what_a_kill_left_and_nothing_else(tmp_path):
    """Temporaries of the dead go, at any depth; one that a writer is at work on stays, and so does everything else."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    left = temporary_name(tmp_path / "a" / "b" / "p1.json")
    left.write_bytes(b"half")
    (tmp_path / ".hidden.tmp").write_bytes(b"not ours")
    with temporary(tmp_path / "p2.json", b"at work", fsync=False) as working:
        assert sweep_temporaries(tmp_path) == [left]
        assert working.exists()
    assert names(tmp_path) == [".hidden.tmp", "a"]
    assert names(tmp_path / "a" / "b") == []


# --- the envelope ----------------------------------------------------------------------------------------------------


def test_generations_count_up_and_the_previous_is_kept(file, path):
    """Each write has the next number, the version before stands beside it, and nothing else does."""
    assert file.read() is None
    assert [file.write({"n": n}, fence=7) for n in (1, 2, 3)] == [1, 2, 3]
    found = file.read()
    assert (found.value, found.generation, found.fence, found.recovered) == ({"n": 3}, 3, 7, False)
    assert names(path.parent) == ["p1.json", "p1.json.prev"]
    assert msgspec.json.decode((path.parent / "p1.json.prev").read_bytes())["payload"] == {"n": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_file_is_the_documented_envelope(file, path):
    """The file is JSON with exactly the five fields of the design."""
    file.write({"n": 1}, fence=2)
    disk = msgspec.json.decode(path.read_bytes())
    assert list(disk) == ["schema", "generation", "fence", "sha256", "payload"]
    assert (disk["schema"], disk["generation"], disk["fence"], disk["payload"]) == (1, 1, 2, {"n": 1})


def test_a_late_write_is_fenced(file, path):
    """A lower number than the stored one is refused, with both numbers, and not a byte changes; an equal one passes."""
    file.write({"n": 1}, fence=5)
    before = {name: (path.parent / name).read_bytes() for name in names(path.parent)}
    with pytest.raises(Fenced) as caught:
        file.write({"n": 2}, fence=4)
    assert (caught.value.ours, caught.value.newer) == (4, 5)
    assert {name: (path.parent / name).read_bytes() for name in names(path.parent)} == before
    file.write({"n": 3}, fence=5)


def test_a_recovered_fence_still_holds(file, path):
    """Damage does not let an older holder in: the previous generation's number is checked as well."""
    file.write({"n": 1}, fence=5)
    file.write({"n": 2}, fence=5)
    path.write_bytes(b"garbage")
    with pytest.raises(Fenced):
        file.write({"n": 3}, fence=4)


DAMAGES = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "last byte": lambda data: data[:-3],
    "torn": lambda data: data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2),
    "garbage": lambda data: b"\x00\xff not json",
    "other json": lambda data: b'{"schema": 1, "payload": {"n": 2}}',
    "an array": lambda data: b"[]",
    "payload changed": lambda data: data.replace(b'"n":2', b'"n":9'),
    "fence changed": lambda data: data.replace(b'"fence":3', b'"fence":1'),
    "generation changed": lambda data: data.replace(b'"generation":2', b'"generation":8'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_gives_the_previous_generation(file, path, damage):
    """A damaged file gives the version before it and says so; the damaged bytes are kept aside, once."""
    file.write({"n": 1}, fence=3)
    file.write({"n": 2}, fence=3)
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    for _ in range(2):
        found = file.read()
        assert (found.value, found.generation, found.recovered) == ({"n": 1}, 1, True)
    assert names(path.parent) == ["p1.json", "p1.json.corrupt-1", "p1.json.prev"]
    assert (path.parent / "p1.json.corrupt-1").read_bytes() == damaged
    assert file.write({"n": 4}, fence=3) == 3  # the damaged one was the second
    found = file.read()
    assert (found.value, found.recovered) == ({"n": 4}, False)
    # what was good stayed good: damage never becomes the previous generation
    assert msgspec.json.decode((path.parent / "p1.json.prev").read_bytes())["payload"] == {"n": 1}


@pytest.mark.parametrize("damage", DAMAGES)
def test_both_damaged_is_corrupt(file, path, damage):
    """With both generations damaged, reading and writing raise, and not a byte of either is changed."""
    file.write({"n": 2}, fence=3)
    file.write({"n": 2}, fence=3)
    previous = path.with_name("p1.json.prev")
    for each in (path, previous):
        each.write_bytes(b"\0" + DAMAGES[damage](each.read_bytes()))
    before = [path.read_bytes(), previous.read_bytes()]
    for act in (file.read, lambda: file.write({"n": 3}, fence=3)):
        with pytest.raises(StateCorrupt):
            act()
    assert [path.read_bytes(), previous.read_bytes()] == before
    assert names(path.parent) == ["p1.json", "p1.json.corrupt-1", "p1.json.prev", "p1.json.prev.corrupt-1"]


def test_damage_without_a_previous_generation_is_corrupt(file, path):
    """A first version that is damaged is never taken for an empty start."""
    file.write({"n": 1}, fence=1)
    path.write_bytes(b"")
    with pytest.raises(StateCorrupt):
        file.read()
    with pytest.raises(StateCorrupt):
        file.write({"n": 2}, fence=1)


def test_a_missing_file_with_a_previous_generation_is_recovered(file, path):
    """A file that somebody removed is not an empty start either."""
    file.write({"n": 1}, fence=1)
    file.write({"n": 2}, fence=1)
    path.unlink()
    assert file.read().recovered
    assert file.write({"n": 3}, fence=1) == 3


def test_every_flipped_bit_is_noticed(file, path):
    """Whichever bit of the file flips, what comes out is the same value, the version before, or a named refusal."""
    file.write({"n": 1}, fence=3)
    file.write({"n": 2}, fence=3)
    good = path.read_bytes()
    for bit in random.Random(4).sample(range(len(good) * 8), 300):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with contextlib.suppress(NewerSchema):  # the schema's own digit: in doubt, hands off
            found = file.read()
            assert found.value == {"n": 1 if found.recovered else 2}, bit
            assert found.fence == 3


def test_two_generations_that_changed_places_are_not_believed(file, path):
    """An older version in the newest one's place would undo what was acknowledged: it is neither read nor replaced."""
    for number in range(1, 4):
        file.write({"n": number}, fence=1)
    assert file.look() == (file.read(), [])
    previous = path.with_name(path.name + ".prev")
    current, before = path.read_bytes(), previous.read_bytes()
    path.write_bytes(before)
    previous.write_bytes(current)
    with pytest.raises(StateCorrupt, match=r"generation 2, but p1\.json\.prev is generation 3"):
        file.read()
    with pytest.raises(StateCorrupt):
        file.write({"n": 4}, fence=1)
    assert (path.read_bytes(), previous.read_bytes()) == (before, current)
    found, (said,) = file.look()
    assert found is None
    assert f"{path} is damaged: it is generation 2" in said
    previous.unlink()
    assert file.read().value == {"n": 2}


@pytest.mark.parametrize("which", ["p1.json", "p1.json.prev"])
@pytest.mark.parametrize("damage", [b"", b"\0\0", b'{"schema":2}', "directory", "nowhere"])
def test_damage_is_said_without_a_change(file, path, which, damage):
    """Each generation that is damaged is named, also the one that nobody reads today; nothing is kept aside."""
    for number in range(1, 4):
        file.write({"n": number}, fence=1)
    target = path.with_name(which)
    if isinstance(damage, bytes):
        target.write_bytes(damage)
    else:
        target.unlink()
        target.mkdir() if damage == "directory" else target.symlink_to("nowhere")
    found, (said,) = file.look()
    assert str(target) in said
    # a read falls back for what is torn, and not for what is newer or no file
    usable = which.endswith(".prev") or damage in (b"", b"\0\0")
    assert (None if found is None else found.value["n"]) == ((3 if which.endswith(".prev") else 2) if usable else None)
    assert {each.name for each in path.parent.iterdir()} == {"p1.json", "p1.json.prev"}


def test_a_missing_newest_generation_is_said(file, path):
    """The one before it is there, so there was one."""
    file.write({"n": 1}, fence=1)
    file.write({"n": 2}, fence=1)
    path.unlink()
    found, said = file.look()
    assert (found.value, found.recovered, said) == ({"n": 1}, True, [f"{path} is missing"])
    path.with_name(path.name + ".prev").unlink()
    assert file.look() == (None, [])


def test_a_newer_schema_is_not_touched(file, path):
    """A newer version's file is neither read nor replaced, whether as the current one or as the one to fall back to."""
    EnvelopeFile(path, dict[str, int], schema=9).write({"n": 1}, fence=1)
    before = path.read_bytes()
    for act in (file.read, lambda: file.write({"n": 2}, fence=9)):
        with pytest.raises(NewerSchema) as caught:
            act()
        assert (caught.value.found, caught.value.known) == (9, 1)
    path.rename(path.with_name("p1.json.prev"))
    path.write_bytes(b"garbage")
    for act in (file.read, lambda: file.write({"n": 2}, fence=9)):
        with pytest.raises(NewerSchema):
            act()
    assert path.read_bytes() == b"garbage"
    assert path.with_name("p1.json.prev").read_bytes() == before


def test_a_whole_payload_of_another_form_is_corrupt_not_older(file, path):
    """What somebody meant to write is never silently replaced by the version before it."""
    file.write({"n": 1}, fence=1)
    file.write({"n": 2}, fence=1)
    with pytest.raises(StateCorrupt):
        EnvelopeFile(path, dict[str, str]).read()


def test_what_json_cannot_say_changes_nothing(path):
    """A value without a JSON form is the caller's error, raised before anything is touched."""
    with pytest.raises(TypeError):
        EnvelopeFile(path, object).write(object(), fence=1)
    assert not path.parent.exists()


def test_delete_removes_both_generations(file, path):
    """After a delete nothing comes back; a second one finds nothing."""
    file.write({"n": 1}, fence=1)
    file.write({"n": 2}, fence=1)
    assert file.delete() is True
    assert names(path.parent) == []
    assert file.read() is None
    assert file.delete() is False


def test_writers_take_turns(file, path):
    """Writers at the same time, also at the very first write, get different generations, and readers see whole files."""
    start = threading.Barrier(5)
    numbers = []

    def write():
        start.wait()
        numbers.extend(file.write({"n": n}, fence=1) for n in range(10))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        found = file.read()
        assert found is None or not found.recovered
    assert sorted(numbers) == list(range(1, 41))
    assert names(path.parent) == ["p1.json", "p1.json.prev"]


def test_no_descriptor_is_left_open(file):
    """Reading, writing and being refused leave no descriptor behind."""
    file.write({"n": 1}, fence=2)
    before = len(names(Path("/proc/self/fd")))
    for n in range(20):
        file.write({"n": n}, fence=2)
        with pytest.raises(Fenced):
            file.write({"n": n}, fence=1)
    assert len(names(Path("/proc/self/fd"))) == before
