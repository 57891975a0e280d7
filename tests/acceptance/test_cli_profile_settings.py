"""``ostler profile set`` and ``unset`` as a user types them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.profiles.lock import FileProfileLocks
from core.profiles.port import Viewport
from core.profiles.store import FileProfileStore

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ostler(state_dir: Path, tmp_path: Path):
    """Run the command; return the finished process."""

    def run(*arguments: str, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "core.cli.main", "--state-dir", state_dir, "profile", *arguments],
            input=text, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False, cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env},
        )  # fmt: skip
        assert "hunter2" not in done.stdout + done.stderr
        return done

    FileProfileStore(state_dir).ensure("anna", 1_795_212_000.0)
    return run


@pytest.fixture
def metadata(state_dir: Path):
    return lambda: FileProfileStore(state_dir).read("anna")


def test_set_and_unset(ostler, metadata):
    """What was set is said and kept; what is unset is gone; the rest stays."""
    done = ostler("set", "anna", "locale=de_DE", "timezone=Europe/Berlin", "viewport=800x600", "header.X-Client=a=b")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "anna:",
        "  viewport         800x600",
        "  locale           de-DE",
        "  timezone         Europe/Berlin",
        "  header.X-Client  [redacted]",
    ]
    found = metadata()
    assert (found.locale, found.viewport, found.extra_headers) == ("de-DE", Viewport(800, 600), {"X-Client": "a=b"})
    done = ostler("unset", "anna", "locale", "timezone", "viewport", "extra_headers")
    assert done.stdout == "anna:\n  nothing is set: the browser's own values, in each run\n"
    assert (metadata().locale, metadata().extra_headers) == (None, {})


def test_a_device_is_one_that_playwright_knows(ostler, metadata):
    """Its real list is asked; the device class comes along; one that runs another browser is refused."""
    assert ostler("set", "anna", "device_descriptor=Pixel 7").returncode == 0
    assert (metadata().device_descriptor, metadata().device) == ("Pixel 7", "mobile")
    done = ostler("set", "anna", "device_descriptor=iPhone 15")
    assert done.returncode == 2
    assert "one of Playwright's devices that run Chromium" in done.stderr


@pytest.mark.parametrize("source", ["-", "env:PROXY", "proxy.txt"])
def test_a_secret_from_elsewhere(ostler, metadata, tmp_path: Path, source: str):
    """From standard input, a variable or a private file; it is shown masked."""
    proxy = "http://me:hunter2@proxy.example:8080"
    (tmp_path / "proxy.txt").write_text(f"{proxy}\n")
    (tmp_path / "proxy.txt").chmod(0o600)
    done = ostler("set", "anna", "proxy", "--from", source, text=f"{proxy}\n", PROXY=proxy)
    assert (done.returncode, done.stderr) == (0, "")
    assert "http://me:[redacted]@proxy.example:8080" in done.stdout
    assert metadata().proxy == proxy


def test_a_secret_from_a_prompt(state_dir: Path, ostler, metadata, tmp_path: Path):
    """On a terminal the value is asked for, and not echoed."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "core.cli.main", "--state-dir", state_dir, "profile", "set", "anna"]
    with subprocess.Popen(
        [*command, "header.Authorization"], stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path,
        start_new_session=True, env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]},
    ) as process:  # fmt: skip
        os.close(follower)
        seen = b""
        while b"header.Authorization: " not in seen:
            seen += os.read(leader, 1000)
        os.write(leader, b"Bearer hunter2\n")
        try:
            while more := os.read(leader, 1000):
                seen += more
        except OSError:
            pass  # the other side is closed
        assert process.wait(30) == 0
    os.close(leader)
    assert b"hunter2" not in seen
    assert metadata().extra_headers == {"Authorization": "Bearer hunter2"}


@pytest.mark.parametrize(
    "assignment",
    ["proxy=http://me:hunter2@h:1", "header.Authorization=Bearer hunter2", "start_url=https://me:hunter2@h/"],
)
def test_a_secret_on_the_command_line_is_refused(ostler, metadata, assignment: str):
    """It is not repeated, and how to give it is said."""
    done = ostler("set", "anna", "locale=de-DE", assignment)
    assert done.returncode == 2
    assert "no secret on the command line" in done.stderr
    assert "--from env:NAME" in done.stderr
    assert metadata().locale is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "anna", "locale=de DE"), "locale: expected a language tag"),
        (("set", "nobody", "locale=de-DE"), "there is no profile 'nobody'"),
        (("set", "../a", "locale=de-DE"), "ID: expected 1 to 32"),
        (("set", "anna", "locale"), "--from: expected env:NAME"),
        (("set", "anna", "proxy", "locale=de-DE", "--from", "-"), "--from: expected one NAME without a value"),
        (("set", "anna", "proxy", "--from", "env:NOT_THERE"), "a variable that is set"),
        (("unset", "anna", "local"), "did you mean locale?"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(ostler, metadata, arguments: tuple[str, ...], said: str):
    """With exit code 2, and nothing is changed."""
    before = metadata()
    done = ostler(*arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert metadata() == before


def test_a_profile_at_work_is_waited_for(ostler, metadata, state_dir: Path):
    """What a run will write at its end must not undo it: it is set once the run is over."""
    with FileProfileLocks(state_dir, SystemClock()).hold("anna", "worker"):
        waiting = threading.Thread(target=ostler, args=("set", "anna", "locale=de-DE"))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive()
        store = FileProfileStore(state_dir)
        store.update("anna", lambda run: setattr(run, "generation", 3))
    waiting.join(60)
    assert (metadata().locale, metadata().generation) == ("de-DE", 3)


def test_fields_of_others_stay(ostler, state_dir: Path):
    """What a person wrote into the file beside our fields survives."""
    path = state_dir / "profiles" / "anna" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"by_hand": 1}))
    ostler("set", "anna", "locale=de-DE")
    assert json.loads(path.read_text())["by_hand"] == 1
