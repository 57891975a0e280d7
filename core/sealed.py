"""A JSON value in a small file of ours that can prove that it is whole: ``{"schema", "sha256", "payload"}``.

For what needs no generations: marks and lists that are replaced whole and can be made anew. ``core.envelope`` is for what
cannot.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from core.durable import bytes_of
from core.errors import NewerSchema, StateCorrupt

if TYPE_CHECKING:
    from pathlib import Path


class _Head(msgspec.Struct):
    schema: int


class _OnDisk(msgspec.Struct):
    schema: int
    sha256: str
    payload: msgspec.Raw


_HEAD = msgspec.json.Decoder(_Head)
_ON_DISK = msgspec.json.Decoder(_OnDisk)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_guard = threading.Lock()


def seal(value: Any, *, schema: int = 1) -> bytes:
    """Return a value as it stands in its file."""
    payload = msgspec.json.encode(value)
    return msgspec.json.encode(_OnDisk(schema, _checksum(schema, payload), msgspec.Raw(payload)))


def read(path: Path, kind: Any, *, schema: int = 1) -> Any | None:
    """Return the value in a file, None if there is no such file.

    Args:
        path: the file.
        kind: type of the value, as msgspec understands it.
        schema: the newest form that is understood.

    Raises:
        StateCorrupt: it is damaged, no regular file, or cannot be read.
        NewerSchema: it says that it is from a newer version, whole or not: if in doubt, it is not ours to judge.
    """
    try:
        data = bytes_of(path)
    except OSError as exc:
        raise StateCorrupt(path, f"it cannot be read ({exc.strerror or exc})") from exc
    return None if data is None else unseal(data, path, kind, schema=schema)


def unseal(data: bytes, path: Path, kind: Any, *, schema: int = 1) -> Any:
    """Return the value that ``seal`` made these bytes of; ``path`` is where they come from.

    Raises:
        StateCorrupt, NewerSchema: as above.
    """
    try:
        found = _HEAD.decode(data).schema
        if found > schema:
            raise NewerSchema(path, found=found, known=schema)
        if found < 1:
            raise StateCorrupt(path, f"there is no schema {found}")
        on_disk = _ON_DISK.decode(data)
        payload = bytes(on_disk.payload)
        if on_disk.sha256 != _checksum(found, payload):
            raise StateCorrupt(path, "the checksum does not match")
        return _decoder(kind).decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StateCorrupt(path, "it is not what Ostler writes" if data else "the file is empty") from None


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return what decodes this type. msgspec crashes where two threads are the first to meet a type at the same time."""
    with _guard:
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        return _decoders[kind]


def _checksum(schema: int, payload: bytes) -> str:
    return hashlib.sha256(b"%d:" % schema + payload).hexdigest()
