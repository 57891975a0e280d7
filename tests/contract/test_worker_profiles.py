"""The data model of worker profiles, sentence by sentence: creation, verification, clean-up, states, errors, recovery."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.domain.lifecycle import MANAGER, WORKSPACE, ManagerState, WorkspaceState
from core.errors import BadArgument, IllegalTransition, OstlerError
from core.workspaces import (
    AuthenticationFailedException,
    CapabilityMismatchException,
    FileVerificationException,
    InsufficientSpaceException,
    PermissionDeniedException,
    ProfileCorruptedException,
    ProfileLockedException,
    ProfileStatus,
    ProfileType,
    RetryConfig,
    VerificationConfig,
    VerificationMethod,
    VerificationStatus,
    VerificationTimeoutException,
    WorkerProfile,
    WorkspaceManager,
    marker,
    version,
)
from core.workspaces.live import LEVELDB_LOCK
from core.workspaces.port import Receipt
from tests import browser_data

CHECKOUT = Path(__file__).resolve().parents[2]
CAPABILITY, AUTH, FILE = VerificationMethod
SOON = RetryConfig(max_attempts=3, base_delay=0.001, max_delay=0.002)
URL = "http://127.0.0.1:9/me"


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What falls back to the system's temporary directory stays in the test's own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A closed browser's user-data-dir."""
    return browser_data.make(tmp_path / "base")


@pytest.fixture
def make(base: Path, tmp_path: Path):
    """Make managers of one directory, and close them."""
    made = []

    def manager(base_profile_path: Path | None = base, **more) -> WorkspaceManager:
        made.append(WorkspaceManager(base_profile_path, temp_directory=tmp_path / "clones", **more))
        return made[-1]

    yield manager
    for each in made:
        each.close()


def config(*methods: VerificationMethod, **more) -> VerificationConfig:
    settings = {"capability_timeout": 0.05, "auth_check_timeout": 5.0, "auth_check_url": URL, "retry_config": SOON}
    return VerificationConfig(methods, **(settings | more))


