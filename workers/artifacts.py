"""What an attempt leaves for people to look at: files below ``state/artifacts/<id>/<attempt>/``."""

from __future__ import annotations

import itertools
import re
import shutil
from typing import TYPE_CHECKING

import msgspec

from core import durable
from core.errors import ArtifactRefused
from core.workspaces.port import ASIDE

if TYPE_CHECKING:
    from pathlib import Path

    from workers.port import AttemptKey

LARGEST = 20 * 1024 * 1024
"""Bytes of one file that an author keeps."""
LARGEST_TRACE = 100 * 1024 * 1024
MOST_FILES = 100
"""In one attempt."""
MOST_BYTES = 500 * 1024 * 1024
"""Of one profile, earlier runs included."""

_UNSAFE = re.compile(r"[^\w.\- ]+")
_LONGEST_NAME = 160
_LONGEST_EXTENSION = 20
_SEEN = "failures.json"


class _Seen(msgspec.Struct):
    """Kinds of failure that the job's attempts have left evidence of."""

    job: str
    attempt: int
    kinds: list[str]


def safe_name(name: str, default: str = "file") -> str:
    """Return a file name that is safe everywhere and no hidden one; its extension is kept."""
    stem, dot, extension = _UNSAFE.sub("_", name).strip(" .").rpartition(".")
    if not dot:
        return _short(extension, _LONGEST_NAME) or default
    return f"{_short(stem, _LONGEST_NAME) or default}.{_short(extension, _LONGEST_EXTENSION)}"


def _short(text: str, most: int) -> str:
    # file systems count bytes
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").strip(" .")


def numbered(name: str, number: int) -> str:
    """Return the ``number``-th name of files that want the same: ``receipt.pdf``, ``receipt-2.pdf``."""
    stem, dot, extension = name.rpartition(".")
    return name if number == 1 else f"{stem}-{number}.{extension}" if dot else f"{name}-{number}"


class FileArtifacts:
    """Adapter of ``workers.port.Artifacts``; one per process.

    An attempt number comes again with a new generation of its job, and with every run by hand: then the directory is
    ``<attempt>-2`` and so on, so that nothing is overwritten.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._directory: Path | None = None
        self._seen: _Seen | None = None
        self._files = 0
        self._bytes = 0

    def keep(self, of: AttemptKey, name: str, data: bytes) -> str:
        """Keep bytes; see the port."""
        try:
            directory = self._make_room(of, len(data), LARGEST)
            # the temporary file lies where the next start looks for those of killed writers
            with durable.temporary(self._state_dir / "artifact", data, fsync=True) as temp:
                target = self._link(temp, directory, safe_name(name))
            durable.sync_directory(directory)
        except OSError as exc:
            raise durable.write_failed(self._state_dir / "artifacts" / of.profile_id / name, exc) from exc
        return self._relative(target)

    def take_in(self, of: AttemptKey, name: str, file: Path) -> str:
        """Move a file in; see the port."""
        try:
            directory = self._make_room(of, file.stat().st_size, LARGEST_TRACE)
            file.chmod(0o600)
            for number in range(1, MOST_FILES + 1):
                target = directory / numbered(safe_name(name), number)
                if not target.exists():
                    break
            shutil.move(file, target)
        except OSError as exc:
            raise durable.write_failed(file, exc) from exc
        return self._relative(target)

    def is_first(self, of: AttemptKey, kind: str) -> bool:
        """Whether no attempt of this job failed like that before; see the port."""
        path = self._state_dir / "artifacts" / of.profile_id / _SEEN
        if self._seen is None:
            earlier = self._read_seen(path)
            # a number that is not higher is a new generation of the job, or a run by hand
            goes_on = earlier is not None and earlier.job == of.job and earlier.attempt < of.number
            self._seen = earlier if goes_on else None
        if self._seen is None:
            self._seen = _Seen(job=of.job, attempt=of.number, kinds=[])
        if kind in self._seen.kinds:
            return False
        self._seen.kinds.append(kind)
        self._seen.attempt = of.number
        durable.ensure_directory(path.parent)
        durable.write_bytes(path, msgspec.json.encode(self._seen))
        return True

    def _read_seen(self, path: Path) -> _Seen | None:
        data = durable.bytes_of(path)
        try:
            return None if data is None else msgspec.json.decode(data, type=_Seen)
        except msgspec.MsgspecError:
            return None

    def _make_room(self, of: AttemptKey, size: int, largest: int) -> Path:
        """Return this attempt's directory; in the count of its files the next one is included."""
        root = self._state_dir / "artifacts" / of.profile_id
        if self._directory is None:
            durable.ensure_directory(root)
            self._bytes = sum(
                path.stat().st_size for path in root.rglob("*") if path.is_file() and not _is_aside(path, root)
            )
        if size > largest:
            raise ArtifactRefused(f"{size} bytes are more than the {largest} that one file may have")
        if self._files >= MOST_FILES:
            raise ArtifactRefused(f"this attempt has kept {MOST_FILES} files already")
        if self._bytes + size > MOST_BYTES:
            raise ArtifactRefused(f"{root} holds {self._bytes} bytes, and {MOST_BYTES} is the most: remove what is old")
        if self._directory is None:
            self._directory = _new_directory(root, str(of.number))
        self._files += 1
        self._bytes += size
        return self._directory

    def _link(self, temp: Path, directory: Path, name: str) -> Path:
        for number in range(1, MOST_FILES + 1):
            target = directory / numbered(name, number)
            try:
                durable.link(temp, target)
            except FileExistsError:
                continue
            return target
        raise FileExistsError(f"there are {MOST_FILES} files of this name")

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._state_dir).as_posix()


def _is_aside(path: Path, root: Path) -> bool:
    """Whether it belongs to a workspace that was put aside, for which there is room of its own."""
    return path.relative_to(root).parts[0].startswith(ASIDE)


def _new_directory(root: Path, name: str) -> Path:
    for number in itertools.count(1):
        directory = root / numbered(name, number)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        durable.sync_directory(root)
        return directory
    raise AssertionError("counting has no end")  # pragma: no cover
