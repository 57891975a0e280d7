"""A profile as runs leave it, made without a browser: every kind of file, one of every kind of secret."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from core.clock import ManualClock
from core.domain.session import Identity, SessionState
from core.profiles.archive_export import Home
from core.profiles.lock_manager import ProfileLockManager
from core.profiles.port import ProfileMetadata, Viewport
from core.profiles.registry import ProfileRegistry
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.workspaces import version

if TYPE_CHECKING:
    from pathlib import Path

    from core.clock import Clock

SECRETS = (
    "pw-of-anna", "JBSWY3DPEHPK3PXP", "key-123456", "cookie-of-anna", "token-in-storage", "pw-of-proxy", "pw-of-page",
    "header-of-anna", "hash-of-anna", "typed-by-hand",
)  # fmt: skip
"""What may not be in an archive without secrets, in no form."""
SAVED = {
    "Local State": b"{}",
    "Default/Preferences": b'{"profile":{"exit_type":"Normal"}}',
    "Default/Local Storage/leveldb/CURRENT": b"MANIFEST-000001\n",
    "Default/Local Storage/leveldb/MANIFEST-000001": b"m",
    "Default/Local Storage/leveldb/000003.log": b"token-in-storage" * 100,
    "Default/Service Worker/Database/000003.log": b"kept",
    "Default/Extensions/abc/1.0/Cache/größe.js": b"kept, too",
    "Default/empty": b"",
}
CACHES = ("Default/Cache/Cache_Data/f_000001", "GrShaderCache/data_0", "Default/a.tmp", "SingletonCookie")


def home_of(state_dir: Path, clock: Clock | None = None) -> Home:
    """Say where profiles live; nobody waits long for another one there."""
    clock = clock or ManualClock(1_795_212_000.0)
    locks = ProfileLockManager(state_dir, clock, timeout=0.1)
    return Home(state_dir=state_dir, locks=locks, registry=ProfileRegistry(state_dir, clock, locks), clock=clock)


def make_profile(state_dir: Path, profile_id: str = "anna") -> None:
    """Make a profile with metadata, session, login state and saved browser data."""
    FileProfileStore(state_dir).write(
        ProfileMetadata(
            profile_id=profile_id,
            platform="telegram",
            created_at="2026-11-20T20:00:00Z",
            status="active",
            lock_pid=7,
            name="Anna, Zürich",
            tags=("a", "b"),
            device="mobile",
            proxy="http://me:pw-of-proxy@proxy.example:8080",
            start_url="https://anna:pw-of-page@example.org/@home",
            locale="de-DE",
            viewport=Viewport(800, 600),
            extra_headers={"X-Key": "header-of-anna"},
            platform_config={"api_hash": "hash-of-anna"},
            browser="Chromium",
            browser_version="156.0.8078.108",
            generation=3,
        ),
        others={"by_hand": "typed-by-hand"},
    )
    FileSessionStore(state_dir).write(
        SessionState(
            profile_id=profile_id, status="COMPLETED", completion_flags={"mail_created": True, "two_fa_enabled": False},
            identity=Identity(
                email="anna@example.org", password="pw-of-anna", two_fa_secret="JBSWY3DPEHPK3PXP",
                extra={"api_key": "key-123456", "town": "Bern"},
            ),
            outputs={"order": "o-17", "note": "typed pw-of-anna here"}, remembered={"shop": {"cart": "c-1"}},
            login_generation=3,
        ),
        fence=5,
    )  # fmt: skip
    cookie = {"name": "sid", "value": "cookie-of-anna", "domain": "example.org", "path": "/", "expires": -1}
    origin = {"origin": "https://example.org", "localStorage": [{"name": "t", "value": "token-in-storage"}]}
    FileLoginStateStore(state_dir).write(profile_id, LoginState(cookies=[cookie], origins=[origin]), fence=5)
    save_browser_data(state_dir, profile_id)


def save_browser_data(state_dir: Path, profile_id: str) -> None:
    """Put browser data where a run saves it, with caches and traces of a browser that has ended."""
    root = state_dir / "profiles" / profile_id / "browser_profile"
    for name in (*SAVED, *CACHES):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SAVED.get(name, b"cache"))
    for name, table, column in (
        ("Cookies", "cookies", "encrypted_value"), ("Login Data", "logins", "password_value"),
    ):  # fmt: skip
        connection = sqlite3.connect(root / "Default" / name)
        connection.execute(f"CREATE TABLE {table} (name TEXT, {column} BLOB)")
        values = [("a", b"v10cookie-of-anna"), ("b", b"v11x"), ("c", b""), ("d", b"v10y")]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", values)
        connection.commit()
        connection.close()
    version.record(root, "Chromium", "156.0.8078.108")


def browser_data(state_dir: Path, profile_id: str) -> dict[str, bytes]:
    """Return every file of the saved browser data but for those that Ostler writes for itself."""
    root = state_dir / "profiles" / profile_id / "browser_profile"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".ostler-")
    }


def everything(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory, locks that stay on purpose apart; directories have no content."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in directory.rglob("*")
        if "locks" not in path.relative_to(directory).parts
    }