class Browser:
    """A process that holds a profile's local storage as a browser does."""

    def __init__(self, user_data_dir: Path) -> None:
        program = (
            "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('ready', flush=True); "
            "sys.stdin.read()"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-c", program, user_data_dir / LEVELDB_LOCK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._child.stdout.readline() == "ready\n"

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        with self._child:
            self._child.stdin.close()


class Page:
    """A driver whose browser is sent somewhere, as a site would."""

    def __init__(self, user_data_dir: Path, *, landed: str = URL, status: int = 200, browser: str = "chrome") -> None:
        self.capabilities = {
            "browserName": browser, "browserVersion": "156.0.1", browser: {"userDataDir": str(user_data_dir)},
        }  # fmt: skip
        self.current_url = "about:blank"
        self.current_window_handle = "mine"
        self.open = ["mine"]
        self._landed, self._status = landed, status

    @property
    def switch_to(self) -> Page:
        return self

    def new_window(self, _kind: str) -> None:
        self.open.append("new")
        self.current_window_handle = "new"

    def window(self, handle: str) -> None:
        self.current_window_handle = handle

    def get(self, url: str) -> None:
        assert self.current_window_handle == "new"
        assert url == URL
        self.current_url = self._landed

    def execute_script(self, _script: str) -> int:
        return self._status

    def close(self) -> None:
        self.open.remove(self.current_window_handle)


# --- manager ---------------------------------------------------------------------------------------------------------


def test_the_manager_has_the_models_fields(make, base: Path, tmp_path: Path):
    """Base profile, directory of clones, copies at a time, their timeout, how profiles are verified."""
    verification = config(FILE)
    manager = make(max_concurrent_clones=3, clone_timeout=7.5, verification_config=verification)
    assert manager.base_profile_path == base
    assert manager.temp_directory == tmp_path / "clones"
    assert (manager.max_concurrent_clones, manager.clone_timeout) == (3, 7.5)
    assert manager.verification_config is verification


def test_the_manager_goes_from_initialized_to_active_to_shutdown(make):
    """In this order, and not back."""
    manager = make()
    assert manager.state is ManagerState.INITIALIZED
    manager.create_worker_profile(1)
    assert manager.state is ManagerState.ACTIVE
    manager.close()
    assert manager.state is ManagerState.SHUTDOWN
    with pytest.raises(IllegalTransition):
        manager.create_worker_profile(2)
    assert [str(state) for state in MANAGER] == ["initialized", "active", "shutdown"]


@pytest.mark.parametrize("worker_id", [0, -3, True, "1", 1.5, None])
def test_a_worker_id_is_a_positive_integer(make, worker_id):
    """Everything else is a ``ValueError``."""
    with pytest.raises(ValueError, match="worker_id"):
        make().create_worker_profile(worker_id)


# --- worker profile --------------------------------------------------------------------------------------------------


def test_a_created_profile_is_ready_and_has_the_models_fields(make):
    """A clone in state READY, not verified yet, with a path, a time and options for a driver."""
    before = datetime.now(UTC)
    profile = make().create_worker_profile(2)
    assert isinstance(profile, WorkerProfile)
    assert (profile.worker_id, profile.profile_type, profile.state) == (2, ProfileType.CLONE, WorkspaceState.READY)
    assert profile.profile_path.is_dir()
    assert before <= profile.created_at <= datetime.now(UTC)
    assert (profile.verified_at, profile.verification_status) == (None, VerificationStatus.PENDING)
    assert profile.selenium_options[0] == f"--user-data-dir={profile.profile_path}"


@pytest.mark.parametrize(
    ("field", "wrong"), [("worker_id", {"worker_id": 0}), ("worker_id", {"worker_id": ".."}), ("profile_path", {})]
)
def test_a_profile_that_breaks_a_rule_cannot_be_made(tmp_path: Path, field: str, wrong: dict):
    """The worker is positive, the path exists and can be read."""
    good = {
        "worker_id": 1, "profile_type": ProfileType.CLONE, "profile_path": tmp_path, "created_at": datetime.now(UTC),
    }  # fmt: skip
    WorkerProfile(**good)
    with pytest.raises(BadArgument, match=field):
        WorkerProfile(**(good | (wrong or {"profile_path": tmp_path / "nowhere"})))


def test_selenium_options_are_a_copy(make):
    """Whoever adds to them does not change the profile."""
    profile = make().create_worker_profile(1)
    options = profile.get_selenium_options()
    assert options == [
        f"--user-data-dir={profile.profile_path}", "--no-first-run", "--no-default-browser-check",
        "--hide-crash-restore-bubble", "--password-store=basic",
    ]  # fmt: skip
    options.append("--headless")
    assert "--headless" not in profile.get_selenium_options()


def test_a_profile_is_ready_while_a_browser_may_be_started_in_it(make, monkeypatch: pytest.MonkeyPatch):
    """Not while one runs, not when it was found wanting, not without rights, not when it is gone."""
    manager = make()
    profile = manager.create_worker_profile(1)
    assert profile.is_ready()
    manager.verify_profile(profile)
    assert profile.is_ready()
    with Browser(profile.profile_path):
        assert not profile.is_ready()
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        assert not profile.is_ready()
    profile.verification_status = VerificationStatus.FAILED
    assert not profile.is_ready()
    profile.verification_status = VerificationStatus.SUCCESS
    manager.mark_in_use(profile)
    assert not profile.is_ready()
    manager.cleanup_profile(profile)
    assert not profile.is_ready()


def test_a_profile_goes_through_the_models_states(make):
    """CREATING → READY → VERIFIED → IN_USE → CLEANUP → DESTROYED: the table has the first, the disk and the object the others."""
    assert [str(state) for state in WORKSPACE] == ["creating", "ready", "verified", "in_use", "cleanup", "destroyed"]
    manager = make()
    profile = manager.create_worker_profile(1)

    def written() -> str:
        return marker.read(profile.profile_path.parent).state

    assert profile.state == written() == "ready"
    with pytest.raises(IllegalTransition):
        manager.mark_in_use(profile)
    manager.verify_profile(profile)
    assert profile.state == written() == "verified"
    manager.mark_in_use(profile)
    assert profile.state == written() == "in_use"
    manager.cleanup_profile(profile)
    assert profile.state is WorkspaceState.DESTROYED
    assert not profile.profile_path.exists()


def test_clones_have_unique_paths(make):
    """Each its own, outside the base profile."""
    manager = make()
    paths = {manager.create_worker_profile(number).profile_path for number in range(1, 5)}
    assert len(paths) == 4
    assert manager.base_profile_path not in paths


def test_by_default_every_worker_gets_a_clone(make):
    """Also the first."""
    assert make().create_worker_profile(1).profile_type is ProfileType.CLONE


def test_worker_1_uses_the_base_profile_itself_where_that_was_chosen(make, base: Path):
    """BASE for 1 and CLONE for others; clean-up of the base removes nothing."""
    before = browser_data.content_hash(base)
    manager = make(base_worker=True)
    first, second = manager.create_worker_profile(1), manager.create_worker_profile(2)
    assert (first.profile_type, first.profile_path, first.state) == (ProfileType.BASE, base, WorkspaceState.READY)
    assert second.profile_type is ProfileType.CLONE
    assert manager.verify_profile(first).is_success()
    assert manager.copy_base_profile(1) is False
    assert manager.cleanup_profile(first) is True
    assert first.state is WorkspaceState.DESTROYED
    assert manager.list_profiles().keys() == {"2"}
    assert browser_data.content_hash(base) == before


def test_only_one_worker_has_the_base_profile(make, base: Path):
    """Not the same manager's twice, not another manager's, and nobody while a browser runs in it."""
    one, other = make(base_worker=True), make(base_worker=True)
    first = one.create_worker_profile(1)
    with pytest.raises(BadArgument):
        one.create_worker_profile(1)
    with pytest.raises(ProfileLockedException, match="another worker"):
        other.create_worker_profile(1)
    one.cleanup_profile(first)
    with Browser(base), pytest.raises(ProfileLockedException, match="LOCK"):
        other.create_worker_profile(1)
    other.create_worker_profile(1)


def test_without_a_base_profile_nobody_can_have_it(make):
    """Said, instead of an empty one that is called the base."""
    with pytest.raises(OSError, match="no base profile"):
        make(None, base_worker=True).create_worker_profile(1)


def test_a_clone_leaves_a_receipt(make, base: Path):
    """Files, bytes, what was left out by rule, template and its hash, browser; in the profile, and beside it on disk."""
    version.record(base, "Chromium", "156.0.8078.108")
    profile = make().create_worker_profile(1)
    receipt = profile.receipt
    names = browser_data.copied() | {version.RECORD}
    assert (receipt.source, receipt.files, receipt.template) == ("template", len(names), str(base))
    assert receipt.bytes == sum((base / name).stat().st_size for name in names)
    assert receipt.skipped == {
        "Cache": 1,
        "Code Cache": 1,
        "GrShaderCache": 1,
        "Service Worker": 1,
        "LOG": 1,
        "a.tmp": 1,
    }
    assert (receipt.unreadable, len(receipt.template_hash)) == ((), 64)
    assert receipt.browser == ("Chromium", "156.0.8078.108")
    stored = (profile.profile_path.parent / ".ostler-receipt.json").read_bytes()
    assert msgspec.json.decode(stored, type=Receipt) == receipt


# --- base profile status ---------------------------------------------------------------------------------------------


def test_the_status_of_the_base_profile(make, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Available; locked by a browser; corrupted; not readable; missing, and where there is none."""
    manager = make()
    assert manager.get_base_profile_status() is ProfileStatus.AVAILABLE
    with Browser(base):
        assert manager.get_base_profile_status() is ProfileStatus.LOCKED
    good = (base / "Default/Preferences").read_text()
    (base / "Default/Preferences").write_text("{torn")
    assert manager.get_base_profile_status() is ProfileStatus.CORRUPTED
    (base / "Default/Preferences").write_text(good)
    with monkeypatch.context() as patched:
        # root may read everything, so the refusal has to be played
        patched.setattr(os, "access", lambda path, _mode: Path(path).name != "Preferences")
        assert manager.get_base_profile_status() is ProfileStatus.PERMISSION_DENIED
    base.rename(tmp_path / "away")
    assert manager.get_base_profile_status() is ProfileStatus.MISSING
    (tmp_path / "other").mkdir()
    assert make(tmp_path / "other").get_base_profile_status() is ProfileStatus.CORRUPTED
    assert make(None).get_base_profile_status() is ProfileStatus.MISSING


# --- verification ----------------------------------------------------------------------------------------------------


def test_verification_writes_down_what_it_found(make):
    """The result is returned, is the latest in the history, and is the profile's status; the summary says it in plain data."""
    clock = ManualClock()
    manager = make(clock=clock, verification_config=config(FILE))
    profile = manager.create_worker_profile(5)
    result = manager.verify_profile(profile)
    assert (result.worker_id, result.overall_status, result.retry_count) == (5, VerificationStatus.SUCCESS, 0)
    assert result.method_results.keys() == {FILE}
    assert result.get_duration() == timedelta(0)
    assert profile.verification_status is VerificationStatus.SUCCESS
    assert profile.verified_at == result.completed_at
    (profile.profile_path / "Default/Preferences").unlink()
    clock.advance(60)
    # a browser has been here, so the clone is not made anew behind its worker's back
    (profile.profile_path / "Default/Local Storage/leveldb/LOG").touch()
    again = manager.verify_profile(5)
    assert again.error_details == "file: Default/Preferences: is missing"
    assert profile.history == [result, again]
    assert profile.verification_status is VerificationStatus.FAILED
    assert profile.verified_at == result.completed_at
    summary = profile.get_verification_summary()
    assert msgspec.json.decode(msgspec.json.encode(summary)) == summary
    assert summary == {
        "worker_id": 5, "profile_type": "clone", "profile_path": str(profile.profile_path), "state": "verified",
        "status": "failed", "verified_at": "1970-01-12T13:46:40+00:00", "verifications": 2,
        "methods": {
            "file": {"status": "failed", "attempts": 1, "duration": 0.0, "error": "Default/Preferences: is missing"}
        },
        "retry_count": 0, "error": "file: Default/Preferences: is missing",
    }  # fmt: skip


def test_a_profile_that_was_never_verified_has_a_summary_too(make):
    """Pending, without methods."""
    summary = make().create_worker_profile(1).get_verification_summary()
    assert (summary["status"], summary["verifications"], summary["methods"]) == ("pending", 0, {})
    assert (summary["verified_at"], summary["error"], summary["retry_count"]) == (None, None, 0)


def test_a_profile_of_nobody_cannot_be_verified(make):
    """Neither an unknown worker's nor one that was cleaned up."""
    manager = make()
    profile = manager.create_worker_profile(1)
    manager.cleanup_profile(profile)
    for each in (profile, 1, "nobody"):
        with pytest.raises(BadArgument):
            manager.verify_profile(each)


def test_some_passed_and_some_failed_is_partial(make):
    """And it is not verified by that."""
    manager = make(verification_config=config(AUTH, FILE), authenticated=lambda _profile: False)
    profile = manager.create_worker_profile(1)
    result = manager.verify_profile(profile)
    assert result.overall_status is profile.verification_status is VerificationStatus.PARTIAL
    assert result.get_failed_methods() == [AUTH]
    assert profile.state is WorkspaceState.READY
    assert not profile.is_ready()


def test_the_browser_in_the_profile_is_seen_by_its_kernel_lock(make):
    """A process that holds the local storage of this very directory: then it is in use."""
    manager = make(verification_config=config(CAPABILITY, capability_timeout=20.0))
    profile = manager.create_worker_profile(1)
    with Browser(profile.profile_path):
        result = manager.verify_profile(profile, strict=True)
        assert result.is_success()
        assert profile.state is WorkspaceState.IN_USE
        assert manager.validate_profile(1)


def test_a_browser_may_take_its_time(make):
    """The check waits for one that is just starting."""
    manager = make(verification_config=config(CAPABILITY, capability_timeout=20.0))
    profile = manager.create_worker_profile(1)
    results = []
    thread = threading.Thread(target=lambda: results.append(manager.verify_profile(profile)))
    thread.start()
    while profile.verification_status is not VerificationStatus.IN_PROGRESS:
        pass
    with Browser(profile.profile_path):
        thread.join(30)
    assert results[0].is_success()


def test_no_browser_in_the_profile_is_a_timeout(make):
    """After twice the time, once more: two attempts, and the typed error where it is asked for."""
    manager = make(verification_config=config(CAPABILITY))
    profile = manager.create_worker_profile(1)
    with pytest.raises(VerificationTimeoutException, match=r"no answer within 0\.1 s") as caught:
        manager.verify_profile(profile, strict=True)
    assert isinstance(caught.value, TimeoutError)
    result = profile.history[-1]
    assert result.overall_status is VerificationStatus.TIMEOUT
    assert (result.method_results[CAPABILITY].attempts, result.retry_count) == (2, 1)


@pytest.mark.parametrize("browser", ["chrome", "msedge"])
def test_the_driver_names_the_profile_of_its_browser(make, browser: str):
    """Chrome's and Edge's drivers both say which directory their browser uses; the kernel's lock is looked for as well."""
    manager = make(verification_config=config(CAPABILITY, capability_timeout=20.0))
    profile = manager.create_worker_profile(1)
    with Browser(profile.profile_path):
        assert manager.verify_profile(profile, driver=Page(profile.profile_path, browser=browser)).is_success()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"chrome": {"userDataDir": "/tmp/.org.chromium.X"}}, "uses /tmp/.org.chromium.X"),
        ({"chrome": {}}, "does not say"),
        ({"browserVersion": "150.0"}, "older browser"),
    ],
)
def test_a_driver_with_another_profile_is_a_mismatch(make, base: Path, change: dict, why: str):
    """Another directory, none at all, or a browser that is too old for the data: no waiting, no second try."""
    version.record(base, "chrome", "156.0.1")
    manager = make(verification_config=config(CAPABILITY))
    profile = manager.create_worker_profile(1)
    driver = Page(profile.profile_path)
    driver.capabilities |= change
    with pytest.raises(CapabilityMismatchException, match=why):
        manager.verify_profile(profile, driver=driver, strict=True)
    assert profile.history[-1].method_results[CAPABILITY].attempts == 1


