"""Every place for artifacts obeys the same laws; the one on disk a few more."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.errors import ArtifactRefused
from workers import artifacts
from workers.artifacts import FileArtifacts, safe_name
from workers.port import AttemptKey
from workers.scripted import MemoryArtifacts

KEY = AttemptKey("p1", "j1", 1)
SECOND = AttemptKey("p1", "j1", 2)


@pytest.fixture(params=["files", "memory"])
def kept(request, tmp_path):
    return FileArtifacts(tmp_path) if request.param == "files" else MemoryArtifacts()


def test_the_path_names_profile_and_attempt(kept):
    """Relative to the state directory, as every reader has it."""
    assert kept.keep(KEY, "page.html", b"x") == "artifacts/p1/1/page.html"


def test_nothing_is_overwritten(kept):
    """A name that is taken gets a number."""
    names = [Path(kept.keep(KEY, "page.html", b"x")).name for _ in range(3)]
    assert names == ["page.html", "page-2.html", "page-3.html"]


def test_a_file_is_moved_in(kept, tmp_path):
    """What somebody else wrote is kept, and gone where it was."""
    file = tmp_path / "elsewhere"
    file.write_bytes(b"zip")
    assert kept.take_in(KEY, "trace.zip", file) == "artifacts/p1/1/trace.zip"
    assert not file.exists()


def test_each_kind_is_first_once(kept):
    """The second time a kind of failure is known."""
    assert [kept.is_first(KEY, kind) for kind in ("a", "b", "a")] == [True, True, False]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("../../etc/passwd", "_._etc_passwd"),
        (".hidden", "hidden"),
        ("a/b\\c:d*.txt", "a_b_c_d_.txt"),
        ("", "file"),
        ("...", "file"),
        ("x" * 300 + ".png", "x" * 160 + ".png"),
        ("con\x00\n\x1b[31m.txt", "con_31m.txt"),
        ("漢" * 100 + ".pdf", "漢" * 53 + ".pdf"),
        ("Rechnung März.pdf", "Rechnung März.pdf"),
    ],
)
def test_names_are_made_safe(asked, given):
    """No directory, nothing hidden, nothing a terminal obeys, no more than file systems take."""
    assert safe_name(asked) == given


def test_files_are_for_their_owner_alone(tmp_path):
    """0600 in directories of 0700, whatever the mode of what is moved in, and no temporary file is left."""
    store = FileArtifacts(tmp_path)
    loose = tmp_path / "loose"
    loose.write_bytes(b"z")
    loose.chmod(0o644)
    store.keep(KEY, "a.txt", b"a")
    store.take_in(KEY, "b.zip", loose)
    store.is_first(KEY, "a")
    for path in (tmp_path / "artifacts").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]


def test_a_later_attempt_of_the_job_remembers_its_failures(tmp_path):
    """Retries do not pile up the same evidence; a new generation, a run by hand or another job starts anew."""
    assert FileArtifacts(tmp_path).is_first(KEY, "a")
    assert not FileArtifacts(tmp_path).is_first(SECOND, "a")
    assert FileArtifacts(tmp_path).is_first(SECOND, "b")
    assert FileArtifacts(tmp_path).is_first(KEY, "a"), "the same number again is another generation"
    assert FileArtifacts(tmp_path).is_first(AttemptKey("p1", "j2", 2), "a")


def test_an_attempt_number_that_comes_again_gets_a_directory_of_its_own(tmp_path):
    """A new generation does not write among the files of the last one."""
    paths = [FileArtifacts(tmp_path).keep(KEY, "a.txt", b"") for _ in range(2)]
    assert paths == ["artifacts/p1/1/a.txt", "artifacts/p1/1-2/a.txt"]


def test_a_damaged_memory_is_no_memory(tmp_path):
    """What failed before is then told once more."""
    FileArtifacts(tmp_path).is_first(KEY, "a")
    (tmp_path / "artifacts" / "p1" / "failures.json").write_bytes(b"{")
    assert FileArtifacts(tmp_path).is_first(SECOND, "a")


def test_there_are_limits(tmp_path, monkeypatch):
    """Of one file, of files in an attempt, and of all that a profile has."""
    monkeypatch.setattr(artifacts, "LARGEST", 10)
    monkeypatch.setattr(artifacts, "MOST_FILES", 3)
    monkeypatch.setattr(artifacts, "MOST_BYTES", 25)
    store = FileArtifacts(tmp_path)
    with pytest.raises(ArtifactRefused, match="11 bytes"):
        store.keep(KEY, "a", b"x" * 11)
    store.keep(KEY, "a", b"x" * 10)
    store.keep(KEY, "b", b"x" * 10)
    with pytest.raises(ArtifactRefused, match="remove what is old"):
        store.keep(KEY, "c", b"x" * 10)
    store.keep(KEY, "c", b"x")
    with pytest.raises(ArtifactRefused, match="3 files"):
        store.keep(KEY, "d", b"")
    with pytest.raises(ArtifactRefused, match="remove what is old"):
        FileArtifacts(tmp_path).keep(SECOND, "e", b"x" * 10)
    # a workspace that was put aside has room of its own
    aside = tmp_path / "artifacts" / "p1" / "SENSITIVE-workspace-3"
    aside.mkdir()
    (aside / "History").write_bytes(b"x" * 100)
    FileArtifacts(tmp_path).keep(SECOND, "e", b"x" * 4)
