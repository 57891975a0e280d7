"""Which browser wrote a user-data-dir, and whether another one may open it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from core import durable
from core.errors import WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

RECORD = ".ostler-browser.json"


class _Record(msgspec.Struct, frozen=True):
    browser: str
    version: str


_DECODER = msgspec.json.Decoder(_Record)  # made before there are threads: see ``core.sealed``


def record(user_data_dir: Path, browser: str, version: str) -> None:
    """Write down which browser ran here; the headless shell leaves no ``Last Version`` of its own."""
    durable.write_bytes(user_data_dir / RECORD, msgspec.json.encode(_Record(browser, version)), fsync=False)


def written_by(user_data_dir: Path) -> tuple[str, str] | None:
    """Return the name (empty where unknown) and version of the newest browser that wrote here; None if unknown."""
    ours = None
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        ours = _DECODER.decode(durable.bytes_of(user_data_dir / RECORD) or b"")
    try:
        last = (durable.bytes_of(user_data_dir / "Last Version") or b"").decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        last = ""
    if ours is None:
        return ("", last) if last else None
    return ours.browser, max(ours.version, last, key=_numbers)


def check(written: tuple[str, str] | None, browser: str, version: str) -> None:
    """Refuse an older browser on newer data, and Edge's data in another browser or the other way round.

    Raises:
        WorkspaceError: saying what to do.
    """
    if written is None:
        return
    name, newest = written
    if name and ("edge" in name.lower()) != ("edge" in browser.lower()):
        raise WorkspaceError(f"this browser data was written by {name}; {browser} would damage it. Use {name}")
    if _numbers(newest)[:1] > _numbers(version)[:1]:
        raise WorkspaceError(
            f"this browser data was written by version {newest}, but {browser} is {version}; an older browser would drop "
            f"what it does not know. Use version {newest.partition('.')[0]} or newer"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
