"""What of an archive's browser data a machine can read."""

from __future__ import annotations

import pytest

from core.profiles.archive_fit import doubts
from core.profiles.archive_manifest import BROWSER_DATA, Counts, Entry, Manifest

CHROMIUM = ("Chromium", "156.0.8078.108")


def of(**fields) -> Manifest:
    entries = (Entry(f"{BROWSER_DATA}Local State", 2, "0" * 64),)
    plain = {"browser": "Chromium", "browser_version": "156.0.8078.100", "os": "Linux", "entries": entries}
    return Manifest(profile_id="a", exported_at="", ostler="0.1.0", with_secrets=True, **plain | fields)


@pytest.mark.parametrize(
    "manifest",
    [
        of(),
        of(encrypted={"basic": 9}),
        of(encrypted={"keyring": 0}),
        of(browser="", browser_version="155.0"),
        of(entries=()),
    ],
)
def test_what_can_be_read(manifest: Manifest):
    """Data of this system, encrypted for any, by this browser or an older one; and where there is none, there is no doubt."""
    assert doubts(manifest, "Linux", CHROMIUM) == []


@pytest.mark.parametrize(
    ("manifest", "system", "browser", "said"),
    [
        (of(encrypted={"keyring": 3}), "Linux", CHROMIUM, "(3) are encrypted by the keyring of a desktop session"),
        (of(encrypted={"basic": 3}), "Darwin", CHROMIUM, "(3) are encrypted for any Linux: they are lost here"),
        (of(encrypted={"keychain": 1}, os="Darwin"), "Linux", CHROMIUM, "keychain of one user on macOS"),
        (of(encrypted={"dpapi": 1}, os="Windows"), "Windows", CHROMIUM, "for one user on Windows"),
        (of(encrypted={"app-bound": 1}, os="Windows"), "Linux", CHROMIUM, "one installation of a browser"),
        (of(encrypted={"another": 1}), "Linux", CHROMIUM, "in a way that is not known"),
        (of(os="Darwin"), "Linux", CHROMIUM, "comes from Darwin: a browser on Linux may not take all of it"),
        (of(browser_version="157.0"), "Linux", CHROMIUM, "Use version 157 or newer"),
        (of(browser="Microsoft Edge"), "Linux", CHROMIUM, "Use Microsoft Edge"),
        (
            of(browser=None, browser_version=None),
            "Linux",
            CHROMIUM,
            "which browser wrote the browser data is not known",
        ),
        (of(), "Linux", None, "no browser works here"),
    ],
)
def test_what_cannot(manifest: Manifest, system: str, browser, said: str):
    """Another system, another password store, an older browser, none: each is said."""
    assert any(said in line for line in doubts(manifest, system, browser))


def test_what_replaces_lost_cookies_is_said():
    """Where the login state has cookies, those are not lost."""
    manifest = of(encrypted={"keyring": 3}, counts=Counts(cookies=12))
    assert doubts(manifest, "Linux", CHROMIUM)[0].endswith("they are lost here; those of the login state (12) are not")
