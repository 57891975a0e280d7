"""A clone that Selenium drives with ChromeDriver: what the base profile knows is there, and the base stays as it was."""

from __future__ import annotations

import hashlib
import shutil

import pytest
from selenium import webdriver

from core.workspaces import (
    AuthenticationFailedException,
    CapabilityMismatchException,
    ProfileLockedException,
    ProfileStatus,
    RetryConfig,
    VerificationConfig,
    VerificationMethod,
    VerificationStatus,
    WorkspaceManager,
)
from tests.children import site

CHROMEDRIVER, CHROMIUM = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMEDRIVER is None or CHROMIUM is None, reason="chromium and chromedriver are not installed"),
    # urllib3 leaves a connection to the driver to be collected
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
HEADLESS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


def driver(options):
    """Start ChromeDriver on these options."""
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = CHROMIUM
    for option in (*options, *HEADLESS):
        chosen.add_argument(option)
    return webdriver.Chrome(options=chosen, service=webdriver.ChromeService(CHROMEDRIVER))


def digest(directory):
    """Return a hash of all names and contents."""
    found = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        found.update(str(path.relative_to(directory)).encode())
        if path.is_file() and not path.is_symlink():
            found.update(path.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def origin():
    with site.serving() as address:
        yield address


@pytest.fixture(scope="module")
def base(origin, tmp_path_factory):
    """A base profile that was used: a cookie that lasts, and localStorage."""
    directory = tmp_path_factory.mktemp("base") / "profile"
    browser = driver([f"--user-data-dir={directory}", "--password-store=basic"])
    browser.get(f"{origin}/")
    browser.execute_script("document.cookie = 'who=anna; max-age=86400; path=/'; localStorage.setItem('theme', 'dark')")
    browser.quit()
    return directory


ONLY_CAPABILITY = VerificationConfig(enabled_methods=[VerificationMethod.CAPABILITY_CHECK])


def test_selenium_sees_in_a_clone_what_the_base_profile_has(base, origin, tmp_path):
    """Cookie and localStorage are there; the driver itself says that it runs in the clone; the base is untouched."""
    before = digest(base)
    with WorkspaceManager(base, temp_directory=tmp_path / "clones", verification_config=ONLY_CAPABILITY) as manager:
        profile = manager.create_worker_profile(2)
        browser = driver(profile.get_selenium_options())
        try:
            result = manager.verify_profile(profile, driver=browser)
            assert result.overall_status is VerificationStatus.SUCCESS, result
            browser.get(f"{origin}/")
            assert browser.get_cookie("who")["value"] == "anna"
            assert browser.execute_script("return localStorage.getItem('theme')") == "dark"
        finally:
            browser.quit()
        assert manager.cleanup_profile(profile)
        assert not profile.profile_path.exists()
    assert digest(base) == before


def test_a_driver_that_runs_elsewhere_is_noticed(base, tmp_path):
    """Its own word, ``chrome.userDataDir``, is another directory."""
    with WorkspaceManager(base, temp_directory=tmp_path / "clones", verification_config=ONLY_CAPABILITY) as manager:
        mine, others = manager.create_worker_profile(2), manager.create_worker_profile(3)
        browser = driver(others.get_selenium_options())
        try:
            with pytest.raises(CapabilityMismatchException, match=str(others.profile_path)):
                manager.verify_profile(mine, driver=browser, strict=True)
        finally:
            browser.quit()


def test_a_login_is_shown_by_the_page_that_only_it_gets(base, origin, tmp_path):
    """A stranger is sent elsewhere and is no login; after one, all three methods pass, and the driver's own tab is as it was."""
    config = VerificationConfig(
        list(VerificationMethod),
        capability_timeout=30,
        auth_check_timeout=30,
        auth_check_url=f"{origin}/me",
        retry_config=RetryConfig(max_attempts=1, base_delay=0.01),
    )
    with WorkspaceManager(base, temp_directory=tmp_path / "clones", verification_config=config) as manager:
        profile = manager.create_worker_profile(2)
        browser = driver(profile.get_selenium_options())
        try:
            with pytest.raises(AuthenticationFailedException, match="sent the browser elsewhere"):
                manager.verify_profile(profile, driver=browser, strict=True)
            assert profile.verification_status is VerificationStatus.PARTIAL
            browser.get(f"{origin}/login")
            assert manager.verify_profile(profile, driver=browser, strict=True).is_success()
            assert profile.state == "in_use"
            assert manager.validate_profile(2)
            assert (browser.current_url, len(browser.window_handles)) == (f"{origin}/login", 1)
        finally:
            browser.quit()


def test_a_base_profile_that_is_open_is_locked(base, tmp_path):
    """While a real browser runs in it, its status says so and nothing is copied; once it is closed, it is."""
    browser = driver([f"--user-data-dir={base}", "--password-store=basic"])
    with WorkspaceManager(base, temp_directory=tmp_path / "clones") as manager:
        try:
            assert manager.get_base_profile_status() is ProfileStatus.LOCKED
            with pytest.raises(ProfileLockedException):
                manager.create_profile("w1")
        finally:
            browser.quit()
        assert manager.get_base_profile_status() is ProfileStatus.AVAILABLE
        manager.create_profile("w1")
