"""What Ostler needs from the store of named profiles: their lock, and what a run must know about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from core.domain.model import Device

if TYPE_CHECKING:
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


class ProfileMetadata(msgspec.Struct, kw_only=True):
    """``profiles/<id>/metadata.json``, as far as a run needs it.

    Attributes:
        profile_id: whose.
        platform: the service: whatsapp, telegram, discord, custom.
        platform_version: free text.
        created_at: ISO 8601, UTC.
        last_used: ISO 8601, UTC.
        status: active, inactive or corrupted.
        lock_pid: process that held it last.
        flow: default flow of jobs that name none.
        device: desktop or mobile.
        proxy: default proxy; its password is a secret.
        locale: as ``de-DE``.
        timezone: as ``Europe/Berlin``.
        browser: name of the browser that wrote the browser data.
        browser_version: its version.
        generation: number of the browser data, raised by each save; compared with the login state's.
    """

    profile_id: str
    platform: str = "custom"
    platform_version: str | None = None
    created_at: str = ""
    last_used: str = ""
    status: str = "inactive"
    lock_pid: int | None = None
    flow: str | None = None
    device: Device | None = None
    proxy: str | None = None
    locale: str | None = None
    timezone: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    generation: int = 0


class ProfileStore(Protocol):
    """Metadata of profiles."""

    def read(self, profile_id: str) -> ProfileMetadata | None:
        """Return a profile's metadata, None if there is no such profile.

        Raises:
            StateCorrupt: the file does not say what a metadata file must.
        """
        ...

    def ensure(self, profile_id: str, now: float) -> ProfileMetadata:
        """Return the profile's metadata, creating the profile (platform ``custom``) if there is none."""
        ...

    def write(self, metadata: ProfileMetadata) -> None:
        """Make metadata durable."""
        ...
