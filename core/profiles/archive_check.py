"""Reads the archive of a profile and believes nothing: every byte of the file must be where ``archive_export`` puts it.

The order of the checks: the ends of the file, which say how large its table of contents is; that table; that the entries
lie one behind the other, without gap or overlap, each under the same name, size and method as in the table; the manifest, and
that it lists exactly these entries; their sizes together. Then contents may be read, a piece at a time: they must have the
size and hash that the manifest gives. Memory grows with the number of entries, not with their sizes.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from core.profiles.archive_manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    MOST_ENTRIES,
    Entry,
    Manifest,
    decode,
    name_problem,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_DIRECTORY = 32 * 1024 * 1024
"""Bytes of a ZIP's table of contents."""
HARMLESS = 256 * 1024 * 1024
MOST_RATIO = 200
"""An archive that unpacks to more than ``HARMLESS`` bytes, and to this many times its own size, is a bomb."""
FLAGS = 0x800
"""The only bit that may be set: names are UTF-8."""
WHOLE = "a whole ZIP file as `ostler profile export` writes it"

_CHUNK = 1024 * 1024
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s24x3H12x")
_LOCAL = struct.Struct("<4s2x2H4x3L2H")
_EXTRA = struct.Struct("<HH")
_SIZES_64 = struct.Struct("<HHQQ")
_ID_64 = 1
_FULL_32 = 0xFFFFFFFF
_DIRECTORY_BIT = 0x10


