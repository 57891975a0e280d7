"""Makes a user-data-dir like one that has been used for some months: most of it caches, and what matters in between.

Sizes and numbers follow a Chromium profile of 433 MB in 4,980 files. The same seed makes the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KB = 1024
_CACHES = (
    # directory, files, bytes in each on average
    ("Default/Cache/Cache_Data", 2900, 68 * _KB),
    ("Default/Code Cache/js", 900, 60 * _KB),
    ("Default/Code Cache/wasm", 40, 220 * _KB),
    ("Default/Service Worker/CacheStorage/a1/b2", 420, 110 * _KB),
    ("Default/Service Worker/ScriptCache", 60, 130 * _KB),
    ("Default/GPUCache", 5, 512 * _KB),
    ("Default/DawnWebGPUCache", 5, 256 * _KB),
    ("GrShaderCache", 5, 512 * _KB),
    ("component_crx_cache", 8, 1500 * _KB),
    ("optimization_guide_model_store/4/x", 12, 1800 * _KB),
    ("Safe Browsing", 24, 400 * _KB),
    ("Crashpad/completed", 6, 900 * _KB),
)
_DATA = (
    ("Default/Extensions/abcdefghijklmnopabcdefghijklmnop/1.0_0", 300, 22 * _KB),
    ("Default/Local Extension Settings/abcdefghijklmnopabcdefghijklmnop", 6, 120 * _KB),
    ("Default/Sessions", 4, 180 * _KB),
    ("Default/WebStorage/1/CacheStorage/c3", 60, 60 * _KB),
    ("Default/File System/000/t/00", 20, 200 * _KB),
    ("Default/Sync Data/LevelDB-x", 4, 60 * _KB),
)
_LEVELDBS = (
    "Local Storage/leveldb",
    "Session Storage",
    *(f"IndexedDB/https_site{n}_0.indexeddb.leveldb" for n in range(16)),
)
_DATABASES = (("Cookies", 1200, 400), ("Login Data", 60, 300), ("Web Data", 800, 200), ("History", 12000, 500))


def make(root: Path, *, seed: int = 7, scale: float = 1.0) -> tuple[int, int]:
    """Write the profile into a new directory.

    Args:
        root: must not exist.
        seed: of the contents.
        scale: of the number of files; 1.0 is about 400 MB in 5,000 files.

    Returns:
        Files and bytes.
    """
    randomness = random.Random(seed)  # noqa: S311 - content, no secret
    for directory, files, average in (*_CACHES, *_DATA):
        (root / directory).mkdir(parents=True, exist_ok=True)
        for number in range(max(1, round(files * scale))):
            size = round(average * randomness.uniform(0.2, 1.8))
            (root / directory / f"f_{number:06x}").write_bytes(randomness.randbytes(size))
    for name in _LEVELDBS:
        _leveldb(root / "Default" / name, randomness)
    for name, rows, width in _DATABASES:
        _database(root / "Default" / name, max(1, round(rows * scale)), width, randomness)
    (root / "Default" / "Preferences").write_text(
        json.dumps(
            {
                "profile": {"exit_type": "Crashed", "name": "Person 1"},
                "download": {"default_directory": "/home/person/Downloads"},
                "sites": {f"https://site{number}.example": {"setting": number} for number in range(2000)},
            }
        )
    )
    (root / "Local State").write_text(json.dumps({"os_crypt": {}, "variations": "x" * 60_000}))
    (root / "Last Version").write_text("156.0.8078.108")
    found = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    return len(found), sum(found)


def _leveldb(directory: Path, randomness: random.Random) -> None:
    directory.mkdir(parents=True)
    (directory / "CURRENT").write_bytes(b"MANIFEST-000001\n")
    (directory / "MANIFEST-000001").write_bytes(randomness.randbytes(200))
    (directory / "LOCK").touch()
    (directory / "LOG").write_text("2026/01/01-00:00:00.000000 1 Recovering log #3\n")
    (directory / "000003.log").write_bytes(randomness.randbytes(randomness.randrange(20_000, 600_000)))
    (directory / "000005.ldb").write_bytes(randomness.randbytes(randomness.randrange(50_000, 900_000)))


def _database(path: Path, rows: int, width: int, randomness: random.Random) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (host_key TEXT, name TEXT, encrypted_value BLOB)")
        connection.executemany(
            "INSERT INTO cookies VALUES (?, ?, ?)",
            ((f"site{number}.example", f"c{number}", b"v10" + randomness.randbytes(width)) for number in range(rows)),
        )
        connection.execute("CREATE INDEX by_host ON cookies (host_key)")
        connection.commit()