def test_a_login_is_shown_by_the_page_that_only_it_gets(make):
    """The driver's browser asks for the URL in a tab of its own and stays there with success; its own tab is as it was."""
    manager = make(verification_config=config(AUTH))
    profile = manager.create_worker_profile(1)
    driver = Page(profile.profile_path)
    assert manager.verify_profile(profile, driver=driver).is_success()
    assert (driver.open, driver.current_window_handle) == (["mine"], "mine")


@pytest.mark.parametrize(
    ("landed", "status", "why"),
    [
        ("http://127.0.0.1:9/login?next=/me", 200, "sent the browser elsewhere"),
        ("http://127.0.0.1:9.evil.example/me", 200, "sent the browser elsewhere"),
        (URL, 401, "status 401"),
        (URL, 0, "status 0"),
    ],
)
def test_a_page_that_sends_strangers_away_shows_no_login(make, landed: str, status: int, why: str):
    """Redirected, refused, or without an answer that could be judged; the driver's own tab is as it was."""
    manager = make(verification_config=config(AUTH))
    profile = manager.create_worker_profile(1)
    driver = Page(profile.profile_path, landed=landed, status=status)
    with pytest.raises(AuthenticationFailedException, match=why):
        manager.verify_profile(profile, driver=driver, strict=True)
    assert (driver.open, driver.current_window_handle) == (["mine"], "mine")


