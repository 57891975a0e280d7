"""Saved browser data and the list that was made of it: what differs is named, what only looks as if it did is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.errors import DurableWriteFailed, NewerSchema, WorkspaceCorrupt, WorkspaceError
from core.workspaces import manifest, removal, scratch, swap
from core.workspaces.files import FileWorkspaces


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Browser data of three files, with its manifest."""
    root = tmp_path / "data"
    for name in ("Local State", "Default/Cookies", "Default/IndexedDB/a_0.leveldb/000005.ldb"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 20)
    (root / swap.TOKEN).write_text("1")
    (root / "Default" / "Cache").mkdir()
    (root / "Default" / "Cache" / "data_0").write_text("not looked at")
    assert manifest.write(root) == (3, 20 * (11 + 15 + 40))
    return root


@pytest.fixture
def manager(state_dir: Path):
    """A manager; the TMPDIRs of workspaces that a test leaves standing are removed."""
    yield FileWorkspaces(state_dir)
    for path in scratch.strays(state_dir.resolve() / "workspaces", set()):
        removal.temp_dir(path)


def said(root: Path, *, deep: bool = False) -> list[str]:
    return [str(difference) for difference in manifest.differences(root, deep=deep)]


def flip(path: Path, *, quietly: bool = False) -> None:
    """Change one bit; quietly: as a disk does it, without a trace in the file's times."""
    found = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if quietly:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_what_was_saved_is_what_was_saved(data: Path):
    """Nothing differs, nor after a new token, a touched cache and a changed time; without a manifest nobody can tell."""
    (data / swap.TOKEN).write_text("2")
    (data / "Default" / "Cache" / "data_0").unlink()
    os.utime(data / "Local State", ns=(1, 1))
    assert said(data) == said(data, deep=True) == []
    (data / manifest.NAME).unlink()
    assert manifest.differences(data) is manifest.differences(data, deep=True) is None


def _replace_by(kind: str, path: Path) -> None:
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path.parent.parent / "Local State")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flip, "its content is not what was saved"),
        (lambda path: os.truncate(path, 7), "it has 7 bytes, 300 were saved"),
        (lambda path: path.write_bytes(b""), "it has 0 bytes, 300 were saved"),
        (lambda path: path.unlink(), "it is missing"),
        (lambda path: _replace_by("directory", path), "it is no regular file any more"),
        (lambda path: _replace_by("pipe", path), "it is no regular file any more"),
        (lambda path: _replace_by("link", path), "it is no regular file any more"),
    ],
    ids=["flipped", "truncated", "emptied", "gone", "directory", "pipe", "link"],
)
def test_what_somebody_did_to_a_file_is_named_at_once(data: Path, damage, expected: str):
    """Whatever leaves a trace in a file's name, kind, size or time is found without reading the others."""
    damage(data / "Default" / "Cookies")
    assert said(data) == said(data, deep=True) == [f"Default/Cookies: {expected}"]


def test_a_bit_that_flipped_by_itself_is_found_by_reading(data: Path):
    """A disk that returns something else leaves no trace: a deep comparison finds it, a quick one does not."""
    flip(data / "Default/IndexedDB/a_0.leveldb/000005.ldb", quietly=True)
    assert said(data) == []
    assert said(data, deep=True) == ["Default/IndexedDB/a_0.leveldb/000005.ldb: its content is not what was saved"]


def test_a_later_save_does_not_whitewash_it(data: Path):
    """What no browser wrote to keeps the hash it was saved with; only after mending is everything read again."""
    flip(data / "Default" / "Cookies", quietly=True)
    (data / "Local State").write_text("new")
    manifest.write(data)
    assert said(data, deep=True) == ["Default/Cookies: its content is not what was saved"]
    manifest.write(data, afresh=True)
    assert said(data, deep=True) == []


def test_two_files_that_changed_places_are_both_named(data: Path):
    """Each is whole by itself, and neither is where it belongs."""
    one, two = data / "Local State", data / "Default" / "Cookies"
    assert swap.exchange(one, two)
    assert [line.partition(":")[0] for line in said(data)] == ["Default/Cookies", "Local State"]


def test_what_was_added_is_named_by_a_deep_comparison(data: Path):
    """A file that was not saved is no damage, but a deep look names it."""
    (data / "Default" / "Cookies-journal").write_text("x")
    assert said(data) == []
    assert said(data, deep=True) == ["Default/Cookies-journal: it was added since this was saved"]


