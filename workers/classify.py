"""What an error is, as a code: by its type where it is ours or Python's, by its number where it is the system's, by its words
where it is Playwright's. The shapes were seen with Playwright 1.65 and Chromium 156.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from core.domain.failure import Code, code_named
from core.errors import (
    ArtifactRefused,
    BrowserLaunchFailed,
    BrowserLost,
    BrowserNotFound,
    CapabilityMismatch,
    DurableWriteFailed,
    Fenced,
    FlowLoadError,
    HolderAlive,
    HostFailed,
    LocateFailed,
    NeedsPerson,
    NewerSchema,
    NoSpace,
    OstlerError,
    OutsideRoot,
    PostconditionFailed,
    SpawnFailed,
    StateCorrupt,
    StepError,
    StepTimedOut,
    TemplateLive,
    TemplateMissing,
    WorkspaceCorrupt,
    WorkspaceError,
)
from core.profiles.errors import ProfileTaken
from workers.author import chain

if TYPE_CHECKING:
    from collections.abc import Iterable

# the first that fits
_OURS: tuple[tuple[type[Exception], Code], ...] = (
    (NeedsPerson, Code.NEEDS_PERSON),
    (StepTimedOut, Code.STEP_TIMEOUT),
    (PostconditionFailed, Code.POSTCONDITION_FALSE),
    (LocateFailed, Code.SELECTOR_GONE),
    (ArtifactRefused, Code.FLOW_ERROR),
    (Fenced, Code.PROFILE_BUSY),
    (HolderAlive, Code.PROFILE_BUSY),
    (FlowLoadError, Code.FLOW_INVALID),
    (NewerSchema, Code.NEWER_VERSION),
    (StateCorrupt, Code.PROFILE_CORRUPT),
    (WorkspaceCorrupt, Code.PROFILE_CORRUPT),
    (TemplateMissing, Code.TEMPLATE_MISSING),
    (ProfileTaken, Code.BAD_PARAMS),
    (TemplateLive, Code.TEMPLATE_LIVE),
    (NoSpace, Code.DISK_FULL),
    (OutsideRoot, Code.UNKNOWN),
    # an older or foreign browser on this data: another try meets the same
    (WorkspaceError, Code.BROWSER_MISMATCH),
    (BrowserNotFound, Code.BROWSER_NOT_FOUND),
    (BrowserLaunchFailed, Code.BROWSER_NOT_STARTED),
    (CapabilityMismatch, Code.BROWSER_NOT_STARTED),
    (SpawnFailed, Code.HOST_FAULT),
    (HostFailed, Code.HOST_FAULT),
)
_PYTHONS: tuple[tuple[type[BaseException], Code], ...] = (
    (MemoryError, Code.OUT_OF_MEMORY),
    (AssertionError, Code.POSTCONDITION_FALSE),
    (ssl.SSLError, Code.TLS_ERROR),
    (socket.gaierror, Code.NAME_NOT_FOUND),
    (ConnectionRefusedError, Code.CONNECTION_REFUSED),
    (ConnectionError, Code.SITE_DOWN),
    (TimeoutError, Code.STEP_TIMEOUT),
)
_NUMBERS = {
    errno.ENOSPC: Code.DISK_FULL,
    errno.EDQUOT: Code.DISK_FULL,
    errno.ENOMEM: Code.OUT_OF_MEMORY,
    errno.EMFILE: Code.TOO_MANY_FILES,
    errno.ENFILE: Code.TOO_MANY_FILES,
    errno.ENETDOWN: Code.OFFLINE,
    errno.ENETUNREACH: Code.SITE_DOWN,
    errno.EHOSTUNREACH: Code.SITE_DOWN,
    errno.ETIMEDOUT: Code.SITE_SLOW,
}
_OF_THE_HOST = frozenset({Code.DISK_FULL, Code.NO_INODES, Code.OUT_OF_MEMORY, Code.TOO_MANY_FILES})
# mistakes, unless something else stands behind them
_MISTAKES = (
    ArithmeticError, AttributeError, ImportError, LookupError, NameError, NotImplementedError, RecursionError, SyntaxError,
    TypeError, ValueError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError,
)  # fmt: skip

# how the names of Chromium's network errors begin, the longest first
_NET = {
    "ERR_NAME_": Code.NAME_NOT_FOUND,
    "ERR_DNS_": Code.NAME_NOT_FOUND,
    "ERR_CONNECTION_REFUSED": Code.CONNECTION_REFUSED,
    "ERR_CONNECTION_TIMED_OUT": Code.SITE_SLOW,
    "ERR_TIMED_OUT": Code.SITE_SLOW,
    "ERR_CONNECTION_": Code.SITE_DOWN,
    "ERR_EMPTY_RESPONSE": Code.SITE_DOWN,
    "ERR_SOCKET_NOT_CONNECTED": Code.SITE_DOWN,
    "ERR_ADDRESS_UNREACHABLE": Code.SITE_DOWN,
    "ERR_NETWORK_": Code.SITE_DOWN,
    "ERR_HTTP2_": Code.SITE_DOWN,
    "ERR_QUIC_": Code.SITE_DOWN,
    "ERR_INCOMPLETE_": Code.SITE_DOWN,
    "ERR_CONTENT_": Code.SITE_DOWN,
    "ERR_INTERNET_DISCONNECTED": Code.OFFLINE,
    "ERR_CERT_": Code.TLS_ERROR,
    "ERR_CERTIFICATE_": Code.TLS_ERROR,
    "ERR_SSL_": Code.TLS_ERROR,
    "ERR_BAD_SSL_": Code.TLS_ERROR,
    "ERR_ECH_": Code.TLS_ERROR,
    "ERR_PROXY_AUTH_": Code.PROXY_AUTH,
    "ERR_UNEXPECTED_PROXY_AUTH": Code.PROXY_AUTH,
    "ERR_UNSUPPORTED_AUTH_SCHEME": Code.PROXY_AUTH,
    "ERR_PROXY_CERTIFICATE_": Code.PROXY_REFUSED,
    "ERR_PROXY_": Code.PROXY_REFUSED,
    "ERR_TUNNEL_": Code.PROXY_REFUSED,
    "ERR_SOCKS_": Code.PROXY_REFUSED,
    "ERR_TOO_MANY_REDIRECTS": Code.SITE_ERROR,
    "ERR_INVALID_RESPONSE": Code.SITE_ERROR,
    "ERR_INVALID_HTTP_RESPONSE": Code.SITE_ERROR,
    "ERR_RESPONSE_HEADERS_": Code.SITE_ERROR,
    "ERR_HTTP_RESPONSE_CODE_FAILURE": Code.SITE_ERROR,
    "ERR_INVALID_URL": Code.FLOW_ERROR,
    "ERR_UNKNOWN_URL_SCHEME": Code.FLOW_ERROR,
    "ERR_UNSAFE_PORT": Code.FLOW_ERROR,
    "ERR_FILE_NOT_FOUND": Code.FLOW_ERROR,
    "ERR_OUT_OF_MEMORY": Code.OUT_OF_MEMORY,
    "ERR_INSUFFICIENT_RESOURCES": Code.OUT_OF_MEMORY,
}
_NET_NAME = re.compile(r"\bnet::(ERR_[A-Z0-9_]+)")
_NAVIGATES = re.compile(
    r"^\w+\.(goto|reload|go_back|go_forward|set_content|wait_for_url|wait_for_load_state|expect_navigation|expect_response"
    r"|wait_for_response): Timeout"
)
_LOOKS_FOR = re.compile(r"^\s*-\s+waiting for (locator|get_by_\w+|frame_locator)\(", re.MULTILINE)
_FOUND = re.compile(r"locator resolved to (?!0 elements)")
_WORDS: tuple[tuple[re.Pattern[str], Code], ...] = (
    (re.compile(r"\b(Page|Target) crashed"), Code.PAGE_CRASHED),
    (re.compile(r"strict mode violation"), Code.SELECTOR_GONE),
    (re.compile(r"not attached to the DOM|Element is not (visible|enabled|editable)|outside of the viewport"), Code.ELEMENT_NOT_READY),
    (re.compile(r"Connection closed while reading from the driver"), Code.DRIVER_LOST),
    (re.compile(r"Cannot navigate to invalid URL|while parsing .*selector|is not a valid selector|Unknown engine"), Code.FLOW_ERROR),
    (re.compile(r"\.evaluate\w*: (?:\w*Error\b)"), Code.FLOW_ERROR),
)  # fmt: skip


def code_of(error: BaseException) -> Code:
    """Return what an error is. Where it says nothing itself, what it was raised from does."""
    mistake: Code | None = None
    for one in chain(error):
        code = _certain(one)
        if code is not None:
            return code
        if mistake is None and isinstance(one, (StepError, *_MISTAKES)):
            mistake = Code.STEP_FAILED if isinstance(one, StepError) else Code.FLOW_ERROR
    return mistake or Code.UNKNOWN


def host_code_of(error: OSError) -> Code:
    """Return what an error of the system is that no step of a flow caused."""
    code = _of_system(error.errno, error.filename)
    return code if code in _OF_THE_HOST else Code.HOST_FAULT


def _certain(error: BaseException) -> Code | None:
    """Return what an error is by itself; None if it says nothing, or is a mistake that something else may stand behind."""
    if isinstance(error, OstlerError):
        return _of_ours(error)
    if type(error).__module__.partition(".")[0] == "playwright":
        return _of_playwright(type(error).__name__, str(error))
    if isinstance(error, AssertionError) and "element(s) not found" in str(error):
        return Code.SELECTOR_GONE  # Playwright's expect()
    system = _of_system(error.errno, error.filename) if isinstance(error, OSError) else None
    return system or _first(error, _PYTHONS)


def _of_ours(error: OstlerError) -> Code | None:
    match error:
        case StepError() if error.code:
            return code_named(error.code)
        case BrowserLost():
            return Code.DRIVER_LOST if error.driver else Code.BROWSER_CRASHED
        case DurableWriteFailed():
            return _of_system(error.errno, error.path) or Code.HOST_FAULT
        case NoSpace() if _has_no_inodes(error.path):
            return Code.NO_INODES
        case WorkspaceError() if type(error) is WorkspaceError and isinstance(error.__cause__, OSError):
            return host_code_of(error.__cause__)
        case _:
            return _first(error, _OURS)


def _first(error: BaseException, table: Iterable[tuple[type[BaseException], Code]]) -> Code | None:
    return next((code for kind, code in table if isinstance(error, kind)), None)


def _of_playwright(name: str, text: str) -> Code | None:
    """Say what one of Playwright's errors is.

    The cases: the page or the browser is gone; a name of Chromium's; a wait that was too long, for a page, for an element that is
    there and not ready, for one that is not there, or for something else; words that tell.
    """
    if name == "TargetClosedError":
        return Code.PAGE_CRASHED if "crashed" in text else Code.PAGE_CLOSED
    if (found := _NET_NAME.search(text)) is not None:
        return next((code for begin, code in _NET.items() if found[1].startswith(begin)), Code.UNKNOWN)
    if name == "TimeoutError":
        if _NAVIGATES.search(text):
            return Code.SITE_SLOW
        if _FOUND.search(text):
            return Code.ELEMENT_NOT_READY
        return Code.SELECTOR_GONE if _LOOKS_FOR.search(text) else Code.STEP_TIMEOUT
    return next((code for pattern, code in _WORDS if pattern.search(text)), None)


def _of_system(number: int | None, path: object) -> Code | None:
    code = _NUMBERS.get(number or 0)
    if code is not Code.DISK_FULL or number != errno.ENOSPC or not isinstance(path, (str, Path)):
        return code
    return Code.NO_INODES if _has_no_inodes(Path(path)) else code


def _has_no_inodes(path: Path) -> bool:
    """Whether the file system has room, but no more names for it: both say "no space left on device"."""
    if not hasattr(os, "statvfs"):
        return False
    for directory in (path, *path.parents):
        try:
            found = os.statvfs(directory)
        except OSError:
            continue
        return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0
    return False
