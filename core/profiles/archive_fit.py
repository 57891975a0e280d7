"""Whether browser data that comes from elsewhere can be read here: cookies and passwords are encrypted for a system, a user or a
desktop session, and an older browser drops what it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import WorkspaceError
from core.workspaces import version as versions

if TYPE_CHECKING:
    from core.profiles.archive_manifest import Manifest

_WHERE = {
    "basic": "for any Linux",
    "keyring": "by the keyring of a desktop session, which browsers that Ostler starts do not ask",
    "keychain": "by the keychain of one user on macOS",
    "dpapi": "for one user on Windows",
    "app-bound": "for one installation of a browser on Windows",
}


def doubts(manifest: Manifest, system: str, browser: tuple[str, str] | None) -> list[str]:
    """Return what of an archive's browser data cannot be read here, or may not be; empty if all of it can.

    Args:
        manifest: of the archive.
        system: this one, as ``platform.system()`` says.
        browser: name and version of the one that runs here; None if none does.
    """
    if not manifest.has_browser_data:
        return []
    found = [
        f"cookies and passwords of the browser data ({count}) are encrypted {_WHERE.get(store, 'in a way that is not known')}: "
        f"they are lost here{_instead(manifest)}"
        for store, count in manifest.encrypted.items()
        if count and not (store == "basic" and system == "Linux")
    ]
    if manifest.os != system:
        found.append(f"the browser data comes from {manifest.os}: a browser on {system} may not take all of it")
    if browser is None:
        found.append("no browser works here, so nobody can read the browser data; `ostler doctor` says why")
    elif manifest.browser_version is None:
        found.append("which browser wrote the browser data is not known; an older one than that would damage it")
    else:
        try:
            versions.check((manifest.browser or "", manifest.browser_version), *browser)
        except WorkspaceError as exc:
            found.append(str(exc))
    return found


def _instead(manifest: Manifest) -> str:
    return f"; those of the login state ({manifest.counts.cookies}) are not" if manifest.counts.cookies else ""
