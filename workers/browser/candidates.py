"""Where browsers are, by platform, in the order in which they are tried."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHELLS = ("chromium-headless-shell", "chrome-headless-shell", "headless_shell")
_WITH_WINDOWS = (
    "chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome",
    "microsoft-edge-stable", "microsoft-edge", "msedge",
)  # fmt: skip
_USUAL = {
    "linux": (
        "/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser", "/opt/google/chrome/chrome",
        "/opt/microsoft/msedge/msedge", "/var/lib/flatpak/exports/bin/org.chromium.Chromium",
    ),
    "darwin": (
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        "Chromium/Application/chrome.exe", "Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe",
    ),
}  # fmt: skip
_CACHES = {"linux": ".cache/ms-playwright", "darwin": "Library/Caches/ms-playwright"}


def is_headless_shell(executable: str) -> bool:
    """Whether this is the build that cannot show windows."""
    name = Path(executable).name.lower()
    return "headless-shell" in name or "headless_shell" in name


def found(environ: Mapping[str, str], *, headed: bool, extensions: bool = False) -> list[str]:
    """Return the executables that exist, each once.

    Headless shells, the light ones, come first; last where extensions are wanted, and not at all where windows are.
    """
    names = _WITH_WINDOWS if headed else (*_SHELLS, *_WITH_WINDOWS)
    search = environ.get("PATH")
    paths = [path for name in names if (path := shutil.which(name, path=search))]
    paths += [str(place) for place in (*_in_usual_places(environ), *_of_playwright(environ)) if place.is_file()]
    if headed:
        paths = [path for path in paths if not is_headless_shell(path)]
    paths.sort(key=lambda path: is_headless_shell(path) == extensions)
    unique: dict[str, str] = {}
    for path in paths:
        unique.setdefault(str(Path(path).resolve()), path)
    return list(unique.values())


def _in_usual_places(environ: Mapping[str, str]) -> Iterator[Path]:
    if sys.platform == "win32":
        roots = [environ[name] for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA") if name in environ]
        for place in _USUAL["win32"]:
            yield from (Path(root, place) for root in roots)
        return
    for place in _USUAL.get(sys.platform, ()):
        yield Path(place)


def _of_playwright(environ: Mapping[str, str]) -> Iterator[Path]:
    own = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if own and own != "0":
        root = Path(own)
    elif sys.platform == "win32":
        root = Path(environ.get("LOCALAPPDATA", ""), "ms-playwright")
    else:
        root = Path(environ.get("HOME", "/nonexistent"), _CACHES.get(sys.platform, _CACHES["linux"]))
    suffix = ".exe" if sys.platform == "win32" else ""
    for pattern in (
        f"chromium_headless_shell-*/*/headless_shell{suffix}",
        f"chromium_headless_shell-*/*/chrome-headless-shell{suffix}",
        f"chromium-*/chrome-*/chrome{suffix}",
        "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    ):
        yield from sorted(root.glob(pattern), reverse=True)