class Archive:
    """An archive that is whole in its structure; contents prove themselves while they are read.

    Attributes:
        manifest: what it says of itself.
    """

    def __init__(self, place: str, opened: zipfile.ZipFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._place = place
        self._zip = opened

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's content in pieces.

        Raises:
            BadInput: it is not what the manifest lists; raised at the latest behind the last piece.
        """
        digest = hashlib.sha256()
        size = 0
        with _explained(self._place, entry.name), self._zip.open(entry.name) as stream:
            while piece := stream.read(_CHUNK):
                size += len(piece)
                digest.update(piece)
                yield piece
        if size != entry.size:
            raise refused(self._place, entry.name, f"{entry.size} bytes, as the manifest says", f"{size}")
        if digest.hexdigest() != entry.sha256:
            raise refused(self._place, entry.name, "the content that the manifest lists", "another")

    def document(self, name: str) -> bytes | None:
        """Return the content of one of the ``DOCUMENTS``, None if it is not in the archive.

        Raises:
            BadInput: it is not what the manifest lists.
        """
        found = next((entry for entry in self.manifest.entries if entry.name == name), None)
        return None if found is None else b"".join(self.content(found))

    def verify(self) -> None:
        """Read everything.

        Raises:
            BadInput: an entry is not what the manifest lists.
        """
        for entry in self.manifest.entries:
            for _ in self.content(entry):
                pass


@contextlib.contextmanager
def archive(file: IO[bytes], place: str) -> Iterator[Archive]:
    """Give the archive in an open file that can be sought in.

    Args:
        file: stays open.
        place: the archive, as the user calls it.

    Raises:
        BadInput: it is none, or not as it was written; one line.
        NewerSchema: of a newer version's format.
    """
    start, size = _table_of_contents(file, place)
    with _explained(place, ""):
        opened = zipfile.ZipFile(file)
    with opened:
        infos = opened.infolist()
        for info in infos:
            _check_entry(info, place)
        if not infos or infos[0].filename != MANIFEST:
            raise refused(place, MANIFEST, "it as the first entry", "another" if infos else "none at all")
        _check_layout(file, infos, start, place)
        manifest = _manifest(opened, infos[0], place)
        _check_against(manifest, infos[1:], place)
        if is_bomb(manifest.size, start + size):
            times = manifest.size // (start + size)
            raise refused(place, "", f"at most {MOST_RATIO} times its size when unpacked", f"{times} times: a bomb")
        yield Archive(place, opened, manifest)


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether so many bytes in a file of so many are refused."""
    return unpacked > HARMLESS and unpacked > MOST_RATIO * packed


def _table_of_contents(file: IO[bytes], place: str) -> tuple[int, int]:
    """Return where the table of contents begins, and its size; what is behind it ends the file, and it is not too large."""
    length = file.seek(0, 2)
    end = _read(file, length - _END.size, _END)
    if end is None or end[0] != b"PK\5\6" or end[-1] != 0:
        raise refused(place, "", WHOLE, "another kind of file, or one that is cut off")
    _, disk, first_disk, here, count, size, start, _ = end
    behind = length - _END.size
    locator = _read(file, behind - _LOCATOR.size, _LOCATOR)
    if locator is not None and locator[0] == b"PK\6\7":
        behind -= _LOCATOR.size + _END_64.size
        large = _read(file, behind, _END_64)
        if large is None or large[:2] != (b"PK\6\6", _END_64.size - 12) or locator[2] != behind:
            raise refused(place, "", WHOLE, "a damaged end")
        disk, first_disk, here, count, size, start = large[4:]
    if (disk, first_disk) != (0, 0) or here != count:
        raise refused(place, "", "one file", "a part of several")
    if start + size != behind:
        raise refused(place, "", WHOLE, "something before or behind its entries")
    if count > MOST_ENTRIES + 1 or size > LARGEST_DIRECTORY:
        raise refused(place, "", f"at most {MOST_ENTRIES} files", f"{count} with {size} bytes of names")
    if _counted(file, start, size) != count:
        raise refused(place, "", WHOLE, "a damaged table of contents")
    return start, length - start


def _counted(file: IO[bytes], start: int, size: int) -> int | None:
    """Return how many records the table of contents has, None if it is none."""
    file.seek(start)
    table = file.read(size)
    count = at = 0
    while at + _CENTRAL.size <= len(table):
        signature, name, extra, comment = _CENTRAL.unpack_from(table, at)
        if signature != b"PK\1\2" or comment:
            return None
        at += _CENTRAL.size + name + extra
        count += 1
    return count if at == size else None


def _check_entry(info: zipfile.ZipInfo, place: str) -> None:
    """Refuse an entry whose record in the table of contents is not that of a plain file of ours."""
    name = info.orig_filename
    field = name[:200]
    problem = "" if name == MANIFEST else name_problem(name)
    if problem:
        raise refused(place, field, "a name that a profile's archive may have", f"one that {problem}")
    if info.flag_bits & 0x41:
        raise refused(place, field, "an entry that anybody can read", "an encrypted one")
    if info.flag_bits & ~FLAGS or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(
            place, field, "a stored or deflated entry", f"method {info.compress_type}, flags {info.flag_bits}"
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.external_attr & _DIRECTORY_BIT:
        found = "a symbolic link" if kind == stat.S_IFLNK else "a directory or a special file"
        raise refused(place, field, "a regular file", found)
    if info.extra and (
        _EXTRA.size > len(info.extra) or _EXTRA.unpack_from(info.extra) != (_ID_64, len(info.extra) - 4)
    ):
        raise refused(place, field, "no fields that Ostler does not write", "some")
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise refused(place, field, "a stored entry of one size", f"{info.compress_size} and {info.file_size}")


def _check_layout(file: IO[bytes], infos: Sequence[zipfile.ZipInfo], start: int, place: str) -> None:
    """Refuse entries that overlap, leave gaps, or say something else at their place than in the table of contents."""
    at = 0
    for info in infos:
        local = _read(file, info.header_offset, _LOCAL)
        if info.header_offset != at or local is None or local[0] != b"PK\3\4":
            where = "overlaps another" if info.header_offset < at else "does not follow the one before it"
            raise refused(place, info.filename[:200], "entries one behind the other", f"one that {where}")
        _, flags, method, crc, packed, size, name_length, extra_length = local
        name, extra = file.read(name_length), file.read(extra_length)
        if (packed, size) == (_FULL_32, _FULL_32) and len(extra) == _SIZES_64.size:
            _, _, size, packed = _SIZES_64.unpack(extra)
        if (name, flags, method, crc, packed, size) != (
            info.orig_filename.encode(), info.flag_bits, info.compress_type, info.CRC, info.compress_size, info.file_size,
        ):  # fmt: skip
            raise refused(
                place, info.filename[:200], "the same in the entry as in the table of contents", "something else"
            )
        at += _LOCAL.size + name_length + extra_length + packed
    if at != start:
        raise refused(place, infos[-1].filename[:200], "the table of contents behind the last entry", "something else")


def _manifest(opened: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> Manifest:
    if info.file_size > LARGEST_MANIFEST:
        raise refused(place, MANIFEST, f"at most {LARGEST_MANIFEST} bytes", f"{info.file_size}")
    with _explained(place, MANIFEST):
        data = opened.read(info)
    return decode(data, place)


def _check_against(manifest: Manifest, infos: Sequence[zipfile.ZipInfo], place: str) -> None:
    """Refuse anything but exactly the entries that the manifest lists, each of them once."""
    listed = {entry.name: entry.size for entry in manifest.entries}
    seen: set[str] = set()
    for info in infos:
        if info.filename in seen:
            raise refused(place, info.filename, "each name once", "it twice")
        seen.add(info.filename)
        if info.filename not in listed:
            raise refused(place, info.filename, "only what the manifest lists", "a file that it does not")
        if info.file_size != listed[info.filename]:
            expected = f"{listed[info.filename]} bytes, as the manifest says"
            raise refused(place, info.filename, expected, f"{info.file_size}")
    missing = next((name for name in listed if name not in seen), None)
    if missing is not None:
        raise refused(place, missing, "all that the manifest lists", "no such entry")


def _read(file: IO[bytes], at: int, form: struct.Struct) -> tuple[Any, ...] | None:
    """Return what stands there, the file being just behind it; None if the file has not that much."""
    if at < 0:
        return None
    file.seek(at)
    data = file.read(form.size)
    return form.unpack(data) if len(data) == form.size else None


@contextlib.contextmanager
def _explained(place: str, field: str) -> Iterator[None]:
    """Say in our words what the library and the decompressor found."""
    try:
        yield
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError,
    ) as exc:  # fmt: skip
        raise refused(place, field, WHOLE, f"a damaged one ({exc})") from None
