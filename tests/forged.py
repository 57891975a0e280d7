"""Archives that somebody made by hand: what ``ostler profile export`` writes, with one thing changed."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL = {"signature": (0, "<4s"), "flags": (6, "<H"), "method": (8, "<H"), "crc": (14, "<L"), "packed": (18, "<L"),
         "size": (22, "<L")}  # fmt: skip
CENTRAL = {"signature": (0, "<4s"), "flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "packed": (20, "<L"),
           "size": (24, "<L"), "disk": (34, "<H"), "attributes": (38, "<L"), "offset": (42, "<L")}  # fmt: skip
END = {"disk": (4, "<H"), "here": (8, "<H"), "count": (10, "<H"), "table": (12, "<L"), "offset": (16, "<L"),
       "comment": (20, "<H")}  # fmt: skip


class Forger:
    """A good archive, taken apart."""

    def __init__(self, good: bytes) -> None:
        with zipfile.ZipFile(io.BytesIO(good)) as archive:
            self.entries = [(name, archive.read(name)) for name in archive.namelist() if name != "manifest.json"]
            self.manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))["payload"]
        self.good = good

    def signed(self, *, listed: list[tuple[str, bytes]] | None = None, **changes: Any) -> bytes:
        """Return a manifest that lists these entries, with a checksum that holds."""
        found = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in (self.entries if listed is None else listed)
        ]
        text = json.dumps({**self.manifest, "entries": found, **changes}).encode()
        digest = hashlib.sha256(b"1:" + text).hexdigest()
        return b'{"schema":1,"sha256":"%s","payload":%s}' % (digest.encode(), text)

    def having(
        self, *entries: tuple[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None, **more: Any
    ) -> bytes:
        """Return the archive with these entries at its end, listed; ``change`` is done to the last one."""
        return self.packed([*self.entries, *entries], change=change, **more)

    def with_(self, name: str, data: bytes, **more: Any) -> bytes:
        """Return the archive with another content of one entry, listed."""
        return self.packed([(each, data if each == name else old) for each, old in self.entries], **more)

    def packed(
        self,
        entries: list[tuple[str, bytes]],
        *,
        manifest: bytes | None = None,
        change: Callable[[zipfile.ZipInfo], None] | None = None,
        method: int = zipfile.ZIP_DEFLATED,
        listed: list[tuple[str, bytes]] | None = None,
    ) -> bytes:
        """Return an archive of these entries behind a manifest that lists them, or ``listed``."""
        if manifest is None:
            manifest = self.signed(listed=entries if listed is None else listed)
        every = [("manifest.json", manifest), *entries] if manifest else entries
        file = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, data in every:
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.compress_type = method
                info.external_attr = (stat.S_IFREG | 0o600) << 16
                if change is not None and (name, data) == every[-1]:
                    change(info)
                archive.writestr(info, data)
        return file.getvalue()


def patched(
    data: bytes, name: str, *, local: dict[str, Any] | None = None, central: dict[str, Any] | None = None
) -> bytes:
    """Return the archive with fields of one entry overwritten, at its place, in the table of contents, or in both."""
    changed = bytearray(data)
    at, in_table = _places(data, name)
    for base, fields, places in ((at, local or {}, LOCAL), (in_table, central or {}, CENTRAL)):
        for field, value in fields.items():
            offset, form = places[field]
            struct.pack_into(form, changed, base + offset, value)
    return bytes(changed)


def ended(data: bytes, **fields: int) -> bytes:
    """Return the archive with fields of its end overwritten."""
    changed = bytearray(data)
    for field, value in fields.items():
        offset, form = END[field]
        struct.pack_into(form, changed, len(data) - 22 + offset, value)
    return bytes(changed)


def _places(data: bytes, name: str) -> tuple[int, int]:
    """Return where the entry begins, and where its record in the table of contents does."""
    at = struct.unpack_from("<L", data, len(data) - 22 + 16)[0]
    while True:
        length, extra, comment = struct.unpack_from("<3H", data, at + 28)
        if data[at + 46 : at + 46 + length] == name.encode():
            return struct.unpack_from("<L", data, at + 42)[0], at
        at += 46 + length + extra + comment
