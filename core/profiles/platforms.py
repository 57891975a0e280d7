"""The services that profiles belong to. Each says what a new profile of it begins with, and what it knows of its sessions.

Another service is registered, and nothing else changes::

    register_platform("forum", session_handler=ForumSessions, settings_generator=forum_settings)

A package that is installed beside Ostler can do so where the command line finds it, too: by an entry point of the group
``ostler.platforms``, whose name is the platform's, and whose object is called without arguments and registers it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from core.errors import BadInput, Problem
from core.profiles.port import LoginStatus, ProfileMetadata
from core.profiles.schema import PLATFORM_RULE, is_platform_name, problem_of

if TYPE_CHECKING:
    from core.state.port import LoginState

GROUP = "ostler.platforms"
SETTINGS = (
    "start_url", "device", "device_descriptor", "viewport", "proxy", "locale", "timezone", "color_scheme", "extra_headers",
    "downloads", "flow", "platform_version", "platform_config",
)  # fmt: skip
"""What a settings generator may say: fields of the metadata."""
_ZONES = "zoneinfo/"


class SessionHandler(Protocol):
    """What a platform knows of its sessions."""

    def login_status(self, metadata: ProfileMetadata, login: LoginState | None, now: float) -> LoginStatus:
        """Say whether the account is logged in, as far as that can be told without a browser.

        Args:
            metadata: the profile's; ``login_state`` is what was known before.
            login: what was exported from the browser last; None: nothing was.
            now: epoch seconds.
        """
        ...


class Platform(msgspec.Struct, frozen=True):
    """A service that profiles can belong to.

    Attributes:
        name: as in metadata.
        sessions: what it knows of them.
        generate: what a new profile begins with.
    """

    name: str
    sessions: SessionHandler
    generate: Callable[[str], Mapping[str, Any]]


class CookieSessions:
    """What can be told of any service: a login whose cookies have all expired is no login any more."""

    def login_status(self, metadata: ProfileMetadata, login: LoginState | None, now: float) -> LoginStatus:
        """Return ``expired`` if nothing but expired cookies is left, else what was known before."""
        if login is None or login.is_empty:
            return metadata.login_state
        expiries = [float(cookie.get("expires", -1)) for cookie in login.cookies]
        # below 0: until the browser ends; such a cookie may still count
        if expiries and not login.origins and all(0 <= expires < now for expires in expiries):
            return "expired"
        return metadata.login_state


class HostSettings:
    """Honest settings: this host's language and time zone, written down so that they stay when the profile moves.

    Args:
        start_url: where a person begins; None: nowhere in particular.
    """

    def __init__(self, start_url: str | None = None) -> None:
        self._start_url = start_url

    def __call__(self, profile_id: str) -> dict[str, Any]:  # noqa: ARG002 - the same for all of them
        """Return what can be told of this host."""
        found = {"start_url": self._start_url, "locale": host_locale(), "timezone": host_timezone()}
        return {name: value for name, value in found.items() if value is not None}


_platforms: dict[str, Platform] = {}


def register_platform(
    name: str,
    *,
    session_handler: SessionHandler | Callable[[], SessionHandler] | None = None,
    settings_generator: Callable[[str], Mapping[str, Any]] | None = None,
) -> Platform:
    """Make a platform known to this process; one of that name that is known is replaced.

    Args:
        name: 1 to 32 of A-Z a-z 0-9 _ . -
        session_handler: or its class, which is called without arguments; None: ``CookieSessions``.
        settings_generator: called with the ID of each new profile, returns what it begins with, by name of the field
            (``SETTINGS``); None: ``HostSettings``.

    Raises:
        BadInput: the name cannot be one.
    """
    if not is_platform_name(name):
        raise BadInput([Problem(place="platform", expected=PLATFORM_RULE, found=repr(name[:64]))])
    handler = session_handler or CookieSessions
    sessions: Any = handler() if isinstance(handler, type) else handler
    _platforms[name] = Platform(name, sessions, settings_generator or HostSettings())
    return _platforms[name]


def platform_names() -> list[str]:
    """Return the names of all platforms, those of installed packages among them."""
    return sorted({*_platforms, *(found.name for found in _installed())})


def platform(name: str) -> Platform:
    """Return a platform.

    Raises:
        BadInput: there is none of this name, or the package that should register it does not.
    """
    known = _platforms.get(name)
    if known is not None:
        return known
    for found in _installed():
        if found.name == name:
            _load(found)
    known = _platforms.get(name)
    if known is None:
        expected = f"one of {', '.join(platform_names())}"
        hint = "others are registered with core.profiles.register_platform"
        raise BadInput([Problem(place="platform", expected=expected, found=repr(name[:64]), hint=hint)])
    return known


def begin_with(metadata: ProfileMetadata, given: Mapping[str, Any]) -> ProfileMetadata:
    """Return a new profile's metadata with its platform's settings, and those that were given, which come first.

    Raises:
        BadInput: there is no such platform, or a setting is wrong.
    """
    generated = platform(metadata.platform).generate(metadata.profile_id)
    place = f"settings of platform {metadata.platform}"
    for name in generated:
        if name not in SETTINGS:
            raise BadInput(
                [Problem(place=place, field=name, expected=f"one of {', '.join(SETTINGS)}", found="another")]
            )
    return with_settings(metadata, {**generated, **given}, place)


def with_settings(metadata: ProfileMetadata, settings: Mapping[str, Any], place: str) -> ProfileMetadata:
    """Return metadata with some fields changed; None is what they are without.

    Raises:
        BadInput: a value cannot be one of its field.
    """
    fields = {**msgspec.to_builtins(metadata), **msgspec.to_builtins(dict(settings))}
    try:
        changed = msgspec.convert({name: value for name, value in fields.items() if value is not None}, ProfileMetadata)
    except msgspec.ValidationError as exc:
        raise BadInput([Problem(place=place, expected="values as the metadata have them", found=str(exc))]) from None
    problem = problem_of(changed, metadata.profile_id)
    if problem:
        raise BadInput([Problem(place=place, expected="what the schema allows", found=f"a mistake: {problem}")])
    return changed


def login_status(metadata: ProfileMetadata, login: LoginState | None, now: float) -> LoginStatus:
    """Return what a profile's platform says of its login; one that is not known here says nothing new."""
    try:
        known = platform(metadata.platform)
    except BadInput:
        return metadata.login_state
    return known.sessions.login_status(metadata, login, now)


