"""Archives that are not what was exported: each is refused in one line, soon, and nothing is left on the disk."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import struct
import time
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from core.errors import BadInput, NewerSchema, NoSpace, OstlerError
from core.profiles import archive_check
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from tests.forged import Forger, ended, patched
from tests.profiles import home_of, make_profile

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = 5.0
COOKIES = "browser_profile/Default/Cookies"
LOG = "browser_profile/Default/Local Storage/leveldb/000003.log"


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    """A good archive with secrets, taken apart."""
    folder = tmp_path_factory.mktemp("good")
    make_profile(folder)
    export(home_of(folder), "anna", folder / "good.zip", with_secrets=True, overwrite=False)
    return Forger((folder / "good.zip").read_bytes())


def named(name: str):
    return lambda forger: forger.having((name, b"x"))


def of_kind(kind: int):
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o777) << 16

    return lambda forger: forger.having(("browser_profile/link", b"/etc/passwd"), change=change)


def _dos_directory(info: zipfile.ZipInfo) -> None:
    info.external_attr |= 0x10


def _unicode_path(info: zipfile.ZipInfo) -> None:
    other = b"../../elsewhere"
    info.extra = struct.pack("<HHBL", 0x7075, 5 + len(other), 1, zlib.crc32(info.filename.encode())) + other


def _metadata(forger: Forger, **changes: object) -> bytes:
    fields = json.loads(dict(forger.entries)["metadata.json"])
    return forger.with_("metadata.json", json.dumps({**fields, **changes}).encode())


def _session(forger: Forger, **changes: object) -> bytes:
    fields = json.loads(dict(forger.entries)["session.json"])
    return forger.with_("session.json", json.dumps({**fields, **changes}).encode())


def _manifest(forger: Forger, **changes: object) -> bytes:
    return forger.packed(forger.entries, manifest=forger.signed(**changes))


def _content_changed(forger: Forger) -> bytes:
    """Same size, other bytes, a checksum of the ZIP that holds, and the manifest of before."""
    entries = [(name, data[::-1] if name == LOG else data) for name, data in forger.entries]
    return forger.packed(entries, listed=forger.entries)


def _overlapping(forger: Forger) -> bytes:
    """Two names, one content: of such is a bomb of some kilobytes that unpacks to terabytes."""
    data = forger.having(("browser_profile/a", b"x" * 1000), ("browser_profile/b", b"x" * 1000))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.getinfo("browser_profile/a").header_offset
    return patched(data, "browser_profile/b", central={"offset": at})


def _gap(forger: Forger) -> bytes:
    data = forger.packed([*forger.entries[:2], ("browser_profile/hidden", b"x"), *forger.entries[2:]])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
        record = 46 + len("browser_profile/hidden")
    # the entry stays, its record goes
    table = data[start:-22]
    at = table.index(b"browser_profile/hidden") - 46
    count = len(forger.entries) + 1
    return ended(
        data[:start] + table[:at] + table[at + record :] + data[-22:],
        here=count,
        count=count,
        table=len(table) - record,
    )


def _many(forger: Forger) -> bytes:
    """A table of contents with more records than an archive may have."""
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = archive_check.MOST_ENTRIES + 2
    table = record * count
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(table), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(table), 1)
    return table + large + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def _large_table(forger: Forger) -> bytes:
    size = archive_check.LARGEST_DIRECTORY + 1
    return b"\0" * size + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)


def _declared(forger: Forger, size: int) -> bytes:
    """One entry whose size is said to be this everywhere, and is not."""
    entries = [*forger.entries, ("browser_profile/big", b"\0" * 1000)]
    text = forger.signed(listed=entries)
    manifest = json.loads(text)["payload"]
    manifest["entries"][-1]["size"] = size
    data = forger.packed(entries, manifest=forger.signed(**manifest))
    return patched(data, "browser_profile/big", local={"size": size}, central={"size": size})


def _honest_bomb(forger: Forger) -> bytes:
    """Every size and hash is right, and 300 MB of nothing fit into 300 KB."""
    return forger.having(("browser_profile/zeros", b"\0" * (archive_check.HARMLESS + 50_000_000)))


def _terabytes(forger: Forger) -> bytes:
    """Sizes of a large disk in the large form, and some bytes to make them from."""
    size = 2**50
    name = forger.entries[-1][0]
    manifest = json.loads(forger.signed())["payload"]
    manifest["entries"][-1]["size"] = size
    data = forger.packed(forger.entries, manifest=forger.signed(**manifest))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info, start = archive.getinfo(name), archive.start_dir
    extra = struct.pack("<HHQQ", 1, 16, size, info.compress_size)
    body = start - info.compress_size
    entry = bytearray(data[info.header_offset : body])
    struct.pack_into("<2L2H", entry, 18, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra))
    record = bytearray(data[start:-22])
    at = record.rindex(name.encode()) - 46
    struct.pack_into("<2L2H", record, at + 20, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra))
    head = data[: info.header_offset] + bytes(entry) + extra + data[body:start]
    return head + ended(bytes(record) + extra + data[-22:], offset=len(head), table=len(record) + len(extra))


HOSTILE = {
    "leads out of the archive": named("browser_profile/../../../elsewhere"),
    "leads out at once": named("../elsewhere"),
    "ends in two dots": named("browser_profile/.."),
    "absolute": named("/tmp/elsewhere"),
    "a drive": named("C:/elsewhere"),
    "a drive below": named("browser_profile/C:/elsewhere"),
    "a stream of NTFS": named("browser_profile/Local State:x"),
    "backslashes": named("browser_profile/..\\..\\elsewhere"),
    "another network": named("\\\\host\\share\\x"),
    "a NUL in a name": named("browser_profile/a\0.txt"),
    "a line break in a name": named("browser_profile/a\nb"),
    "a terminal's command in a name": named("browser_profile/\x1b[2J"),
    "a device of Windows": named("browser_profile/nul.txt"),
    "a dot at the end": named("browser_profile/Default."),
    "a space at the end": named("browser_profile/Default /x"),
    "a dot as a part": named("browser_profile/./x"),
    "an empty part": named("browser_profile//x"),
    "an empty name": named(""),
    "a part too long": named("browser_profile/" + "x" * 256),
    "a name too long": named("browser_profile/" + "x/" * 600 + "x"),
    "an entry of nobody": named("orders.json"),
    "a session of another place": named("sessions/anna.json"),
    "a symbolic link": of_kind(stat.S_IFLNK),
    "a device": of_kind(stat.S_IFCHR),
    "a disk": of_kind(stat.S_IFBLK),
    "a pipe": of_kind(stat.S_IFIFO),
    "a socket": of_kind(stat.S_IFSOCK),
    "a directory": of_kind(stat.S_IFDIR),
    "a directory by its name": named("browser_profile/Default/"),
    "a directory of DOS": lambda forger: forger.having(("browser_profile/x", b""), change=_dos_directory),
    "a name twice": lambda forger: forger.having((COOKIES, b"other")),
    "a name twice, listed once": lambda forger: forger.packed([*forger.entries, (COOKIES, b"other")], listed=forger.entries),
    "names that differ in case": named("browser_profile/default/cookies"),
    "names that differ in case in a part": named("browser_profile/DEFAULT/other"),
    "names that differ in the form of an accent": lambda forger: forger.having(
        ("browser_profile/\xe9", b"x"), ("browser_profile/e\u0301", b"y")
    ),
    "a file that is a directory": named(COOKIES + "/x"),
    "a directory that is a file": named("browser_profile/Default"),
    "a bomb": _honest_bomb,
    "overlapping entries": _overlapping,
    "a gap": _gap,
    "a bomb of the large form": _terabytes,
    "more than it declares": lambda forger: _declared(forger, 10),
    "less than it declares": lambda forger: _declared(forger, 100_000),
    "too many entries": _many,
    "a table too large": _large_table,
    "other content": _content_changed,
    "a flipped bit": lambda forger: forger.good[:400] + bytes([forger.good[400] ^ 1]) + forger.good[401:],
    "a wrong size in the manifest": lambda forger: forger.packed(
        forger.entries, listed=[(name, data + b"x" if name == LOG else data) for name, data in forger.entries]
    ),
    "an entry that is not listed": lambda forger: forger.packed(
        [*forger.entries, ("browser_profile/more", b"x")], listed=forger.entries
    ),
    "an entry that is missing": lambda forger: forger.packed(forger.entries[:-1], listed=forger.entries),
    "no manifest": lambda forger: forger.packed(forger.entries, manifest=b""),
    "the manifest last": lambda forger: forger.packed(
        [*forger.entries, ("manifest.json", forger.signed())], manifest=b""
    ),
    "two manifests": lambda forger: forger.having(("manifest.json", b"{}"), listed=forger.entries),
    "a manifest that is no JSON": lambda forger: forger.packed(forger.entries, manifest=b"{"),
    "a manifest nested without end": lambda forger: forger.packed(forger.entries, manifest=b"[" * 200_000),
    "a manifest of bytes": lambda forger: forger.packed(forger.entries, manifest=b"\xff\xfe" * 9),
    "a manifest that is too large": lambda forger: forger.packed(forger.entries, manifest=b" " * (32 * 1024 * 1024 + 1)),
    "a newer format": lambda forger: forger.packed(forger.entries, manifest=b'{"schema":2}'),
    "format zero": lambda forger: forger.packed(forger.entries, manifest=forger.signed().replace(b":1,", b":0,", 1)),
    "no format": lambda forger: forger.packed(forger.entries, manifest=b'{"entries":[]}'),
    "a manifest that was edited": lambda forger: forger.packed(
        forger.entries, manifest=forger.signed().replace(b'"with_secrets": true', b'"with_secrets":false', 1)
    ),
    "a manifest with another field": lambda forger: _manifest(forger, run="rm -rf /"),
    "a manifest whose ID is a path": lambda forger: _manifest(forger, profile_id="../../anna"),
    "a manifest with a hash of nothing": lambda forger: _manifest(
        forger, entries=[{"name": "metadata.json", "size": 1, "sha256": ""}]
    ),
    "a manifest with a negative size": lambda forger: _manifest(
        forger, entries=[{"name": "metadata.json", "size": -1, "sha256": "0" * 64}]
    ),
    "a browser version without end": lambda forger: _manifest(forger, browser_version="9" * 5000),
    "no metadata": lambda forger: forger.packed([entry for entry in forger.entries if entry[0] != "metadata.json"]),
    "metadata of another profile": lambda forger: _metadata(forger, profile_id="bert"),
    "metadata that break a rule": lambda forger: _metadata(forger, proxy="gopher://x"),
    "metadata of wrong types": lambda forger: _metadata(forger, tags="all"),
    "metadata that are no JSON": lambda forger: forger.with_("metadata.json", b"\0"),
    "metadata nested without end": lambda forger: forger.with_("metadata.json", b"[" * 200_000),
    "metadata that are too large": lambda forger: forger.with_("metadata.json", b" " * (64 * 1024 * 1024 + 1)),
    "a generation beyond counting": lambda forger: _metadata(forger, generation=2**60),
    "a session of wrong types": lambda forger: _session(forger, completion_flags=["all"]),
    "a session beyond counting": lambda forger: _session(forger, login_generation=-1),
    "a login state of wrong types": lambda forger: forger.with_("login_state.json", b'{"cookies": {}}'),
    "browser data that is torn": lambda forger: forger.with_("browser_profile/Default/Preferences", b"{torn"),
    "a database that is torn": lambda forger: forger.with_(COOKIES, dict(forger.entries)[COOKIES][:5000]),
    "an encrypted entry": lambda forger: patched(forger.good, COOKIES, local={"flags": 1}, central={"flags": 1}),
    "an entry of strong encryption": lambda forger: patched(forger.good, COOKIES, local={"flags": 65}, central={"flags": 65}),
    "sizes behind the content": lambda forger: patched(forger.good, COOKIES, local={"flags": 8}, central={"flags": 8}),
    "a method that is not ours": lambda forger: forger.packed(forger.entries, method=zipfile.ZIP_BZIP2),
    "a method that nobody knows": lambda forger: patched(forger.good, COOKIES, local={"method": 99}, central={"method": 99}),
    "stored with two sizes": lambda forger: patched(forger.good, COOKIES, local={"method": 0}, central={"method": 0}),
    "another name at its place": lambda forger: forger.good.replace(b"Default/Cookies", b"Default/cookieS", 1),
    "another size at its place": lambda forger: patched(forger.good, COOKIES, local={"size": 7}),
    "another checksum at its place": lambda forger: patched(forger.good, COOKIES, local={"crc": 7}),
    "a wrong checksum": lambda forger: patched(forger.good, COOKIES, local={"crc": 7}, central={"crc": 7}),
    "no entry at its place": lambda forger: patched(forger.good, COOKIES, local={"signature": b"PK\3\3"}),
    "no record in its place": lambda forger: patched(forger.good, COOKIES, central={"signature": b"PK\1\1"}),
    "a place behind the end": lambda forger: patched(forger.good, COOKIES, central={"offset": 0xFFFFFFF0}),
    "a name under another name": lambda forger: forger.having(("browser_profile/x", b"x"), change=_unicode_path),
    "several disks": lambda forger: ended(forger.good, disk=1),
    "fewer entries than it says": lambda forger: ended(forger.good, here=500, count=500),
    "a table elsewhere": lambda forger: ended(forger.good, offset=0),
    "a comment": lambda forger: ended(forger.good, comment=5) + b"hello",
    "something before it": lambda forger: b"#!/bin/sh\n" + forger.good,
    "something behind it": lambda forger: forger.good + b"more",
    "an end of the large form that lies": lambda forger: (
        forger.good[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 12, 1) + forger.good[-22:]
    ),
    "cut off": lambda forger: forger.good[: len(forger.good) // 2],
    "cut off at its end": lambda forger: forger.good[:-1],
    "no ZIP": lambda forger: b"#!/bin/sh\nrm -rf /\n" * 100,
    "nothing": lambda forger: b"",
    "a ZIP of nothing": lambda forger: b"PK\5\6" + b"\0" * 18,
}  # fmt: skip


def _tree(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.rglob("*"))


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_leaves_nothing(forger: Forger, tmp_path: Path, state_dir: Path, name: str):
    """One line, within five seconds; the state directory has not even a lock more, and nothing else is written either."""
    path = tmp_path / "hostile.zip"
    path.write_bytes(HOSTILE[name](forger))
    before = _tree(tmp_path)
    began = time.monotonic()
    with pytest.raises((BadInput, NewerSchema, NoSpace)) as caught:
        import_(home_of(state_dir), path, "hostile.zip", as_id=None)
    assert time.monotonic() - began < WITHIN
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    assert len(message) < 1000
    if isinstance(caught.value, BadInput):
        assert message.startswith("hostile.zip: ")
    # what only a database can say needs its files on the disk, out of sight, under a lock: its file stays, and directories for all profiles
    locks = {"locks", "locks/anna.lock", "profiles", "sessions"} if "torn" in name else set()
    assert set(_tree(tmp_path)) - set(before) == {str(state_dir / lock) for lock in locks}


def test_the_good_one_is_taken(forger: Forger, tmp_path: Path, state_dir: Path):
    """The forger's tools change nothing by themselves: the same archive without a change is imported."""
    for number, data in enumerate(
        [forger.good, forger.packed(forger.entries), forger.having(("browser_profile/x", b"x"))]
    ):
        path = tmp_path / "good.zip"
        path.write_bytes(data)
        assert import_(home_of(state_dir), path, "good.zip", as_id=f"p{number}").profile_id == f"p{number}"


