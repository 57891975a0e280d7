"""Whether a browser that went by itself went in order: a person closed its last window.

Then Chromium writes ``Normal`` as ``exit_type`` into the ``Preferences`` of its profile; as long as it lives, ``Crashed`` is what it
writes there. What stood there before says nothing, so the file must have changed, too. ``SessionEnded``, after a SIGTERM or the
end of a desktop session, is no end in order: it leaves out the cookies that are not on disk yet (measured). A headless shell
writes nothing: of it only a close that was asked for is known to be one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_PAUSE = 0.05
_IN_ORDER = "Normal"


class _Profile(msgspec.Struct):
    exit_type: str = ""


class _Preferences(msgspec.Struct):
    profile: _Profile = msgspec.field(default_factory=_Profile)


class Ending:
    """The end of one browser, made before it starts."""

    def __init__(self, user_data_dir: Path) -> None:
        self._user_data_dir = user_data_dir
        self._before = self._stamps()

    def was_in_order(self) -> bool:
        """Whether the browser has written that it ended in order."""
        changed = [path for path, stamp in self._stamps().items() if self._before.get(path) != stamp]
        return any(_exit_type(path) == _IN_ORDER for path in changed)

    def wait(self, seconds: float) -> None:
        """Wait until it has, at most this long."""
        deadline = time.monotonic() + seconds
        while not self.was_in_order() and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self._user_data_dir.glob("*/Preferences"):
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns)
        return found


def _exit_type(preferences: Path) -> str:
    try:
        return msgspec.json.decode(preferences.read_bytes(), type=_Preferences).profile.exit_type
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ""
