"""A small extension of our own, and a browser template in which it is installed, packed or unpacked."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

SOURCE = Path(__file__).parent / "children" / "extension"
# any public key does: the ID of a packed extension is made from it
_KEY = hashlib.sha256(b"marker").digest() * 4
_PERMISSIONS = {"api": ["storage"], "explicit_host": [], "manifest_permissions": [], "scriptable_host": ["<all_urls>"]}
_ON = {"active_permissions": _PERMISSIONS, "granted_permissions": _PERMISSIONS, "disable_reasons": []}


def template(folder: Path, kind: str) -> Path:
    """Make a closed user-data-dir as somebody leaves it who installed the extension; return it.

    Args:
        folder: where to.
        kind: ``packed``: it lies in the browser data; ``unpacked``: in a directory beside it, loaded by its author.
    """
    user_data_dir = folder / "template"
    profile = user_data_dir / "Default"
    profile.mkdir(parents=True)
    if kind == "unpacked":
        home = folder / "marker"
        shutil.copytree(SOURCE, home)
        identifier = _identifier(str(home).encode())
        entry = {"location": 4, "path": str(home), "creation_flags": 38}
    else:
        identifier = _identifier(_KEY)
        path = f"{identifier}/1.0_0"
        manifest = {**json.loads((SOURCE / "manifest.json").read_bytes()), "key": base64.b64encode(_KEY).decode()}
        shutil.copytree(SOURCE, profile / "Extensions" / path)
        (profile / "Extensions" / path / "manifest.json").write_text(json.dumps(manifest))
        entry = {"location": 1, "path": path, "creation_flags": 1, "manifest": manifest}
    extensions = {"ui": {"developer_mode": True}, "settings": {identifier: {**entry, **_ON}}}
    (profile / "Preferences").write_text(json.dumps({"extensions": extensions}))
    return user_data_dir


def _identifier(of: bytes) -> str:
    return "".join(chr(ord("a") + int(digit, 16)) for digit in hashlib.sha256(of).hexdigest()[:32])