@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "nothing", "link to itself"])
def test_what_is_no_file_is_refused(tmp_path: Path, state_dir: Path, kind: str):
    """A pipe is not waited for, a device not read without end."""
    path = tmp_path / "hostile.zip"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path)
    with pytest.raises(OstlerError, match=r"hostile\.zip: expected an archive"):
        import_(home_of(state_dir), path, "hostile.zip", as_id=None)
    assert list(state_dir.iterdir()) == []


def test_what_does_not_fit_on_the_disk_is_refused(forger: Forger, tmp_path: Path, state_dir: Path):
    """An archive that is as large as what is in it, and larger than the room there is; the file has holes."""
    size = shutil.disk_usage(tmp_path).free + 2**30
    name = b"browser_profile/x"
    entries = [(each, data) for each, data in forger.entries if each in ("metadata.json", "session.json")]
    manifest = json.loads(forger.signed(listed=[*entries, (name.decode(), b"")]))["payload"]
    manifest["entries"][-1]["size"] = size
    data = forger.packed(
        [*entries, (name.decode(), b"")], manifest=forger.signed(**manifest), method=zipfile.ZIP_STORED
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at, start = archive.getinfo(name.decode()).header_offset, archive.start_dir
    entry = bytearray(data[at:start])
    struct.pack_into("<2L2H", entry, 18, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    table = bytearray(data[start:-22])
    struct.pack_into("<2L2H", table, len(table) - len(name) - 46 + 20, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
    path = tmp_path / "hostile.zip"
    with path.open("wb") as file:
        file.write(data[:at] + entry + extra)
        file.seek(size, os.SEEK_CUR)
        behind, length = file.tell(), len(table) + len(extra)
        file.write(bytes(table) + extra)
        count = len(entries) + 2
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, behind))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, behind + length, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    with pytest.raises(NoSpace) as caught:
        import_(home_of(state_dir), path, "hostile.zip", as_id=None)
    assert caught.value.needed > size
    assert list(state_dir.iterdir()) == []
