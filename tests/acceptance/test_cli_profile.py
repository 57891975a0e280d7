"""``ostler profile`` as a user types it: the life of a profile, from its creation to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.domain.model import JobSpec
from core.domain.session import SessionState
from core.profiles.lock import FileProfileLocks
from core.profiles.store import FileProfileStore
from core.queue.sqlite import SqliteQueue
from core.state.sessions import FileSessionStore
from core.workspaces import manifest
from tests import browser_data

CHECKOUT = Path(__file__).resolve().parents[2]
ENV = {"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


@pytest.fixture
def ostler(state_dir: Path, tmp_path: Path):
    """Run the command; expect its exit code, and return what it printed on both streams."""

    def run(*arguments: str, code: int = 0, group: str = "profile") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "core.cli.main", "--state-dir", state_dir, *group.split(), *arguments],
            capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=ENV,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code in (0, 3) and done.stdout else done.stderr

    return run


def enqueue(state: Path, profile_id: str) -> None:
    """Let a job that has not ended name a profile."""
    queue = SqliteQueue(state / "queue.db")
    queue.begin_run(1.0)
    queue.reconcile("q.json", [JobSpec(id=profile_id, profile_id=profile_id, flow="/f.py")], now=1.0)
    queue.close()


def test_a_life(ostler, state_dir):
    """Created, activated, tagged, cloned, renamed, deactivated and removed; each step is said, and is there."""
    said = ostler(
        "create", "anna", "--platform", "whatsapp", "--name", "Anna B.", "--tag", "support", "--locale", "de-DE",
        "--timezone", "Europe/Berlin", "--viewport", "1280x720", "--color-scheme", "dark", "--device", "desktop",
        "--start-url", "https://web.whatsapp.com/x",
    )  # fmt: skip
    assert said == "anna is created\n"
    metadata = FileProfileStore(state_dir).read("anna")
    assert (metadata.platform, metadata.name, metadata.locale, metadata.viewport.width) == (
        "whatsapp",
        "Anna B.",
        "de-DE",
        1280,
    )
    assert ostler("activate", "anna") == "anna is the active profile\n"
    assert ostler("activate", "anna") == "anna is the active profile already\n"
    assert ostler("tag", "--add", "vip", "--remove", "support") == "anna: vip\n"
    assert ostler("clone", "anna", "bert") == "bert is a copy of anna\n"
    assert ostler("activate", "bert") == "bert is the active profile; before it was anna\n"
    assert ostler("rename", "bert", "carl") == "bert is carl now\n"
    table = [line.split()[:3] for line in ostler("list").splitlines()]
    assert table == [["id", "status", "platform"], ["anna", "inactive", "whatsapp"], ["carl", "active", "whatsapp"]]
    assert ostler("list", "--active").splitlines()[1].startswith("carl")
    assert ostler("list", "--corrupted") == "no profiles\n"
    assert "the active one: deactivate it first, or use --force" in ostler("delete", "carl", code=2)
    assert ostler("deactivate") == "carl is not active any more\n"
    assert ostler("deactivate") == "no profile was active\n"
    assert ostler("delete", "carl") == "carl is deleted\n"
    assert ostler("delete", "anna", "--force") == "anna is deleted\n"
    assert ostler("list") == "no profiles\n"


def test_a_status_shows_everything_but_secrets(ostler, state_dir):
    """Settings, session and flags; passwords, header values and the platform's own data are masked, as JSON, too."""
    ostler("create", "anna", "--platform", "telegram")

    def change(metadata) -> None:
        metadata.proxy = "http://me:hunter2@proxy.example:3128"
        metadata.extra_headers = {"X-Key": "hunter2"}
        metadata.platform_config = {"api_hash": "hunter2"}
        metadata.last_error, metadata.error_phase = "no button", "pay"

    FileProfileStore(state_dir).update("anna", change)
    FileSessionStore(state_dir).write(SessionState(profile_id="anna", completion_flags={"paid": True}), fence=1)
    text = ostler("status", "anna")
    plain = ostler("status", "anna", "--json")
    assert "hunter2" not in text + plain
    for expected in ("no button (pay)", "http://me:", "X-Key", "api_hash", "paid", "PENDING"):
        assert expected in text
    found = json.loads(plain)
    assert found["metadata"]["platform_config"] == {"api_hash": "[redacted]"}
    assert found["flags"] == ["paid"]


def test_no_id_means_the_active_profile_else_default(ostler, state_dir):
    """Of these commands, and of what shows a session and an identity."""
    assert "no profile 'default'" in ostler("status", code=2)
    ostler("create", "default")
    ostler("create", "anna")
    assert ostler("size").splitlines()[-1].split(",")[0].endswith("default")
    ostler("activate", "anna")
    assert ostler("size").splitlines()[-1].split(",")[0].endswith("anna")
    FileSessionStore(state_dir).write(SessionState(profile_id="anna", outputs={"note": "mine"}), fence=1)
    assert "mine" in ostler("show", group="session")
    assert json.loads(ostler("show", group="identity"))["email"] is None


