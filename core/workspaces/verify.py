"""Whether browser data is whole enough to run on. Chromium silently empties a torn database: found here, it is a finding;
found there, it is a lost login.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core import durable
from core.workspaces import skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DATABASES = ("Cookies", "Login Data", "Web Data")
_COMPANIONS = ("-journal", "-wal")
_KEYRING = b"v11"
_CRITICAL = ("Local State", "Last Version")
_CRITICAL_OF_PROFILE = (
    "Preferences", "Secure Preferences", "Bookmarks", "Cookies", "Cookies-journal", "Cookies-wal", "Network/Cookies",
    "Login Data", "Login Data-journal", "Web Data", "Web Data-journal", "Local Storage/leveldb/CURRENT",
)  # fmt: skip
_ENCRYPTED = {"Cookies": ("cookies", "encrypted_value"), "Login Data": ("logins", "password_value")}


def findings(user_data_dir: Path) -> list[str]:
    """Return what is wrong, one sentence each with a relative path; empty if all is well.

    Checked: ``PRAGMA quick_check`` on the databases of each profile, JSON of ``Preferences`` and ``Local State``, and that
    each LevelDB's ``CURRENT`` names a manifest that is there. A file that is missing is no finding.
    """
    found: list[str] = []
    for database in _databases(user_data_dir):
        found += of_database(database, user_data_dir)
    for path in (user_data_dir / "Local State", *sorted(user_data_dir.glob("*/Preferences"))):
        found += of_json(path, user_data_dir)
    for here, directories, files in os.walk(user_data_dir):
        parts = Path(here).relative_to(user_data_dir).parts
        directories[:] = [
            name
            for name in directories
            if name != "Extensions" and not skip.directory((*parts, name), service_workers=True)
        ]
        found += _of_leveldb(user_data_dir.joinpath(*parts), files, "/".join(parts))
    return found


def keyring_cookies(user_data_dir: Path) -> int:
    """Return how many cookies are encrypted with a keyring of another session, and so are lost here."""
    count = 0
    for database in _databases(user_data_dir):
        if database.name != "Cookies":
            continue
        with contextlib.suppress(sqlite3.Error, OSError), _opened(database, user_data_dir) as connection:
            rows = connection.execute(
                "SELECT count(*) FROM cookies WHERE substr(encrypted_value, 1, 3) = ?", (_KEYRING,)
            )
            count += int(rows.fetchone()[0])
    return count


def digests(user_data_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that matters most, by its relative path; those that cannot be read are left out."""
    found = {}
    profiles = sorted(path.parent for path in user_data_dir.glob("*/Preferences"))
    names = [user_data_dir / name for name in _CRITICAL]
    names += [profile / name for profile in profiles for name in _CRITICAL_OF_PROFILE]
    for path in names:
        with contextlib.suppress(OSError), path.open("rb") as file:
            found[path.relative_to(user_data_dir).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def differences(expected: Mapping[str, str], user_data_dir: Path) -> list[str]:
    """Return which of the files that matter most are not as ``digests`` found them, one sentence each."""
    found = digests(user_data_dir)
    return [
        f"{name}: {'is missing' if name not in found else 'its content is another'}"
        for name, digest in expected.items()
        if found.get(name) != digest
    ]


def was_used(user_data_dir: Path) -> bool:
    """Whether a browser has run in a copy of ours: at its start it makes what every copy leaves out."""
    for here, directories, files in os.walk(user_data_dir):
        parts = Path(here).relative_to(user_data_dir).parts
        if any(skip.directory((*parts, name), service_workers=False) for name in directories):
            return True
        if any(skip.file((*parts, name)) for name in files):
            return True
        directories[:] = [name for name in directories if name != "Extensions"]
    return False


def encrypted(user_data_dir: Path) -> dict[str, int]:
    """Return how many cookies and passwords are encrypted, by the prefix that says how; those in the clear do not count."""
    counts: dict[str, int] = {}
    for database in _databases(user_data_dir):
        column = _ENCRYPTED.get(database.name)
        if column is None:
            continue
        table, value = column
        query = f"SELECT substr({value}, 1, 3), count(*) FROM {table} WHERE length({value}) > 0 GROUP BY 1"  # noqa: S608
        with contextlib.suppress(sqlite3.Error, OSError), _opened(database, user_data_dir) as connection:
            for found, count in connection.execute(query):
                prefix = bytes(found).decode("ascii", "replace") if isinstance(found, bytes) else str(found)
                counts[prefix] = counts.get(prefix, 0) + int(count)
    return dict(sorted(counts.items()))


def _databases(user_data_dir: Path) -> list[Path]:
    candidates = [*user_data_dir.glob("*/*"), *user_data_dir.glob("*/Network/*")]
    return sorted(path for path in candidates if path.name in _DATABASES and path.is_file())


@contextlib.contextmanager
def _opened(database: Path, root: Path) -> Iterator[sqlite3.Connection]:
    """Open read-only; a database with a hot journal is looked at in a copy, where SQLite may roll it back."""
    hot = [name for suffix in _COMPANIONS if _size(name := database.with_name(database.name + suffix))]
    if not hot:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as it:
            yield it
        return
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=root) as scratch:
        for path in (database, *hot):
            shutil.copyfile(path, os.path.join(scratch, path.name))  # noqa: PTH118 - scratch is a string
        with contextlib.closing(sqlite3.connect(os.path.join(scratch, database.name))) as it:  # noqa: PTH118
            yield it


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def of_database(database: Path, root: Path) -> list[str]:
    """Return what is wrong with a database, with its path relative to ``root``; empty if nothing is."""
    name = database.relative_to(root)
    try:
        with _opened(database, root) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as exc:
        return [f"{name}: {exc}"]
    except OSError as exc:
        return [f"{name}: {exc.strerror or exc}"]
    return [] if rows == ["ok"] else [f"{name}: {rows[0] if rows else 'quick_check said nothing'}"]


def of_json(path: Path, root: Path) -> list[str]:
    """Return what is wrong with a JSON file, with its path relative to ``root``; empty if nothing is, or it is missing."""
    try:
        data = durable.bytes_of(path)
        if data is not None:
            msgspec.json.decode(data)
    except OSError as exc:
        return [f"{path.relative_to(root)}: {exc.strerror or exc}"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [f"{path.relative_to(root)}: not JSON"]
    return []


def _of_leveldb(directory: Path, files: list[str], relative: str) -> list[str]:
    if "CURRENT" not in files:
        if os.path.lexists(directory / "CURRENT"):
            return [f"{relative}/CURRENT: no file"]
        # a kill while a store was being created leaves a manifest without CURRENT, which LevelDB starts over by itself
        tables = any(name.endswith((".ldb", ".sst")) for name in files)
        manifest = any(name.startswith("MANIFEST-") for name in files)
        return [f"{relative}: no CURRENT"] if tables and manifest else []
    try:
        named = durable.bytes_of(directory / "CURRENT") or b""
    except OSError as exc:
        return [f"{relative}/CURRENT: {exc.strerror or exc}"]
    manifest_name = ascii(named.removesuffix(b"\n").decode("latin-1"))[1:-1]
    if not named.endswith(b"\n") or not manifest_name.startswith("MANIFEST-"):
        return [f"{relative}/CURRENT: names no manifest"]
    if manifest_name not in files or not _size(directory / manifest_name):
        return [f"{relative}/CURRENT: names {manifest_name}, which is missing or empty"]
    return []
