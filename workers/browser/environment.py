"""What a browser and its driver may see of our environment: what they need to run, and nothing else."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "SHELL",
        "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE", "XDG_CONFIG_HOME",
        "XDG_DATA_DIRS", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS",
        "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
        "PLAYWRIGHT_NODEJS_PATH", "PLAYWRIGHT_BROWSERS_PATH",
        "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES", "PROGRAMFILES(X86)",
        "PROGRAMDATA", "USERPROFILE", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS",
        # whose attempt it is: how a sweep proves that a left-over process is ours
        "OSTLER_ATTEMPT",
    }
)  # fmt: skip


def has_display(environ: Mapping[str, str]) -> bool:
    """Whether windows can be shown; the variables count on Linux only."""
    return sys.platform != "linux" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be passed on."""
    return {name: value for name, value in environ.items() if name.upper() in _NAMES or name.startswith("LC_")}


def with_temp_dir(environ: Mapping[str, str], temp_dir: Path) -> dict[str, str]:
    """Return the cleaned environment with all spellings of the temporary directory set."""
    return cleaned(environ) | dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(temp_dir))


@contextlib.contextmanager
def replaced(environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process have another environment for a while.

    Playwright starts its driver with a copy of ``os.environ`` and offers no other way; so this stands around exactly that
    start. Whatever else runs in this process meanwhile sees the reduced environment, too.
    """
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