def test_what_cannot_be_proven_is_no_login(make):
    """Without a driver and without a check of the caller's there is nothing to go by, and that is said."""
    manager = make(verification_config=config(AUTH))
    result = manager.verify_profile(manager.create_worker_profile(1))
    assert result.overall_status is VerificationStatus.FAILED
    assert "authenticated=" in result.error_details


def test_a_failed_login_is_tried_again_with_backoff(make):
    """Until it is there: the third attempt passes, two retries are counted."""
    asked: list[WorkerProfile] = []

    def authenticated(profile: WorkerProfile) -> bool:
        asked.append(profile)
        return len(asked) == 3

    manager = make(verification_config=config(AUTH), authenticated=authenticated)
    profile = manager.create_worker_profile(1)
    result = manager.verify_profile(profile)
    assert result.is_success()
    assert (result.retry_count, asked) == (2, [profile] * 3)


def test_a_login_that_stays_away_is_given_up(make):
    """After as many retries as are allowed; what the check raises is not quoted, for it may hold what the page held."""

    def authenticated(_: WorkerProfile) -> bool:
        raise RuntimeError("token=hunter22hunter22")

    manager = make(verification_config=config(AUTH), authenticated=authenticated)
    profile = manager.create_worker_profile(1)
    with pytest.raises(AuthenticationFailedException, match=r"the check failed \(RuntimeError\)") as caught:
        manager.verify_profile(profile, strict=True)
    assert "hunter22" not in str(caught.value)
    assert profile.history[-1].method_results[AUTH].attempts == 4


