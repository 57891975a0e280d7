"""Makes a profile: put together aside, verified, and then there as a whole; from nothing, from a template, from browser data that
somebody has, or from another profile.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core import durable
from core.errors import BadInput, Problem, TemplateLive, TemplateMissing, WorkspaceCorrupt
from core.profiles import legacy, places, staging
from core.profiles.errors import ProfileDamaged
from core.profiles.port import ProfileMetadata, timestamp
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.port import LoginState
from core.state.sessions import FileSessionStore
from core.workspaces import ahead, clone, filling, manifest, swap, verify
from core.workspaces import version as versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from core.domain.model import Holder
    from core.profiles.registry import ProfileRegistry


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a new profile's browser data came to.

    Attributes:
        files: copied.
        bytes: copied.
        unreadable: relative paths that could not be read, and are not there.
        keyring_cookies: cookies that only the keyring of another desktop session can decrypt: lost here.
        has_login: whether a login state came along.
    """

    files: int = 0
    bytes: int = 0
    unreadable: tuple[str, ...] = ()
    keyring_cookies: int = 0
    has_login: bool = False


@contextlib.contextmanager
def aside(state_dir: Path, profile_id: str, registry: ProfileRegistry) -> Iterator[Path]:
    """Yield a state directory in which a profile is put together; when the block ends well, it takes its place.

    The caller holds the profile's lock.

    Raises:
        ProfileTaken: the ID is not free; nothing is left.
        DurableWriteFailed: nothing is left of it.
    """
    registry.require_free(profile_id)
    places.clear(places.profile(state_dir, profile_id))
    staged = staging.begin(state_dir, profile_id)
    try:
        yield staged
        swap.sync_file_system(staged)
    except OSError as exc:
        staging.abandon(state_dir, profile_id)
        raise durable.write_failed(staged, exc) from exc
    except BaseException:
        staging.abandon(state_dir, profile_id)
        raise
    registry.register(profile_id)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a new profile's data comes from.

    Attributes:
        browser_data: a closed user-data-dir; None: there is none.
        is_template: it is to begin with, not to go on with: service workers are left out.
        login: what is known of its login.
        fence: number of the holder that wrote that.
    """

    browser_data: Path | None = None
    is_template: bool = False
    login: LoginState = LoginState()
    fence: int = 0

    @property
    def written(self) -> tuple[str, str] | None:
        """Name (may be empty) and version of the newest browser that wrote it."""
        return None if self.browser_data is None else versions.written_by(self.browser_data)


def fill(
    staged: Path, metadata: ProfileMetadata, source: Source | None, *, others: Mapping[str, Any] | None = None
) -> Receipt:
    """Put a new profile together.

    Args:
        staged: the state directory aside.
        metadata: the profile's; the browser that wrote its data is noted in them.
        source: where browser data and login state come from; None: it starts without.
        others: fields of metadata that this version does not know.

    Raises:
        TemplateLive, WorkspaceCorrupt, NoSpace: the source cannot be used.
        DurableWriteFailed, WorkspaceError: it could not be written.
    """
    source = source or Source()
    profile = places.profile(staged, metadata.profile_id)
    for name in (places.BROWSER_PROFILE, places.CACHE):
        durable.ensure_directory(profile / name)
    receipt = _copy(source, profile / places.BROWSER_PROFILE)
    if source.written is not None:
        metadata.browser, metadata.browser_version = source.written[0] or None, source.written[1]
    FileLoginStateStore(staged).write(metadata.profile_id, source.login, fence=source.fence)
    FileProfileStore(staged).write(metadata, others=others)
    return msgspec.structs.replace(receipt, has_login=not source.login.is_empty)


def from_template(state_dir: Path, path: Path, holder: Callable[[str], Holder | None]) -> Source:
    """Return a template as a source.

    Raises:
        TemplateMissing: it is no user-data-dir.
        TemplateLive: a browser, or a profile's worker, uses it.
    """
    data = path.resolve()
    if not filling.is_user_data_dir(data):
        raise TemplateMissing(path)
    root = places.profiles(state_dir)
    if root in data.parents:
        owner = data.relative_to(root).parts[0]
        held = holder(owner)
        if held is not None:
            raise TemplateLive(path, f"profile {owner} is held by {held}")
    filling.refuse_live(data)
    return Source(browser_data=data, is_template=True)


def from_directory(path: Path) -> Source:
    """Return what somebody has as a source: a user-data-dir, or a directory with ``browser_profile`` and ``session.json``.

    Raises:
        TemplateMissing: it is neither.
        TemplateLive: a browser uses it.
        BadInput: its session cannot be read as a login state.
    """
    data = path.resolve()
    found = legacy.find(data)
    if found is None and not filling.is_user_data_dir(data):
        raise TemplateMissing(path)
    if found is None:
        filling.refuse_live(data)
        return Source(browser_data=data)
    filling.refuse_live(found.browser_data)
    login = LoginState() if found.session is None else legacy.login_state(found.session)
    if login is None:
        expected, hint = "a login state as Playwright or Ostler writes it", "move it away to go without"
        raise BadInput([Problem(place=str(found.session), expected=expected, found="something else", hint=hint)])
    return Source(browser_data=found.browser_data, login=login)


def copy_of(
    state_dir: Path, staged: Path, metadata: ProfileMetadata, new: str, *, now: float, with_session: bool
) -> Receipt:
    """Put a copy of a profile together, under another ID; the caller holds both locks.

    Args:
        state_dir: where the profile is.
        staged: the state directory aside.
        metadata: the profile's.
        new: the copy's ID.
        now: epoch seconds.
        with_session: take along what is done for it, its identity and its outputs.

    Raises:
        ProfileDamaged: the profile's own data is damaged.
        NoSpace, WorkspaceError.
    """
    old = metadata.profile_id
    saved = places.profile(state_dir, old) / places.BROWSER_PROFILE
    session = FileSessionStore(state_dir).read(old) if with_session else None
    login = FileLoginStateStore(state_dir).read(old)
    copied = msgspec.structs.replace(
        metadata, profile_id=new, created_at=timestamp(now), last_used=timestamp(now), status="inactive", lock_pid=None,
        # counted together with the session's: a new session begins with none
        generation=metadata.generation if session is not None else 0,
    )  # fmt: skip
    source = Source(
        browser_data=saved if places.names(saved) else None,
        login=LoginState() if login is None else login.value,
        fence=0 if login is None else login.fence,
    )
    if source.browser_data is not None:
        filling.refuse_live(saved)
        changed = manifest.differences(saved)
        if changed:
            raise ProfileDamaged(old, "; ".join(map(str, changed)))
    try:
        receipt = fill(staged, copied, source, others=FileProfileStore(state_dir).fields(old))
    except WorkspaceCorrupt as exc:
        raise ProfileDamaged(old, "; ".join(exc.findings)) from exc
    if ahead.is_set(saved):
        ahead.mark(places.profile(staged, new) / places.BROWSER_PROFILE)
    if session is not None:
        FileSessionStore(staged).write(msgspec.structs.replace(session.value, profile_id=new), fence=session.fence)
    return receipt


def _copy(source: Source, data: Path) -> Receipt:
    if source.browser_data is None:
        return Receipt()
    kind = "template" if source.is_template else "profile"
    receipt = filling.fill(data, source.browser_data, kind=kind)
    clone.forget_crash(data)
    findings = verify.findings(data)
    if findings:
        raise WorkspaceCorrupt(source.browser_data, findings)
    if source.written is not None:
        versions.record(data, *source.written)
    manifest.write(data)
    return Receipt(
        files=receipt.files, bytes=receipt.bytes, unreadable=receipt.unreadable, keyring_cookies=receipt.keyring_cookies
    )


def require_directory(path: Path, place: str) -> Path:
    """Return an absolute path of a directory.

    Raises:
        BadInput: it is none.
    """
    if path.is_dir():
        return path.resolve()
    found = "something else" if os.path.lexists(path) else "nothing"
    raise BadInput([Problem(place=place, expected="a directory", found=f"{found} at {path}")])
