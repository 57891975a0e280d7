"""Errors become codes: ours by type, Python's and the system's, Playwright's by the words they were seen with."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright._impl._errors import Error, TargetClosedError
from playwright._impl._errors import TimeoutError as PlaywrightTimeout

from core import errors
from core.domain.failure import FAILURES, Code, Kind
from workers.classify import code_of, host_code_of
from workers.failure import NotAccepted, Stopped, UnmetRequirement, outcome_of

HERE = Path(__file__)
LOG = '\nCall log:\n  - navigating to "http://127.0.0.1:1/", waiting until "load"\n'


def net(name: str) -> Error:
    return Error(f"Page.goto: net::{name} at http://127.0.0.1:1/{LOG}")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ERR_NAME_NOT_RESOLVED", Code.NAME_NOT_FOUND),
        ("ERR_CONNECTION_REFUSED", Code.CONNECTION_REFUSED),
        ("ERR_CONNECTION_RESET", Code.SITE_DOWN),
        ("ERR_CONNECTION_CLOSED", Code.SITE_DOWN),
        ("ERR_CONNECTION_TIMED_OUT", Code.SITE_SLOW),
        ("ERR_EMPTY_RESPONSE", Code.SITE_DOWN),
        ("ERR_NETWORK_CHANGED", Code.SITE_DOWN),
        ("ERR_HTTP2_PROTOCOL_ERROR", Code.SITE_DOWN),
        ("ERR_INTERNET_DISCONNECTED", Code.OFFLINE),
        ("ERR_CERT_AUTHORITY_INVALID", Code.TLS_ERROR),
        ("ERR_SSL_PROTOCOL_ERROR", Code.TLS_ERROR),
        ("ERR_PROXY_CONNECTION_FAILED", Code.PROXY_REFUSED),
        ("ERR_TUNNEL_CONNECTION_FAILED", Code.PROXY_REFUSED),
        ("ERR_SOCKS_CONNECTION_FAILED", Code.PROXY_REFUSED),
        ("ERR_PROXY_AUTH_UNSUPPORTED", Code.PROXY_AUTH),
        ("ERR_TOO_MANY_REDIRECTS", Code.SITE_ERROR),
        ("ERR_UNSAFE_PORT", Code.FLOW_ERROR),
        ("ERR_INSUFFICIENT_RESOURCES", Code.OUT_OF_MEMORY),
        ("ERR_ABORTED", Code.UNKNOWN),
        ("ERR_OF_ANOTHER_VERSION", Code.UNKNOWN),
    ],
)
def test_chromiums_network_errors(name, code):
    """By the name that stands in Playwright's text."""
    assert code_of(net(name)) is code