def test_a_file_that_cannot_be_read_is_named(data: Path, monkeypatch: pytest.MonkeyPatch):
    """Bad sectors are a difference when comparing, and an error when saving; a directory is one, too."""
    flip(data / "Default" / "Cookies")

    def bad_sector(*_args):
        raise OSError(5, "Input/output error", str(data / "Default" / "Cookies"))

    # root may read everything, so the failure has to be played
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", bad_sector)
        assert said(data) == ["Default/Cookies: it cannot be read (Input/output error)"]
        with pytest.raises(WorkspaceError, match=r"Cookies could not be read: Input/output error"):
            manifest.write(data)
    with monkeypatch.context() as patch:
        patch.setattr("os.lstat", bad_sector)
        assert said(data) == ["Default/Cookies: it cannot be read (Input/output error)"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 300),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"Local", b"local")),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"schema":1', b'"schema":0')),
        lambda path: path.write_bytes(b"[" * 100_000),
        lambda path: path.write_bytes(b'{"schema":1,"sha256":"\xff","files":{}}'),
        lambda path: _replace_by("directory", path),
        lambda path: _replace_by("pipe", path),
        lambda path: (path.unlink(), path.symlink_to("nowhere")),
        lambda path: (path.unlink(), path.symlink_to(path.name)),
    ],
    ids=["empty", "zeros", "truncated", "flipped", "schema", "deep", "text", "directory", "pipe", "nowhere", "itself"],
)
def test_a_damaged_manifest_is_a_difference_itself(data: Path, damage):
    """Nothing is believed of it, and nothing is concluded about the data; the next one is written from what is there."""
    damage(data / manifest.NAME)
    found = manifest.differences(data)
    assert [difference.path for difference in found] == [manifest.NAME]
    assert found == manifest.differences(data, deep=True)


def test_the_manifest_of_a_newer_version_is_not_judged(data: Path):
    """It is refused when comparing, and replaced by a save."""
    path = data / manifest.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(NewerSchema):
        manifest.differences(data)
    manifest.write(data)
    assert said(data, deep=True) == []


def test_a_full_disk_leaves_the_manifest_as_it_was(data: Path, monkeypatch: pytest.MonkeyPatch):
    """No room for a new one: the old one is there."""
    (data / "Default" / "new").write_text("x")

    def no_room(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", no_room)
        with pytest.raises(DurableWriteFailed):
            manifest.write(data)
    assert said(data) == []
    assert len(said(data, deep=True)) == 1


def test_what_a_killed_writer_left_is_not_saved(data: Path):
    """Its temporary file goes before anything is listed."""
    left = data / f".{manifest.NAME}.0123456789abcdef.ostler-tmp"
    left.write_text("half")
    assert manifest.write(data)[0] == 3
    assert not left.exists()


def test_names_that_are_no_text_are_listed(data: Path):
    """A name that is not UTF-8 is compared like any other."""
    odd = Path(os.fsdecode(os.fsencode(data) + b"/\xff\xfe"))
    odd.write_text("x")
    assert manifest.write(data)[0] == 4
    flip(odd)
    assert said(data) == ["\\udcff\\udcfe: its content is not what was saved"]


def test_saved_data_has_its_manifest_and_copies_are_held_to_it(manager: FileWorkspaces, state_dir: Path):
    """Save-back and snapshot write it; what was changed since is refused at the next start, and named."""
    saved = state_dir / "profiles" / "anna" / "browser_profile"
    first = manager.acquire("anna", 1, template=None)
    (first.user_data_dir / "Default").mkdir()
    (first.user_data_dir / "Default" / "Visited Links").write_text("one")
    manager.snapshot(first)
    assert said(saved, deep=True) == []
    (first.user_data_dir / "Default" / "Visited Links").write_text("two")
    manager.save_back(first)
    assert said(saved, deep=True) == []
    second = manager.acquire("anna", 2, template=None)
    assert said(second.user_data_dir, deep=True) == []
    manager.discard(second)
    flip(saved / "Default" / "Visited Links")
    with pytest.raises(WorkspaceCorrupt, match="Default/Visited Links: its content is not what was saved"):
        manager.acquire("anna", 3, template=None)
    # what a person does who meant the change; the next save lists what is there
    (saved / manifest.NAME).unlink()
    manager.save_back(manager.acquire("anna", 3, template=None))
    assert said(saved, deep=True) == []


def test_a_copy_that_lost_its_times_is_read_and_not_refused(manager: FileWorkspaces, state_dir: Path):
    """A state directory that was moved without the times of its files is as good as before."""
    saved = state_dir / "profiles" / "anna" / "browser_profile"
    first = manager.acquire("anna", 1, template=None)
    (first.user_data_dir / "Visited Links").write_text("one")
    manager.save_back(first)
    os.utime(saved / "Visited Links")
    second = manager.acquire("anna", 2, template=None)
    assert second.receipt.source == "profile"
    manager.save_back(second)
    assert said(saved, deep=True) == []


def test_only_the_first_few_differences_are_said(manager: FileWorkspaces, state_dir: Path):
    """Data that was lost as a whole makes a message that can be read."""
    first = manager.acquire("anna", 1, template=None)
    for number in range(8):
        (first.user_data_dir / f"file-{number}").write_text("x")
    manager.save_back(first)
    for path in (state_dir / "profiles" / "anna" / "browser_profile").glob("file-*"):
        path.unlink()
    with pytest.raises(WorkspaceCorrupt, match=r"file-4: it is missing; and 3 more$"):
        manager.acquire("anna", 2, template=None)
