"""Which extensions the browser data has: those that somebody installed and left switched on.

Chromium keeps them in ``Preferences`` on Linux, in ``Secure Preferences`` elsewhere. One from a shop lies in ``Extensions/`` beside
it and goes wherever the data goes; an unpacked one lies where its author has it, and is named by its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

_FILES = ("Preferences", "Secure Preferences")
# 5 and 10 are parts of the browser itself, 8 comes from its command line
_INSTALLED = frozenset({1, 2, 3, 4, 6, 7, 9})
_SWITCHED_OFF = 0


class Extension(msgspec.Struct, frozen=True):
    """One extension.

    Attributes:
        name: as its manifest has it; its ID where that cannot be known.
        path: its directory.
    """

    name: str
    path: Path

    @property
    def is_there(self) -> bool:
        """Whether its files are there."""
        return (self.path / "manifest.json").is_file()


class _Entry(msgspec.Struct):
    location: int = 0
    path: str = ""
    state: int = 1
    disable_reasons: list[int] | int = 0

    @property
    def is_on(self) -> bool:
        return (
            bool(self.path) and self.location in _INSTALLED and self.state != _SWITCHED_OFF and not self.disable_reasons
        )


class _Extensions(msgspec.Struct):
    settings: dict[str, msgspec.Raw] = {}


class _Preferences(msgspec.Struct):
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)


def installed(user_data_dir: Path) -> list[Extension]:
    """Return the extensions of all profiles of a user-data-dir, sorted by name; themes, which do nothing, are left out."""
    found: dict[Path, Extension] = {}
    for name in _FILES:
        for file in user_data_dir.glob(f"*/{name}"):
            for identifier, entry in _entries(file).items():
                # an absolute path stays what it is
                path = file.parent / "Extensions" / entry.path
                if not entry.is_on:
                    continue
                manifest = _manifest(path)
                if "theme" not in manifest:
                    found[path] = Extension(_name(manifest) or identifier, path)
    return sorted(found.values(), key=lambda extension: (extension.name, extension.path))


def _entries(preferences: Path) -> dict[str, _Entry]:
    try:
        settings = msgspec.json.decode(preferences.read_bytes(), type=_Preferences).extensions.settings
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    entries = {}
    for identifier, raw in settings.items():
        try:
            entries[identifier] = msgspec.json.decode(raw, type=_Entry)
        except msgspec.DecodeError:
            # what an older or newer browser writes differently is not ours to judge
            continue
    return entries


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode((path / "manifest.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _name(manifest: dict[str, Any]) -> str:
    name = manifest.get("name")
    # `__MSG_name__` stands for a text in another file
    return name if isinstance(name, str) and not name.startswith("__MSG_") else ""