def test_a_login_check_that_takes_longer_is_given_more_time_once(make):
    """The same call, not a second one beside it: what needs more than the timeout and less than three of it passes."""
    go, calls = threading.Event(), []

    def authenticated(_: WorkerProfile) -> bool:
        calls.append(1)
        return go.wait(30)

    manager = make(verification_config=config(AUTH, auth_check_timeout=1.0), authenticated=authenticated)
    profile = manager.create_worker_profile(1)
    results = []
    thread = threading.Thread(target=lambda: results.append(manager.verify_profile(profile)))
    with capture_logs() as logs:
        thread.start()
        while not any(each["event"] == "verification_tried_again" for each in logs):
            pass
        go.set()
        thread.join(30)
    assert results[0].is_success()
    assert (results[0].retry_count, calls) == (1, [1])


def test_a_damaged_clone_is_made_anew(make):
    """What no browser has used yet is cloned again from the base, at the same path, and passes."""
    manager = make(verification_config=config(FILE))
    profile = manager.create_worker_profile(1)
    path = profile.profile_path
    (path / "Default/Cookies").write_bytes(b"flipped" * 500)
    result = manager.verify_profile(profile)
    assert (result.is_success(), result.retry_count) == (True, 1)
    assert profile.profile_path == path
    assert browser_data.files(path) == browser_data.copied()


