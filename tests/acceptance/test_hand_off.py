"""A job that waits for a person with its browser open, and what is done to a run from another terminal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import pyotp
import pytest

from tests.crash.storm import Storm, demo_site
from tests.fleet import BRISK, ROOT, Fleet, children_of


def ctl(fleet, *args, stdin=""):
    """Type an `ostler ctl` command."""
    here = ["--state-dir", str(fleet.state), "--log-dir", str(fleet.logs)]
    command = [sys.executable, "-m", "core.cli.main", "ctl", *args, *here]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_person_types_the_code_and_the_demo_flow_goes_on(tmp_path):
    """The site wants the code of the second step: a script plays the person, and the run ends done, in the same browser."""
    fleet = Storm(directory=tmp_path)
    with demo_site(tmp_path / "site") as port:
        queue = fleet.demo_queue(1, port)
        assert fleet.run(queue, timeout=180).returncode == 0
        profile = fleet.state / "profiles" / "storm000"
        shutil.rmtree(profile / "browser_profile")
        for path in profile.glob("*session.json*"):  # the login state, and its earlier generation
            path.unlink()
        feed = json.loads(queue.read_text())
        feed["defaults"]["params"]["second_step"] = "person"
        queue.write_text(json.dumps(feed))
        orchestrator = fleet.start(queue, "--again", "--wait-parked", "120")
        [parked] = fleet.wait_for(lambda: fleet.events("attempt_parked"), deadline=120)
        assert (parked["step"], parked["asks"]) == ("log_in", ["code"])
        browsers = [process.pid for process in children_of(orchestrator.pid)["browser"]]
        looked = ctl(fleet)
        assert "slots      0 of 5 taken" in looked.stdout and "type the code" in looked.stdout
        secret = json.loads((fleet.state / "sessions" / "storm000.json").read_text())["payload"]["identity"][
            "two_fa_secret"
        ]
        answered = ctl(fleet, "resume", "storm000", stdin=pyotp.TOTP(secret).now() + "\n")
        assert answered.returncode == 0, answered.stderr
        fleet.wait_for(lambda: fleet.events("attempt_resumed"))
        assert [process.pid for process in children_of(orchestrator.pid)["browser"]] == browsers
        assert orchestrator.wait(120) == 0
    assert fleet.query("SELECT state FROM jobs") == [("done",)]
    assert len(fleet.events("attempt_parked")) == 1
    assert fleet.leftovers() == []


def test_a_run_is_held_changed_and_ended_from_another_terminal(tmp_path):
    """Pause, limit, resume, cancel, drain, as typed; then nobody answers any more."""
    fleet = Fleet(directory=tmp_path)
    queue = fleet.write_queue([f"p{number}" for number in range(6)], seconds=600)
    orchestrator = fleet.start(queue, *BRISK, "--max-concurrent", "1", "--stop-grace", "5")
    fleet.wait_for(lambda: fleet.events("attempt_launched"), deadline=60)
    assert ctl(fleet, "pause").returncode == 0
    assert ctl(fleet, "limit", "3").stdout == "3 at a time from now on\n"
    time.sleep(1)
    assert len(fleet.events("attempt_launched")) == 1
    view = json.loads(ctl(fleet, "--json").stdout)
    assert (view["max_concurrent"], view["held"], view["running"]) == (3, ["paused by the operator"], ["p0"])
    assert ctl(fleet, "resume").returncode == 0
    fleet.wait_for(lambda: len(fleet.events("attempt_launched")) == 3, deadline=60)
    assert ctl(fleet, "cancel", "p1").returncode == 0
    fleet.wait_for(lambda: fleet.query("SELECT 1 FROM jobs WHERE id = 'p1' AND state = 'cancelled'"), deadline=60)
    assert ctl(fleet, "cancel", "p5").returncode == 2
    for wrong in ("0", "1001", "-1", "many", "9" * 99):
        assert ctl(fleet, "limit", "--", wrong).returncode == 2
    assert ctl(fleet, "stop").returncode == 0
    assert orchestrator.wait(60) == 6
    gone = ctl(fleet, "pause")
    assert (gone.returncode, "no orchestrator runs there" in gone.stderr) == (1, True)
    assert fleet.leftovers() == []