def host_locale() -> str | None:
    """Return this host's language as ``de-DE``; None where it has none."""
    import locale  # noqa: PLC0415 - only whoever creates a profile needs it

    # what was set, not what it stands for: ``getlocale`` takes C for English
    found = re.match(r"([a-z]{2,3})_([A-Z]{2})\b", locale.setlocale(locale.LC_CTYPE))
    return f"{found[1]}-{found[2]}" if found else None


def host_timezone(link: Path = Path("/etc/localtime")) -> str | None:
    """Return this host's time zone as ``Europe/Berlin``; None where it cannot be told."""
    try:
        target = str(link.readlink())
    except OSError:
        target = ""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - only whoever creates a profile needs it

    name = target.partition(_ZONES)[2]
    try:
        offset = ZoneInfo(name).utcoffset(datetime.now()) if name else None  # noqa: DTZ005 - the zone is what is asked
    except (ZoneInfoNotFoundError, ValueError):
        return None
    # TZ may say something else, and browsers believe it
    return name if offset is not None and offset.total_seconds() == time.localtime().tm_gmtoff else None


def _load(found: Any) -> None:
    try:
        found.load()()
    except Exception as exc:
        said = f"an error in its package, {found.value}: {type(exc).__name__}: {exc}"
        raise BadInput(
            [Problem(place=f"platform {found.name}", expected="that it registers itself", found=said)]
        ) from exc


def _installed() -> list[Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - rarely asked for, and slow to import

    return list(entry_points(group=GROUP))


register_platform("whatsapp", settings_generator=HostSettings("https://web.whatsapp.com/"))
register_platform("telegram", settings_generator=HostSettings("https://web.telegram.org/"))
register_platform("discord", settings_generator=HostSettings("https://discord.com/app"))
register_platform("custom")