def test_damage_is_shown_and_recovered(ostler, state_dir):
    """What is lost is said beforehand, with the flags that rest on it; then the profile can be used again."""
    ostler("create", "anna")
    data = browser_data.make(state_dir / "profiles" / "anna" / "browser_profile")
    manifest.write(data)
    FileSessionStore(state_dir).write(SessionState(profile_id="anna", completion_flags={"paid": True}), fence=1)
    (data / "Default" / "Cookies").write_bytes(b"torn")
    said = ostler("status", "anna", code=3)
    assert "BAD   browser data" in said
    assert "ostler profile recover anna" in said
    assert "corrupted" in ostler("list")
    assert "recover anna --mode soft --dry-run" in ostler("activate", "anna", code=3)
    plan = ostler("recover", "anna", "--dry-run").splitlines()
    assert plan[0].startswith("would be lost: browser data: all cookies, and the logins in them (Default/Cookies: ")
    assert "flags that may rest on it: paid" in plan
    assert (data / "Default" / "Cookies").read_bytes() == b"torn"
    done = ostler("recover", "anna", "--mode", "soft").splitlines()
    assert done[0].startswith("is lost: browser data: all cookies")
    assert done[-1] == "anna is recovered"
    assert ostler("activate", "anna") == "anna is the active profile\n"
    assert "nothing is lost" in ostler("recover")
    assert "ostler profile doctor" not in ostler("doctor")
    hard = ostler("recover", "anna", "--mode", "hard", "--keep-login", "--json")
    assert [loss["part"] for loss in json.loads(hard)["losses"]] == ["browser data"]
    assert "expected mode hard" in ostler("recover", "anna", "--keep-login", code=2)


def test_templates_sources_and_differences(ostler, tmp_path):
    """A profile that began with a template is compared with it; one that goes on with something is not."""
    browser_data.make(tmp_path / "base")
    ostler("create", "anna", "--template", "base")
    assert ostler("diff", "anna").splitlines()[-1].startswith(f"anna: 1 files differ from {tmp_path / 'base'}")
    ostler("create", "bert", "--import", "base")
    assert "expected a template, found none on record" in ostler("diff", "bert", code=2)
    assert ostler("diff", "bert", "--against", "anna").splitlines()[-1].startswith("bert: ")
    assert "does not exist or is not a browser's" in ostler("create", "carl", "--template", "nowhere", code=2)
    for wrong in (["--viewport", "large"], ["--flow", "nowhere.py"], ["--platform", "pigeon"], ["--start-url", "x"]):
        ostler("create", "carl", *wrong, code=2)
    assert "differs only in case" in ostler("create", "Anna", code=2)


def test_a_single_profile_of_old(ostler, tmp_path):
    """In a directory that is named, or, with a notice, in the state directory."""
    browser_data.make(tmp_path / "old" / "browser_profile")
    assert ostler("migrate", "old", "--as", "anna") == "anna is a named profile now\n"
    assert "expected a directory with browser_profile/ in it" in ostler("migrate", "old", code=2)
    browser_data.make(tmp_path / "state" / "browser_profile")
    done = subprocess.run(
        [sys.executable, "-m", "core.cli.main", "--state-dir", tmp_path / "state", "profile", "list", "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=ENV,
    )  # fmt: skip
    assert {each["id"] for each in json.loads(done.stdout)["profiles"]} == {"anna", "default"}
    assert done.stderr.startswith("ostler: profile migrated: profile_id default, source ")


def test_who_holds_a_profile_is_named(ostler, state_dir):
    """With exit code 5, and it is shown in the list."""
    ostler("create", "anna")
    with FileProfileLocks(state_dir, SystemClock()).hold("anna", "attempt 3 of job x"):
        assert f"in use by attempt 3 of job x, pid {os.getpid()} on " in ostler("delete", "anna", code=5)
        assert "in use by attempt 3 of job x" in ostler("list")
        assert "that process" not in ostler("status", "anna")


def test_jobs_that_name_a_profile(ostler, state_dir):
    """It is not renamed under them, and that they make it anew is said."""
    ostler("create", "anna")
    enqueue(state_dir, "anna")
    assert "jobs of the queue that name anna" in ostler("rename", "anna", "bert", code=2)
    assert "jobs of the queue still name it" in ostler("delete", "anna")


def test_the_tab_key_knows_the_profiles(ostler, state_dir):
    """Of this state directory, wherever an ID may stand."""
    ostler("create", "anna")
    ostler("create", "bert")
    for line, expected in (
        ("ostler profile activate ", {"anna", "bert"}),
        ("ostler profile clone b", {"bert"}),
        ("ostler session show a", {"anna"}),
    ):
        env = ENV | {
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
            "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "OSTLER_STATE_DIR": str(state_dir),
        }  # fmt: skip
        done = subprocess.run(
            [Path(sys.executable).with_name("ostler")], env=env, capture_output=True, text=True, timeout=30, check=False
        )
        offered = {word.strip() for word in done.stdout.split("\n") if word.strip() and not word.startswith("-")}
        assert offered == expected, line


def test_a_run_by_hand_takes_the_active_profile(ostler, state_dir, tmp_path):
    """And says which one that is."""
    (tmp_path / "f.py").write_text(
        "from workers.steps import Flow\n"
        "flow = Flow('f', browser=False)\n"
        "@flow.step(flag='done')\n"
        "async def step(ctx): ...\n"
    )
    ostler("create", "anna")
    for expected in ("default", "anna"):
        done = subprocess.run(
            [sys.executable, CHECKOUT / "run.py", "--flow", "f.py", "--state-dir", state_dir, "--log-dir", tmp_path / "logs"],
            capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=ENV,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"profile {expected}\n" in done.stderr
        assert FileSessionStore(state_dir).read(expected).value.completion_flags == {"done": True}
        ostler("activate", "anna")
