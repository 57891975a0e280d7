"""What ``ostler profile export`` and ``import`` print: a record for ``--json``, and lines for people. No value is secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.printing import size
from core.console.wording import one_line
from core.profiles.archive_manifest import Counts
from core.redaction import MASK, mask_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.profiles.archive_manifest import Manifest

_LISTED = 20


class ShownArchive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was written or read.

    Attributes:
        profile_id: the profile here.
        of: the profile that was exported.
        file: as it was named.
        bytes: of the file.
        exported_at: ISO 8601, UTC.
        ostler: version that wrote it.
        os: of the system that it was written on: Linux, Darwin, Windows.
        with_secrets: whether login, browser data and passwords are in it.
        browser: name of the browser that wrote the browser data; null: not known, or none is in it.
        browser_version: its version.
        encrypted: cookies and passwords of the browser data, by the password store that encrypted them.
        behind: a browser went further than the browser data: the login comes from the login state.
        counts: how much of everything is in it.
        secrets_left_out: what is not in it because it is secret.
        skipped: what of the browser data is not in it by rule, and how often.
        unreadable: files that could not come along, and why.
        recovered: state files that were damaged, so that the version before is in it.
        doubts: why something cannot be read here.
        settings: those that decide what a browser of this profile does here; secrets are masked.
    """

    profile_id: str
    of: str
    file: str
    bytes: int
    exported_at: str
    ostler: str
    os: str
    with_secrets: bool
    browser: str | None
    browser_version: str | None
    encrypted: dict[str, int]
    behind: bool
    counts: Counts
    secrets_left_out: tuple[str, ...]
    skipped: dict[str, int]
    unreadable: tuple[str, ...]
    recovered: tuple[str, ...]
    doubts: tuple[str, ...]
    settings: dict[str, Any]

    @staticmethod
    def of_manifest(
        manifest: Manifest,
        profile_id: str,
        file: str,
        bytes_: int,
        *,
        recovered: tuple[str, ...] = (),
        doubts: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
    ) -> ShownArchive:
        """Return what is shown of an archive."""
        fields = {name: value for name, value in msgspec.structs.asdict(manifest).items() if name != "entries"}
        return ShownArchive(
            **{name: value for name, value in fields.items() if name != "profile_id"},
            profile_id=profile_id,
            of=manifest.profile_id,
            file=file,
            bytes=bytes_,
            recovered=recovered,
            doubts=doubts,
            settings={name: _masked(name, value) for name, value in (settings or {}).items()},
        )


def lines_of_export(shown: ShownArchive) -> list[str]:
    """Return what a person wants to know of an archive that was written."""
    lines = [f"{shown.of} is in {one_line(shown.file)} ({size(shown.bytes)})", *_contents(shown)]
    if shown.with_secrets:
        lines.append("whoever has this file has the account: keep it as you keep a password")
    elif shown.secrets_left_out:
        lines.append("--with-secrets takes along what is secret")
    return lines


def lines_of_import(shown: ShownArchive) -> list[str]:
    """Return what a person wants to know of a profile that came out of an archive."""
    origin = one_line(f"{shown.of}, exported {shown.exported_at} by Ostler {shown.ostler} on {shown.os}")
    lines = [f"{shown.profile_id} was made of {one_line(shown.file)} ({origin})", *_contents(shown)]
    if shown.counts.files and not shown.doubts:
        lines.append("the browser here can read all of the browser data")
    for name, value in shown.settings.items():
        text = ", ".join(value) if isinstance(value, dict) else value
        lines.append(f"setting    {name}: {one_line(str(text))}")
    if shown.secrets_left_out:
        lines.append(f"what is missing must be given again: ostler identity set {shown.profile_id} password, and so on")
    return lines


def _contents(shown: ShownArchive) -> Iterator[str]:
    counts = shown.counts
    yield "in it      metadata and settings"
    if counts.flags or counts.outputs or counts.identity:
        fields = f"{_many(counts.identity, 'field')} of the identity"
        yield f"in it      {_many(counts.flags, 'flag')}, {_many(counts.outputs, 'output')}, {fields}"
    if counts.cookies or counts.origins:
        yield f"in it      login state: {_many(counts.cookies, 'cookie')}, storage of {_many(counts.origins, 'origin')}"
    if counts.files:
        browser = one_line(f"{shown.browser or 'a browser'} {shown.browser_version or 'that is not known'}")
        yield f"in it      browser data: {_many(counts.files, 'file')}, {size(counts.bytes)}, written by {browser}"
    for line in _first(shown.secrets_left_out):
        yield f"secret     not in it: {line}"
    if shown.skipped:
        yield f"skipped    {', '.join(_first(tuple(f'{name} ({count})' for name, count in shown.skipped.items())))}"
    for line in _first(shown.unreadable):
        yield f"attention  not in it: {line}"
    for line in shown.recovered:
        yield f"attention  the {line} was damaged: the version before is in it"
    if shown.behind:
        yield "attention  a run was cut off: what its browser had not saved is not in it, its last login state is"
    for line in shown.doubts:
        yield f"attention  {one_line(line)}"


def _first(lines: tuple[str, ...]) -> list[str]:
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [*map(one_line, lines[:_LISTED]), *more]


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return mask_url(value) if name == "proxy" else value
