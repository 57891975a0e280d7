"""What is set of a profile is what a page sees, in each run, with a window and without: asked by a page behind a proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.profiles.store import FileProfileStore
from core.state.sessions import FileSessionStore
from tests.children.mirror import reflecting
from tests.display import needs_display

CHECKOUT = Path(__file__).resolve().parents[2]
FLOW = CHECKOUT / "tests" / "children" / "flows" / "look.py"
SECRETS = ("hunter2", "hunter3")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def mirror():
    with reflecting() as found:
        yield found


class Desk:
    """Somebody who types commands for one state directory."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.logs = folder / "logs"
        FileProfileStore(self.state).ensure("anna", 1_795_212_000.0)

    def types(self, *command: object, text: str = "", **env: str) -> str:
        arguments = [str(part) for part in command]
        done = subprocess.run(
            [sys.executable, *arguments, "--state-dir", str(self.state), "--log-dir", str(self.logs)],
            input=text, capture_output=True, text=True, check=False, timeout=120, cwd=CHECKOUT,
            env={name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"PYTHONPATH": str(CHECKOUT)} | env,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []
        return done.stdout

    def sets(self, *assignments: str, text: str = "") -> None:
        self.types("-m", "core.cli.main", "profile", "set", "anna", *assignments, text=text)

    def looks(self, *options: str, **env: str) -> dict:
        """Run the profile by hand; return what a page saw."""
        self.types("run.py", "anna", "--flow", FLOW, *options, **env)
        return self.seen()

    def seen(self) -> dict:
        return FileSessionStore(self.state).read("anna").value.outputs["seen"]

    def written(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.logs.rglob("*") if path.is_file())


@pytest.fixture
def desk(tmp_path: Path, mirror) -> Desk:
    """With a proxy that needs a password, and a header that is secret."""
    found = Desk(tmp_path)
    found.sets("proxy", "--from", "-", text=f"http://me:hunter2@{mirror.address}\n")
    found.sets("header.Authorization", "--from", "-", text="Bearer hunter3\n")
    return found


@needs_display
def test_each_run_has_the_same_context(desk: Desk, mirror, display: str, tmp_path: Path):
    """Twice without a window and once with one: language, time zone, size, colours, headers, proxy and downloads are what was
    set; nothing secret is in a log, an event or an output.
    """
    desk.sets(
        "locale=de-CH", "timezone=Asia/Tokyo", "viewport=801x602", "color_scheme=dark", "header.X-Client=ostler",
        f"downloads={tmp_path / 'mine'}",
    )  # fmt: skip
    first = desk.looks()
    assert first["languages"] == ["de-CH"]
    assert first["timezone"] == "Asia/Tokyo"
    assert first["formatted"] == "1.1.1970, 09:00:00"
    assert (first["width"], first["height"]) == (801, 602)
    assert first["dark"]
    assert first["asked"]["accept-language"].startswith("de-CH")
    assert (first["asked"]["x-client"], first["asked"]["authorization"]) == ("ostler", "Bearer hunter3")
    assert first["asked"]["url"] == "http://mirror.invalid/page"
    assert set(mirror.users) == {"me:hunter2"}
    second, headed = desk.looks(), desk.looks("--headed", DISPLAY=display)
    for seen in (first, second, headed):
        for name in [name for name in seen["asked"] if name.startswith(("user-agent", "sec-ch-ua"))]:
            del seen["asked"][name]  # with a window it is another build, which says so
    assert first == second == headed
    assert (tmp_path / "mine" / "receipt.txt").read_text() == "paid"
    assert not (desk.state / "downloads").exists()
    assert [secret for secret in SECRETS if secret.encode() in desk.written()] == []


def test_a_device_and_what_overrides_it(desk: Desk):
    """A device's size, touch and user agent, and a size of one's own; without anything set, the browser's own values again."""
    desk.sets("device_descriptor=Pixel 7")
    seen = desk.looks()
    assert (seen["mobile"], seen["touch"], seen["width"]) == (True, True, 412)
    desk.sets("viewport=500x700")
    assert desk.looks()["width"] == 500
    desk.types(
        "-m",
        "core.cli.main",
        "profile",
        "unset",
        "anna",
        "device_descriptor",
        "viewport",
        "device",
        "header.authorization",
    )
    seen = desk.looks()
    assert (seen["mobile"], seen["touch"], seen["width"], seen["dark"]) == (False, False, 1280, False)
    assert "authorization" not in seen["asked"]


def test_a_jobs_values_come_first(desk: Desk, mirror, tmp_path: Path):
    """A proxy and a device class of the queue are used instead of the profile's."""
    desk.sets("device_descriptor=Pixel 7", "locale=fr-CH")
    with reflecting() as other:
        (tmp_path / "queue.json").write_text(
            json.dumps(
                [
                    {
                        "profile_id": "anna",
                        "flow": str(FLOW),
                        "device": "desktop",
                        "proxy": f"http://you:pw@{other.address}",
                    }
                ]
            )
        )
        mirror.users.clear()
        desk.types("orchestrator.py", tmp_path / "queue.json")
        assert set(other.users) == {"you:pw"}
    seen = desk.seen()
    assert (mirror.users, mirror.refused) == ([], 0)
    assert (seen["mobile"], seen["width"], seen["languages"]) == (False, 1280, ["fr-CH"])
