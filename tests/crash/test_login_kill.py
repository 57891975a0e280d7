"""A login is as durable as the flag that states it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.crash.storm import demo_site
from tests.fleet import FLOWS, Fleet, children_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.browser
@pytest.mark.parametrize("logins", [4, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_browser_killed_right_after_the_flag_is_still_logged_in(tmp_path: Path, logins: int) -> None:
    """SIGKILL of Chromium within 50 ms of the visible flag: on resume cookie and localStorage are there, each time."""
    fleet = Fleet(directory=tmp_path)
    ids = [f"login{number:02d}" for number in range(logins)]
    with demo_site(tmp_path / "site") as port:
        queue = tmp_path / "queue.json"
        feed = {"defaults": {"flow": str(FLOWS / "login.py"), "params": {"port": port}}, "jobs": ids}
        queue.write_text(json.dumps(feed))
        orchestrator = fleet.start(queue, "--max-concurrent", 2, "--retry-delay", 0.1, "--launch-interval", 0.2)
        killed: set[str] = set()
        late: list[float] = []
        end = time.monotonic() + 30 * logins + 60
        while orchestrator.poll() is None and time.monotonic() < end:
            for profile in set(ids) - killed:
                if "logged_in" in flags(fleet, profile):
                    seen = time.monotonic()
                    kill_browser_of(orchestrator.pid, fleet, profile)
                    late.append(time.monotonic() - seen)
                    killed.add(profile)
            time.sleep(0.005)
        assert orchestrator.wait(1) == 0, fleet.output()
    assert killed == set(ids)
    outputs = {profile: session(fleet, profile)["outputs"] for profile in ids}
    assert outputs == {profile: {"still_logged_in": True} for profile in ids}
    assert fleet.leftovers() == []


def session(fleet: Fleet, profile: str) -> dict[str, dict[str, object]]:
    return json.loads((fleet.state / "sessions" / f"{profile}.json").read_text())["payload"]


def flags(fleet: Fleet, profile: str) -> set[str]:
    with suppress(OSError, ValueError):
        return {name for name, value in session(fleet, profile)["completion_flags"].items() if value}
    return set()


def kill_browser_of(orchestrator: int, fleet: Fleet, profile: str) -> None:
    mark = f"--user-data-dir={fleet.state / 'workspaces' / profile}-"
    for process in children_of(orchestrator)["browser"]:
        with suppress(psutil.Error):
            if any(part.startswith(mark) for part in process.cmdline()):
                process.kill()
