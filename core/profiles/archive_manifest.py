"""What an archive of a profile says of itself: a ZIP whose first entry lists all others, and where they come from."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import msgspec

from core import sealed
from core.domain.validation import ID_RULE, is_device_name, is_valid_id
from core.errors import BadInput, Problem, StateCorrupt

FORMAT = 1
MANIFEST = "manifest.json"
METADATA = "metadata.json"
SESSION = "session.json"
LOGIN_STATE = "login_state.json"
BROWSER_DATA = "browser_profile/"
DOCUMENTS = (METADATA, SESSION, LOGIN_STATE)
MOST_ENTRIES = 100_000
LARGEST_MANIFEST = 32 * 1024 * 1024
LARGEST_DOCUMENT = 64 * 1024 * 1024
LONGEST_NAME = 1024
LONGEST_PART = 255
"""Both in bytes of UTF-8."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of an archive.

    Attributes:
        name: with ``/`` between its parts.
        size: bytes.
        sha256: of its content, in hexadecimal.
    """

    name: str
    size: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of everything there is.

    Attributes:
        files: of browser data.
        bytes: of browser data.
        flags: completion flags that are true.
        outputs: what flows brought out.
        identity: fields of the account's own data.
        cookies: of the login state.
        origins: of the login state.
    """

    files: int = 0
    bytes: int = 0
    flags: int = 0
    outputs: int = 0
    identity: int = 0
    cookies: int = 0
    origins: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is in an archive, and where it comes from.

    Attributes:
        profile_id: whose.
        exported_at: ISO 8601, UTC.
        ostler: version that wrote it.
        os: as ``platform.system()`` says: Linux, Darwin, Windows.
        with_secrets: whether secrets and browser data are in it.
        browser: name of the browser that wrote the browser data; None: not known, or none is in it.
        browser_version: its version.
        encrypted: how many cookies and passwords of the browser data each kind of password store encrypted: ``basic``,
            ``keyring``, ``keychain``, ``dpapi`` or ``app-bound``.
        behind: a browser went further than the browser data: its logins come from the login state.
        counts: how much.
        secrets_left_out: what was left out because it is secret, in words.
        skipped: what of the browser data was left out by rule, and how often: caches, links.
        unreadable: files that could not be read, or have names that not every system has.
        entries: every file but the manifest.
    """

    profile_id: str
    exported_at: str
    ostler: str
    os: str
    with_secrets: bool
    browser: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    browser_version: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,9}(\.[0-9]{1,9}){0,5}\Z")] | None = None
    encrypted: dict[str, int] = {}
    behind: bool = False
    counts: Counts = Counts()
    secrets_left_out: tuple[str, ...] = ()
    skipped: dict[str, int] = {}
    unreadable: tuple[str, ...] = ()
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(entry.size for entry in self.entries)

    @property
    def has_browser_data(self) -> bool:
        """Whether there is any."""
        return any(entry.name.startswith(BROWSER_DATA) for entry in self.entries)


def encode(manifest: Manifest) -> bytes:
    """Return the manifest's entry."""
    return sealed.seal(manifest, schema=FORMAT)


def decode(data: bytes, place: str) -> Manifest:
    """Return what a manifest's entry says.

    Args:
        data: its content.
        place: the archive, as the user calls it.

    Raises:
        NewerSchema: of a format that this version does not know.
        BadInput: it is not what ``encode`` makes, or lists what no archive may hold.
    """
    try:
        manifest: Manifest = sealed.unseal(data, Path(place), Manifest, schema=FORMAT)
    except StateCorrupt as exc:
        raise refused(place, MANIFEST, "what `ostler profile export` writes", f"that {exc.reason}") from None
    if not is_valid_id(manifest.profile_id):
        raise refused(place, MANIFEST, f"a profile ID of {ID_RULE}", repr(manifest.profile_id[:64]))
    names = Names()
    for entry in manifest.entries:
        problem = names.add(entry.name)
        if problem:
            raise refused(place, MANIFEST, "names that any system has", f"{entry.name[:200]!r}, which {problem}")
        if entry.name in DOCUMENTS and entry.size > LARGEST_DOCUMENT:
            raise refused(place, entry.name, f"at most {LARGEST_DOCUMENT} bytes", f"{entry.size}")
    if METADATA not in {entry.name for entry in manifest.entries}:
        raise refused(place, METADATA, "the profile's metadata", "none")
    return manifest


class Names:
    """The names of one archive: each may stand in it, and none is in another's way on any system."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._exact: dict[str, str] = {}

    def add(self, name: str) -> str:
        """Take a name, or return what is wrong with it, to stand behind "which"."""
        problem = name_problem(name)
        if problem:
            return problem
        parts = name.split("/")
        prefixes = list(accumulate(parts, "{}/{}".format))
        folded = list(accumulate(map(_folded, parts), "{}/{}".format))
        for prefix, key in zip(prefixes, folded, strict=True):
            there = self._exact.get(key, prefix)
            if there != prefix:
                return f"differs from {there!r} only in case, or in the form of an accent"
            if key in self._files:
                return "stands there twice" if prefix == name else f"needs a directory where {prefix!r} is a file"
        if folded[-1] in self._exact:
            return "is a directory, too"
        self._exact.update(zip(folded, prefixes, strict=True))
        self._files.add(folded[-1])
        return ""


def name_problem(name: str) -> str:
    """Return what is wrong with the name of an entry by itself, to stand behind "which"; empty if nothing is."""
    if name not in DOCUMENTS and not name.startswith(BROWSER_DATA):
        return f"is none of {', '.join(DOCUMENTS)} and not below {BROWSER_DATA}"
    try:
        encoded = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:
        return "is no text"
    if sum(map(len, encoded)) + len(encoded) - 1 > LONGEST_NAME or max(map(len, encoded)) > LONGEST_PART:
        return "is too long"
    return next((problem for part in name.split("/") if (problem := _part_problem(part))), "")


def _part_problem(part: str) -> str:
    if part in ("", ".", ".."):
        return "leads elsewhere" if part == ".." else "is not in its shortest form"
    if _FORBIDDEN.search(part):
        return "has a character that file names do not have everywhere"
    if part[-1] in ". ":
        return "has a part that ends in a dot or a space"
    return "has a part that is a device on Windows" if is_device_name(part.partition(".")[0]) else ""


def refused(place: str, field: str, expected: str, found: str, hint: str = "") -> BadInput:
    """Return the error of an archive that is none of ours, or not any more; one line.

    Args:
        place: the archive, as the user calls it.
        field: the entry; empty for the whole.
        expected: what would have been right.
        found: what is there.
        hint: how to mend it.
    """
    return BadInput([Problem(place=place, field=field, expected=expected, found=found, hint=hint)])


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
