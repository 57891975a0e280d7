"""Small user-data-dirs with what matters in them, for tests that need no browser."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DATA = {
    "Local State": b'{"os_crypt": {}}',
    "Last Version": b"156.0.8078.108",
    "Default/Bookmarks": b"{}",
    "Default/Local Storage/leveldb/000003.log": b"stored",
    "Default/Local Storage/leveldb/CURRENT": b"MANIFEST-000001\n",
    "Default/Local Storage/leveldb/MANIFEST-000001": b"m",
    "Default/Local Storage/leveldb/LOCK": b"",
    "Default/Extensions/abc/1.0/manifest.json": b"{}",
    "Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log": b"more",
}
CACHES = {
    "Default/Cache/Cache_Data/f_000001": b"x" * 500_000,
    "Default/Code Cache/js/index": b"x" * 100_000,
    "Default/Service Worker/Database/000003.log": b"x",
    "GrShaderCache/data_0": b"x",
    "Default/Local Storage/leveldb/LOG": b"log",
    "Default/a.tmp": b"x",
}
PREFERENCES = {
    "profile": {"exit_type": "Crashed", "name": "Person 1"},
    "download": {"default_directory": "/home/person/Downloads", "prompt_for_download": True},
    "safebrowsing": {"enabled": True},
    "extensions": {"settings": {"abc": {"state": 1}}},
}


def make(root: Path) -> Path:
    """Write a closed user-data-dir and return it."""
    for name, content in (DATA | CACHES).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "Default" / "Preferences").write_text(json.dumps(PREFERENCES))
    for name in ("Cookies", "Login Data", "Web Data"):
        with contextlib.closing(sqlite3.connect(root / "Default" / name)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("CREATE TABLE cookies (host_key TEXT, name TEXT, encrypted_value BLOB)")
            connection.execute("INSERT INTO cookies VALUES ('a.example', 'login', CAST('v10x' AS BLOB))")
            connection.commit()
    return root


def copied() -> set[str]:
    """Return the files of such a directory that a clone has."""
    return {*DATA, "Default/Preferences", "Default/Cookies", "Default/Login Data", "Default/Web Data"}


def files(root: Path) -> set[str]:
    """Return all files below a directory, relative."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def content_hash(root: Path) -> str:
    """Return a hash over names, contents and modes of everything below a directory."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        digest.update(f"{path.relative_to(root)} {path.lstat().st_mode:o}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()