def test_a_clone_that_stays_damaged_is_a_failure(make, base: Path):
    """The base is damaged, too: the clone is as it was, and the error names the file."""
    manager = make(verification_config=config(FILE))
    profile = manager.create_worker_profile(1)
    for root in (profile.profile_path, base):
        (root / "Default/Cookies").write_bytes(b"flipped" * 500)
    with pytest.raises(FileVerificationException, match="Default/Cookies") as caught:
        manager.verify_profile(profile, strict=True)
    assert caught.value.worker_id == 1
    assert profile.history[-1].overall_status is VerificationStatus.FAILED


@pytest.mark.parametrize(
    "sign", ["Default/Local Storage/leveldb/LOG", "Default/Cache/x", "DevToolsActivePort", "GPUCache/x"]
)
def test_what_a_browser_has_used_is_never_made_anew(make, sign: str):
    """What it did there would be lost."""
    manager = make(verification_config=config(FILE))
    profile = manager.create_worker_profile(1)
    (profile.profile_path / sign).parent.mkdir(parents=True, exist_ok=True)
    (profile.profile_path / sign).touch()
    (profile.profile_path / "Default/Cookies").write_bytes(b"flipped" * 500)
    result = manager.verify_profile(profile)
    assert (result.is_success(), result.retry_count) == (False, 0)
    assert (profile.profile_path / sign).exists()


