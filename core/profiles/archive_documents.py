"""The three documents of an archive: metadata, session and login state, and what of them is secret.

Without secrets there is no login state, no browser data, no password and no value that looks like one; of the metadata only
fields that are known to be harmless. What is left out is named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from core.domain.lifecycle import SESSION_STATUS
from core.domain.session import SessionState, secrets_of, without_secrets
from core.profiles.archive_manifest import LOGIN_STATE, METADATA, SESSION, Counts, refused
from core.profiles.port import ProfileMetadata
from core.profiles.schema import problem_of
from core.redaction import Redactor
from core.state.port import LoginState

if TYPE_CHECKING:
    from core.profiles.archive_check import Archive

T = TypeVar("T")

_RESTING = frozenset(SESSION_STATUS.values()) - {"PROCESSING"}
_MOST_GENERATIONS = 2**53
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OF_BROWSER_DATA = ("browser", "browser_version", "generation", "login_state")
_SECRET = ("platform_config", "extra_headers")


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a profile beside its browser data.

    Attributes:
        metadata: every field of the file, those of later versions among them.
        session: None for none.
        login_state: None for none.
    """

    metadata: dict[str, Any]
    session: SessionState | None
    login_state: LoginState | None

    @property
    def counts(self) -> Counts:
        """How much of everything there is, browser data aside."""
        session = self.session or SessionState(profile_id="")
        login = self.login_state or LoginState()
        identity = msgspec.structs.asdict(session.identity)
        fields = (*identity.pop("extra").values(), *identity.values())
        return Counts(
            flags=sum(session.completion_flags.values()),
            outputs=len(session.outputs),
            identity=sum(value is not None for value in fields),
            cookies=len(login.cookies),
            origins=len(login.origins),
        )

    def without_secrets(self) -> tuple[Documents, list[str]]:
        """Return them without anything secret, and what is missing, in words."""
        metadata, missing = _harmless(self.metadata)
        session = self.session
        if session is not None:
            redactor = Redactor(secrets_of(session))
            session, names = without_secrets(session, lambda text: redactor.text(text) != text)
            session = msgspec.structs.replace(session, login_generation=0)
            missing += names
        if self.login_state is not None:
            missing.append(f"login state (cookies: {self.counts.cookies}, origins: {self.counts.origins})")
        return Documents(metadata=metadata, session=session, login_state=None), missing

    def named(self, profile_id: str) -> Documents:
        """Return them as those of a profile that is new here: selected, held and worked on by nobody."""
        others = {name: value for name, value in self.metadata.items() if name != "lock_pid"}
        session = self.session
        if session is not None:
            status = session.status if session.status in _RESTING else "PENDING"
            session = msgspec.structs.replace(session, profile_id=profile_id, status=status)
        metadata = {**others, "profile_id": profile_id, "status": "inactive"}
        return Documents(metadata=metadata, session=session, login_state=self.login_state)

    def encoded(self) -> dict[str, bytes]:
        """Return the content of each entry."""
        found = {METADATA: self.metadata, SESSION: self.session, LOGIN_STATE: self.login_state}
        return {name: msgspec.json.encode(value) for name, value in found.items() if value is not None}


def read(archive: Archive, place: str) -> Documents:
    """Return the documents of an archive.

    Args:
        archive: its structure is checked.
        place: what the user calls it.

    Raises:
        BadInput: one of them does not say what it must.
    """
    data = archive.document(METADATA) or b""
    found = _decoded(data, ProfileMetadata, place, METADATA)
    problem = problem_of(found, archive.manifest.profile_id)
    if problem:
        raise refused(place, METADATA, "metadata of a profile", f"a mistake: {problem}")
    session_data, login_data = archive.document(SESSION), archive.document(LOGIN_STATE)
    session = None if session_data is None else _decoded(session_data, SessionState, place, SESSION)
    for name, number in ((METADATA, found.generation), (SESSION, session.login_generation if session else 0)):
        if not 0 <= number <= _MOST_GENERATIONS:
            raise refused(place, name, f"a generation from 0 to {_MOST_GENERATIONS}", f"{number}")
    return Documents(
        metadata=_decoded(data, dict[str, Any], place, METADATA),
        session=session,
        login_state=None if login_data is None else _decoded(login_data, LoginState, place, LOGIN_STATE),
    )


def _harmless(metadata: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    clean: dict[str, Any] = {}
    missing: list[str] = []
    for name, value in metadata.items():
        if name in _OF_BROWSER_DATA:
            continue
        if name not in ProfileMetadata.__struct_fields__:
            missing.append(f"{name!r} of the metadata, which this version does not know")
        elif name in _SECRET:
            if value:
                missing.append(f"{name} ({', '.join(value)})")
        elif name in ("proxy", "start_url") and value is not None:
            clean[name] = _without_credentials(value, is_page=name == "start_url")
            if clean[name] != value:
                missing.append(f"credentials of {name}")
        else:
            clean[name] = value
    return clean, missing


def _without_credentials(url: str, *, is_page: bool) -> str:
    """Return the URL without user and password. A proxy has no path, so whatever stands before an ``@`` is credentials."""
    if is_page:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    scheme = _SCHEME.match(url)
    return (scheme[0] if scheme else "") + url.rpartition("@")[2] if "@" in url else url


def _decoded(data: bytes, kind: type[T], place: str, name: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise refused(place, name, "what Ostler writes", str(exc) or "not JSON") from None
