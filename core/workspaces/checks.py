"""The three checks of a worker's profile, and what each can prove.

- Files: what matters most is there and whole, and in a clone that no browser has used, is what was copied.
- Capability: the driver names this directory as its browser's, and a process holds the kernel's lock on the local storage in
  it. Without a driver only the second.
- Authentication: whatever the caller's own check says; else that the driver's browser, asked for the URL, got an answer of
  success from that very address. Cookies alone prove nothing: they are encrypted for the browser, and only the site knows
  whether it still takes them. A site that answers strangers in the same way makes this check worthless: choose a URL that
  sends them elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from core.errors import WorkspaceError
from core.workspaces import live, verify, version
from core.workspaces.errors import (
    AuthenticationFailedException,
    CapabilityMismatchException,
    FileVerificationException,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from core.workspaces.worker_profile import WorkerProfile

_LOOK_EVERY = 0.05
_STATUS = "const [n] = performance.getEntriesByType('navigation'); return n ? n.responseStatus : 0"
_FINE = range(200, 300)


class Driver(Protocol):
    """What is needed of a WebDriver; Selenium's has it."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the driver said of its browser when it started."""
        ...

    @property
    def current_url(self) -> str:
        """Where the current tab is."""
        ...

    @property
    def current_window_handle(self) -> str:
        """Which tab is the current one."""
        ...

    @property
    def switch_to(self) -> Any:
        """Changes tabs: ``new_window("tab")``, ``window(handle)``."""
        ...

    def get(self, url: str) -> None:
        """Load a page and wait for it."""
        ...

    def execute_script(self, script: str) -> Any:
        """Run a script in the page."""
        ...

    def close(self) -> None:
        """Close the current tab."""
        ...


def check_files(profile: WorkerProfile, digests: Mapping[str, str]) -> None:
    """Check the files.

    Args:
        profile: what is checked.
        digests: what the files that matter most were when they were copied; empty if nothing was.

    Raises:
        FileVerificationException: naming each file.
    """
    findings = faults(profile, digests, is_live=live.evidence(profile.profile_path) is not None)
    if findings:
        raise FileVerificationException(profile.worker_id, findings)


def faults(profile: WorkerProfile, digests: Mapping[str, str], *, is_live: bool) -> list[str]:
    """Return what is wrong with a profile's files, a sentence each.

    Args:
        profile: what is looked at.
        digests: as for ``check_files``.
        is_live: a browser runs in it: what it is just writing looks torn, and is not, so contents are not looked at.
    """
    path = profile.profile_path
    if not path.is_dir():
        return [f"{path} is gone"]
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return [f"{path} is not readable and writable for this user"]
    missing = [f"{name}: is missing" for name in digests if not (path / name).exists()]
    if missing or is_live:
        return missing
    try:
        return verify.findings(path) or ([] if verify.was_used(path) else verify.differences(digests, path))
    except OSError as exc:
        # somebody removes it while it is looked at
        return [f"{exc.filename}: {exc.strerror}"]


def check_capability(profile: WorkerProfile, driver: Driver | None, given_up: threading.Event) -> None:
    """Check that a browser uses this profile; waits for one until it is told to give up.

    Raises:
        CapabilityMismatchException: the driver's browser uses another one, or is too old for this one.
    """
    path = profile.profile_path
    if driver is not None:
        _compare_driver(profile, driver.capabilities)
    while True:
        pid = live.lock_holder(path)
        if pid is not None and (not pid or live.open_files(pid, path) != 0):
            return
        if given_up.wait(_LOOK_EVERY):
            return


def _compare_driver(profile: WorkerProfile, capabilities: Mapping[str, Any]) -> None:
    details = capabilities.get("chrome") or capabilities.get("msedge") or {}
    named = details.get("userDataDir")
    if not named:
        raise CapabilityMismatchException(profile.worker_id, "the driver does not say which profile its browser uses")
    if Path(named).resolve() != profile.profile_path.resolve():
        raise CapabilityMismatchException(
            profile.worker_id, f"the driver's browser uses {named}, expected {profile.profile_path}"
        )
    try:
        browser, number = str(capabilities.get("browserName", "")), str(capabilities.get("browserVersion", ""))
        version.check(profile.receipt.browser, browser, number)
    except WorkspaceError as exc:
        raise CapabilityMismatchException(profile.worker_id, str(exc)) from exc


def check_login(
    profile: WorkerProfile, url: str, driver: Driver | None, authenticated: Callable[[WorkerProfile], bool] | None
) -> None:
    """Check that the profile is logged in.

    Raises:
        AuthenticationFailedException: it is not, or nothing here can prove that it is.
    """
    if authenticated is None and driver is None:
        reason = "nothing here can prove a login: give verify_profile a driver, or the manager a check (authenticated=)"
        raise AuthenticationFailedException(profile.worker_id, reason)
    try:
        reason = _refused(url, driver) if authenticated is None and driver is not None else ""
        if authenticated is not None and not authenticated(profile):
            reason = "the check says that it is not logged in"
    except Exception as exc:
        # its text may quote what the page or the request held
        raise AuthenticationFailedException(profile.worker_id, f"the check failed ({type(exc).__name__})") from exc
    if reason:
        raise AuthenticationFailedException(profile.worker_id, reason)


def _refused(url: str, driver: Driver) -> str:
    """Return why a page does not show a login, empty if it does; the driver's own tab is as it was."""
    before = driver.current_window_handle
    driver.switch_to.new_window("tab")
    try:
        driver.get(url)
        status, landed = driver.execute_script(_STATUS), driver.current_url
    finally:
        driver.close()
        driver.switch_to.window(before)
    if urlsplit(landed)[:3] != urlsplit(url)[:3]:
        return f"{urlsplit(url).netloc} sent the browser elsewhere"
    if status not in _FINE:
        return f"{urlsplit(url).netloc} answered with status {status}"
    return ""