def test_a_damaged_base_profile_of_worker_1_is_only_said(make, base: Path):
    """There is nothing that it could be copied from, and it is not ours to change."""
    manager = make(base_worker=True, verification_config=config(FILE))
    profile = manager.create_worker_profile(1)
    (base / "Default/Cookies").write_bytes(b"flipped" * 500)
    assert manager.verify_profile(profile).get_failed_methods() == [FILE]
    assert (base / "Default/Cookies").read_bytes() == b"flipped" * 500


def test_a_profile_that_is_gone_or_not_ours_to_read_fails(make, monkeypatch: pytest.MonkeyPatch):
    """Each with its own sentence."""
    manager = make(None)
    profile = manager.create_worker_profile(1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        assert "not readable and writable" in manager.verify_profile(profile).error_details
    profile.profile_path.rmdir()
    assert "is gone" in manager.verify_profile(profile).error_details


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_nobody():
    """Run the child that clones as somebody without rights; pytest's own directories are closed to them."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "clones").mkdir()
        os.chown(root / "clones", 65534, 65534)

        def run() -> list[str]:
            done = subprocess.run(
                [sys.executable, CHECKOUT / "tests/children/clone_as_nobody.py", root / "base", root / "clones"],
                capture_output=True, text=True, timeout=60, check=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            )  # fmt: skip
            assert done.stdout, done.stderr
            return done.stdout.splitlines()[0].split()

        yield browser_data.make(root / "base"), run


def test_what_cannot_be_read_is_left_out_and_listed(as_nobody):
    """Whoever may not read one file gets a clone with all others, and its receipt says so; the base is as it was."""
    base, run = as_nobody
    (base / "Default/Bookmarks").chmod(0o600)
    (base / "Default/IndexedDB").chmod(0o700)
    before = browser_data.content_hash(base)
    assert run() == ["available", "Default/IndexedDB", "Default/Bookmarks"]
    assert browser_data.content_hash(base) == before


def test_a_base_profile_without_any_right_is_said(as_nobody):
    """Nothing of it could be read: an error when the manager is made."""
    base, run = as_nobody
    base.chmod(0o700)
    assert run() == ["BaseProfileUnreadable"]


def test_the_eight_exceptions_are_typed():
    """Four of creation, which are ``OSError``s, and four of verification; all under the one root."""
    creation = (
        ProfileLockedException, InsufficientSpaceException, PermissionDeniedException, ProfileCorruptedException,
    )  # fmt: skip
    verification = (
        VerificationTimeoutException, AuthenticationFailedException, CapabilityMismatchException,
        FileVerificationException,
    )  # fmt: skip
    for kind in creation:
        error = kind("3", "why")
        assert isinstance(error, (OstlerError,)) and isinstance(error, OSError) and error.errno
        assert (error.worker_id, error.reason) == ("3", "why")
    for kind in verification:
        error = kind(3, ["why"] if kind is FileVerificationException else "why")
        assert isinstance(error, OstlerError)
        assert (error.worker_id, str(error)) == (3, "verification failed for worker 3: why")


def test_another_host_s_lock_is_no_lock(make, base: Path):
    """A base profile that was copied from elsewhere may hold a lock that names another host."""
    (base / "SingletonLock").symlink_to(f"not-{socket.gethostname()}-1")
    make().create_worker_profile(1)
