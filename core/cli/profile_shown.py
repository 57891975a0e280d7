"""What ``ostler profile`` prints: records for ``--json``, whose schemas are in docs/schemas, and tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.cli.printing import columns, size
from core.console.wording import one_line
from core.profiles import settings
from core.profiles.inspection import Profile, ProfileReport
from core.redaction import MASK, mask_page, mask_url
from core.upkeep.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.profiles.difference import ProfileDifference
    from core.profiles.inspection import ProfileSize
    from core.profiles.losses import RecoveryReport
    from core.profiles.port import ProfileMetadata
    from core.profiles.updating import BatchResult
    from core.profiles.usage import MemoryMetrics

_LISTED = 40
_LABEL = 18


class ShownProfiles(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler profile list --json``.

    Attributes:
        active: ID of the active profile; null if none is.
        profiles: those of this selection, by ID.
    """

    active: str | None
    profiles: tuple[Profile, ...]


class ShownProfile(msgspec.Struct, frozen=True, kw_only=True):
    """``ostler profile status --json``.

    Attributes:
        directory: where it is.
        metadata: what ``metadata.json`` says, secrets masked; null if it cannot be read.
        findings: what is damaged; empty if all is well.
        session_status: of its session; null if it has none that can be read.
        flags: facts that its flows have established.
        size: bytes of all that belongs to it.
    """

    profile: Profile
    directory: str
    metadata: dict[str, Any] | None
    findings: tuple[Finding, ...]
    session_status: str | None
    flags: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, report: ProfileReport) -> ShownProfile:
        """Return a report without secrets."""
        fields = {name: getattr(report, name) for name in report.__struct_fields__}
        metadata = None if report.metadata is None else without_secrets(report.metadata)
        return cls(**{**fields, "metadata": metadata})


class ShownChange(msgspec.Struct, frozen=True, kw_only=True):
    """What ``create``, ``activate``, ``deactivate``, ``delete``, ``clone``, ``rename``, ``tag`` and ``migrate`` print as JSON.

    Attributes:
        did: what was done, as a word.
        id: the profile that it was done with; null where there was none.
        profile: as it is now; null where it is gone.
        notes: what else should be known.
    """

    did: str
    id: str | None
    profile: Profile | None = None
    notes: tuple[str, ...] = ()


def without_secrets(metadata: ProfileMetadata) -> dict[str, Any]:
    """Return metadata as plain data: passwords, header values and the platform's own values are masked."""
    plain: dict[str, Any] = msgspec.to_builtins(metadata)
    for name, masked in (("proxy", mask_url), ("start_url", mask_page)):
        if plain[name] is not None:
            plain[name] = masked(plain[name])
    plain["extra_headers"] = dict.fromkeys(plain["extra_headers"], MASK)
    plain["platform_config"] = dict.fromkeys(plain["platform_config"], MASK)
    return plain


def lines_of_list(profiles: Sequence[Profile]) -> list[str]:
    """Return a table of profiles."""
    if not profiles:
        return ["no profiles"]
    head = ("id", "status", "platform", "login", "last used", "tags", "")
    return columns([head, *(_row(profile) for profile in profiles)])


def lines_of_status(report: ProfileReport) -> list[str]:
    """Return everything about a profile, and what is damaged last."""
    profile = report.profile
    pairs: list[tuple[str, str]] = [
        ("profile", profile.id if profile.name is None else f"{profile.id} ({profile.name})"),
        ("status", f"{profile.status}: {profile.problem}" if profile.problem else profile.status),
        ("in use by", str(profile.holder or "nobody")),
        ("platform", profile.platform),
        ("login", profile.login_state),
        ("created", profile.created_at or "-"),
        ("last used", profile.last_used or "-"),
        ("last activity", profile.last_activity or "-"),
    ]
    if profile.last_error:
        where = f" ({profile.error_phase})" if profile.error_phase else ""
        pairs.append(("last error", f"{profile.last_error}{where}"))
    if report.metadata is not None:
        pairs += [(name, value) for name, value in settings.shown(report.metadata).items() if name != "name"]
        plain = without_secrets(report.metadata)
        pairs += [(name, _text(plain[name])) for name in _MORE if plain[name] not in (None, "", [], (), {})]
    pairs += [
        ("session", report.session_status or "none"),
        ("flags", ", ".join(report.flags) or "none"),
        ("size", size(report.size)),
        ("directory", report.directory),
    ]
    return [f"{name:<{_LABEL}} {one_line(value)}" for name, value in pairs]