GONE = 'Page.click: Timeout 700ms exceeded.\nCall log:\n  - waiting for locator("#never")\n'
DISABLED = (
    'Page.click: Timeout 700ms exceeded.\nCall log:\n  - waiting for locator("#a")\n'
    '    - locator resolved to <button id="a" disabled>x</button>\n  - attempting click action\n'
    "    waiting for element to be visible, enabled and stable\n      - element is not enabled\n"
)
EVENT = 'Page.{}: Timeout 700ms exceeded while waiting for event "{}"\n== logs ==\nwaiting for event "{}"\n=='


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlaywrightTimeout(f"Page.goto: Timeout 700ms exceeded.{LOG}"), Code.SITE_SLOW),
        (PlaywrightTimeout('Page.wait_for_url: Timeout 700ms exceeded.\nwaiting for navigation to "**/x"'), Code.SITE_SLOW),
        (PlaywrightTimeout("Page.reload: Timeout 700ms exceeded."), Code.SITE_SLOW),
        (PlaywrightTimeout(GONE), Code.SELECTOR_GONE),
        (PlaywrightTimeout(GONE.replace("locator", "get_by_role")), Code.SELECTOR_GONE),
        (PlaywrightTimeout(DISABLED), Code.ELEMENT_NOT_READY),
        (PlaywrightTimeout(EVENT.format("wait_for_event", "popup", "popup")), Code.STEP_TIMEOUT),
        (PlaywrightTimeout(EVENT.format("expect_download", "download", "download")), Code.STEP_TIMEOUT),
        (PlaywrightTimeout("Page.wait_for_function: Timeout 700ms exceeded."), Code.STEP_TIMEOUT),
        (Error('Locator.click: Error: strict mode violation: locator("button") resolved to 2 elements:'), Code.SELECTOR_GONE),
        (Error("Locator.click: Element is not attached to the DOM"), Code.ELEMENT_NOT_READY),
        (Error("Page.evaluate: ReferenceError: nope is not defined\n    at eval"), Code.FLOW_ERROR),
        (Error('Page.click: Unexpected token "" while parsing css selector "".'), Code.FLOW_ERROR),
        (Error("Page.goto: Protocol error (Page.navigate): Cannot navigate to invalid URL"), Code.FLOW_ERROR),
        (Error("Page.wait_for_selector: Target crashed"), Code.PAGE_CRASHED),
        (Error("Page.evaluate: Page crashed"), Code.PAGE_CRASHED),
        (Error("Connection closed while reading from the driver"), Code.DRIVER_LOST),
        (TargetClosedError(f"Page.goto: Page crashed{LOG}"), Code.PAGE_CRASHED),
        (TargetClosedError("Page.click: Target page, context or browser has been closed"), Code.PAGE_CLOSED),
        (Error('Page.goto: Navigation to "a" is interrupted by another navigation to "b"'), Code.UNKNOWN),
        (AssertionError("Locator expected to be visible\nActual value: None\nError: element(s) not found \n"), Code.SELECTOR_GONE),
        (AssertionError("Locator expected to have text 'paid'\nActual value: open"), Code.POSTCONDITION_FALSE),
    ],
)  # fmt: skip
def test_playwrights_errors(error, code):
    """A page that does not come is another matter than an element that is not there, or is there and cannot be used."""
    assert code_of(error) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StepTimedOut("a", "late"), Code.STEP_TIMEOUT),
        (errors.PostconditionFailed("a", "no"), Code.POSTCONDITION_FALSE),
        (errors.StepFailed("a", "no"), Code.STEP_FAILED),
        (errors.StepFailed("a", "no", "rate_limited"), Code.RATE_LIMITED),
        (errors.StepFailed("a", "no", "of another version"), Code.UNKNOWN),
        (errors.NeedsPerson("a", "look"), Code.NEEDS_PERSON),
        (errors.NeedsPerson("a", "look", "captcha_asked"), Code.CAPTCHA_ASKED),
        (errors.LocateFailed("button", []), Code.SELECTOR_GONE),
        (errors.ArtifactRefused("too large"), Code.FLOW_ERROR),
        (UnmetRequirement("a", "no"), Code.REQUIREMENT_UNMET),
        (errors.Fenced("s", ours=1, newer=2), Code.PROFILE_BUSY),
        (errors.ProfileHeld("p", "x"), Code.PROFILE_BUSY),
        (errors.FlowLoadError("f", "no"), Code.FLOW_INVALID),
        (errors.NewerSchema(HERE, found=2, known=1), Code.NEWER_VERSION),
        (errors.StateCorrupt(HERE, "no"), Code.PROFILE_CORRUPT),
        (errors.WorkspaceCorrupt(HERE, ["x"]), Code.PROFILE_CORRUPT),
        (errors.TemplateMissing(HERE), Code.TEMPLATE_MISSING),
        (errors.TemplateLive(HERE, "lock"), Code.TEMPLATE_LIVE),
        (errors.NoSpace(HERE, needed=2, free=1), Code.DISK_FULL),
        (errors.WorkspaceError("an older browser"), Code.BROWSER_MISMATCH),
        (errors.OutsideRoot(HERE, HERE), Code.UNKNOWN),
        (errors.BrowserNotFound("none"), Code.BROWSER_NOT_FOUND),
        (errors.BrowserRefused("c", "no"), Code.BROWSER_NOT_STARTED),
        (errors.CapabilityMismatch(HERE, "no"), Code.BROWSER_NOT_STARTED),
        (errors.BrowserLost("gone"), Code.BROWSER_CRASHED),
        (errors.BrowserLost("gone", driver=True), Code.DRIVER_LOST),
        (errors.DurableWriteFailed(HERE, errno.EIO, "I/O"), Code.HOST_FAULT),
        (errors.DurableWriteFailed(HERE, errno.EDQUOT, "quota"), Code.DISK_FULL),
        (errors.SpawnFailed("x", "no"), Code.HOST_FAULT),
        (errors.HostFailed("no temporary directory"), Code.HOST_FAULT),
        (errors.UnknownJob("x"), Code.UNKNOWN),
    ],
)
def test_our_own_errors(error, code):
    """By their type, or by the code that they carry."""
    assert code_of(error) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), Code.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "no memory"), Code.OUT_OF_MEMORY),
        (OSError(errno.EMFILE, "many"), Code.TOO_MANY_FILES),
        (OSError(errno.ENETDOWN, "down"), Code.OFFLINE),
        (OSError(errno.EHOSTUNREACH, "far"), Code.SITE_DOWN),
        (OSError(errno.ETIMEDOUT, "late"), Code.SITE_SLOW),
        (OSError(errno.EIO, "broken"), Code.UNKNOWN),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), Code.CONNECTION_REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "no"), Code.SITE_DOWN),
        (socket.gaierror(socket.EAI_NONAME, "no"), Code.NAME_NOT_FOUND),
        (ssl.SSLCertVerificationError("no"), Code.TLS_ERROR),
        (TimeoutError(), Code.STEP_TIMEOUT),
        (AssertionError("no"), Code.POSTCONDITION_FALSE),
        (KeyError("x"), Code.FLOW_ERROR),
        (AttributeError("x"), Code.FLOW_ERROR),
        (FileNotFoundError(errno.ENOENT, "no"), Code.FLOW_ERROR),
        (RuntimeError("what the author says"), Code.UNKNOWN),
        (Exception(), Code.UNKNOWN),
    ],
)
def test_pythons_and_the_systems_errors(error, code):
    """A full table of descriptors is the host's, a missing key the flow's, and what an author makes up is unknown."""
    assert code_of(error) is code


