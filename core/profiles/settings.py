"""What a person sets of a profile: the labels it is found by, and what makes its browser the same one in every run.

A value is checked when it is set, as far as this host can tell. Nothing here disguises a browser: what would contradict it
(another browser's device, headers that the browser itself sends) is refused.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from core.domain.session import is_secret
from core.domain.validation import PROXY_SCHEMES, is_proxy
from core.errors import BadInput, Problem
from core.input_file import absolute
from core.profiles import schema
from core.profiles.port import ProfileMetadata, Viewport
from core.redaction import MASK, mask_page, mask_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

HEADER = "header."
"""Before the name of an extra header."""
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?")
_VIEWPORT = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_SECRET_HEADER = re.compile(r"auth|cookie|session|key|token|secret|password|credential|signature", re.IGNORECASE)
_BROWSERS_OWN = frozenset(
    {
        "accept-charset", "accept-encoding", "accept-language", "access-control-request-headers",
        "access-control-request-method", "connection", "content-length", "cookie", "cookie2", "date", "expect", "host",
        "keep-alive", "origin", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    }
)  # fmt: skip


class Wrong(Exception):
    """A value that cannot be used. Its text says what is expected."""

    def __init__(self, expected: str, found: str | None = None, hint: str = "") -> None:
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(expected)


class Around(NamedTuple):
    """What a value is checked against.

    Attributes:
        cwd: what relative paths start from.
        devices: gives Playwright's devices that run Chromium, by name, and whether each is a mobile one.
    """

    cwd: Path
    devices: Callable[[], Mapping[str, bool]]


def assign(metadata: ProfileMetadata, assignments: Sequence[tuple[str, str]], around: Around) -> ProfileMetadata:
    """Return the metadata with some settings changed.

    Args:
        metadata: stays as it is.
        assignments: name and text of each; of two of one name the later one counts.
        around: what they are checked against.

    Raises:
        BadInput: one problem for each setting that is none or cannot have this value, and none of them quotes a secret.
    """
    changed = msgspec.structs.replace(metadata, extra_headers=dict(metadata.extra_headers))
    problems = []
    for name, text in assignments:
        try:
            _assign(changed, name, text, around)
        except Wrong as exc:
            found = exc.found or (MASK if is_hidden(name, text) else repr(text[:80]))
            problems.append(Problem(place=name[:80], expected=exc.expected, found=found, hint=exc.hint))
    if not problems and (contradiction := _contradiction(changed, assignments, around)):
        problems.append(contradiction)
    if problems:
        raise BadInput(problems)
    return changed


def unset(metadata: ProfileMetadata, names: Iterable[str]) -> ProfileMetadata:
    """Return the metadata without some settings; ``extra_headers`` stands for all headers.

    Without a device a profile is a desktop. That is said, and not left open: a session remembers what it was last.

    Raises:
        BadInput: there is no setting of that name.
    """
    changed = msgspec.structs.replace(metadata, extra_headers=dict(metadata.extra_headers))
    problems = []
    wanted = list(names)
    for name in wanted:
        if name.startswith(HEADER):
            _remove_header(changed.extra_headers, name.removeprefix(HEADER))
        elif name == "extra_headers":
            changed.extra_headers = {}
        elif name in NAMES:
            setattr(changed, name, None)
        else:
            problems.append(_unknown(name))
    if "device" in wanted and changed.device_descriptor is not None:
        hint = f"ostler profile unset {metadata.profile_id} device_descriptor"
        found = f"that of {changed.device_descriptor}"
        problems.append(Problem(place="device", expected="a class of its own", found=found, hint=hint))
    if problems:
        raise BadInput(problems)
    if {"device", "device_descriptor"} & set(wanted):
        changed.device = "desktop"
    return changed


def shown(metadata: ProfileMetadata) -> dict[str, str]:
    """Return the settings that are set, by name, as people read them; what is secret is masked."""
    found = {name: _text(name, getattr(metadata, name)) for name in NAMES if getattr(metadata, name) is not None}
    return found | {f"{HEADER}{name}": MASK for name in metadata.extra_headers}


def is_hidden(name: str, text: str | None = None) -> bool:
    """Whether a setting's value must not be seen: never on a command line, never in a message.

    Args:
        name: of the setting.
        text: its value; None: whatever it may be.
    """
    if name.startswith(HEADER):
        return bool(_SECRET_HEADER.search(name)) or is_secret(name.removeprefix(HEADER))
    if text is None or name not in ("proxy", "start_url"):
        return False
    try:
        return "@" in (text if name == "proxy" else urlsplit(text).netloc)
    except ValueError:
        return True


def _assign(metadata: ProfileMetadata, name: str, text: str, around: Around) -> None:
    if name.startswith(HEADER):
        header = _header(name.removeprefix(HEADER))
        if not schema.is_header(header, text):
            raise Wrong("one line of at most 4096 characters that HTTP knows")
        _remove_header(metadata.extra_headers, header)
        metadata.extra_headers[header] = text
        return
    parse = _PARSERS.get(name)
    if parse is None:
        problem = _unknown(name)
        raise Wrong(problem.expected, problem.found, problem.hint)
    if not text:
        raise Wrong("a value", "none", f"ostler profile unset {metadata.profile_id} {name}")
    setattr(metadata, name, parse(text, around))


def _contradiction(metadata: ProfileMetadata, assignments: Sequence[tuple[str, str]], around: Around) -> Problem | None:
    """Let the device class follow the device, unless both are said and differ."""
    names = {name for name, _ in assignments}
    if metadata.device_descriptor is None or not names & {"device", "device_descriptor"}:
        return None
    of_device = "mobile" if around.devices().get(metadata.device_descriptor, True) else "desktop"
    if "device" in names and metadata.device != of_device:
        hint = f"ostler profile unset {metadata.profile_id} device_descriptor"
        expected = f"{of_device}, as {metadata.device_descriptor} is"
        return Problem(place="device", expected=expected, found=str(metadata.device), hint=hint)
    metadata.device = "mobile" if of_device == "mobile" else "desktop"
    return None


def _unknown(name: str) -> Problem:
    known = [*NAMES, f"{HEADER}NAME"]
    close = difflib.get_close_matches(name.replace("-", "_").lower(), known, 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return Problem(place="NAME", expected="a setting", found=repr(name[:80]), hint=hint)


def _header(name: str) -> str:
    if not schema.is_header(name, ""):
        raise Wrong("the name of an HTTP header", repr(name[:80]))
    if name.lower() in _BROWSERS_OWN or name.lower().startswith(("sec-", "proxy-")):
        hint = "locale sets Accept-Language, proxy has its own credentials"
        raise Wrong("a header that is not the browser's own", repr(name), hint)
    return name


def _remove_header(headers: dict[str, str], name: str) -> None:
    for there in [each for each in headers if each.lower() == name.lower()]:
        del headers[there]


def _locale(text: str, _: Around) -> str:
    match = _LOCALE.fullmatch(text)
    if match is None:
        raise Wrong("a language tag like de-DE or zh-Hant-TW")
    language, script, region = match.groups()
    parts = (language.lower(), script.title() if script else None, region.upper() if region else None)
    return "-".join(part for part in parts if part)


def _timezone(text: str, _: Around) -> str:
    known = _timezones()
    if text in known or not known:  # a host without the database cannot tell; the browser will
        return text
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(text.replace(" ", "_").lower(), folded, 1, 0.6)
    raise Wrong("the name of a time zone like Europe/Berlin", hint=f"did you mean {folded[close[0]]}?" if close else "")


@functools.cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _viewport(text: str, _: Around) -> Viewport:
    match = _VIEWPORT.fullmatch(text)
    size = Viewport(int(match[1]), int(match[2])) if match else Viewport(0, 0)
    if not all(1 <= number <= schema.LARGEST_VIEWPORT for number in (size.width, size.height)):
        raise Wrong(f"width and height of 1 to {schema.LARGEST_VIEWPORT} like 1280x800")
    return size


def _device_descriptor(text: str, around: Around) -> str:
    known = around.devices()
    if text in known:
        return text
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(text.lower(), folded, 1, 0.6)
    hint = f"did you mean {folded[close[0]]!r}?" if close else f"for example {', '.join(list(known)[:3])}"
    raise Wrong("one of Playwright's devices that run Chromium", hint=hint)


def _one_of(*words: str) -> Callable[[str, Around], str]:
    def parse(text: str, _: Around) -> str:
        if text not in words:
            raise Wrong(" or ".join(words))
        return text

    return parse


def _proxy(text: str, _: Around) -> str:
    with_scheme = text if "://" in text else f"http://{text}"
    if not is_proxy(with_scheme):
        raise Wrong(f"scheme://[user:password@]host:port ({', '.join(PROXY_SCHEMES)})")
    return with_scheme


def _start_url(text: str, _: Around) -> str:
    if not schema.is_start_url(text):
        raise Wrong("an address like https://example.org/")
    return text


def _downloads(text: str, around: Around) -> str:
    expected = "a directory that can be written"
    path = _path(text, around, expected)
    above = path
    while not os.path.lexists(above):  # what is missing will be made
        above = os.path.dirname(above)  # noqa: PTH120 - a path too long is no error of it
    if not os.path.isdir(above):  # noqa: PTH112
        raise Wrong(expected, f"a file at {above}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise Wrong(expected, f"{above}, which may not be")
    return path


def _flow(text: str, around: Around) -> str:
    path = _path(text, around, "an existing flow file")
    if not os.path.isfile(path):  # noqa: PTH113
        raise Wrong("an existing flow file", f"nothing at {path[:300]}")
    return path


def _path(text: str, around: Around, expected: str) -> str:
    if "\0" in text or not text.isprintable():
        raise Wrong(expected)
    return os.path.normpath(absolute(text, around.cwd))


def _label(text: str, _: Around) -> str:
    if len(text) > schema.LONGEST_NAME or not text.isprintable():
        raise Wrong(f"one line of at most {schema.LONGEST_NAME} characters")
    return text


def _notes(text: str, _: Around) -> str:
    if len(text) > schema.LONGEST_NOTES:
        raise Wrong(f"at most {schema.LONGEST_NOTES} characters", f"{len(text)}")
    return text


def _text(name: str, value: Any) -> str:
    if isinstance(value, Viewport):
        return f"{value.width}x{value.height}"
    masked = {"proxy": mask_url, "start_url": mask_page}.get(name, str)
    return masked(value)


_PARSERS: dict[str, Callable[[str, Around], Any]] = {
    "name": _label,
    "notes": _notes,
    "flow": _flow,
    "start_url": _start_url,
    "device": _one_of("desktop", "mobile"),
    "device_descriptor": _device_descriptor,
    "viewport": _viewport,
    "locale": _locale,
    "timezone": _timezone,
    "color_scheme": _one_of("light", "dark", "no-preference"),
    "proxy": _proxy,
    "downloads": _downloads,
}
NAMES = tuple(_PARSERS)
"""Every setting but the headers, which have ``header.`` before their name."""