def lines_of_size(found: ProfileSize) -> list[str]:
    """Return what a profile takes, the largest part first."""
    parts = sorted(found.parts.items(), key=lambda part: -part[1])
    lines = [f"{size(number):>10}  {part}" for part, number in parts if number]
    return [*lines, f"{size(found.bytes):>10}  {found.id}, {found.files} files"]


def lines_of_usage(found: MemoryMetrics) -> list[str]:
    """Return what all profiles take, the largest part first, and who has how much memory."""
    parts = sorted(found.parts.items(), key=lambda part: -part[1])
    return [
        *(f"{size(number):>10}  {part}" for part, number in parts if number),
        f"{size(found.bytes):>10}  on disk: {found.profiles} profiles, {found.files} files",
        *(f"{_memory(each.memory):>10}  {each.profile_id}, pid {each.pid} and below" for each in found.live),
        f"{_memory(found.memory):>10}  in memory: {len(found.live)} in use",
    ]


def _memory(number: int | None) -> str:
    return "?" if number is None else size(number)


def lines_of_batch(found: BatchResult) -> list[str]:
    """Return what became of each update."""
    return [
        *(f"{each.profile_id}: {', '.join(each.fields) or 'nothing'} changed" for each in found.applied),
        *(f"{each.profile_id}: not changed, somebody else was faster: type it again" for each in found.conflicts),
        *(f"{profile_id}: not changed, there is no such profile" for profile_id in found.missing),
        *(f"{each.profile_id}: not changed, {each.reason}" for each in found.failed),
    ]


def lines_of_difference(found: ProfileDifference) -> list[str]:
    """Return what differs, and how much is the same."""
    signs = {"added": "+", "removed": "-", "changed": "~"}
    rows = [
        (signs[each.change], each.path, _change(each.before, each.after))
        for each in found.files[:_LISTED]
    ]  # fmt: skip
    lines = columns(rows) if rows else []
    if len(found.files) > _LISTED:
        lines.append(f"… and {len(found.files) - _LISTED} more (--json has them all)")
    return [*lines, f"{found.id}: {len(found.files)} files differ from {found.against}, {found.same} are the same"]


def lines_of_recovery(report: RecoveryReport) -> list[str]:
    """Return what a recovery takes away, and what rests on that."""
    would = "would be lost" if report.dry_run else "is lost"
    lines = [f"{would}: {loss.part}: {loss.what} ({loss.reason})" for loss in report.losses]
    if not lines:
        lines = [f"nothing {would}"]
    if report.flags:
        lines.append(f"flags that may rest on it: {', '.join(report.flags)}")
        lines.append(f"to have a step done again: ostler session reset {report.profile_id} --step FLAG")
    if report.kept_in:
        lines.append(f"what is damaged {'would be' if report.dry_run else 'is'} kept in {report.kept_in}")
    return lines


_MORE = ("tags", "template", "platform_version", "platform_config", "browser", "browser_version")


def _row(profile: Profile) -> tuple[str, ...]:
    remark = profile.problem or (f"in use by {profile.holder}" if profile.holder else "")
    return (
        profile.id, profile.status, profile.platform, profile.login_state, profile.last_used or "-",
        ",".join(profile.tags) or "-", remark,
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _change(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return size(after or before or 0)
    return f"{size(before)} -> {size(after)}" if before != after else size(after)
