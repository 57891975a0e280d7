"""What Ostler needs from the store of named profiles: their lock, and what a run must know about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from core.domain.model import Device

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from core.domain.model import Holder


class ProfileLocks(Protocol):
    """One kernel lock per profile, in ``state/locks``. Laws:

    - At most one holder, across processes; freed by the holder's death, whatever it had started (the descriptor is not
      inherited).
    - ``hold`` does not wait.
    """

    def hold(self, profile_id: str, what: str) -> AbstractContextManager[None]:
        """Hold the lock, and write the record for people.

        Raises:
            ProfileHeld: naming the holder.
        """
        ...

    def holder(self, profile_id: str) -> Holder | None:
        """Return who holds it, None if it is free."""
        ...


def timestamp(now: float) -> str:
    """Return epoch seconds as metadata has them: ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ProfileStatus = Literal["active", "inactive", "corrupted"]
LoginStatus = Literal["logged_in", "logged_out", "expired", "unknown"]
ColorScheme = Literal["light", "dark", "no-preference"]


class Viewport(msgspec.Struct, frozen=True):
    """Size of a page, in CSS pixels."""

    width: int
    height: int


class ProfileMetadata(msgspec.Struct, kw_only=True):
    """``profiles/<id>/metadata.json``; ``core.profiles.schema`` has the rules beyond the types.

    Attributes:
        profile_id: whose.
        platform: the service: whatsapp, telegram, discord, custom, or another that is registered.
        platform_version: free text.
        platform_config: what the platform's own code needs; may hold secrets.
        created_at: ISO 8601, UTC; empty: not known. So are all times.
        last_used: when it was activated, or a run saved it.
        last_activity: when a run or a person last did something in it.
        status: active (the selected default), inactive or corrupted.
        lock_pid: process that activated it or saved it last.
        name: what people call it.
        tags: words to find it by.
        notes: free text.
        login_state: whether its account was logged in when that was last known.
        last_error: what went wrong last; None once a run succeeded.
        error_phase: the phase of the run in which it did.
        flow: default flow of jobs that name none.
        template: absolute path of the user-data-dir that its browser data began with.
        start_url: where a browser that is opened for a person begins.
        device: desktop or mobile.
        device_descriptor: Playwright's name of a device, as ``Pixel 7``.
        viewport: size of a page; None: the device's.
        proxy: default proxy; its password is a secret.
        locale: as ``de-DE``.
        timezone: as ``Europe/Berlin``.
        color_scheme: what pages are told of it.
        extra_headers: sent with every request; their values may be secrets.
        downloads: absolute path of the directory that downloads go to; None: ``state/downloads/<id>``.
        browser: name of the browser that wrote the browser data.
        browser_version: its version.
        generation: number of the browser data, raised by each save; compared with the login state's.
    """

    profile_id: str
    platform: str = "custom"
    platform_version: str | None = None
    platform_config: dict[str, Any] = {}
    created_at: str = ""
    last_used: str = ""
    last_activity: str = ""
    status: ProfileStatus = "inactive"
    lock_pid: int | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    login_state: LoginStatus = "unknown"
    last_error: str | None = None
    error_phase: str | None = None
    flow: str | None = None
    template: str | None = None
    start_url: str | None = None
    device: Device | None = None
    device_descriptor: str | None = None
    viewport: Viewport | None = None
    proxy: str | None = None
    locale: str | None = None
    timezone: str | None = None
    color_scheme: ColorScheme | None = None
    extra_headers: dict[str, str] = {}
    downloads: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    generation: int = 0


class ProfileStore(Protocol):
    """Metadata of profiles. Laws:

    - A profile that cannot be read whole is not there, or damaged; never half of one.
    - What was written is read; what could not be read again is not written.
    - Two who ``update`` at the same time both have their change in it.
    """

    def read(self, profile_id: str) -> ProfileMetadata | None:
        """Return a profile's metadata, None if there is no such profile.

        Raises:
            StateCorrupt: the file does not say what a metadata file must.
        """
        ...

    def ensure(self, profile_id: str, now: float) -> ProfileMetadata:
        """Return the profile's metadata, creating the profile (platform ``custom``) if there is none.

        The caller holds the profile's lock.

        Raises:
            ProfileTaken: the ID of another profile differs only in case.
        """
        ...

    def write(self, metadata: ProfileMetadata) -> None:
        """Make metadata durable.

        Raises:
            BadInput: they break a rule of ``core.profiles.schema``; nothing changed.
        """
        ...

    def update(self, profile_id: str, change: Callable[[ProfileMetadata], object]) -> ProfileMetadata:
        """Change metadata as their one writer, and return them. No lock is needed, so it can be done beside a run.

        Args:
            profile_id: whose.
            change: changes what it is given; called again where another writer was faster.

        Raises:
            UnknownProfile: there is no such profile.
            BadInput: the result breaks a rule; nothing changed.
        """
        ...