def raised(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def test_what_stands_behind_an_error_tells():
    """A vague error is what it was raised from; one that is certain is not."""
    gone = PlaywrightTimeout(GONE)
    assert code_of(raised(RuntimeError("no button"), gone)) is Code.SELECTOR_GONE
    assert code_of(raised(ValueError("no button"), gone)) is Code.SELECTOR_GONE
    assert code_of(raised(errors.StepFailed("a", "no"), gone)) is Code.SELECTOR_GONE
    assert code_of(raised(errors.StepFailed("a", "no", "site_error"), gone)) is Code.SITE_ERROR
    assert code_of(raised(net("ERR_CONNECTION_RESET"), KeyError())) is Code.SITE_DOWN
    assert code_of(raised(RuntimeError(), KeyError())) is Code.FLOW_ERROR
    full, torn = OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "torn")
    assert code_of(raised(errors.WorkspaceError("could not be replaced"), full)) is Code.DISK_FULL
    assert code_of(raised(errors.WorkspaceError("could not be read"), torn)) is Code.HOST_FAULT
    assert (
        code_of(ExceptionGroup("both", [ValueError(), raised(RuntimeError(), ConnectionRefusedError())]))
        is Code.CONNECTION_REFUSED
    )


@pytest.mark.parametrize(
    ("blocks", "names", "code"), [(10, 0, Code.NO_INODES), (0, 5, Code.DISK_FULL), (0, 0, Code.DISK_FULL)]
)
def test_a_file_system_without_names_is_told_from_a_full_one(monkeypatch, blocks, names, code):
    """Both say "no space left on device"; what is left of each is asked of the nearest directory that is there."""
    asked = []

    def statvfs(path: Path) -> SimpleNamespace:
        asked.append(path)
        if path == HERE / "gone":
            raise FileNotFoundError
        return SimpleNamespace(f_files=100, f_favail=names, f_bavail=blocks)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert code_of(OSError(errno.ENOSPC, "no space", str(HERE / "gone"))) is code
    assert asked == [HERE / "gone", HERE]
    assert code_of(errors.DurableWriteFailed(HERE, errno.ENOSPC, "no space")) is code
    assert code_of(errors.NoSpace(HERE, needed=1, free=1)) is code
    assert code_of(OSError(errno.ENOSPC, "no space")) is Code.DISK_FULL


def test_without_a_look_at_the_file_system_the_disk_is_full(monkeypatch):
    """Where it cannot be asked, or nothing answers."""
    full = OSError(errno.ENOSPC, "no space", "gone")

    def refuse(_path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "statvfs", refuse)
    assert code_of(full) is Code.DISK_FULL
    monkeypatch.delattr(os, "statvfs")
    assert code_of(full) is Code.DISK_FULL


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "no space"), Code.DISK_FULL),
        (OSError(errno.EMFILE, "many"), Code.TOO_MANY_FILES),
        (PermissionError(errno.EACCES, "no"), Code.HOST_FAULT),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), Code.HOST_FAULT),
        (TimeoutError(), Code.HOST_FAULT),
    ],
)
def test_outside_of_steps_the_system_speaks_of_the_host(error, code):
    """No site is to blame for what our own files and sockets meet."""
    assert host_code_of(error) is code
    assert FAILURES[outcome_of(error, "clone", str).code].kind is Kind.HOST_FAULT


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Stopped("enough"), Code.INTERRUPTED, "enough"),
        (NotAccepted("n: expected a number"), Code.BAD_PARAMS, "n: expected a number"),
        (errors.Fenced("s", ours=1, newer=7), Code.PROFILE_BUSY, "a newer holder, number 7"),
        (errors.ProfileHeld("p", "worker, pid 7"), Code.PROFILE_BUSY, "worker, pid 7"),
        (errors.StepFailed("pay", "no", "site_error"), Code.SITE_ERROR, "no"),
        (KeyError("x"), Code.FLOW_ERROR, "KeyError: 'x'"),
    ],
)
def test_an_attempt_ends_by_its_error(error, code, told):
    """The outcome is that of the code's kind, with the reason."""
    outcome = outcome_of(error, "steps", str)
    assert outcome.code is code
    assert told in (getattr(outcome, name, None) for name in ("reason", "why", "holder"))
    assert getattr(outcome, "step", "") == {Code.SITE_ERROR: "pay", Code.FLOW_ERROR: "steps"}.get(code, "")


def test_a_browser_that_was_killed_for_want_of_memory_is_no_crash():
    """If the kernel killed something meanwhile; other errors stay what they are."""
    starved = outcome_of(errors.BrowserLost("the browser is gone"), "pay", str, starved=True)
    assert starved.code is Code.OUT_OF_MEMORY
    assert starved.reason == "the browser is gone; the kernel killed a process for want of memory"
    assert outcome_of(errors.BrowserLost("gone"), "pay", str).code is Code.BROWSER_CRASHED
    assert outcome_of(KeyError(), "pay", str, starved=True).code is Code.FLOW_ERROR
